/* script/filter_pump.c - one direction of a filtered call: takes messages, as long as there are some and the sink has
 * room.
 *
 * One coroutine leads all that have come through the hooks: lua/tidewire/pump.lua calls a hook and, between two, step(),
 * which takes what it has returned and does everything up to the next hook's turn. When nothing is left the coroutine
 * ends; when a hook waits, it waits. */
#include <stdlib.h>

#include "base/memory.h"
#include "script/fiber.h"
#include "script/filter_private.h"
#include "script/glance.h"
#include "script/move.h"
#include "script/pump.h"

static void look_at_hooks(struct filter_direction *d) {
    const struct filter *filter = d->filter;
    for (unsigned stage = 0; stage < filter->count; stage++) {
        const struct projection *projection = projection_at(d, stage);
        d->has_lists |= projection && twl_projection_count(projection) != 1;
        d->has_hooks |= !d->is_response && stream_at(d, stage)->handler->on_half_close != LUA_NOREF;
    }
    d->has_hooks |= next_stage(d, 0) < filter->count;
    if (!d->has_hooks) return;
    d->rests = memory_new(filter->count * sizeof *d->rests);
    for (unsigned stage = 0; stage < filter->count; stage++) d->rests[stage].list = LUA_NOREF;
}

void filter_direction_init(struct filter_direction *d, struct filter *filter, bool is_response) {
    d->filter = filter;
    d->is_response = is_response;
    look_at_hooks(d);
}

void filter_direction_renew(struct filter_direction *d) {
    filter_direction_end(d);
    d->has_hooks = d->has_lists = false;
    look_at_hooks(d);
}

void filter_direction_end(struct filter_direction *d) {
    lua_State *L = script_at(d)->L;
    for (unsigned stage = 0; d->rests && stage < d->filter->count; stage++) drop_ref(L, &d->rests[stage].list);
    free(d->rests);
    d->rests = NULL;
    message_unref(&d->kept);
    message_unref(&d->kept_frame);
}

/* ---- what comes ---- */

/* The frame's content, where a hook wants it. False: it is broken, and the call ends by that. */
static bool look_into(struct filter_direction *d, struct call *source) {
    d->message = (struct call_message){d->frame.data, d->frame.length, d->frame.owner};
    if (!d->frame.is_compressed || next_stage(d, 0) == d->filter->count) return true;
    d->kept = call_inflate(source, &d->frame);
    if (d->kept) d->message = (struct call_message){d->kept->data, d->kept->length, d->kept};
    return d->kept;
}

static enum filter_event take(struct filter_direction *d) {
    struct call *source = d->is_response ? d->filter->up : d->filter->down;
    if (stint_is_over(&d->stint, STINT_TIME)) {
        loop_defer(script_at(d)->host.loop, LOOP_AGAIN, &d->filter->again);
        return FILTER_NOTHING;
    }
    message_unref(&d->kept);
    message_unref(&d->kept_frame);
    switch (source ? call_receive_frame(source, &d->frame) : CALL_EMPTY) {
    case CALL_EMPTY:
        break;
    case CALL_END:
        d->is_ended = true;
        return FILTER_END;
    case CALL_MESSAGE:
        stint_note(&d->stint, STINT_OF_HOOKS, STINT_TIME);
        d->is_original = true;
        return look_into(d, source) ? FILTER_MESSAGE : FILTER_NOTHING;
    }
    return FILTER_NOTHING;
}

static enum filter_event look(struct filter_direction *d) {
    if (d->filter->is_over || d->is_finished || filter_sink_is_full(d)) return FILTER_NOTHING;
    if (d->fiber && stream_has_successor(d->filter->streams[0]) && filter_is_between(d->filter, d))
        return FILTER_NOTHING; /* the next message is for other scripts: pump_ended() */
    if (filter_has_rest(d)) return FILTER_REST;
    return d->is_ended ? FILTER_END : take(d);
}

/* ---- what is done with it ---- */

static void finish(struct filter_direction *d) {
    struct filter *filter = d->filter;
    d->is_finished = true;
    if (d->is_response) return; /* its status follows */
    if (!d->has_passed && !has_many(d)) filter_finish(filter, STATUS_FAILED_PRECONDITION, "the request was dropped", NULL, 0);
    struct call *up = filter_connect(filter);
    if (up && !filter->is_over) call_half_close(up);
}

/* What is next. Returns what filter_hooks.c pushes for a hook. */
static int handle(lua_State *L, struct filter_direction *d) {
    switch (d->next) {
    case FILTER_NOTHING:
        break;
    case FILTER_REST:
        return filter_deliver_rest(L, d);
    case FILTER_MESSAGE:
        return filter_deliver(L, d, 0, true);
    case FILTER_END: {
        int count = filter_half_close(L, d);
        if (!count) finish(d);
        return count;
    }
    }
    return 0;
}

/* step(what the hook was given, results…) of pump.lua. Results that are still there when something raises, or a message
 * that is none: these are the faults of the stage whose stream the coroutine serves. */
static int step(lua_State *L) {
    struct script *script = script_of(L);
    struct filter_direction *d = script->running->context;
    script_settle(script);
    luaL_checkstack(L, 2 * LUA_MINSTACK, "filter");
    script->converting = CANNOT_SEND;
    int count = lua_gettop(L) ? filter_after_hook(L, d) : handle(L, d);
    while (!count && (d->next = look(d)) != FILTER_NOTHING) {
        lua_settop(L, 0);
        script->converting = CANNOT_SEND;
        count = handle(L, d);
    }
    script->converting = NULL;
    return count;
}

void filter_push_step(lua_State *L, struct script *script) {
    lua_pushlightuserdata(L, script);
    lua_pushcclosure(L, step, 1);
}

/* ---- the coroutine ---- */

static bool pump_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct filter_direction *d = fiber->context;
    d->fiber = NULL;
    if (outcome == FIBER_FAILED) pump_failed(fiber->stream, fiber);
    else if (outcome == FIBER_DROPPED) stream_fiber_failed(fiber->stream, fiber, outcome);
    if (!d->filter->is_over && stream_has_successor(d->filter->streams[0]))
        loop_defer(script_at(d)->host.loop, LOOP_AGAIN, &d->filter->again);
    return true;
}

static const struct fiber_kind pump_kind = {pump_ended};

static void run_hooks(struct filter_direction *d) {
    struct stream *stream = stream_at(d, d->stage);
    struct script *script = script_at(d);
    d->fiber = fiber_take(script, stream->generation, stream, &pump_kind, d, &stream->handler->origin);
    push_ref(d->fiber->L, d->has_lists ? script->ref.filter_list : script->ref.filter_one);
    fiber_run(d->fiber, 0);
}

void filter_pump(struct filter_direction *d) {
    struct filter *filter = d->filter;
    if (d->fiber || !filter->is_open || filter->is_over) return;
    if (stream_has_successor(filter->streams[0]) && stream_move(filter->streams[0])) {
        filter_pump_again(filter);
        return;
    }
    stint_begin(&d->stint);
    d->next = look(d);
    if (d->has_hooks) {
        if (d->next != FILTER_NOTHING) run_hooks(d);
        return;
    }
    for (; d->next != FILTER_NOTHING; d->next = look(d)) handle(filter->generation->script->L, d);
}

void filter_has_waited(struct fiber *fiber) {
    struct filter_direction *d = fiber->kind == &pump_kind ? fiber->context : NULL;
    if (!d) return;
    stint_begin(&d->stint);
    if (d->is_half_closing) return;
    if (d->is_original && d->frame.is_compressed && !d->kept_frame) {
        struct call_frame *frame = &d->frame;
        d->kept_frame = frame->owner ? message_ref(frame->owner) : message_copy(frame->data, frame->length);
        frame->data = d->kept_frame->data;
        frame->owner = d->kept_frame;
    }
    struct glance *glance = glance_at(d, d->stage);
    if (glance) glance_let_go(script_at(d)->L, glance);
    if (d->kept || !d->is_raw) return;
    d->kept = d->message.owner ? message_ref(d->message.owner) : message_copy(d->message.data, d->message.length);
    d->message = (struct call_message){d->kept->data, d->kept->length, d->kept};
}
