/* script/state.h - what all files of this room share of one worker's Lua state.
 *
 *   script ── generation ── script files, modules, handlers
 *     │           └─ streams, fibers, jobs, subscribers of its code
 *     └─ fibers: the pool of coroutines that handlers run on (fiber.h)
 *
 * Values that C keeps of Lua are references into the registry (LUA_NOREF: none). C functions that Lua calls
 * and that need the script have it as their first upvalue: script_of(). */
#ifndef TIDEWIRE_SCRIPT_STATE_H
#define TIDEWIRE_SCRIPT_STATE_H
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/lua.h>
#include <luajit-2.1/luajit.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/stint.h"
#include "net/loop.h"
#include "rpc/call.h"
#include "script/heap.h"
#include "script/script.h"
#include "script/watchdog.h"
#include "upstream/backoff.h"

struct fiber;
struct generation;
struct script_file;

struct collector {
    bool is_collecting; /* in the middle of a cycle */
    uint8_t wanted;     /* cycles to run soon, whatever the heap's size: a generation has gone */
    const size_t *held; /* bytes that message objects hold outside the heap: garbage of the same kind */
    uint64_t counted;   /* heap bytes and held ones after the last step */
    uint64_t begin_at;  /* how many of them begin the next cycle */
};

struct script {
    struct script_host host;
    struct script_figures *figures, own_figures; /* the host's, where it has some */
    struct heap heap; /* all memory of L */
    uint64_t handler_memory;
    lua_State *L;
    struct list generations;
    struct generation *in_force;
    struct generation *loading;       /* its load code runs now */
    struct script_file *loading_file; /* which file's */
    struct fiber *running;            /* the innermost; NULL: load code, or no Lua at all */

    struct pool fibers; /* memory of struct fiber */
    struct list idle;   /* fibers whose coroutine has finished and can be used again */
    unsigned idle_count;
    struct list ready; /* fibers that run when ready_task does */
    struct task ready_task;
    struct stint ready_stint;
    struct task move_task; /* move.h */
    struct stint move_stint;
    uint32_t moved, unfiltered; /* streams since the last reload, and subscriptions of theirs without their filter */

    struct dice dice;          /* for backoff */
    const void *drop;          /* tidewire.DROP */
    const void *ctx_name;      /* the address of the string "ctx" */
    struct call *open_message; /* a message is being encoded into its queue */
    struct buffer scratch;     /* what publish and waiting sends encode into */
    struct buffer dict_bytes;  /* what comes out of a shared_dict, on its way into Lua */
    const struct call_message *first_message; /* of a hook's pump that begins, until it takes it */
    const char *converting; /* what a hook's pump can't do, should it raise now; NULL: it is the hook that raises */

    struct task turn_end;
    bool turn_end_is_due;
    struct collector collector;
    void (*on_measured)(void *context, uint64_t bytes); /* when no cycle is wanted any more; NULL: nobody asks */
    void *measure_context;
    struct watchdog watchdog;

    bool has_lua_half; /* lua/tidewire/ is loaded */
    struct {
        int guard;    /* pcall, xpcall and coroutine.* that cancellation gets through */
        int cancelled, drop;
        int fail_meta, stream_meta, handle_meta, spawned_meta, topic_meta, subscriber_meta, upstream_meta, peer_meta,
            channel_meta, semaphore_meta, limit_meta, dict_meta;
        int encode, write_reply, read_fields, add_traceback; /* C functions for protected calls */
        int each_one, each_list, filter_one, filter_list; /* pump.lua's */
        int reads; /* reads.lua's */
        int answers; /* table, weak keys: streams that a script had opened → what has come of them */
        int json_null, json_array; /* the value that stands for null; the metatable of arrays */
    } ref;
};

static inline struct script *script_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }
/* For the few places that have no upvalue: hooks and finalizers. */
struct script *script_of_state(lua_State *L);

/* To be called before handlers run: the end of this turn steps the collector. */
static inline void script_note_turn(struct script *script) {
    if (script->turn_end_is_due) return;
    script->turn_end_is_due = true;
    loop_defer(script->host.loop, LOOP_FREE, &script->turn_end);
}
/* An encoder has raised out of an open message: takes it back. Every function that touches calls begins with
 * it. */
static inline void script_settle(struct script *script) {
    if (!script->open_message) return;
    call_abandon_message(script->open_message);
    script->open_message = NULL;
}
/* What the state uses: its heap, and what message objects hold outside of it. */
uint64_t script_used_bytes(const struct script *script);
/* From now on handlers may add so much, each between two waits. */
void script_bound_heap(struct script *script, uint64_t handler_memory);
/* Begins a collection although the heap has not grown: something big has been let go. */
void script_collect_soon(struct script *script);

/* The generation whose code runs; NULL: none's, as in a __tostring that the log calls. */
struct generation *script_generation(const struct script *script);
/* The same for functions of scripts, which raise then. */
struct generation *check_generation(lua_State *L, const struct script *script, const char *signature);
/* The log scope of what runs: the stream's, or the script file's alone. */
struct log_scope script_scope(const struct script *script);

static inline void push_ref(lua_State *L, int reference) { lua_rawgeti(L, LUA_REGISTRYINDEX, reference); }

/* What a function returns that could not do it: nil, and why. */
static inline int nil_and(lua_State *L, const char *why) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}
static inline void drop_ref(lua_State *L, int *reference) {
    luaL_unref(L, LUA_REGISTRYINDEX, *reference);
    *reference = LUA_NOREF;
}
/* Registers `functions` in the table at the top, each with the script as its first upvalue. */
void set_functions(lua_State *L, struct script *script, const luaL_Reg *functions);
/* Pushes a metatable whose __metatable is false. */
void push_locked_metatable(lua_State *L);

/* "expected SIGNATURE", at the caller's line. */
int raise_misuse(lua_State *L, const char *signature);
int raise_not_served(lua_State *L, const char *what);
/* Seconds at `index` as nanoseconds; raises the signature when it is no number or negative. */
uint64_t check_seconds(lua_State *L, int index, const char *signature);
/* How long a wait may last: the same at `index`, FIBER_FOREVER where there is nothing. */
uint64_t check_timeout(lua_State *L, int index, const char *signature);
/* The status that a name stands for; raises with the nearest name. */
enum status check_status(lua_State *L, int index);
/* Where the function at `index` was defined. */
struct origin function_origin(lua_State *L, int index);
/* Pushes a text for any error value; never raises. */
const char *push_error_text(struct script *script, lua_State *L, int index);
/* One error line with traceback of `L`, whose error value is at the top. It names a line of the script: the one where
 * it was raised, or else that of the handler, unless that is NULL. */
void log_lua_error(struct script *script, lua_State *L, const struct log_scope *scope, const char *what,
                   const struct origin *handler);
#endif
