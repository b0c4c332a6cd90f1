/* script/state.c - see state.h and script.h */
#include "script/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "script/bind.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/move.h"
#include "script/sandbox.h"
#include "script/stream.h"

enum {
    STEP_LEAST = 16 << 10, /* bytes that must have been allocated before a step is worth its call */
    STEP_IDLE = 256 << 10, /* work of a step when nothing was allocated and a cycle is wanted */
    PAUSE = 150,
    STEP_MULTIPLIER = 400, /* per cent; measured, see the collector's figures in docs */
    HEAP_LEAST = 1 << 20,  /* below this the collector rests */
    DEFAULT_MEMORY = 256 << 20, /* of a handler, until a generation says */
};

static const char script_key; /* its address is the registry's key */

struct script *script_of_state(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&script_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct script *script = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return script;
}

/* ---- the collector: stopped while handlers run, stepped between turns ---- */

/* To the kilobyte: it is asked once a turn. */
uint64_t script_used_bytes(const struct script *script) {
    return ((uint64_t)lua_gc(script->L, LUA_GCCOUNT, 0) << 10) + *script->collector.held;
}

static size_t used_bytes(void *context) { return script_used_bytes(context); }
static void on_excess(void *context) { watchdog_outgrown(&((struct script *)context)->watchdog); }
static void on_held(void *context) { heap_has_grown(context); }

/* What was there before the turn is not its handlers'. */
static void set_heap_limit(struct script *script, uint64_t used) {
    script->heap.guard.limit = used + script->handler_memory;
}

void script_bound_heap(struct script *script, uint64_t handler_memory) {
    script->handler_memory = handler_memory;
    set_heap_limit(script, script_used_bytes(script));
}

static void begin_cycle_at(struct collector *collector, uint64_t alive) {
    collector->begin_at = alive / 100 * PAUSE;
    if (collector->begin_at < HEAP_LEAST) collector->begin_at = HEAP_LEAST;
}

static void collect(struct script *script) {
    struct collector *collector = &script->collector;
    uint64_t now = script_used_bytes(script);
    set_heap_limit(script, now);
    counter_set(&script->figures->memory, now);
    uint64_t allocated = now > collector->counted ? now - collector->counted : 0;
    if (!collector->is_collecting) {
        if (now < collector->begin_at && !collector->wanted) return;
        collector->is_collecting = true;
        collector->counted = now;
        allocated = STEP_LEAST;
    }
    if (allocated < STEP_LEAST) {
        if (!collector->wanted) return;
        allocated = STEP_IDLE;
    }
    bool is_done = lua_gc(script->L, LUA_GCSTEP, (int)(allocated >> 10));
    lua_gc(script->L, LUA_GCSTOP, 0);
    collector->counted = script_used_bytes(script);
    if (!is_done) return;
    collector->is_collecting = false;
    if (collector->wanted) collector->wanted--;
    begin_cycle_at(collector, collector->counted);
}

static void tell_measured(struct script *script) {
    void (*on_measured)(void *context, uint64_t bytes) = script->on_measured;
    script->on_measured = NULL;
    on_measured(script->measure_context, script_heap_bytes(script));
}

static void end_turn(struct task *task) {
    struct script *script = container_of(task, struct script, turn_end);
    script->turn_end_is_due = false;
    if (script->watchdog.has_restarted_collector) {
        script->watchdog.has_restarted_collector = false;
        lua_gc(script->L, LUA_GCSTOP, 0);
    }
    collect(script);
    if (script->collector.wanted) script_note_turn(script);
    else if (script->on_measured) tell_measured(script);
}

void script_collect_soon(struct script *script) {
    /* A cycle under way may have seen as alive what has just been let go. */
    script->collector.wanted = script->collector.is_collecting ? 2 : 1;
    script_note_turn(script);
}

void script_measure(struct script *script, void (*on_measured)(void *context, uint64_t bytes), void *context) {
    script->on_measured = on_measured;
    script->measure_context = context;
    script_collect_soon(script);
}

uint64_t script_heap_bytes(const struct script *script) {
    return ((uint64_t)lua_gc(script->L, LUA_GCCOUNT, 0) << 10) + (uint64_t)lua_gc(script->L, LUA_GCCOUNTB, 0);
}

/* ---- life ---- */

static void run_ready(struct task *task) { fibers_run_ready(container_of(task, struct script, ready_task)); }

static int panic(lua_State *L) {
    log_error(NULL, "Lua has raised where nothing catches: %s", lua_tostring(L, -1));
    log_flush();
    abort();
}

static lua_State *open_state(struct script *script) {
    lua_State *L = lua_newstate(heap_allocate, &script->heap);
    if (!L) abort();
    lua_atpanic(L, panic);
    lua_gc(L, LUA_GCSTOP, 0);
    lua_gc(L, LUA_GCSETPAUSE, PAUSE);
    lua_gc(L, LUA_GCSETSTEPMUL, STEP_MULTIPLIER);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&script_key);
    lua_pushlightuserdata(L, script);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return L;
}

struct script *script_new(const struct script_host *host) {
    struct script *script = memory_new(sizeof *script);
    script->host = *host;
    script->figures = host->figures ? host->figures : &script->own_figures;
    script->dice.state = clock_monotonic() | 1;
    list_init(&script->generations);
    list_init(&script->idle);
    list_init(&script->ready);
    task_init(&script->ready_task, run_ready);
    task_init(&script->turn_end, end_turn);
    moves_open_state(script);
    pool_init(&script->fibers, sizeof(struct fiber), 256);
    script->L = open_state(script);
    sandbox_open(script);
    twl_message_open(script->L);
    bind_open(script);
    script->collector.held = twl_message_held_bytes(script->L);
    twl_message_on_held(script->L, on_held, &script->heap);
    begin_cycle_at(&script->collector, script_used_bytes(script));
    script->heap.guard = (struct heap_guard){.is_watching = &script->watchdog.is_watching,
                                             .used = used_bytes,
                                             .on_excess = on_excess,
                                             .context = script};
    script_bound_heap(script, DEFAULT_MEMORY);
    watchdog_start(&script->watchdog, script->L);
    return script;
}

void script_stop(struct script *script) { watchdog_stop(&script->watchdog); }

void script_free(struct script **handle) {
    struct script *script = *handle;
    *handle = NULL;
    if (!script) return;
    while (!list_is_empty(&script->generations))
        generation_free(container_of(script->generations.next, struct generation, node));
    fibers_free_idle(script);
    task_cancel(&script->ready_task);
    moves_end(script);
    task_cancel(&script->turn_end);
    script_stop(script);
    lua_close(script->L);
    heap_clear(&script->heap);
    pool_clear(&script->fibers);
    buffer_free(&script->scratch);
    buffer_free(&script->dict_bytes);
    free(script);
}

const char *script_versions(void) { return LUAJIT_VERSION; }

struct generation *script_generation(const struct script *script) {
    return script->running ? script->running->generation : script->loading;
}

struct generation *check_generation(lua_State *L, const struct script *script, const char *signature) {
    struct generation *generation = script_generation(script);
    if (!generation) luaL_error(L, "%s cannot be used here: no handler runs", signature);
    return generation;
}

struct log_scope script_scope(const struct script *script) {
    const struct fiber *fiber = script->running;
    if (fiber && fiber->stream && fiber->stream->call) return stream_scope(fiber->stream);
    if (fiber && fiber->origin) return (struct log_scope){.script = fiber->origin->file};
    return (struct log_scope){.script = script->loading_file ? script->loading_file->name : NULL};
}

/* ---- what the bindings share ---- */

void set_functions(lua_State *L, struct script *script, const luaL_Reg *functions) {
    lua_pushlightuserdata(L, script);
    luaL_setfuncs(L, functions, 1);
}

void push_locked_metatable(lua_State *L) {
    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

RAISES int raise_misuse(lua_State *L, const char *signature) {
    return luaL_error(L, "expected %s", signature);
}

RAISES int raise_not_served(lua_State *L, const char *what) {
    return luaL_error(L, "%s is not served by this version yet", what);
}

uint64_t check_seconds(lua_State *L, int index, const char *signature) {
    double seconds = lua_tonumber(L, index);
    if (lua_type(L, index) != LUA_TNUMBER || !(seconds >= 0)) raise_misuse(L, signature);
    const double most = 100.0 * 365 * 86400; /* beyond it a sum of times could overflow */
    return (uint64_t)((seconds < most ? seconds : most) * (double)NS_PER_S);
}

uint64_t check_timeout(lua_State *L, int index, const char *signature) {
    return lua_isnoneornil(L, index) ? FIBER_FOREVER : check_seconds(L, index, signature);
}

enum status check_status(lua_State *L, int index) {
    const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    int status = name ? status_by_name(name) : -1;
    if (status >= 0) return (enum status)status;
    if (!name) luaL_error(L, "a status is a name such as \"NOT_FOUND\", not a %s", luaL_typename(L, index));
    const char *nearest = error_nearest(name, status_names);
    if (nearest) luaL_error(L, "there is no status \"%s\" (did you mean \"%s\"?)", name, nearest);
    return (enum status)luaL_error(L, "there is no status \"%s\"", name);
}

struct origin function_origin(lua_State *L, int index) {
    lua_Debug debug;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &debug);
    const char *source = debug.source;
    if (*source == '@' || *source == '=') source++;
    return (struct origin){.file = source, .line = debug.linedefined};
}

const char *push_error_text(struct script *script, lua_State *L, int index) {
    if (index < 0) index += lua_gettop(L) + 1;
    if (lua_type(L, index) == LUA_TSTRING) {
        lua_pushvalue(L, index);
        return lua_tostring(L, -1);
    }
    /* A __tostring of the script's own may fail in turn, or never return. */
    if (luaL_getmetafield(L, index, "__tostring")) {
        lua_pushvalue(L, index);
        if (!script->running) watchdog_go_on(&script->watchdog);
        int status = lua_pcall(L, 1, 1, 0);
        if (!script->running) watchdog_leave(&script->watchdog);
        if (status == 0 && lua_type(L, -1) == LUA_TSTRING) return lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    lua_pushfstring(L, "an error that is a %s", luaL_typename(L, index));
    return lua_tostring(L, -1);
}

/* Pushes "file:line: " of the innermost function of the script, or "" where the text has its place already. */
static const char *push_place(lua_State *L, lua_State *from, const char *text, const struct origin *handler) {
    lua_Debug debug;
    const char *line = strchr(text, ':');
    bool has_place = line && line[1] >= '0' && line[1] <= '9' && memchr(text, '\n', (size_t)(line - text)) == NULL;
    for (int level = 0; !has_place && lua_getstack(from, level, &debug); level++) {
        lua_getinfo(from, "Sl", &debug);
        int here = debug.currentline > 0 ? debug.currentline : debug.linedefined; /* out of memory it is not known */
        if (here <= 0 || strncmp(debug.source, "=tidewire/", 10) == 0) continue;
        return lua_pushfstring(L, "%s:%d: ", debug.short_src, here);
    }
    if (!has_place && handler && handler->line > 0)
        return lua_pushfstring(L, "%s:%d: ", handler->file, handler->line);
    lua_pushliteral(L, "");
    return lua_tostring(L, -1);
}

#define STACK "stack traceback:\n" /* luaL_traceback()'s first words */

void log_lua_error(struct script *script, lua_State *L, const struct log_scope *scope, const char *what,
                   const struct origin *handler) {
    counter_add(&script->figures->errors, 1);
    if (!log_is_on(LOG_ERROR)) return;
    lua_State *own = script->L;
    lua_checkstack(L, LUA_MINSTACK);
    lua_checkstack(own, LUA_MINSTACK);
    int top = lua_gettop(L), own_top = lua_gettop(own);
    const char *text = push_error_text(script, L, top), *place = push_place(own, L, text, handler);
    const char *stack = strstr(text, "\n" STACK); /* of a plain call, whose own is gone (fiber.c) */
    if (stack) lua_pushstring(own, stack + 1);
    else luaL_traceback(own, L, NULL, 0);
    size_t length, line_length;
    const char *traceback = lua_tolstring(own, -1, &length);
    lua_pushlstring(own, text, stack ? (size_t)(stack - text) : strlen(text));
    lua_pushfstring(own, "%s: %s%s", what, place, lua_tostring(own, -1));
    const char *line = lua_tolstring(own, -1, &line_length);
    const struct log_field field = {.name = "traceback", .value = traceback, .length = length};
    log_write_fields(LOG_ERROR, scope, line, line_length, &field, 1);
    lua_settop(own, own_top);
    if (L != own) lua_settop(L, top);
}
