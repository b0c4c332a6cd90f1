/* script/handler_function.c - calls that a function answers: it owns the stream, and its return ends the
 * call. */
#include "script/generation.h"
#include "script/state.h"
#include "script/stream.h"

static bool function_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct stream *stream = fiber->stream;
    if (outcome == FIBER_RETURNED && !stream_send_returned(stream, fiber)) return false;
    stream->main = NULL;
    if (outcome == FIBER_RETURNED)
        stream_finish_well(stream);
    else
        stream_fiber_failed(stream, fiber, outcome);
    return true;
}

static const struct fiber_kind function_kind = {function_ended};

/* The one request of a method that has one, pushed behind the stream. False: it was broken. */
static bool push_request(struct stream *stream, lua_State *L) {
    struct call_message message;
    if (call_receive(stream->call, &message) == CALL_MESSAGE) return stream_push_message(stream, L, &message);
    stream_finish(stream, STATUS_INTERNAL, "the request is missing", NULL, 0);
    return false;
}

static void function_open(struct call *call) {
    const struct handler *handler = call->data;
    struct script *script = handler->generation->script;
    struct stream *stream = stream_new(script, call, handler);
    struct fiber *fiber =
        fiber_take(script, handler->generation, stream, &function_kind, NULL, &handler->origin);
    int arguments = 1;
    push_ref(fiber->L, handler->run);
    push_stream(fiber->L, stream);
    if (!call->method->is_client_streaming) {
        if (!push_request(stream, fiber->L)) {
            fiber_give(fiber, true);
            return;
        }
        arguments = 2;
    }
    stream->main = fiber;
    fiber_run(fiber, arguments);
}

static void function_readable(struct call *call) { stream_readable(call->data); }
static void function_writable(struct call *call) { stream_writable(call->data); }
static void function_close(struct call *call, enum status status, const char *text) {
    stream_close(call->data, status, text);
}

const struct call_handler function_handler = {
    .on_open = function_open,
    .on_readable = function_readable,
    .on_writable = function_writable,
    .on_drain = stream_drain,
    .on_close = function_close,
};
