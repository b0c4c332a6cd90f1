/* rpc/rpc_private.h - the worker's side of all calls, and one connection of it. */
#ifndef TIDEWIRE_RPC_RPC_PRIVATE_H
#define TIDEWIRE_RPC_RPC_PRIVATE_H
#include "base/buffer.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/stint.h"
#include "net/loop.h"
#include "rpc/account.h"
#include "rpc/compress.h"
#include "rpc/header_block.h"
#include "rpc/outbox.h"
#include "rpc/peer_metadata.h"
#include "rpc/rpc.h"
#include "rpc/tally.h"

struct rpc_call;

struct rpc {
    struct loop *loop;
    struct http_worker *http;
    struct rpc_limits limits; /* no bound: a number that is never reached */
    struct rpc_counters counters;
    struct tally *unknown;  /* of calls that no route is for */
    struct tally elsewhere; /* what is counted in it nobody reads */
    struct router *router;
    struct list connections; /* rpc_connection.node */
    struct rpc_connection *waiting; /* without a wire, for calls that have no link yet */
    struct account *own;     /* of calls that come without one */
    uint64_t account_count;  /* of those that have calls */
    struct list limited;     /* account.limited: at a bound */
    struct list ready;       /* rpc_call.ready */
    struct list late;        /* the same, of those for which a read had no time */
    struct list young;       /* rpc_call.young, oldest first */
    struct task run;         /* tells the ready calls */
    struct task run_late;
    struct stint stint;      /* of those that are told together */
    struct timer young_timer, end_timer;
    struct rpc_call *running; /* its handler is on the stack */
    struct pool calls, ranges;
    struct outbox_pool outboxes;
    struct compressor *compressor;
    struct websocket_deflater *deflater;
    struct metadata_reader reader;
    struct header_block block; /* scratch for what is sent as headers */
    struct header_block translation; /* a request's headers, as gRPC has them */
    struct buffer scratch;     /* messages before compression, texts */
    struct buffer compressed;  /* messages after it */
    struct buffer coded;       /* messages in the other codec */
    struct buffer framed;      /* with what stands before them */
    struct coding_twin *twin;
    struct buffer exposed; /* names of headers, for pages of other origins */
    uint32_t orphans;      /* rpc_call.is_orphan */
    bool is_draining, is_ending;
};

struct rpc_connection {
    struct rpc *rpc;
    struct http_session *session; /* NULL once it has ended */
    struct rpc_link *link;        /* of a connection that we made; NULL once it was let go */
    struct router *router; /* whose routes answer here; NULL: those in force */
    struct account *account; /* of one that was accepted; else NULL */
    struct cors *cors;       /* NULL: browsers are told nothing */
    struct list node;
    struct list calls; /* rpc_call.sibling */
    struct peer_metadata *last_metadata;
    struct log_scope log;
    char *peer;   /* its address; known from the first call on */
    char *peer_node; /* which gateway it is, when it has proved that; else NULL */
    char *reason; /* why it ended */
    char *listener;  /* the address that it was accepted by, as the config writes it; or NULL */
    struct limit_entry **entries; /* of limits that count for each connection */
    size_t entry_count;
    bool is_client, is_draining, is_internal, is_tunnelled, takes_peers;
    void (*on_idle)(void *context); /* its last call has gone; may be NULL */
    atomic_uint_least64_t *gone;
    void (*on_gone)(void *context);
    void *context;
};

struct account {
    struct rpc *rpc; /* gone, perhaps, when there are no calls */
    struct rpc_connection *connection; /* that it is of; NULL: of none, or that has gone */
    struct list calls;   /* rpc_call.charged */
    struct list limited;
    uint64_t buffered;   /* by its calls */
    struct timer stalled;
    uint32_t references; /* the owner's, and each call's */
};

extern const struct http_events rpc_server_events, rpc_client_events;

static inline bool account_is_limited(const struct account *account) {
    return !list_is_empty(&account->limited);
}

/* rpc/connection.c */
struct rpc_connection *rpc_connection_new(struct rpc *rpc, bool is_client, const struct http_limits *limits);
struct rpc_connection *rpc_connection_new_without_wire(struct rpc *rpc, bool is_client);
/* Another gateway, or another worker: streams of many clients come by it, which one client's limits are not for. */
static inline bool rpc_connection_is_relay(const struct rpc_connection *connection) {
    return connection->is_internal || connection->peer_node;
}
void rpc_connection_set_node(struct rpc_connection *connection, const char *node);
/* Its session runs over `wire`, which was made with http_connection_events for it. */
void rpc_connection_attach(struct rpc_connection *connection, struct connection *wire);
void rpc_connection_free(struct rpc_connection *connection);
/* If the session has ended and the last call has gone. */
void rpc_connection_free_if_done(struct rpc_connection *connection);
const char *rpc_connection_peer(struct rpc_connection *connection);
void rpc_connection_drain(struct rpc_connection *connection);
/* Tells the calls that are ready now. When that takes long, those that are left keep what they have been sent, and are
 * told in LOOP_AGAIN. */
void rpc_run_ready(struct rpc *rpc);
void rpc_run_late(struct rpc *rpc);

/* rpc/account.c */
void account_stalled(struct timer *timer);
/* The connection that it is of goes. */
void account_close(struct account **account);
/* rpc/access.c */
void access_grow_up(struct timer *timer);
#endif
