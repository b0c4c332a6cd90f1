/* script/stream.c - see stream.h */
#include "script/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "fanout/topic.h"
#include "script/answer.h"
#include "script/failure.h"
#include "script/filter.h"
#include "script/job.h"
#include "script/semaphore.h"
#include "script/state.h"
#include "script/subscriber.h"

static const char stream_magic;

struct stream *stream_new(struct script *script, struct call *call, const struct handler *handler) {
    lua_State *L = script->L;
    struct stream *stream = lua_newuserdata(L, sizeof *stream);
    memset(stream, 0, sizeof *stream);
    push_ref(L, script->ref.stream_meta);
    lua_setmetatable(L, -2);
    stream->self = luaL_ref(L, LUA_REGISTRYINDEX);
    stream->magic = &stream_magic;
    stream->generation = handler->generation;
    stream->generation->streams++;
    stream->handler = handler;
    list_init(&stream->fibers);
    list_init(&stream->node);
    if (call) list_append(&stream->generation->open, &stream->node);
    if (call) stream_attach(stream, call);
    return stream;
}

void stream_attach(struct stream *stream, struct call *call) {
    const struct method *method = stream->handler->method;
    stream->call = call;
    stream->id = call->log.stream;
    stream->headers_are_due = method->is_client_streaming || method->is_server_streaming;
    call->data = stream;
    call->log.script = stream->handler->file;
}

struct stream *to_stream(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || lua_objlen(L, index) != sizeof(struct stream)) return NULL;
    struct stream *stream = lua_touserdata(L, index);
    return stream->magic == &stream_magic ? stream : NULL;
}

struct stream *check_stream(lua_State *L, int index, const char *signature) {
    struct stream *stream = to_stream(L, index);
    if (!stream) raise_misuse(L, signature);
    return stream;
}

static void go_on(struct task *task) {
    struct stream *stream = container_of(task, struct stream_extra, again)->stream;
    stint_begin(&stream->stint);
    if (stream->is_failing)
        stream_finish(stream, STATUS_INTERNAL, "the handler failed", NULL, 0);
    else
        hooks_pump(stream);
}

struct stream_extra *stream_extra(struct stream *stream) {
    struct stream_extra *extra = stream->extra;
    if (extra) return extra;
    extra = stream->extra = memory_new(sizeof *extra);
    extra->stream = stream;
    list_init(&extra->senders);
    list_init(&extra->watchers);
    list_init(&extra->jobs);
    list_init(&extra->subscribers);
    task_init(&extra->again, go_on);
    list_init(&extra->opened);
    list_init(&extra->holdings);
    extra->closers = extra->upstream = LUA_NOREF;
    return extra;
}

/* ---- the end ---- */

/* For who reads what a script has opened, the end is the end; status() says which. */
static void tell_closed(struct fiber *fiber, const struct stream *stream) {
    lua_pushnil(fiber->L);
    if (stream->is_client && stream->reader == fiber) {
        fiber_wake(fiber, 1);
        return;
    }
    lua_pushliteral(fiber->L, "closed");
    fiber_wake(fiber, 2);
}

/* Those of other streams learn it as an answer; its own fibers are cancelled. */
static void wake_strangers(struct stream *stream, struct list *row) {
    for (struct list *node = row->next, *next; node != row; node = next) {
        next = node->next;
        struct fiber *fiber = container_of(node, struct fiber, place);
        if (fiber->stream == stream || fiber_waits_for_answer(fiber)) continue;
        if (fiber->wait != WAIT_GONE) {
            tell_closed(fiber, stream);
            continue;
        }
        lua_pushboolean(fiber->L, 1);
        fiber_wake(fiber, 1);
    }
}

void stream_be_over(struct stream *stream) {
    if (stream->is_over) return;
    stream->is_over = true;
    if (stream->extra) {
        wake_strangers(stream, &stream->extra->senders);
        wake_strangers(stream, &stream->extra->watchers);
        jobs_end(&stream->extra->jobs);
        clients_cancel(&stream->extra->opened);
    }
    struct fiber *reader = stream->reader;
    if (reader && reader->stream != stream && !fiber_waits_for_answer(reader)) tell_closed(reader, stream);
    for (struct list *node = stream->fibers.next, *next; node != &stream->fibers; node = next) {
        next = node->next;
        fiber_cancel_soon(container_of(node, struct fiber, node));
    }
    if (stream->filter) filter_be_over(stream->filter);
}

static void farewell_free(struct stream_extra *extra) {
    if (!extra->farewell) return;
    free(extra->farewell->text);
    free(extra->farewell->details);
    free(extra->farewell);
    extra->farewell = NULL;
}

static void finish_when_flushed(struct stream *stream) {
    struct farewell *farewell = stream->extra ? stream->extra->farewell : NULL;
    if (!farewell || !topics_flush_call(stream->generation->script->host.topics, stream->call)) return;
    call_finish(stream->call, farewell->status, farewell->text, farewell->details, farewell->details_length);
    farewell_free(stream->extra);
}

void stream_finish(struct stream *stream, enum status status, const char *text, const void *details,
                   size_t details_length) {
    if (stream->is_over) return;
    if (stream->is_client) {
        client_cancel(stream, status, text);
        return;
    }
    stream_be_over(stream);
    if (!stream->has_subscribed || topics_flush_call(stream->generation->script->host.topics, stream->call)) {
        call_finish(stream->call, status, text, details, details_length);
        return;
    }
    struct farewell *farewell = memory_new(sizeof *farewell);
    farewell->status = status;
    farewell->text = text ? memory_copy_string(text) : NULL;
    farewell->details = details ? memory_copy(details, details_length) : NULL;
    farewell->details_length = details_length;
    stream_extra(stream)->farewell = farewell;
}

void stream_reset(struct stream *stream, uint32_t http_error) {
    if (!stream->handler) return;
    if (stream->is_client) {
        client_cancel(stream, STATUS_CANCELLED, "the call was cancelled");
        return;
    }
    stream_be_over(stream);
    call_reset(stream->call, http_error);
}

#define CANCELLED_TEXT "the handler was cancelled"

void stream_fail(struct stream *stream, lua_State *L) {
    struct script *script = stream->generation->script;
    struct failure failure;
    if (is_cancelled(script, L, -1)) {
        stream_finish(stream, STATUS_CANCELLED, CANCELLED_TEXT, NULL, 0);
    } else if (to_failure(script, L, -1, &failure)) {
        stream_finish(stream, failure.status, failure.text, failure.details, failure.details_length);
    } else {
        struct log_scope scope = stream_scope(stream);
        log_lua_error(script, L, &scope, "handler failed", &stream->handler->origin);
        stream_finish(stream, STATUS_INTERNAL, "the handler failed", NULL, 0);
    }
}

void stream_fiber_failed(struct stream *stream, struct fiber *fiber, enum fiber_outcome outcome) {
    if (outcome == FIBER_FAILED)
        stream_fail(stream, fiber->L);
    else
        stream_finish(stream, STATUS_CANCELLED, CANCELLED_TEXT, NULL, 0);
}

void stream_finish_well(struct stream *stream) {
    if (stream->is_over) return;
    if (stream->has_replied || stream->call->method->is_server_streaming) {
        stream_finish(stream, STATUS_OK, NULL, NULL, 0);
        return;
    }
    if (stream->has_dropped && !stream->call->method->is_client_streaming) {
        stream_finish(stream, STATUS_FAILED_PRECONDITION, "the request was dropped", NULL, 0);
        return;
    }
    const struct origin *origin = &stream->handler->origin;
    counter_add(&stream->generation->script->figures->errors, 1);
    log_error(&stream->call->log, "the handler at %s:%d ended without the reply that the method owes",
              origin->file, origin->line);
    stream_finish(stream, STATUS_INTERNAL, "the handler gave no reply", NULL, 0);
}

void stream_settle(struct stream *stream) {
    if (!stream->call || stream->is_over || stream->handler->is_function || stream->filter || stream->is_moving) return;
    if (!stream->has_opened || !stream->is_half_closed || stream->main || stream->is_held) return;
    if (!list_is_empty(&stream->fibers)) return;
    struct stream_extra *extra = stream->extra;
    if (extra && (!list_is_empty(&extra->jobs) || !list_is_empty(&extra->subscribers))) return;
    log_debug(&stream->call->log,
              "closed by itself: the peer has half-closed and nothing of the stream is left "
              "that could still send (stream:hold() keeps one open)");
    stream_finish_well(stream);
}

static void run_close_function(struct stream *stream, int function_index, lua_State *L, enum status status,
                               const char *text) {
    struct script *script = stream->generation->script;
    struct fiber *fiber =
        fiber_take(script, stream->generation, stream, NULL, NULL, &stream->handler->origin);
    lua_pushvalue(L, function_index);
    lua_xmove(L, fiber->L, 1);
    push_stream(fiber->L, stream);
    lua_pushstring(fiber->L, status_name(status));
    lua_pushstring(fiber->L, text ? text : "");
    int fault = fiber_call_plainly(fiber, 3, 0);
    struct log_scope scope = stream_scope(stream);
    if (fault) log_lua_error(script, fiber->L, &scope, "on_close failed", &stream->handler->origin);
    fiber_give(fiber, !fault);
}

static void run_close_functions(struct stream *stream, enum status status, const char *text) {
    lua_State *L = stream->generation->script->L;
    if (stream->handler->on_close != LUA_NOREF) {
        push_ref(L, stream->handler->on_close);
        run_close_function(stream, lua_gettop(L), L, status, text);
        lua_pop(L, 1);
    }
    if (!stream->extra || stream->extra->closers == LUA_NOREF) return;
    push_ref(L, stream->extra->closers);
    for (int i = 1, count = (int)lua_objlen(L, -1); i <= count; i++) {
        lua_rawgeti(L, -1, i);
        run_close_function(stream, lua_gettop(L), L, status, text);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void extra_free(struct stream *stream) {
    struct stream_extra *extra = stream->extra;
    if (!extra) return;
    task_cancel(&extra->again);
    subscribers_forget_stream(&extra->subscribers);
    drop_ref(stream->generation->script->L, &extra->closers);
    drop_ref(stream->generation->script->L, &extra->upstream);
    semaphores_forget_stream(&extra->holdings);
    clients_forget_opener(&extra->opened);
    client_free(&extra->client);
    farewell_free(extra);
    free(extra);
    stream->extra = NULL;
}

void stream_close(struct stream *stream, enum status status, const char *text) {
    struct generation *generation = stream->generation;
    struct script *script = generation->script;
    stream_be_over(stream);
    while (!list_is_empty(&stream->fibers))
        fiber_cancel(container_of(stream->fibers.next, struct fiber, node));
    run_close_functions(stream, status, text);
    if (stream->is_client) answer_tell(stream, status, text);
    if (stream->has_subscribed) topics_call_closed(script->host.topics, stream->call);
    extra_free(stream);
    stream->filter = NULL;
    stream->call = NULL;
    stream->handler = NULL;
    stream->generation = NULL;
    list_remove(&stream->node);
    drop_ref(script->L, &stream->self);
    generation_stream_ended(generation);
}

/* ---- receiving ---- */

void stream_refuse_message(struct stream *stream, const char *fault) {
    log_debug(&stream->call->log, "the peer sent a message that is no %s: %s",
              stream->handler->takes->full_name, fault);
    char *text = memory_format("cannot decode the message: %s", fault);
    stream_finish(stream, call_malformed_status(stream->call), text, NULL, 0);
    free(text);
}

bool stream_push_message(struct stream *stream, lua_State *L, const struct call_message *message) {
    const char *fault = NULL;
    if (twl_message_push(L, stream->generation->messages, stream->handler->takes, message->data,
                         message->length, message->owner, stream->handler->options, &fault))
        return true;
    stream_refuse_message(stream, fault);
    return false;
}

int stream_pull(struct stream *stream, lua_State *L) {
    struct call_message message;
    if (!stream->call) return 0;
    switch (call_receive(stream->call, &message)) {
    case CALL_EMPTY:
        return 0;
    case CALL_END:
        if (stream->is_client) return 0; /* on_close knows whether this is the end, and says so */
        lua_pushnil(L);
        return 1;
    case CALL_MESSAGE:
        break;
    }
    return stream_push_message(stream, L, &message) ? 1 : -1;
}

void stream_resume_reader(struct fiber *fiber) {
    struct stream *stream = fiber->target;
    int pulled = stream_pull(stream, fiber->L);
    if (pulled == 1)
        fiber_run(fiber, 1);
    else if (pulled == 0 && fiber->wait == WAIT_TURN) {
        fiber->wait = WAIT_RECV;
        if (fiber->due) fiber_set_timeout(fiber, fiber->due);
    }
}

void stream_readable(struct stream *stream) {
    if (stream->reader && stream->reader->wait == WAIT_RECV) stream_resume_reader(stream->reader);
}

void stream_continue_later(struct stream *stream) {
    loop_defer(stream->generation->script->host.loop, LOOP_AGAIN, &stream_extra(stream)->again);
}

void stream_fail_soon(struct stream *stream) {
    struct stream_extra *extra = stream_extra(stream);
    stream->is_failing = true;
    task_cancel(&extra->again);
    loop_defer(stream->generation->script->host.loop, LOOP_RUN, &extra->again);
}

/* ---- sending ---- */

void stream_send_headers(struct stream *stream) {
    stream->headers_are_due = false;
    if (!stream->is_over) call_send_headers(stream->call);
}

void stream_has_waited(struct stream *stream, struct fiber *fiber) {
    if (stream->filter) filter_has_waited(fiber);
    if (fiber == stream->main) stint_begin(&stream->stint);
    if (stream->headers_are_due && stream->main == fiber && stream->handler->is_function)
        stream_send_headers(stream);
}

void stream_check_reply(lua_State *L, const struct stream *stream) {
    if (stream_has_replied_once(stream))
        luaL_error(L, "%s has one %s, and it was sent", stream->handler->method->full_name,
                   stream->is_client ? "request" : "reply");
}

void stream_take_back_reply(struct stream *stream) {
    if (!stream->is_over && !stream->handler->sends_many) stream->has_replied = false;
}

bool stream_encode(lua_State *L, struct stream *stream, int index) {
    struct script *script = stream->generation->script;
    struct call *call = stream->call;
    struct buffer *out = call_begin_message(call);
    if (!out) return false;
    script->open_message = call;
    twl_message_encode(L, index, stream->generation->messages, stream->handler->sends, out);
    script->open_message = NULL;
    call_end_message(call);
    stream->has_replied = true;
    if (stream->is_client) client_half_close_when_sent(stream);
    return true;
}

bool stream_must_stand(struct stream *stream, struct fiber *fiber) {
    if (!call_is_full(stream->call) && (fiber->is_in_turn || !stream_has_senders(stream))) return false;
    struct list *senders = &stream_extra(stream)->senders;
    fiber->wait = WAIT_RETURN;
    fiber->target = stream;
    list_append(fiber->is_in_turn ? senders->next : senders, &fiber->place); /* first again, or last */
    fiber->is_in_turn = true;
    return true;
}

void stream_fail_to_convert(struct stream *stream, lua_State *L, const char *what) {
    struct script *script = stream->generation->script;
    const struct origin *origin = &stream->handler->origin;
    script_settle(script);
    char *text = memory_format("%s the handler at %s:%d", what, origin->file, origin->line);
    struct log_scope scope = stream_scope(stream);
    log_lua_error(script, L, &scope, text, NULL);
    free(text);
    stream_finish(stream, STATUS_INTERNAL, "the handler failed", NULL, 0);
}

/* The value at the top of the fiber's stack. False: there is no room now. */
static bool send_value(struct stream *stream, struct fiber *fiber) {
    struct script *script = stream->generation->script;
    lua_State *L = fiber->L;
    if (stream->is_over) return true;
    if (stream_must_stand(stream, fiber)) return false;
    push_ref(L, script->ref.encode);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, stream);
    if (lua_pcall(L, 2, 0, 0) != 0) stream_fail_to_convert(stream, L, CANNOT_SEND);
    return true;
}

/* What sends nothing: false and DROP, as a whole or in a list. */
static bool is_nothing(struct script *script, lua_State *L, int index) {
    return !lua_toboolean(L, index) || is_drop(script, L, index);
}

static int count_elements(lua_State *L, int index) {
    int count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    return count;
}

/* How many of the list's elements are sent; or -1, and what is wrong with it pushed: nothing of it is sent then. */
static int count_replies(struct stream *stream, lua_State *L, int index) {
    struct script *script = stream->generation->script;
    int length = (int)lua_objlen(L, index), replies = 0;
    for (int i = 1; i <= length; i++) {
        lua_rawgeti(L, index, i);
        bool is_hole = lua_isnil(L, -1);
        replies += !is_nothing(script, L, -1);
        lua_pop(L, 1);
        if (!is_hole) continue;
        lua_pushfstring(L, "the returned list has a hole at [%d]", i);
        return -1;
    }
    if (count_elements(L, index) == length) return replies;
    lua_pushfstring(L, "the returned list has other keys than 1 to %d: a hole, or a name", length);
    return -1;
}

static bool check_list(struct stream *stream, lua_State *L, int index) {
    int replies = count_replies(stream, L, index);
    const struct method *method = stream->call->method;
    if (replies >= 0) {
        if (method->is_server_streaming || replies + stream->has_replied <= 1) return true;
        lua_pushfstring(L, "%s has one reply, and the returned list has %d", method->full_name, replies);
    }
    stream_fail_to_convert(stream, L, CANNOT_SEND);
    return false;
}

/* The one request was dropped by the hook that it was given to, or by the function. */
static void note_nothing(struct stream *stream, lua_State *L) {
    bool is_of_request = stream->handler->is_function || (stream->has_opened && !stream->is_half_closed);
    if (is_of_request && !lua_isnoneornil(L, 1)) stream->has_dropped = true;
}

bool stream_send_returned(struct stream *stream, struct fiber *fiber) {
    struct script *script = stream->generation->script;
    lua_State *L = fiber->L;
    if (is_nothing(script, L, 1)) {
        note_nothing(stream, L);
        return true;
    }
    lua_settop(L, 1);
    if (!is_list(L, 1)) return send_value(stream, fiber);
    if (stream->is_over || (!fiber->progress && !check_list(stream, L, 1))) return true;
    for (;; fiber->progress++) {
        lua_rawgeti(L, 1, (int)fiber->progress + 1);
        if (lua_isnil(L, -1)) return true;
        if (!is_nothing(script, L, -1) && !send_value(stream, fiber)) {
            lua_settop(L, 1);
            return false;
        }
        lua_settop(L, 1);
    }
}

bool stream_send_now(struct stream *stream, lua_State *L) {
    struct script *script = stream->generation->script;
    if (lua_gettop(L) == 0) return true;
    if (is_nothing(script, L, 1)) {
        note_nothing(stream, L);
        return true;
    }
    if (stream->is_over) return true;
    if (is_list(L, 1) || stream_is_blocked(stream)) return false;
    stream_check_reply(L, stream);
    stream_encode(L, stream, 1);
    return true;
}

static void serve_senders(struct stream *stream) {
    while (!stream->is_over && stream_has_senders(stream) && !call_is_full(stream->call)) {
        struct fiber *fiber = container_of(stream->extra->senders.next, struct fiber, place);
        if (stream->is_client && !client_may_send(stream, fiber)) return;
        if (fiber->wait == WAIT_RETURN) {
            fiber_end_again(fiber);
            continue;
        }
        bool is_sent = call_send(stream->call, fiber->message);
        if (is_sent) {
            lua_pushboolean(fiber->L, 1);
            fiber_run(fiber, 1);
        } else {
            lua_pushnil(fiber->L);
            lua_pushliteral(fiber->L, "closed");
            fiber_run(fiber, 2);
        }
    }
}

void stream_writable(struct stream *stream) {
    serve_senders(stream);
    if (stream->is_client) client_half_close_when_sent(stream);
    if (!stream->has_subscribed) return;
    topics_call_writable(stream->generation->script->host.topics, stream->call);
    finish_when_flushed(stream);
}
