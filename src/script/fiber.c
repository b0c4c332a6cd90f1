/* script/fiber.c - see fiber.h */
#include "script/fiber.h"

#include "base/memory.h"
#include "script/failure.h"
#include "script/generation.h"
#include "script/state.h"
#include "script/stream.h"

enum { MOST_IDLE = 64 };
#define READY_TIME NS_PER_MS /* of a turn, for those that have become ready; the others are the first of the next one */

static void go_on(struct task *task);

static const char wait_mark, cancel_mark; /* only their addresses matter */

struct fiber *fiber_take(struct script *script, struct generation *generation, struct stream *stream,
                         const struct fiber_kind *kind, void *context, const struct origin *origin) {
    struct list *node = list_take(&script->idle);
    struct fiber *fiber;
    if (node) {
        fiber = container_of(node, struct fiber, node);
        script->idle_count--;
    } else {
        fiber = pool_take(&script->fibers);
        list_init(&fiber->node);
        list_init(&fiber->place);
        task_init(&fiber->again, go_on);
        fiber->L = lua_newthread(script->L);
        fiber->thread = luaL_ref(script->L, LUA_REGISTRYINDEX);
    }
    fiber->generation = generation;
    fiber->stream = stream;
    fiber->kind = kind;
    fiber->context = context;
    fiber->origin = origin;
    fiber->budget = stream ? stream->handler->budget : generation->budget;
    fiber->is_loads = !stream && (script->running ? script->running->is_loads : script->loading != NULL);
    return fiber;
}

void fiber_give(struct fiber *fiber, bool is_reusable) {
    struct script *script = fiber->generation->script;
    list_remove(&fiber->node);
    if (is_reusable && script->idle_count < MOST_IDLE) {
        lua_settop(fiber->L, 0);
        fiber->wait = WAIT_NONE;
        fiber->arguments = 0;
        fiber->progress = 0;
        fiber->is_condemned = fiber->is_cancelled = fiber->is_cancel_due = false;
        fiber->was_told_closed = fiber->is_plain = fiber->is_filter = fiber->is_in_turn = false;
        list_append(&script->idle, &fiber->node);
        script->idle_count++;
        return;
    }
    drop_ref(script->L, &fiber->thread);
    pool_give(&script->fibers, fiber);
}

/* What an error of a plain call becomes, while the stack that led to it still stands. */
static int add_traceback(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

void fibers_open_state(struct script *script) {
    lua_pushcfunction(script->L, add_traceback);
    script->ref.add_traceback = luaL_ref(script->L, LUA_REGISTRYINDEX);
}

void fibers_free_idle(struct script *script) {
    struct list *node;
    while ((node = list_take(&script->idle))) {
        struct fiber *fiber = container_of(node, struct fiber, node);
        drop_ref(script->L, &fiber->thread);
        pool_give(&script->fibers, fiber);
    }
    script->idle_count = 0;
}

static struct list *owners_fibers(struct fiber *fiber) {
    if (fiber->stream) return &fiber->stream->fibers;
    return fiber->is_loads ? &fiber->generation->load_fibers : &fiber->generation->fibers;
}

static void link_to_owner(struct fiber *fiber) {
    if (list_is_empty(&fiber->node)) list_append(owners_fibers(fiber), &fiber->node);
}

/* Out of the row that it stands in; which wait it was stays known. */
static void leave_row(struct fiber *fiber) {
    struct loop *loop = fiber->generation->script->host.loop;
    if (timer_is_running(&fiber->timer)) timer_stop(loop, &fiber->timer);
    list_remove(&fiber->place);
    task_cancel(&fiber->again);
    struct stream *target = fiber->target;
    if (target && target->reader == fiber) {
        target->reader = NULL;
        if (fiber->wait == WAIT_REPLY) client_cancel(target, STATUS_CANCELLED, "nobody waits for the reply any more");
    }
    message_unref(&fiber->message);
    void (*on_leave)(struct fiber *) = fiber->on_leave;
    if (!on_leave) return;
    fiber->on_leave = NULL;
    on_leave(fiber);
}

static void end(struct fiber *fiber, enum fiber_outcome outcome) {
    fiber->wait = WAIT_NONE;
    fiber->target = NULL;
    list_remove(&fiber->node);
    if (!fiber->kind->on_end(fiber, outcome)) {
        link_to_owner(fiber);
        return;
    }
    fiber_give(fiber, outcome == FIBER_RETURNED);
}

static void suspended(struct fiber *fiber) {
    lua_settop(fiber->L, 0);
    link_to_owner(fiber);
    if (fiber->wait == WAIT_NONE || fiber->wait == WAIT_NEVER)
        fiber_drop(fiber);
    else if (fiber->stream)
        stream_has_waited(fiber->stream, fiber);
}

static int resume(struct fiber *fiber, int arguments) {
    struct script *script = fiber->generation->script;
    struct fiber *outer = script->running;
    fiber->wait = WAIT_NONE;
    fiber->target = NULL;
    script->running = fiber;
    stint_begin(&fiber->stint);
    if (fiber->stint.is_slow) fiber_note_message(fiber); /* that it goes on with may be all of it */
    if (!outer) {
        script_note_turn(script);
        watchdog_enter(&script->watchdog, fiber->budget, fiber->origin);
    }
    int status = lua_resume(fiber->L, arguments);
    if (!outer) watchdog_leave(&script->watchdog);
    script->running = outer;
    script_settle(script);
    return status;
}

static void resumed(struct fiber *fiber, int status) {
    if (status == 0)
        end(fiber, FIBER_RETURNED);
    else if (status == LUA_YIELD)
        suspended(fiber);
    else
        end(fiber, FIBER_FAILED);
}

void fiber_run(struct fiber *fiber, int arguments) {
    if (fiber->wait != WAIT_NONE) leave_row(fiber);
    resumed(fiber, resume(fiber, arguments));
}

void fiber_serve(struct fiber *fiber, struct stream *stream) {
    if (fiber->stream != stream) {
        list_remove(&fiber->node);
        fiber->stream = stream;
        fiber->origin = &stream->handler->origin;
        fiber->budget = stream->handler->budget;
    }
    watchdog_enter(&fiber->generation->script->watchdog, fiber->budget, fiber->origin);
}

int fiber_call_plainly(struct fiber *fiber, int arguments, int results) {
    struct script *script = fiber->generation->script;
    struct fiber *outer = script->running;
    lua_State *L = fiber->L;
    script->running = fiber;
    fiber->is_plain = true;
    if (!outer) {
        script_note_turn(script);
        watchdog_enter(&script->watchdog, fiber->budget, fiber->origin);
    }
    push_ref(L, script->ref.add_traceback);
    lua_insert(L, 1);
    int status = lua_pcall(L, arguments, results, 1);
    lua_remove(L, 1);
    fiber->has_run_out = script->watchdog.has_barked;
    if (!outer) watchdog_leave(&script->watchdog);
    script->running = outer;
    script_settle(script);
    return status;
}

void fiber_wake(struct fiber *fiber, int arguments) {
    struct script *script = fiber->generation->script;
    leave_row(fiber);
    link_to_owner(fiber);
    fiber->was_in_row = fiber->wait == WAIT_ROW;
    fiber->wait = WAIT_READY;
    fiber->arguments = (uint16_t)arguments;
    list_append(&script->ready, &fiber->place);
    loop_defer(script->host.loop, LOOP_RUN, &script->ready_task);
}

void fiber_drop(struct fiber *fiber) {
    leave_row(fiber);
    end(fiber, FIBER_DROPPED);
}

void fiber_end_again(struct fiber *fiber) {
    leave_row(fiber);
    end(fiber, FIBER_RETURNED);
}

static void raise_in_wait(struct fiber *fiber) {
    struct script *script = fiber->generation->script;
    fiber->is_cancelled = true;
    if (fiber->waiting != fiber->L) { /* the Lua half hands it down to the coroutine that waits */
        lua_pushlightuserdata(fiber->L, (void *)(uintptr_t)&cancel_mark);
        fiber_run(fiber, 1);
        return;
    }
    watchdog_cancel_next(&script->watchdog);
    int status = resume(fiber, 0);
    watchdog_cancel_done(&script->watchdog);
    resumed(fiber, status);
}

/* It has been given what nobody else has now, and only has not run yet. */
static bool has_result(const struct fiber *fiber) {
    return fiber->wait == WAIT_READY && fiber->was_in_row && !fiber->is_cancel_due;
}

void fiber_cancel(struct fiber *fiber) {
    enum fiber_wait wait = fiber->wait;
    fiber->is_condemned = true;
    if (wait == WAIT_NONE) return; /* it runs: its next wait will know */
    if (has_result(fiber)) {
        fiber_run(fiber, fiber->arguments);
        return;
    }
    fiber->is_cancel_due = false;
    leave_row(fiber);
    if (lua_status(fiber->L) != LUA_YIELD || fiber->is_cancelled) {
        fiber_drop(fiber);
    } else if (wait == WAIT_GONE && fiber->target == fiber->stream) {
        lua_pushboolean(fiber->L, 1); /* this is what it waited for */
        fiber_run(fiber, 1);
    } else {
        lua_settop(fiber->L, 0);
        raise_in_wait(fiber);
    }
}

void fiber_cancel_soon(struct fiber *fiber) {
    struct script *script = fiber->generation->script;
    fiber->is_condemned = true;
    if (fiber->wait == WAIT_NONE || fiber->is_cancel_due || has_result(fiber)) return;
    leave_row(fiber);
    fiber->is_cancel_due = true;
    list_append(&script->ready, &fiber->place);
    loop_defer(script->host.loop, LOOP_RUN, &script->ready_task);
}

static void time_out(struct timer *timer) {
    struct fiber *fiber = container_of(timer, struct fiber, timer);
    enum fiber_wait wait = fiber->wait;
    leave_row(fiber);
    if (wait == WAIT_SEND) stream_take_back_reply(fiber->target);
    if (wait == WAIT_SLEEP) {
        fiber_run(fiber, 0);
        return;
    }
    lua_pushnil(fiber->L);
    lua_pushliteral(fiber->L, "timeout");
    fiber_run(fiber, 2);
}

void fiber_set_timeout(struct fiber *fiber, uint64_t due) {
    timer_init(&fiber->timer, time_out);
    timer_start(fiber->generation->script->host.loop, &fiber->timer, due);
}

RAISES int raise_cancelled(lua_State *L, struct script *script) {
    if (script->running) script->running->is_cancelled = true;
    push_ref(L, script->ref.cancelled);
    return lua_error(L);
}

static bool is_over(const struct fiber *fiber) {
    return fiber->is_condemned || (fiber->stream && fiber->stream->is_over);
}

struct fiber *fiber_wait(lua_State *L, struct script *script, enum fiber_wait wait, const char *what) {
    struct fiber *fiber = script->running;
    if (!fiber) luaL_error(L, "%s cannot wait while the script is loaded", what);
    if (fiber->is_plain) luaL_error(L, "%s cannot wait here: filters, on_close and on_reload may not wait", what);
    if (!lua_isyieldable(L))
        luaL_error(
            L,
            "%s cannot wait here: Lua cannot suspend a function that table.sort, string.gsub or load calls",
            what);
    if (is_over(fiber)) {
        if (!fiber->is_cancelled) raise_cancelled(L, script);
        wait = WAIT_NEVER;
    }
    fiber->wait = (uint8_t)wait;
    return fiber;
}

int fiber_yield(lua_State *L, struct fiber *fiber) {
    fiber->waiting = L;
    if (L == fiber->L) return lua_yield(L, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&wait_mark);
    return lua_yield(L, 1);
}

struct fiber *fiber_wait_in_row(lua_State *L, struct script *script, struct list *row, uint64_t timeout,
                                const char *what) {
    struct fiber *fiber = fiber_wait(L, script, WAIT_ROW, what);
    if (fiber->wait != WAIT_ROW) return fiber;
    list_append(row, &fiber->place);
    if (timeout != FIBER_FOREVER) fiber_set_timeout(fiber, loop_update_now(script->host.loop) + timeout);
    return fiber;
}

bool fiber_may_give_way(const struct fiber *fiber, lua_State *L) {
    return !fiber->is_plain && lua_isyieldable(L) && !is_over(fiber);
}

static void go_on(struct task *task) {
    struct fiber *fiber = container_of(task, struct fiber, again);
    if (fiber->target) {
        stream_resume_reader(fiber);
        return;
    }
    lua_pushboolean(fiber->L, 1);
    fiber_run(fiber, 1);
}

int fiber_give_way(lua_State *L, struct script *script, struct stream *stream, uint64_t timeout, const char *what) {
    struct fiber *fiber = fiber_wait(L, script, WAIT_TURN, what);
    if (fiber->wait == WAIT_TURN) {
        fiber->target = stream;
        fiber->due = timeout ? loop_now(script->host.loop) + timeout : 0;
        if (stream) stream->reader = fiber;
        loop_defer(script->host.loop, LOOP_AGAIN, &fiber->again);
    }
    return fiber_yield(L, fiber);
}

struct fiber *fiber_first(const struct list *row) {
    return list_is_empty(row) ? NULL : container_of(row->next, struct fiber, place);
}

void fibers_wake_closed(struct list *row) {
    struct fiber *fiber;
    while ((fiber = fiber_first(row))) {
        lua_pushnil(fiber->L);
        lua_pushliteral(fiber->L, "closed");
        fiber_wake(fiber, 2);
    }
}

/* deliver(coroutine): resumes the script's own coroutine, in which a wait was cancelled, into that cancel.
 * Returns what coroutine.resume returns. */
static int deliver_cancel(lua_State *L) {
    struct script *script = script_of(L);
    lua_State *inner = lua_tothread(L, 1);
    if (!inner || lua_status(inner) != LUA_YIELD || !lua_checkstack(inner, 1)) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "cannot resume dead coroutine");
        return 2;
    }
    int status;
    if (script->running && script->running->waiting == inner) {
        watchdog_cancel_next(&script->watchdog);
        status = lua_resume(inner, 0);
        watchdog_cancel_done(&script->watchdog);
    } else {
        lua_pushlightuserdata(inner, (void *)(uintptr_t)&cancel_mark);
        status = lua_resume(inner, 1);
    }
    bool is_fine = status == 0 || status == LUA_YIELD;
    int results = is_fine ? lua_gettop(inner) : 1;
    luaL_checkstack(L, results + 1, "too many results");
    lua_pushboolean(L, is_fine);
    lua_xmove(inner, L, results);
    return results + 1;
}

/* comes_from_hook(error): whether the error is one that the watchdog's hook raises. */
static int comes_from_hook(lua_State *L) {
    struct script *script = script_of(L);
    lua_pushboolean(L, script->watchdog.has_barked || is_cancelled(script, L, 1));
    return 1;
}

void fiber_push_marks(lua_State *L, struct script *script) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&wait_mark);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&cancel_mark);
    lua_pushlightuserdata(L, script);
    lua_pushcclosure(L, deliver_cancel, 1);
    lua_pushlightuserdata(L, script);
    lua_pushcclosure(L, comes_from_hook, 1);
}

void fibers_run_ready(struct script *script) {
    struct stint *stint = &script->ready_stint;
    struct list now, *node;
    stint_begin(stint);
    list_init(&now);
    list_splice(&now, &script->ready);
    while (!stint_is_over(stint, READY_TIME) && (node = list_take(&now))) {
        struct fiber *fiber = container_of(node, struct fiber, place);
        stint_note(stint, STINT_UNCOUNTED, READY_TIME);
        if (fiber->is_cancel_due)
            fiber_cancel(fiber);
        else
            fiber_run(fiber, fiber->arguments);
    }
    if (list_is_empty(&now)) return;
    list_splice(&now, &script->ready);
    list_splice(&script->ready, &now);
    loop_defer(script->host.loop, LOOP_RUN, &script->ready_task);
}
