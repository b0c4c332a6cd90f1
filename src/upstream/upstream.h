/* upstream/upstream.h - the servers that this gateway calls, one struct upstreams a worker.
 *
 *   upstream   what an `upstream` section names: targets, balance, TLS, limits, health, retry
 *   target     one address of it: its links, backoff, health
 *   link       one HTTP/2 connection that we made (rpc/client.h)
 *
 * A link carries as many calls as its peer allows; another is made only when all have no room, and one that has had no
 * call for `linger` is closed. Calls that need a link that does not stand yet wait for the one dial. What no server
 * has seen is made again elsewhere, without anybody noticing.
 *
 * A set is what one reading of the config names. Sets share an upstream whose settings are equal: so a reload keeps
 * its links. An upstream that is in no set any more finishes the calls that it has, and goes.
 * All of it belongs to the worker's thread. */
#ifndef TIDEWIRE_UPSTREAM_UPSTREAM_H
#define TIDEWIRE_UPSTREAM_UPSTREAM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/error.h"
#include "config/config.h"
#include "rpc/client.h"

struct upstream;
struct upstream_set;
struct upstreams;
struct figures;

struct upstreams *upstreams_new(struct rpc *rpc);

/* What one worker's part of an upstream is doing: a row of figures, by its name. Of a peer, in its home alone. */
struct upstream_figures {
    atomic_uint_least64_t connections, streams, waiting;                   /* now */
    atomic_uint_least64_t calls, retries, refused, failures, dial_failures; /* ever */
};
enum { UPSTREAM_FIGURES_MOST = 1024 };
struct figures *upstream_figures_new(uint32_t workers);

/* The process, and its other workers. */
struct peer_registry;
struct upstreams_host {
    struct peer_registry *registry;
    struct figures *figures; /* NULL: nobody wants them */
    uint32_t worker, worker_count; /* this one's number; of all */
    /* Gives the descriptor to that worker (which may be this one), for upstreams_accept(); takes it and `peer` over. */
    void (*connect)(void *context, uint32_t worker, int fd, struct config_upstream *peer, bool is_arrival);
    void *context;
};
/* Right after upstreams_new(). Without it there is one worker, and no peer can connect to it. */
void upstreams_set_host(struct upstreams *upstreams, const struct upstreams_host *host);
/* What another worker has sent by connect(). */
void upstreams_accept(struct upstreams *upstreams, int fd, struct config_upstream *peer, bool is_arrival);
/* Calls that wait end, links are cut, and no call is opened any more. Before rpc_free(). */
void upstreams_stop(struct upstreams *upstreams);
/* After rpc_free(), when every set is gone. */
void upstreams_free(struct upstreams **upstreams);
/* The process ends: links close as soon as they have no calls, health is asked no more. Calls may still be opened. */
void upstreams_drain(struct upstreams *upstreams);

/* NULL and an error when a certificate file cannot be used. Nothing is dialled before a call, or upstream_set_start(),
 * asks for it. */
struct upstream_set *upstream_set_new(struct upstreams *upstreams, const struct config *config, struct error *error);
/* The set is in force: health checks begin. */
void upstream_set_start(struct upstream_set *set);
void upstream_set_free(struct upstream_set **set);
/* NULL: the config has none of that name. Lives as long as the set; take a reference to keep it. */
struct upstream *upstream_set_find(const struct upstream_set *set, const char *name);
struct upstream *upstream_ref(struct upstream *upstream);
void upstream_unref(struct upstream **upstream);
const char *upstream_name(const struct upstream *upstream);

struct upstream_request {
    struct rpc_request call; /* without an account: on the upstream's own */
    /* For `balance = hash`; NULL: the value of the upstream's hash_key in call.metadata or call.headers. */
    const char *hash;
    size_t hash_length;
    bool waits; /* for a target as long as it takes, even where the upstream's `wait` is off */
};
/* Never NULL, and never calls the handler from inside: a call that cannot be made ends UNAVAILABLE in its turn. */
struct call *upstream_open(struct upstream *upstream, const struct upstream_request *request);

/* What stands now, for scripts, status pages and tests. */
struct upstream_target_counts {
    const char *address;   /* "127.0.0.1:50052", "unix:/run/x.sock" */
    uint32_t connections;  /* ready ones, also those that drain */
    uint32_t streams;      /* calls on them */
    uint32_t waiting;      /* calls that wait for a connection to it */
    uint64_t calls;        /* attempts, ever */
    uint64_t failures;     /* of them */
    uint64_t dials, dial_failures;
    bool is_connecting, is_in_backoff, is_ejected, is_unhealthy;
};
struct upstream_counts {
    const char *name;
    uint32_t connections, streams, waiting; /* of all its targets; `waiting` with those that wait for any */
    uint64_t calls, retries, refused;       /* ever: opened, made again, ended without a server */
};
void upstream_counts(const struct upstream *upstream, struct upstream_counts *counts);
void upstream_each_target(const struct upstream *upstream,
                          void (*visit)(void *context, const struct upstream_target_counts *counts), void *context);
/* Every upstream that lives in this worker, also those that a reload has left behind. */
void upstreams_each(const struct upstreams *upstreams, void (*visit)(void *context, struct upstream *upstream),
                    void *context);
#endif
