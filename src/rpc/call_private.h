/* rpc/call_private.h - a call as rpc/ sees it, and what its files say to each other about calls. */
#ifndef TIDEWIRE_RPC_CALL_PRIVATE_H
#define TIDEWIRE_RPC_CALL_PRIVATE_H
#include "net/loop.h"
#include "rpc/call.h"
#include "rpc/client_private.h"
#include "rpc/dialect.h"
#include "rpc/inbound.h"
#include "rpc/outbox.h"
#include "rpc/peer_metadata.h"
#include "rpc/router.h"
#include "rpc/rpc_private.h"

enum call_state {
    CALL_ARRIVING,  /* the handler has not been told of it yet */
    CALL_OPEN,      /* both sides may send */
    CALL_FINISHING, /* server: trailers wait behind what is queued; client: the answer is whole, but not read */
    CALL_OVER,      /* the status stands, on_close is due; nothing is buffered any more */
    CALL_TOLD,      /* the handler knows; only the HTTP stream may be left */
};

/* What a handler is to be told in its next turn on the ready list. */
enum call_news {
    NEWS_OPEN = 1,
    NEWS_HEADERS = 2,
    NEWS_READABLE = 4,
    NEWS_WRITABLE = 8,
    NEWS_DRAIN = 16,
    NEWS_FAULT = 32, /* status and text are set: ends the call after the messages before the fault were told */
};

enum call_reason {
    REASON_HANDLER,
    REASON_CLIENT,
    REASON_SERVER,
    REASON_DEADLINE,
    REASON_LIMIT,
    REASON_DRAIN,
    REASON_CONNECTION,
    REASON_UPSTREAM, /* the last of CALL_REASONS */
};

enum call_encoding {
    ENCODING_IDENTITY,
    ENCODING_GZIP,
    ENCODING_DEFLATE, /* a WebSocket's own: known to nobody else */
};

struct rpc_call {
    struct call call; /* what handlers hold */
    /* What each message that is sent touches lies together (call_approach()); up to `ready`. */
    const struct dialect *dialect;
    struct rpc_connection *connection; /* of a call that waits: rpc.waiting */
    struct http_stream *stream;        /* NULL once it is closed */
    struct account *account;           /* who pays; the same from the beginning to the end */
    struct outbox outbox;
    struct edge *edge;         /* the dialect's own; or NULL */
    struct attempt *attempt;   /* of a client call; else NULL */
    size_t replay_left;        /* of attempt->replay, to be sent before the outbox */
    struct rpc_call *partner;  /* raw: what comes goes there; NULL: nowhere, any more */
    struct meter *meter;       /* of a server call that has limits; else NULL */
    uint64_t buffered;         /* bytes charged to the accounts */
    uint64_t progress;         /* when bytes last came, left or were taken while some were buffered; or when it ended */
    uint32_t most_message, most_queued;
    uint32_t window_due;  /* of the stream, to be given back when the handler function has returned */
    uint8_t state, news, status;
    uint8_t reason;           /* who ended it, for the access line */
    uint8_t encoding;         /* of the peer's messages */
    uint8_t codec;            /* of the messages both ways, as the content types say */
    bool is_client : 1;
    bool is_waiting : 1;      /* a client call without a stream yet */
    bool is_raw : 1;
    bool was_reset_here : 1;  /* its stream, when that has closed */
    bool was_opened : 1;      /* the handler knows it */
    bool is_hungry : 1;       /* call_receive() has said CALL_EMPTY, or nothing was asked yet */
    bool is_end_told : 1;     /* call_receive() has said CALL_END */
    bool is_compressing : 1;
    bool names_gzip : 1;      /* our headers say so, or will: some of what we send may be compressed */
    bool accepts_gzip : 1;    /* server: the peer does */
    bool is_choked : 1;       /* call_is_full() was true */
    bool has_sent_headers : 1;
    bool has_sent_end : 1;
    bool is_recoded : 1;      /* what is sent is not just a prefix and the bytes that the handler gives */
    bool reads_json : 1;      /* what waits in the inbound is JSON */
    bool is_goa : 1;          /* messages are JSON as in rpc/goa.h */
    bool is_orphan : 1;       /* its client has gone without waiting for the end, and need not */
    bool is_mute : 1;         /* a message has no form that its peer reads: status and text say why */
    /* The rest. */
    struct list ready;          /* in rpc.ready while there is news */
    struct list sibling;        /* in rpc_connection.calls */
    struct list charged;        /* in account.calls */
    struct list young;          /* in rpc.young until it is a second old */
    struct inbound inbound;
    struct timer timer; /* the deadline */
    struct metadata *headers, *trailers; /* ours; made when first asked for */
    struct peer_metadata *peer_headers, *peer_trailers;
    char *text;           /* of the status; NULL: empty */
    char *name;           /* raw server calls: of the method */
    char *target;         /* raw server calls that were parted: the address of the server; or NULL */
    uint32_t wave;        /* raw: bytes that have left for the partner since it last had all */
};

static inline struct rpc_call *rpc_call_of(struct call *call) { return container_of(call, struct rpc_call, call); }
static inline const struct rpc_call *rpc_call_of_const(const struct call *call) {
    return container_of(call, const struct rpc_call, call);
}

/* A new call of the connection, in CALL_ARRIVING. `method` NULL: raw. */
struct rpc_call *call_new(struct rpc_connection *connection, struct account *account, const struct dialect *dialect,
                          const struct method *method, const struct call_handler *handler, void *data,
                          const struct call_limits *limits);
void call_set_limits(struct rpc_call *call, const struct call_limits *limits);
/* Puts it on the ready list. */
void call_wake(struct rpc_call *call, unsigned news);
/* Tells the handler its news, and copies what it leaves in the read buffer. May free the call. */
void call_run(struct rpc_call *call);
struct edge *call_edge(struct rpc_call *call);
/* Server: response headers leave; for dialects. What browsers want to read is added. */
void call_respond(struct rpc_call *call, struct header_block *block, bool is_end);
void call_respond_whole(struct rpc_call *call, struct header_block *block, const void *body, size_t length);
/* Server: the last piece of a body whose end stands in itself, framed as messages are. */
void call_send_last(struct rpc_call *call, const void *data, size_t length, uint8_t flags);
/* What is sent from now on is compressed where that makes it smaller. */
void call_set_compressing(struct rpc_call *call, bool is_compressing);
void call_set_deadline(struct rpc_call *call, uint64_t deadline);
/* The peer is to blame: applied once the handler was told of what came before. */
void call_fault(struct rpc_call *call, enum status status, enum call_reason reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Forgets what has not left for the peer. */
void call_drop_queued(struct rpc_call *call);
/* Ends it for the peer and for the handler without waiting for either. */
void call_fail(struct rpc_call *call, enum status status, enum call_reason reason, const char *text);
/* The status stands, and the wire knows or needs no telling. The first one counts. */
void call_end(struct rpc_call *call, enum status status, enum call_reason reason, const char *text);
/* The same for a status that is set already: nothing is buffered or timed for the call any more, and its handler learns
 * of it in its turn. */
void call_settle(struct rpc_call *call);
/* It has ended, but its peer does not take the rest: without that rest, and without waiting for the peer. */
void call_abandon(struct rpc_call *call);
/* Client: the answer is complete, and what has come of it may still be read; the status follows that. */
void call_conclude(struct rpc_call *call, enum status status, enum call_reason reason, const char *text);
/* Server: as call_finish(), with a reason. */
void call_finish_for(struct rpc_call *call, enum status status, enum call_reason reason, const char *text,
                     const void *details, size_t details_length);
/* Gives bytes of the stream's window back, together with others of this turn. */
void call_give_window(struct rpc_call *call, size_t bytes);

/* As call_finish_for(), but the trailers are with HTTP already. */
void call_trailed(struct rpc_call *call, enum status status, enum call_reason reason);

/* HTTP's events. */
void call_on_data(void *user, const uint8_t *bytes, size_t length);
void call_on_end(struct rpc_call *call);
void call_on_close(void *user, uint32_t error, bool is_connection);
size_t call_body_ready(void *user);
void call_body_give(void *user, size_t length, struct http_output *output);

/* rpc/account.c: bytes that a call makes the process keep. */
void account_join(struct account *account, struct rpc_call *call);
void account_leave(struct rpc_call *call);
void account_charge(struct rpc_call *call, uint64_t bytes);
void account_discharge(struct rpc_call *call, uint64_t bytes);
/* What is left of the call is its peer's to take: its patience begins. */
void account_ended(struct rpc_call *call);

/* rpc/access.c: the lines of the access log. */
void access_opened(struct rpc_call *call);
void access_closed(struct rpc_call *call);
void access_refused(const struct arrival *arrival, enum status status, enum call_reason reason);

static inline void call_ask_source(struct call *call) {
    if (call->source) call->source->give(call->source);
}

/* The message has not the form that gRPC has it in. */
static inline bool call_must_read(const struct rpc_call *call, const struct framed *framed) {
    return call->reads_json || (framed->is_compressed && call->encoding == ENCODING_DEFLATE);
}

/* The one reply of a method leaves together with its status: until then the call may still fail, and is then answered
 * by the status alone. */
static inline bool call_holds_reply(const struct rpc_call *call) {
    return !call->is_client && !call->is_raw && call->state < CALL_FINISHING && !call->call.method->is_server_streaming;
}
#endif
