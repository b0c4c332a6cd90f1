/* script/job.c - see job.h */
#include "script/job.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/names.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/userdata.h"

struct job_handle;

struct job {
    struct list node; /* in its owner's jobs */
    struct generation *generation;
    struct stream *stream;
    struct job_handle *handle; /* the script's, or NULL once it is collected */
    struct fiber *fiber;       /* runs the function; a spawn's waits to begin */
    struct list waiters;       /* fibers in handle:wait() */
    struct origin origin;
    struct timer timer;
    uint64_t interval; /* ns; 0: once */
    uint64_t delay;    /* ns until the first time */
    int function;
    int results;   /* a spawn's: the handle's table */
    int arguments; /* a spawn's, on its fiber */
    bool is_spawn;
    bool has_begun;
    bool is_loads;   /* of load code: ends when the next generation takes over */
    bool is_on_grid; /* ticks at multiples of the interval */
    bool is_over;    /* freed when its fiber has ended */
};

/* What has come of a spawned function. */
enum job_result {
    JOB_CANCELLED, /* or it is none that has begun here */
    JOB_RETURNED,
    JOB_FAILED,
};

/* What a script holds: it may outlive the job, and the job it. Results stand in the environment table of a spawn's, so
 * that they go with it. */
struct job_handle {
    struct job *job;
    uint8_t result; /* enum job_result, once there is no job any more */
    uint32_t count; /* values in the table */
};

static struct script *script_of_job(const struct job *job) { return job->generation->script; }

static void free_job(struct job *job) {
    struct script *script = script_of_job(job);
    timer_stop(script->host.loop, &job->timer);
    list_remove(&job->node);
    drop_ref(script->L, &job->function);
    drop_ref(script->L, &job->results);
    if (job->handle) job->handle->job = NULL;
    free(job);
}

/* A timer that was cancelled: no longer a reason for the stream to stay open. A function of it that runs goes
 * on. */
static void finish_job(struct job *job) {
    struct stream *stream = job->stream;
    list_remove(&job->node);
    job->is_over = true;
    timer_stop(script_of_job(job)->host.loop, &job->timer);
    if (!job->fiber) free_job(job);
    if (stream) stream_settle(stream);
}

/* ---- running ---- */

static void report(struct fiber *fiber, enum fiber_outcome outcome) {
    struct script *script = fiber->generation->script;
    if (outcome != FIBER_FAILED || is_cancelled(script, fiber->L, -1)) return;
    if (fiber->stream) {
        stream_fail(fiber->stream, fiber->L);
    } else {
        const struct log_scope scope = {.script = fiber->origin->file};
        log_lua_error(script, fiber->L, &scope, "a timer or spawned function failed", fiber->origin);
    }
}

/* The values from `first` on of the fiber's stack, for the handle's table. */
static void keep_results(struct job *job, lua_State *L, int first) {
    int count = lua_gettop(L) - first + 1;
    job->handle->count = (uint32_t)count;
    if (!count) return;
    lua_checkstack(L, 2);
    push_ref(L, job->results);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, first + i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pop(L, 1);
}

/* Onto `to`: what handle:wait() gives for it; the values, if any, stand on `from` from `first` on. */
static int push_outcome(lua_State *to, enum job_result result, lua_State *from, int first) {
    if (result == JOB_CANCELLED) return nil_and(to, "cancelled");
    int count = lua_gettop(from) - first + 1;
    lua_checkstack(to, count + 1);
    lua_pushboolean(to, result == JOB_RETURNED);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(from, first + i);
        lua_xmove(from, to, 1);
    }
    return count + 1;
}

static void tell_waiters(struct job *job, enum job_result result, lua_State *L, int first) {
    struct fiber *waiter;
    lua_checkstack(L, 1);
    while ((waiter = fiber_first(&job->waiters))) fiber_wake(waiter, push_outcome(waiter->L, result, L, first));
    if (!job->handle) return;
    job->handle->result = (uint8_t)result;
    if (result != JOB_CANCELLED) keep_results(job, L, first);
}

static enum job_result result_of(const struct fiber *fiber, enum fiber_outcome outcome) {
    if (outcome == FIBER_RETURNED) return JOB_RETURNED;
    bool is_cancel = outcome == FIBER_DROPPED || is_cancelled(fiber->generation->script, fiber->L, -1);
    return is_cancel ? JOB_CANCELLED : JOB_FAILED;
}

static bool job_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct job *job = fiber->context;
    struct stream *stream = fiber->stream;
    enum job_result result = result_of(fiber, outcome);
    int first = result == JOB_FAILED ? lua_gettop(fiber->L) : 1;
    /* May end the stream, with those of its coroutines that wait for this one, and its jobs, this one excepted while it
     * has a fiber. */
    report(fiber, outcome);
    if (job->is_spawn) tell_waiters(job, result, fiber->L, first);
    job->fiber = NULL;
    if (job->is_over || !job->interval) free_job(job);
    if (stream) stream_settle(stream);
    return true;
}

static const struct fiber_kind job_kind = {job_ended};

static struct fiber *take_fiber(struct job *job) {
    struct fiber *fiber =
        fiber_take(script_of_job(job), job->generation, job->stream, &job_kind, job, &job->origin);
    fiber->is_loads = job->is_loads;
    job->fiber = fiber;
    return fiber;
}

static void run_timer(struct job *job) {
    struct fiber *fiber = take_fiber(job);
    push_ref(fiber->L, job->function);
    if (job->stream) push_stream(fiber->L, job->stream);
    fiber_run(fiber, job->stream != NULL);
}

/* ---- when ---- */

/* The same for all workers and generations of the process. */
static uint64_t grid_origin;
static void set_grid_origin(void) { grid_origin = clock_monotonic(); }

static uint64_t next_tick(const struct job *job, uint64_t after) {
    uint64_t since = after > grid_origin ? after - grid_origin : 0;
    return grid_origin + (since / job->interval + 1) * job->interval;
}

static void fire(struct timer *timer) {
    struct job *job = container_of(timer, struct job, timer);
    struct loop *loop = script_of_job(job)->host.loop;
    if (!job->interval) {
        run_timer(job);
        return;
    }
    /* Ticks that were missed are not made up for. */
    uint64_t now = loop_now(loop), due = timer->due + job->interval;
    if (job->is_on_grid || due <= now) due = job->is_on_grid ? next_tick(job, now) : now + job->interval;
    timer_start(loop, timer, due);
    if (!job->fiber) run_timer(job);
}

static void begin(struct job *job) {
    struct loop *loop = script_of_job(job)->host.loop;
    job->has_begun = true;
    if (job->is_spawn) {
        fiber_wake(job->fiber, job->arguments);
        return;
    }
    uint64_t now = loop_now(loop);
    timer_start(loop, &job->timer, job->is_on_grid ? next_tick(job, now) : now + job->delay);
}

static void begin_waiting(struct list *jobs, bool and_spawns) {
    for (struct list *node = jobs->next, *next; node != jobs; node = next) {
        struct job *job = container_of(node, struct job, node);
        next = node->next;
        if (!job->has_begun && (and_spawns || !job->is_spawn)) begin(job);
    }
}

void jobs_start(struct list *jobs) { begin_waiting(jobs, true); }
void jobs_start_timers(struct list *jobs) { begin_waiting(jobs, false); }

static struct job *find_due(struct list *jobs, uint64_t now) {
    for (struct list *node = jobs->next; node != jobs; node = node->next) {
        struct job *job = container_of(node, struct job, node);
        if (timer_is_running(&job->timer) && job->timer.due <= now) return job;
    }
    return NULL;
}

void jobs_run_due(struct list *jobs, uint64_t now) {
    struct job *job;
    while ((job = find_due(jobs, now))) {
        timer_stop(script_of_job(job)->host.loop, &job->timer);
        if (!job->fiber) run_timer(job);
    }
}

void jobs_end(struct list *jobs) {
    while (!list_is_empty(jobs)) {
        struct job *job = container_of(jobs->next, struct job, node);
        list_remove(&job->node);
        job->is_over = true;
        timer_stop(script_of_job(job)->host.loop, &job->timer);
        if (!job->fiber)
            free_job(job);
        else if (!job->has_begun)
            fiber_drop(job->fiber);
        /* a fiber that runs or waits is its owner's to cancel */
    }
}

/* ---- handles ---- */

static int cancel_timer(lua_State *L) {
    const struct job_handle *handle = userdata_check(L, script_of(L)->ref.handle_meta, "handle:cancel()");
    if (handle->job) finish_job(handle->job);
    return 0;
}

static int cancel_spawned(lua_State *L) {
    const struct job_handle *handle = userdata_check(L, script_of(L)->ref.spawned_meta, "handle:cancel()");
    struct job *job = handle->job;
    if (!job) return 0;
    if (job->has_begun)
        fiber_cancel_soon(job->fiber);
    else
        fiber_drop(job->fiber);
    return 0;
}

/* ---- waiting for what a spawned function returns ---- */

static void forget_awaited(struct fiber *fiber) { fiber->awaits = NULL; }

static bool waits_for(const struct job *job, const struct fiber *waiter) {
    const struct fiber *fiber = job->fiber;
    while (fiber && fiber != waiter) fiber = fiber->awaits ? fiber->awaits->fiber : NULL;
    return fiber;
}

static int push_results(lua_State *L, const struct job_handle *handle) {
    if (handle->result == JOB_CANCELLED) return nil_and(L, "cancelled");
    int count = (int)handle->count;
    luaL_checkstack(L, count + 2, "handle:wait()");
    lua_pushboolean(L, handle->result == JOB_RETURNED);
    lua_getfenv(L, 1);
    int table = lua_gettop(L);
    for (int i = 1; i <= count; i++) lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return count + 1;
}

static int wait(lua_State *L) {
    static const char signature[] = "handle:wait([timeout])";
    struct script *script = script_of(L);
    const struct job_handle *handle = userdata_check(L, script->ref.spawned_meta, signature);
    uint64_t timeout = check_timeout(L, 2, signature);
    struct job *job = handle->job;
    if (!job) return push_results(L, handle);
    if (timeout == 0) return nil_and(L, "timeout");
    if (script->running && waits_for(job, script->running))
        return luaL_error(L, "handle:wait(): this coroutine would wait for itself");
    struct fiber *fiber = fiber_wait_in_row(L, script, &job->waiters, timeout, "handle:wait()");
    if (fiber->wait == WAIT_ROW) {
        fiber->awaits = job;
        fiber->on_leave = forget_awaited;
    }
    return fiber_yield(L, fiber);
}

static int forget(lua_State *L) {
    struct job_handle *handle = lua_touserdata(L, 1);
    if (handle->job) handle->job->handle = NULL;
    return 0;
}

/* ---- asking for jobs ---- */

static struct list *jobs_of_owner(const struct job *job) {
    if (job->stream) return &stream_extra(job->stream)->jobs;
    return job->is_loads ? &job->generation->load_jobs : &job->generation->jobs;
}

/* It does nothing. */
static struct job_handle *push_handle(lua_State *L, const struct script *script, bool is_spawn) {
    struct job_handle *handle =
        userdata_new(L, is_spawn ? script->ref.spawned_meta : script->ref.handle_meta, sizeof *handle);
    *handle = (struct job_handle){.result = JOB_CANCELLED};
    return handle;
}

/* The job for the function at `index`, its handle pushed. It begins now, or with its generation. */
static struct job *new_job(lua_State *L, struct script *script, struct stream *stream, int index, bool is_loads,
                           bool is_spawn) {
    struct generation *generation = stream ? stream->generation : script_generation(script);
    if (!generation || generation->is_gone || (is_loads && generation->is_retired))
        luaL_error(L, "this generation of the scripts is over: nothing of it can begin any more");
    struct job_handle *handle = push_handle(L, script, is_spawn);
    struct job *job = handle->job = memory_new(sizeof *job);
    lua_pushvalue(L, index);
    job->function = luaL_ref(L, LUA_REGISTRYINDEX);
    job->results = LUA_NOREF;
    job->origin = function_origin(L, index);
    job->handle = handle;
    job->generation = generation;
    job->stream = stream;
    job->is_loads = is_loads;
    job->is_spawn = is_spawn;
    list_init(&job->node);
    list_init(&job->waiters);
    list_append(jobs_of_owner(job), &job->node);
    timer_init(&job->timer, fire);
    return job;
}

static bool is_load_code(const struct script *script) {
    return script->running ? script->running->is_loads : script->loading != NULL;
}

/* What load code and on_reload ask for waits for their end. */
static void begin_if_started(struct script *script, struct job *job) {
    if (!script->loading && !(job->stream && job->stream->is_moving)) begin(job);
}

/* { worker = n } at `index`: false when that is another worker. */
static bool is_for_this_worker(lua_State *L, struct script *script, int index) {
    if (lua_isnoneornil(L, index)) return true;
    lua_getfield(L, index, "worker");
    bool is = lua_isnil(L, -1);
    if (!is) {
        double worker = lua_tonumber(L, -1);
        if (lua_type(L, -1) != LUA_TNUMBER || !(worker >= 0) || worker != (double)(uint32_t)worker)
            luaL_error(L, "worker = N names a worker by its number, from 0");
        /* With fewer workers than the script has in mind, the last one does it. */
        uint32_t last = script->host.worker_count ? script->host.worker_count - 1 : 0;
        is = script->host.worker == (worker < last ? (uint32_t)worker : last);
    }
    lua_pop(L, 1);
    return is;
}

static void check_function(lua_State *L, int index, const char *signature) {
    if (!lua_isfunction(L, index)) raise_misuse(L, signature);
}

static uint64_t check_interval(lua_State *L, int index, const char *signature) {
    uint64_t interval = check_seconds(L, index, signature);
    if (interval < NS_PER_MS) luaL_error(L, "an interval is at least 0.001 seconds");
    return interval;
}

/* The timer of tidewire or, with a stream, of that stream; its seconds and function begin at `index`. */
static int new_timer(lua_State *L, struct stream *stream, int index, bool is_repeating, const char *signature) {
    static const char *const options[] = {"worker", NULL};
    struct script *script = script_of(L);
    uint64_t seconds = (is_repeating ? check_interval : check_seconds)(L, index, signature);
    check_function(L, index + 1, signature);
    if (!stream) {
        names_check_options(L, index + 2, options, signature);
        if (!is_for_this_worker(L, script, index + 2)) {
            push_handle(L, script, false);
            return 1;
        }
    }
    struct job *job = new_job(L, script, stream, index + 1, !stream && is_load_code(script), false);
    job->delay = seconds;
    job->interval = is_repeating ? seconds : 0;
    job->is_on_grid = is_repeating && !stream && script->loading != NULL;
    begin_if_started(script, job);
    return 1;
}

static int timer_at(lua_State *L) {
    return new_timer(L, NULL, 1, false, "tidewire.timer.at(seconds, f[, { worker = n }])");
}

static int timer_every(lua_State *L) {
    return new_timer(L, NULL, 1, true, "tidewire.timer.every(seconds, f[, { worker = n }])");
}

static bool wants_to_serve(lua_State *L, int index) {
    if (lua_isnoneornil(L, index)) return false;
    lua_getfield(L, index, "serve");
    bool wants = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return wants;
}

/* The function at `index` with the `arguments` values behind it; the handle that new_job has pushed is at the top. */
static void put_on_fiber(lua_State *L, struct job *job, int index, int arguments) {
    struct fiber *fiber = take_fiber(job);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    job->results = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setfenv(L, -2);
    job->arguments = arguments + (job->stream != NULL);
    lua_checkstack(fiber->L, arguments + 4);
    push_ref(fiber->L, job->function);
    if (job->stream) push_stream(fiber->L, job->stream);
    for (int i = 0; i < arguments; i++) lua_pushvalue(L, index + 1 + i);
    lua_xmove(L, fiber->L, arguments);
}

static int spawn(lua_State *L) {
    static const char signature[] = "tidewire.spawn(f[, { serve = true, worker = n }])";
    static const char *const options[] = {"serve", "worker", NULL};
    struct script *script = script_of(L);
    check_function(L, 1, signature);
    names_check_options(L, 2, options, signature);
    if (!is_for_this_worker(L, script, 2)) {
        push_handle(L, script, true);
        return 1;
    }
    struct job *job = new_job(L, script, NULL, 1, is_load_code(script) && !wants_to_serve(L, 2), true);
    put_on_fiber(L, job, 1, 0);
    begin_if_started(script, job);
    return 1;
}

static struct stream *check_open_stream(lua_State *L, const char *signature) {
    struct stream *stream = check_stream(L, 1, signature);
    if (stream->is_over) luaL_error(L, "the stream is over: nothing of it can begin any more");
    return stream;
}

int job_stream_after(lua_State *L) {
    static const char signature[] = "stream:after(seconds, f)";
    return new_timer(L, check_open_stream(L, signature), 2, false, signature);
}

int job_stream_every(lua_State *L) {
    static const char signature[] = "stream:every(seconds, f)";
    return new_timer(L, check_open_stream(L, signature), 2, true, signature);
}

int job_stream_spawn(lua_State *L) {
    static const char signature[] = "stream:spawn(f, ...)";
    struct stream *stream = check_open_stream(L, signature);
    check_function(L, 2, signature);
    int arguments = lua_gettop(L) - 2;
    if (arguments > 200) return luaL_error(L, "stream:spawn: at most 200 arguments");
    luaL_checkstack(L, arguments + 4, signature);
    struct job *job = new_job(L, script_of(L), stream, 2, false, true);
    put_on_fiber(L, job, 2, arguments);
    begin_if_started(script_of(L), job);
    return 1;
}

void bind_job_open(struct script *script) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_grid_origin);
    const luaL_Reg timers[] = {{"cancel", cancel_timer}, {NULL, NULL}};
    const luaL_Reg spawned[] = {{"cancel", cancel_spawned}, {"wait", wait}, {NULL, NULL}};
    script->ref.handle_meta = userdata_class(script, "a timer", timers, forget);
    script->ref.spawned_meta = userdata_class(script, "a handle", spawned, forget);
}

void bind_job_add(lua_State *L, struct script *script) {
    lua_newtable(L);
    set_functions(L, script, (const luaL_Reg[]){{"at", timer_at}, {"every", timer_every}, {NULL, NULL}});
    names_close(L, "tidewire.timer");
    lua_setfield(L, -2, "timer");
    set_functions(L, script, (const luaL_Reg[]){{"spawn", spawn}, {NULL, NULL}});
}
