/* gateway/worker.h - one worker thread and the orders that the main thread gives it.
 *
 * Every worker_… function below is called by the main thread and acts later, in the worker's thread. What comes back
 * goes through the reports, which are called in the main thread. */
#ifndef TIDEWIRE_GATEWAY_WORKER_H
#define TIDEWIRE_GATEWAY_WORKER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "gateway/revision.h"
#include "rpc/rpc.h"

struct health;
struct mailbox;
struct metrics_books;
struct peer_registry;
struct rate_registry;
struct topic_registry;
struct worker;

/* What a worker holds once a reload has settled: garbage is collected. */
struct worker_figures {
    uint32_t generation;
    uint64_t heap_bytes; /* of its Lua state */
    uint64_t streams;    /* open, of all generations */
};

/* Workers that drain stop together: what one still does may need a peer whose home is another. */
struct worker_census {
    atomic_uint serving; /* those that have clients */
    atomic_uint busy;    /* those that have connections, of whatever kind */
};

struct worker_options {
    uint32_t index, count;
    struct topic_registry *topics;
    struct rate_registry *rates;
    struct peer_registry *peers;
    struct worker *const *workers; /* all, by index, once the first config is prepared */
    struct worker_census *census;
    struct health *health;
    const struct metrics_books *books;
    const char *lua_path;
    struct mailbox *reports; /* the main thread's */
    const struct config *config; /* the first one: for limits; not kept */
    /* Called in the main thread. */
    void (*on_prepared)(void *context, struct worker *worker, const struct error *fault /* NULL: fine */);
    void (*on_committed)(void *context, struct worker *worker);
    void (*on_settled)(void *context, struct worker *worker, const struct worker_figures *figures);
    void (*on_stopped)(void *context, struct worker *worker);
    void *context;
};

/* NULL and an error text when the system has no thread for it. */
struct worker *worker_start(const struct worker_options *options, struct error *error);
/* After on_stopped: waits for the thread, frees everything. Returns how many calls were still open. */
uint64_t worker_join(struct worker **worker);

/* Loads a generation of scripts beside the one in force; on_prepared tells how it went. Takes a reference. */
void worker_prepare(struct worker *worker, struct revision *revision);
/* Puts what was prepared in force: on_committed follows, and some turns later on_settled. Or throws it away. */
void worker_commit(struct worker *worker);
void worker_discard(struct worker *worker);
/* What scripts spawned when they were loaded begins: all workers have committed. */
void worker_begin(struct worker *worker);
/* Takes over what is in it. */
void worker_accept(struct worker *worker, const struct rpc_accepted *accepted);
/* Connections that it has or was given. */
uint32_t worker_connections(const struct worker *worker);
const struct rpc_counters *worker_counters(const struct worker *worker);
/* Finish what is open, then stop. */
void worker_drain(struct worker *worker);
/* What is still open ends UNAVAILABLE; connections that linger are cut after `grace` ns, and after twice the time the
 * worker stops, whether their peers have taken the last bytes or not. */
void worker_end_all(struct worker *worker, uint64_t grace);
/* Cut everything and stop. */
void worker_abort(struct worker *worker);

/* How the config's limits look to rpc/ in each of `workers` workers. */
struct rpc_limits worker_rpc_limits(const struct config *config, uint32_t workers);
#endif
