/* script/filter_pump.c - one direction of a filtered call: a message is taken, led through the hooks, and passed on.
 *
 * Between two hooks a message is either `raw` (bytes: direction->message) or a Lua value at the top of the worker's
 * main stack, on which the pump runs as a protected call. A hook's fiber has the message object below its function, so
 * that it is still there when the hook has returned nothing. */
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/pump.h"
#include "script/state.h"
#include "script/stream.h"

/* ---- the stages ---- */

static struct stream *stream_at(const struct filter_direction *d, unsigned stage) {
    return d->filter->streams[d->is_response ? d->filter->count - 1 - stage : stage];
}

static int hook_at(const struct filter_direction *d, unsigned stage) {
    const struct handler *handler = stream_at(d, stage)->handler;
    return d->is_response ? handler->on_response : handler->on_request;
}

static const struct projection *projection_at(const struct filter_direction *d, unsigned stage) {
    const struct handler *handler = stream_at(d, stage)->handler;
    return d->is_response ? handler->response_projection : handler->request_projection;
}

static bool has_hook(const struct filter_direction *d, unsigned stage) {
    return hook_at(d, stage) != LUA_NOREF || projection_at(d, stage);
}

/* The first from `stage` on that has a hook; or the count: the sink. */
static unsigned next_stage(const struct filter_direction *d, unsigned stage) {
    while (stage < d->filter->count && !has_hook(d, stage)) stage++;
    return stage;
}

static const struct message_type *type_of(const struct filter_direction *d) {
    const struct method *method = d->filter->down->method;
    return d->is_response ? method->response : method->request;
}

static bool has_many(const struct filter_direction *d) {
    const struct method *method = d->filter->down->method;
    return d->is_response ? method->is_server_streaming : method->is_client_streaming;
}

void filter_direction_init(struct filter_direction *d, struct filter *filter, bool is_response) {
    d->filter = filter;
    d->is_response = is_response;
    d->results = -1;
    for (unsigned stage = 0; stage < filter->count; stage++) {
        const struct handler *handler = stream_at(d, stage)->handler;
        d->has_hooks |= has_hook(d, stage) || (!is_response && handler->on_half_close != LUA_NOREF);
    }
    if (!d->has_hooks) return;
    d->rests = memory_new(filter->count * sizeof *d->rests);
    for (unsigned stage = 0; stage < filter->count; stage++) d->rests[stage].list = LUA_NOREF;
}

void filter_direction_end(struct filter_direction *d) {
    lua_State *L = d->filter->generation->script->L;
    for (unsigned stage = 0; d->rests && stage < d->filter->count; stage++) drop_ref(L, &d->rests[stage].list);
    free(d->rests);
    d->rests = NULL;
    message_unref(&d->kept);
    message_unref(&d->kept_frame);
}

/* ---- the sink ---- */

static bool sink_is_full(const struct filter_direction *d) {
    struct call *sink = d->is_response ? d->filter->down : d->filter->up;
    return sink && call_is_full(sink);
}

static void has_passed(struct filter_direction *d) {
    d->has_passed = true;
    if (!d->is_response || has_many(d)) return;
    for (unsigned i = 0; i < d->filter->count; i++) d->filter->streams[i]->has_replied = true;
}

static struct call *sink_for_one(lua_State *L, struct filter_direction *d) {
    struct call *sink = d->is_response ? d->filter->down : filter_connect(d->filter);
    if (d->has_passed && !has_many(d))
        luaL_error(L, "%s has one %s, and it was passed on", d->filter->down->method->full_name,
                   d->is_response ? "reply" : "request");
    return sink;
}

/* What came is passed on as it came, compressed or not. */
static void send_bytes(struct filter_direction *d, struct call *sink, const uint8_t *data, size_t length,
                       struct message *owner) {
    if (d->is_original && d->frame.is_compressed) call_send_frame(sink, &d->frame);
    else if (d->is_original) call_send_frame(sink, &(struct call_frame){data, length, owner, false});
    else if (owner) call_send(sink, owner);
    else call_send_bytes(sink, data, length);
    has_passed(d);
}

static void encode(lua_State *L, struct filter_direction *d, struct call *sink) {
    struct script *script = d->filter->generation->script;
    struct buffer *out = call_begin_message(sink);
    if (!out) return;
    script->open_message = sink;
    twl_message_encode(L, -1, d->filter->generation->messages, type_of(d), out);
    script->open_message = NULL;
    call_end_message(sink);
    has_passed(d);
}

/* The value at the top, which goes. */
static void send_value(lua_State *L, struct filter_direction *d) {
    const uint8_t *bytes;
    size_t length;
    struct message *owner;
    struct call *sink = sink_for_one(L, d);
    if (!sink) return;
    if (twl_message_type(L, -1) == type_of(d) && twl_message_unchanged(L, -1, &bytes, &length, &owner))
        send_bytes(d, sink, bytes, length, owner);
    else
        encode(L, d, sink);
    lua_pop(L, 1);
}

static void send_raw(lua_State *L, struct filter_direction *d) {
    struct call *sink = sink_for_one(L, d);
    if (sink) send_bytes(d, sink, d->message.data, d->message.length, d->message.owner);
}

/* ---- hooks ---- */

static void deliver(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw);
static void after_hook(lua_State *L, struct filter_direction *d, int base);
static void go_on(struct filter_direction *d, int results);

static bool hook_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct filter_direction *d = fiber->context;
    struct stream *stream = fiber->stream;
    lua_State *L = stream->generation->script->L;
    d->fiber = NULL;
    if (outcome != FIBER_RETURNED) {
        stream_fiber_failed(stream, fiber, outcome);
    } else {
        int results = lua_gettop(fiber->L);
        if (!lua_checkstack(L, results + LUA_MINSTACK)) lua_settop(fiber->L, results = 1);
        lua_xmove(fiber->L, L, results);
        if (d->is_pumping) d->results = results;
        else go_on(d, results);
    }
    return true;
}

static const struct fiber_kind hook_kind = {hook_ended};

/* What is at the top, from the message object or nil below the function on: runs it. */
static void run_hook(lua_State *L, struct filter_direction *d, unsigned stage, int arguments) {
    struct stream *stream = stream_at(d, stage);
    struct script *script = stream->generation->script;
    struct fiber *fiber =
        fiber_take(script, stream->generation, stream, &hook_kind, d, &stream->handler->origin);
    lua_checkstack(fiber->L, arguments + 2);
    lua_xmove(L, fiber->L, arguments + 2);
    d->fiber = fiber;
    d->stage = stage;
    d->results = -1;
    fiber_run(fiber, arguments);
    int results = d->results;
    d->results = -1;
    if (results >= 0) after_hook(L, d, lua_gettop(L) - results + 1);
}

static void refuse(struct filter_direction *d, unsigned stage, const char *fault) {
    struct stream *stream = stream_at(d, stage);
    if (!d->is_response) {
        stream_refuse_message(stream, fault);
        return;
    }
    log_warn(&d->filter->down->log, "the upstream has sent a message that is no %s: %s", type_of(d)->full_name,
             fault);
    stream_finish(stream, STATUS_INTERNAL, "cannot decode a message of the upstream", NULL, 0);
}

/* The value at the top becomes direction->message. */
static void make_raw(lua_State *L, struct filter_direction *d) {
    struct script *script = d->filter->generation->script;
    buffer_clear(&script->scratch);
    twl_message_encode(L, -1, d->filter->generation->messages, type_of(d), &script->scratch);
    struct message *message = message_copy(buffer_bytes(&script->scratch), buffer_length(&script->scratch));
    message_unref(&d->kept);
    d->kept = message;
    d->message = (struct call_message){message->data, message->length, message};
    d->is_original = false;
    lua_pop(L, 1);
}

static void run_projection(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw) {
    const struct projection *projection = projection_at(d, stage);
    const char *fault;
    d->is_half_closing = false;
    if (!is_raw) make_raw(L, d);
    lua_pushnil(L);
    twl_projection_function(L, projection);
    push_stream(L, stream_at(d, stage));
    d->is_reading = true;
    int count = twl_projection_arguments(L, projection, d->message.data, d->message.length, &fault);
    d->is_reading = false;
    if (count >= 0) {
        run_hook(L, d, stage, count + 1);
        return;
    }
    lua_pop(L, 3);
    refuse(d, stage, fault);
}

/* The message as an object at the top. False: it is none. */
static bool push_object(lua_State *L, struct filter_direction *d, unsigned stage) {
    const char *fault;
    const struct stream *stream = stream_at(d, stage);
    d->is_reading = true;
    bool is_one = twl_message_push(L, stream->generation->messages, type_of(d), d->message.data, d->message.length,
                                   d->message.owner, &stream->handler->service->options, &fault);
    d->is_reading = false;
    if (!is_one) refuse(d, stage, fault);
    return is_one;
}

static void run_with_object(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw) {
    const struct stream *stream = stream_at(d, stage);
    d->is_half_closing = false;
    if (is_raw && !push_object(L, d, stage)) return;
    if (!twl_message_type(L, -1)) {
        twl_message_new(L, stream->generation->messages, type_of(d), lua_gettop(L), &stream->handler->service->options);
        lua_remove(L, -2);
    }
    push_ref(L, hook_at(d, stage));
    push_stream(L, stream);
    lua_pushvalue(L, -3);
    run_hook(L, d, stage, 2);
}

/* To the first hook from `stage` on, or to the sink. A value is at the top, and goes. */
static void deliver(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw) {
    stage = next_stage(d, stage);
    if (d->filter->is_over) {
        if (!is_raw) lua_pop(L, 1);
    } else if (stage < d->filter->count) {
        if (projection_at(d, stage)) run_projection(L, d, stage, is_raw);
        else run_with_object(L, d, stage, is_raw);
    } else if (is_raw) {
        send_raw(L, d);
    } else {
        send_value(L, d);
    }
}

/* ---- what hooks return ---- */

static bool is_list(lua_State *L, int index) {
    if (!lua_istable(L, index)) return false;
    lua_rawgeti(L, index, 1);
    bool is = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return is;
}

static bool is_dropping(struct script *script, lua_State *L, int index) {
    return (lua_isboolean(L, index) && !lua_toboolean(L, index)) || is_drop(script, L, index);
}

/* The patched bytes become direction->message. */
static void keep_patched(lua_State *L, struct filter_direction *d, int first) {
    struct buffer *scratch = &d->filter->generation->script->scratch;
    buffer_clear(scratch);
    if (!twl_projection_result(L, projection_at(d, d->stage), first, d->message.data, d->message.length, scratch))
        return;
    struct message *message = message_copy(buffer_bytes(scratch), buffer_length(scratch));
    message_unref(&d->kept);
    d->kept = message;
    d->message = (struct call_message){message->data, message->length, message};
    d->is_original = false;
}

/* No hook follows: straight into the sink's queue. */
static void send_patched(lua_State *L, struct filter_direction *d, int first) {
    struct script *script = d->filter->generation->script;
    struct call *sink = sink_for_one(L, d);
    struct buffer *out = sink ? call_begin_message(sink) : NULL;
    if (!out) return;
    script->open_message = sink;
    bool is_patched =
        twl_projection_result(L, projection_at(d, d->stage), first, d->message.data, d->message.length, out);
    if (!is_patched) {
        script_settle(script);
        send_raw(L, d);
        return;
    }
    script->open_message = NULL;
    call_end_message(sink);
    has_passed(d);
}

/* The fields of a patch from base + 1 on. */
static void after_projection(lua_State *L, struct filter_direction *d, int base) {
    struct script *script = d->filter->generation->script;
    const struct projection *projection = projection_at(d, d->stage);
    bool has_results = lua_gettop(L) > base, is_dropped = has_results && is_drop(script, L, base + 1);
    unsigned next = next_stage(d, d->stage + 1);
    bool is_patch = has_results && !is_dropped && twl_projection_is_patch(projection);
    if (is_patch && next == d->filter->count) {
        send_patched(L, d, base + 1);
        lua_settop(L, base - 1);
        return;
    }
    if (is_patch) keep_patched(L, d, base + 1);
    lua_settop(L, base - 1);
    if (!is_dropped) deliver(L, d, next, true);
}

static void check_list(lua_State *L, int index) {
    int length = (int)lua_objlen(L, index), count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    if (count != length)
        luaL_error(L, "the returned list has other keys than 1 to %d: a hole, or a name", length);
}

/* What is at base + 1 is passed on instead of the message. */
static void replace(lua_State *L, struct filter_direction *d, int base) {
    if (is_list(L, base + 1)) {
        check_list(L, base + 1);
        lua_settop(L, base + 1);
        d->rests[d->stage] = (struct filter_rest){luaL_ref(L, LUA_REGISTRYINDEX), 0};
        lua_settop(L, base - 1);
        return;
    }
    lua_settop(L, base + 1);
    lua_replace(L, base);
    d->is_original = false;
    deliver(L, d, d->stage + 1, false);
}

/* A hook has ended: at `base` the message object, or nil where it had none; its results behind. */
static void after_hook(lua_State *L, struct filter_direction *d, int base) {
    struct script *script = d->filter->generation->script;
    int results = lua_gettop(L) - base;
    if (d->filter->is_over) {
        lua_settop(L, base - 1);
    } else if (!d->is_half_closing && projection_at(d, d->stage)) {
        after_projection(L, d, base);
    } else if (results == 0 || lua_isnil(L, base + 1) || lua_rawequal(L, base, base + 1)) {
        lua_settop(L, base);
        if (lua_isnil(L, base)) lua_pop(L, 1);
        else deliver(L, d, d->stage + 1, false);
    } else if (is_dropping(script, L, base + 1)) {
        lua_settop(L, base - 1);
    } else {
        replace(L, d, base);
    }
}

/* ---- the pump ---- */

/* Hands on the next of what a hook has returned as a list; the last hook's first. False: there is nothing. */
static bool deliver_rest(lua_State *L, struct filter_direction *d) {
    struct script *script = d->filter->generation->script;
    for (unsigned stage = d->rests ? d->filter->count : 0; stage-- > 0;) {
        struct filter_rest *rest = &d->rests[stage];
        if (rest->list == LUA_NOREF) continue;
        push_ref(L, rest->list);
        lua_rawgeti(L, -1, ++rest->at);
        lua_remove(L, -2);
        d->stage = stage;
        d->is_original = false;
        if (lua_isnil(L, -1)) drop_ref(L, &rest->list);
        if (lua_isnil(L, -1) || is_dropping(script, L, lua_gettop(L))) lua_pop(L, 1);
        else deliver(L, d, stage + 1, false);
        return true;
    }
    return false;
}

static void finish(struct filter_direction *d) {
    struct filter *filter = d->filter;
    d->is_finished = true;
    if (d->is_response) return; /* its status follows */
    if (!d->has_passed && !has_many(d)) filter_finish(filter, STATUS_FAILED_PRECONDITION, "the request was dropped", NULL, 0);
    struct call *up = filter_connect(filter);
    if (up && !filter->is_over) call_half_close(up);
}

/* The source has ended: the next on_half_close, then the sink's turn. */
static void pass_end(lua_State *L, struct filter_direction *d) {
    while (!d->is_response && d->ended < d->filter->count) {
        struct stream *stream = stream_at(d, d->ended++);
        if (stream->handler->on_half_close == LUA_NOREF) continue;
        d->is_half_closing = true;
        lua_pushnil(L);
        push_ref(L, stream->handler->on_half_close);
        push_stream(L, stream);
        run_hook(L, d, d->ended - 1, 1);
        return;
    }
    finish(d);
}

/* The frame's content, where a hook wants it. False: it is broken, and the call ends by that. */
static bool look_into(struct filter_direction *d, struct call *source) {
    d->message = (struct call_message){d->frame.data, d->frame.length, d->frame.owner};
    if (!d->frame.is_compressed || next_stage(d, 0) == d->filter->count) return true;
    d->kept = call_inflate(source, &d->frame);
    if (d->kept) d->message = (struct call_message){d->kept->data, d->kept->length, d->kept};
    return d->kept;
}

/* False: nothing has come. */
static bool take(lua_State *L, struct filter_direction *d) {
    struct call *source = d->is_response ? d->filter->up : d->filter->down;
    message_unref(&d->kept);
    message_unref(&d->kept_frame);
    switch (source ? call_receive_frame(source, &d->frame) : CALL_EMPTY) {
    case CALL_EMPTY:
        return false;
    case CALL_END:
        d->is_ended = true;
        break;
    case CALL_MESSAGE:
        d->is_original = true;
        if (look_into(d, source)) deliver(L, d, 0, true);
        break;
    }
    return true;
}

static void pump(lua_State *L, struct filter_direction *d) {
    struct filter *filter = d->filter;
    for (unsigned share = 0; !filter->is_over && !d->fiber && !d->is_finished && !sink_is_full(d); share++) {
        if (deliver_rest(L, d)) continue;
        if (d->is_ended) {
            pass_end(L, d);
        } else if (share >= MESSAGES_A_TURN) {
            loop_defer(filter->generation->script->host.loop, LOOP_RUN, &filter->again);
            return;
        } else if (!take(L, d)) {
            return;
        }
    }
}

/* (direction as light userdata; or with what a hook has left behind it, which had waited) */
static int pump_protected(lua_State *L) {
    struct filter_direction *d = lua_touserdata(L, 1);
    luaL_checkstack(L, 4 * LUA_MINSTACK, "filter");
    if (lua_gettop(L) > 1) after_hook(L, d, 2);
    pump(L, d);
    return 0;
}

void filter_open_state(struct script *script) {
    lua_pushcfunction(script->L, pump_protected);
    script->ref.filter_pump = luaL_ref(script->L, LUA_REGISTRYINDEX);
}

/* A message had no form in Lua, or what a hook has returned none on the wire. */
static void pump_failed_at(lua_State *L, struct filter_direction *d) {
    const char *what = d->is_reading ? CANNOT_READ : CANNOT_SEND;
    d->is_reading = false;
    stream_fail_to_convert(stream_at(d, d->stage), L, what);
}

/* With so many values at the top of the main stack, which go. */
static void go_on(struct filter_direction *d, int results) {
    struct script *script = d->filter->generation->script;
    lua_State *L = script->L;
    push_ref(L, script->ref.filter_pump);
    lua_pushlightuserdata(L, d);
    if (results) {
        lua_insert(L, -results - 2);
        lua_insert(L, -results - 2);
    }
    d->is_pumping = true;
    if (lua_pcall(L, results + 1, 0, 0)) {
        pump_failed_at(L, d);
        lua_pop(L, 1);
    }
    d->is_pumping = false;
}

void filter_pump(struct filter_direction *d) {
    if (d->is_pumping || d->fiber || !d->filter->is_open || d->filter->is_over) return;
    if (d->has_hooks) {
        go_on(d, 0);
        return;
    }
    d->is_pumping = true;
    pump(d->filter->generation->script->L, d);
    d->is_pumping = false;
}

void filter_has_waited(struct fiber *fiber) {
    struct filter_direction *d = fiber->kind == &hook_kind ? fiber->context : NULL;
    if (!d || d->is_half_closing) return;
    if (d->is_original && d->frame.is_compressed && !d->kept_frame) {
        struct call_frame *frame = &d->frame;
        d->kept_frame = frame->owner ? message_ref(frame->owner) : message_copy(frame->data, frame->length);
        frame->data = d->kept_frame->data;
        frame->owner = d->kept_frame;
    }
    if (d->kept || !projection_at(d, d->stage)) return;
    d->kept = d->message.owner ? message_ref(d->message.owner) : message_copy(d->message.data, d->message.length);
    d->message = (struct call_message){d->kept->data, d->kept->length, d->kept};
}
