/* script/script.h - the Lua side of one worker: one Lua state, its generations of scripts, and the handlers that
 * they give to calls.
 *
 * All functions belong to the worker's thread. */
#ifndef TIDEWIRE_SCRIPT_SCRIPT_H
#define TIDEWIRE_SCRIPT_SCRIPT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/error.h"
#include "base/status.h"
#include "config/config.h"
#include "rpc/rpc.h"
#include "schema/schema.h"

struct dict_set;
struct figures;
struct rate_registry;
struct topics;
struct script;
struct generation;
struct upstream_set;

/* What a worker's scripts have done: a row of figures, by the worker's number. */
struct script_figures {
    atomic_uint_least64_t errors;                     /* that they have let through */
    atomic_uint_least64_t out_of_time, out_of_memory; /* handlers that were stopped */
    atomic_uint_least64_t memory;                     /* bytes, after the last turn in which one ran */
};
struct figures *script_figures_new(uint32_t workers);
struct script_figures *script_figures_of(struct figures *figures, uint32_t worker);

/* What the worker gives its scripts. Outlives the script. */
struct script_host {
    struct loop *loop;
    struct rpc *rpc;
    struct topics *topics;
    struct rate_registry *rates; /* the process's */
    struct script_figures *figures; /* NULL: nobody wants them */
    uint32_t worker, worker_count;
    const char *lua_path;  /* the folder that holds tidewire/… (lua/ of the checkout, or where it is installed) */
    /* A script set the health of a service ("" for the whole server). */
    void (*set_health)(void *context, const char *service, bool is_serving);
    void *context;
};

struct script *script_new(const struct script_host *host);
/* The worker's loop has ended: no handler runs any more. In the worker's thread, before it ends, since the watchdog
 * ticks there. */
void script_stop(struct script *script);
/* After the last call has closed; any thread. */
void script_free(struct script **script);

/* Loads every script that the config names, checks each entry against the schema, and starts nothing: timers,
 * spawns and subscriptions of load code wait for generation_start(). NULL and `file:line: error: …` on any fault.
 * The config, the schema and the dictionaries (NULL: none) are kept by reference until the generation is gone: the
 * caller must keep config and dictionaries alive until on_gone, and the schema is counted. */
struct generation *generation_load(struct script *script, const struct config *config, struct schema *schema,
                                   const struct dict_set *dicts, uint32_t number,
                                   void (*on_gone)(void *context), void *context, struct error *error);
/* What its code may open streams to: the set of the same config, which outlives the generation. Before it starts. */
void generation_set_upstreams(struct generation *generation, struct upstream_set *upstreams);
/* Adds a route for every method that a script answers. */
void generation_add_routes(struct generation *generation, struct router *router);
/* Takes over from the generation before it: what that one's load code started ends at this moment, due timers
 * first, and this one's begins, but for what it spawned. The old one is retired. Open streams of older ones come over
 * where the scripts say so; the router with this one's routes is in force already. */
void generation_start(struct generation *generation);
/* What load code spawned begins: once the generation has started in all workers, so that what it publishes is heard by
 * all that load code subscribed. Nothing of one that is retired. */
void generation_begin(struct generation *generation);
/* A generation that was loaded and shall never start; or, at the end of the process, the one in force. on_gone
 * follows once no call holds it. */
void generation_retire(struct generation *generation);
/* A router of the generation has closed its last call: the generation may go. */
void generation_release(struct generation *generation);
uint64_t script_heap_bytes(const struct script *script);
/* Collects all that is garbage now, in steps between turns, then tells the heap's bytes, once. Asked again before that,
 * the first one is not answered. */
void script_measure(struct script *script, void (*on_measured)(void *context, uint64_t bytes), void *context);
const char *script_versions(void); /* "LuaJIT 2.1.0-beta3" */
#endif
