/* rpc/client.h - calls that we make, and the connections ("links") that carry them.
 *
 * A call exists before it has a link: it waits, and what its handler sends meanwhile queues. Who knows the links (its
 * "opener": upstream/, or struct rpc_client) attaches it to one, or refuses it. While nothing of an answer has come,
 * the opener may take back a call whose attempt has failed, and attach it anew: what was sent is then sent again from
 * the call's replay buffer. The handler notices nothing of that. */
#ifndef TIDEWIRE_RPC_CLIENT_H
#define TIDEWIRE_RPC_CLIENT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rpc/account.h"
#include "rpc/call.h"
#include "rpc/router.h"

struct rpc;
struct rpc_link;
struct sockaddr;
struct tls_client;

/* ---- links ---- */

struct rpc_link_options {
    /* Where to: a socket address, or (address NULL) a name, "host:port" or "unix:/path", that is resolved blocking: for
     * command-line clients. */
    const struct sockaddr *address;
    uint32_t address_length;
    const char *name;          /* always: for texts */
    const char *authority;     /* of calls that have none of their own */
    struct tls_client *tls;    /* NULL: plaintext; not used after rpc_link_new() */
    const char *server_name;   /* instead of the one in `tls`; may be NULL */
    uint64_t connect_timeout;  /* ns, up to the peer's SETTINGS; 0: none */
    uint64_t keepalive_interval, keepalive_timeout; /* our PINGs to a silent peer; 0 never */
    bool pings_without_streams;
    uint32_t most_streams;     /* over the peer's own limit; 0: none */
};

/* Told from the loop's run phase. */
struct rpc_link_events {
    /* Look again: the peer's SETTINGS have come, a call has gone, the link takes no more calls. */
    void (*on_change)(void *context);
    /* Once, last: nothing stands any more, or it never did. The calls that were on it have been told. The link is not
     * to be touched after it but by rpc_link_free(). */
    void (*on_gone)(void *context, const char *reason);
};

/* NULL and an error when the address makes no sense; failures to connect are on_gone. */
struct rpc_link *rpc_link_new(struct rpc *rpc, const struct rpc_link_options *options,
                              const struct rpc_link_events *events, void *context, struct error *error);
/* The same over a connected, non-blocking socket, which it takes: plaintext; of the options neither address nor TLS. */
struct rpc_link *rpc_link_over_fd(struct rpc *rpc, int fd, const struct rpc_link_options *options,
                                  const struct rpc_link_events *events, void *context);
/* Lets go: no events any more; the calls that it has go on, and the connection closes behind the last. */
void rpc_link_free(struct rpc_link **link);
/* The peer's SETTINGS have come: before, it takes no calls. */
bool rpc_link_is_ready(const struct rpc_link *link);
/* It takes no calls, now or later: GOAWAY, draining, closing. */
bool rpc_link_is_closing(const struct rpc_link *link);
/* How many calls it would take now. */
uint32_t rpc_link_room(const struct rpc_link *link);
size_t rpc_link_streams(const struct rpc_link *link);
/* The peer has complained of our PINGs (GOAWAY "too_many_pings"). */
bool rpc_link_pings_too_often(const struct rpc_link *link);
/* Takes no more calls; closes behind the last. */
void rpc_link_drain(struct rpc_link *link, const char *reason);
/* Closes now: its calls fail. */
void rpc_link_close(struct rpc_link *link, const char *reason);

/* ---- calls ---- */

/* How an attempt ended. */
struct rpc_outcome {
    enum status status;
    const char *text;
    bool is_unseen;     /* the server has done nothing with it: REFUSED_STREAM, above a GOAWAY's last stream */
    bool is_lost;       /* the connection went */
    bool has_answer;    /* response headers had come before */
    bool is_cancelled;  /* by our side, or its deadline has passed: it says nothing about the server */
    bool is_expired;    /* given up, by whomever, when its deadline had passed, or nearly */
    bool has_pushback;  /* grpc-retry-pushback-ms was there */
    int64_t pushback;   /* ns; negative: do not retry */
};

/* Who finds links for a call. `context` is the call's own, given at rpc_call_open(). */
struct rpc_opener {
    /* An attempt has failed before anything of an answer came, and what was sent can be sent again. True: the call
     * waits again, to be attached or refused later (not in here). False: the outcome is the call's end. */
    bool (*on_failure)(void *context, const struct rpc_outcome *outcome);
    /* Response headers have come: this attempt is the one that counts. May be NULL. */
    void (*on_answer)(void *context);
    /* Once, last: the call has ended, by itself, by its handler or by a refusal, attached or not: forget it. Comes from
     * inside of what ended it. */
    void (*on_over)(void *context, const struct rpc_outcome *outcome);
};

struct rpc_request {
    const struct method *method;     /* NULL: a raw call, which is to be joined with the server call that it passes on */
    const struct http_header *headers; /* raw: the list that came with that, in the place of metadata; copied */
    size_t header_count;
    bool is_end;                     /* raw: no body follows */
    const char *authority;           /* NULL: the link's; raw: the client's */
    const struct metadata *metadata; /* copied; may be NULL */
    uint64_t timeout;                /* ns; 0: none */
    bool compresses;                 /* messages leave as gzip where that makes them smaller */
    const struct call_handler *handler;
    void *data;
    const struct call_limits *limits;
    struct account *account;         /* who pays for it: the account of the call that it is made for; NULL: nobody's */
};

/* A call that waits. `replay`: how many sent bytes it keeps while it may have to send them again. */
struct call *rpc_call_open(struct rpc *rpc, const struct rpc_request *request, const struct rpc_opener *opener,
                           void *context, size_t replay);
/* Sends it on the link. False when the link has no room: the call still waits. */
bool rpc_call_attach(struct call *call, struct rpc_link *link);
/* Ends a call that waits. */
void rpc_call_refuse(struct call *call, enum status status, const char *text);
/* So many attempts were attached, and may have been seen by a server. */
uint32_t rpc_call_attempts(const struct call *call);
#endif
