/* script/handler_hooks.c - calls that a table of hooks answers: each event is a call of a function, and a
 * stream that waits for the next one has no coroutine. */
#include "base/log.h"
#include "script/generation.h"
#include "script/move.h"
#include "script/projected.h"
#include "script/pump.h"
#include "script/state.h"
#include "script/stream.h"

static struct fiber *take(struct stream *stream, const struct fiber_kind *kind) {
    const struct handler *handler = stream->handler;
    return fiber_take(handler->generation->script, handler->generation, stream, kind, NULL, &handler->origin);
}

static void run_aside(struct stream *stream, const struct fiber_kind *kind, int function) {
    stream->asides++;
    struct fiber *fiber = take(stream, kind);
    push_ref(fiber->L, function);
    push_stream(fiber->L, stream);
    fiber_run(fiber, 1);
}

/* ---- the hooks of the message direction: on_open, on_message, on_half_close, one after the other ---- */

static void opened(struct stream *stream) {
    stream->has_opened = true;
    if (stream->headers_are_due) stream_send_headers(stream);
    hooks_pump(stream);
}

/* What every such hook's end has in common. False: what it returned still waits for room. */
static bool ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct stream *stream = fiber->stream;
    if (outcome == FIBER_RETURNED && !stream_send_returned(stream, fiber)) return false;
    stream->main = NULL;
    if (outcome == FIBER_FAILED) pump_failed(stream, fiber);
    return true;
}

static bool open_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    if (!ended(fiber, outcome)) return false;
    if (outcome == FIBER_RETURNED) opened(fiber->stream);
    return true;
}

static bool message_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    if (!ended(fiber, outcome)) return false;
    hooks_pump(fiber->stream); /* one that had waited: the messages behind it */
    return true;
}

static bool projected_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct stream *stream = fiber->stream;
    if (outcome == FIBER_RETURNED && !projected_send(stream, fiber)) return false;
    stream->main = NULL;
    if (outcome == FIBER_FAILED) pump_failed(stream, fiber);
    hooks_pump(stream);
    return true;
}

static const struct fiber_kind open_kind = {open_ended};
static const struct fiber_kind message_kind = {message_ended};
static const struct fiber_kind projected_kind = {projected_ended};

static void run_main(struct stream *stream, struct fiber *fiber, int arguments) {
    stream->main = fiber;
    fiber_run(fiber, arguments);
}

/* The message, and those behind it. */
static void on_messages(struct stream *stream, const struct call_message *first) {
    const struct handler *handler = stream->handler;
    if (!handler->projection && handler->on_message == LUA_NOREF) return;
    struct fiber *fiber = take(stream, handler->projection ? &projected_kind : &message_kind);
    run_main(stream, fiber, pump_prepare(stream, fiber, first));
    handler->generation->script->first_message = NULL;
}

static void on_half_close(struct stream *stream) {
    stream->is_half_closed = true;
    if (stream->handler->on_half_close == LUA_NOREF) return;
    struct fiber *fiber = take(stream, &message_kind);
    push_ref(fiber->L, stream->handler->on_half_close);
    push_stream(fiber->L, stream);
    run_main(stream, fiber, 1);
}

static void pump(struct stream *stream) {
    struct call_message message;
    while (!stream->main && !stream->is_over && !stream->is_half_closed) {
        if (stream_has_successor(stream) && stream_move(stream)) continue;
        if (stint_is_over(&stream->stint, STINT_TIME)) {
            stream_continue_later(stream);
            return;
        }
        switch (call_receive(stream->call, &message)) {
        case CALL_EMPTY:
            return;
        case CALL_END:
            on_half_close(stream);
            break;
        case CALL_MESSAGE:
            stint_note(&stream->stint, STINT_OF_HOOKS, STINT_TIME);
            on_messages(stream, &message);
            break;
        }
    }
}

void hooks_pump(struct stream *stream) {
    if (stream->is_pumping || !stream->has_opened || stream->main || stream->is_over) return;
    stream->is_pumping = true;
    if (stream_has_successor(stream)) stream_move(stream);
    pump(stream);
    stream->is_pumping = false;
    stream_settle(stream);
}

static void hooks_open(struct call *call) {
    const struct handler *handler = call->data;
    struct stream *stream = stream_new(handler->generation->script, call, handler);
    if (handler->on_open == LUA_NOREF) {
        opened(stream);
        return;
    }
    struct fiber *fiber = take(stream, &open_kind);
    push_ref(fiber->L, handler->on_open);
    push_stream(fiber->L, stream);
    run_main(stream, fiber, 1);
}

static void hooks_readable(struct call *call) {
    struct stream *stream = call->data;
    if (stream->extra && task_is_deferred(&stream->extra->again)) return; /* with what was there before, in its turn */
    stint_begin(&stream->stint);
    hooks_pump(stream);
}

/* ---- the hooks beside it ---- */

static bool side_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct stream *stream = fiber->stream;
    stream->asides--;
    if (outcome == FIBER_FAILED) stream_fail(stream, fiber->L);
    if (stream_has_successor(stream)) hooks_pump(stream);
    stream_settle(stream);
    return true;
}

static bool writable_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    fiber->stream->is_writing = false;
    return side_ended(fiber, outcome);
}

static const struct fiber_kind side_kind = {side_ended};
static const struct fiber_kind writable_kind = {writable_ended};

static void hooks_writable(struct call *call) {
    struct stream *stream = call->data;
    stream_writable(stream);
    if (stream->is_over || stream->is_writing || stream->handler->on_writable == LUA_NOREF) return;
    stream->is_writing = true;
    run_aside(stream, &writable_kind, stream->handler->on_writable);
}

void stream_drain(struct call *call) {
    struct stream *stream = call->data;
    if (!stream->is_over && stream->handler->on_drain != LUA_NOREF)
        run_aside(stream, &side_kind, stream->handler->on_drain);
}

static void hooks_close(struct call *call, enum status status, const char *text) {
    stream_close(call->data, status, text);
}

const struct call_handler hooks_handler = {
    .on_open = hooks_open,
    .on_readable = hooks_readable,
    .on_writable = hooks_writable,
    .on_drain = stream_drain,
    .on_close = hooks_close,
};
