/* rpc/rpc.h - what all calls of one worker share: free lists, limits, the router in force, counters; and the two
 * ways by which calls come to be: an accepted connection, and a call that we make. */
#ifndef TIDEWIRE_RPC_RPC_H
#define TIDEWIRE_RPC_RPC_H
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/status.h"
#include "http/stream.h"
#include "net/connection.h"
#include "rpc/router.h"

struct figures;
struct loop;
struct rpc;

struct rpc_limits {
    struct http_limits http;
    uint64_t buffered_per_connection;
    uint64_t buffered_total; /* of this worker: the process's bound over the number of workers */
    uint64_t stalled;
};

/* Who ended a call, in the order of enum call_reason; ended by NULL. */
enum { CALL_REASONS = 8 };
extern const char *const call_reason_names[CALL_REASONS + 1];

/* Counters of one worker, which any thread may read. Ended calls are clients', but for those that come from another worker,
 * which counts them. */
struct rpc_counters {
    atomic_uint_least64_t connections, calls; /* open now, those that we have made included */
    atomic_uint_least64_t calls_served;       /* of them: clients' */
    atomic_uint_least64_t calls_started, calls_ended[STATUS_COUNT];
    atomic_uint_least64_t calls_closed[CALL_REASONS];
    atomic_uint_least64_t strangers; /* requests that are no calls in any dialect, and were refused */
    atomic_uint_least64_t buffered;  /* bytes, both directions */
    atomic_uint_least64_t limited;   /* calls that a limit ended */
};

struct rpc *rpc_new(struct loop *loop, const struct rpc_limits *limits);
void rpc_free(struct rpc **rpc);
/* New connections and new calls use what is set here; open ones keep what they have. */
void rpc_set_limits(struct rpc *rpc, const struct rpc_limits *limits);
void rpc_set_router(struct rpc *rpc, struct router *router);
/* Where calls are counted that no route is for (rpc/tally.h); `worker` is this one's number. */
void rpc_set_tallies(struct rpc *rpc, struct figures *tallies, uint32_t worker);
struct loop *rpc_loop(const struct rpc *rpc);
const struct rpc_counters *rpc_counters(const struct rpc *rpc);

/* Serves HTTP/2 on an accepted socket; takes the descriptor. `on_gone` once the connection is gone. */
struct rpc_accepted {
    int fd;
    /* Whose routes answer: NULL for the one in force. Borrowed, until the connection has gone. */
    struct router *router;
    /* Another worker of this process: its calls have no access lines here, and rpc_drain() leaves the connection alone,
     * as calls elsewhere may need it still. Whoever connected closes it. */
    bool is_internal;
    bool takes_peers; /* call_takes_peers() of its calls */
    char *listener;   /* the address of the config that it was accepted by; rpc_accept() takes it over; or NULL */
    struct tls_server *tls; /* a reference, which rpc_accept() takes over; or NULL */
    struct cors *cors;      /* the same */
    bool reads_proxy_header;
    atomic_uint_least64_t *gone; /* grows by one when it has gone, in whatever thread; or NULL */
    void (*on_gone)(void *context);
    void *context;
};
void rpc_accept(struct rpc *rpc, const struct rpc_accepted *accepted);
/* In the place of that: lets go of all that is in it. From any thread. */
void rpc_turn_away(const struct rpc_accepted *accepted);

/* GOAWAY on every connection that was accepted, tunnels that are served included; on_drain for every call. */
void rpc_drain(struct rpc *rpc);
/* What still runs ends UNAVAILABLE: trailers follow the queued messages; a call that carries a tunnel ends behind the
 * calls in it; connections that have not closed within `grace` ns are cut. */
void rpc_end_all(struct rpc *rpc, const char *text, uint64_t grace);
/* Cuts everything now. */
void rpc_abort_all(struct rpc *rpc);
/* When the loop has had its last turn: handlers hear what has come of their calls in it. */
void rpc_settle(struct rpc *rpc);
/* `f` may not end calls other than by call_finish() and call_reset(). */
void rpc_each_call(struct rpc *rpc, void (*f)(struct call *call, void *context), void *context);

/* The one server of `tidewire call`. */
struct rpc_client;
struct rpc_client_options {
    const char *address, *authority;
    struct tls_client *tls; /* NULL: plaintext; must outlive the client */
    bool compresses;        /* messages leave as gzip where that makes them smaller */
};
/* NULL and an error for an address that makes no sense; other failures end the calls UNAVAILABLE. */
struct rpc_client *rpc_client_new(struct rpc *rpc, const struct rpc_client_options *options, struct error *error);
void rpc_client_free(struct rpc_client **client);
/* Calls may be opened before the connection stands. `metadata` is copied, may be NULL; `timeout` ns, 0 none. */
struct call *rpc_client_open(struct rpc_client *client, const struct method *method, const struct metadata *metadata,
                             uint64_t timeout, const struct call_handler *handler, void *data,
                             const struct call_limits *limits);

const char *rpc_versions(void); /* "zlib 1.2.13" */
#endif
