/* script/bind_stream.c - stream:… for scripts: messages in and out, the end, what begins in a stream and dies
 * with it. Metadata is in bind_metadata.c, the properties in bind_properties.c. */
#include "script/bind_stream.h"

#include "base/error.h"
#include "script/bind_client.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/job.h"
#include "script/state.h"
#include "script/stream.h"

enum {
    SCRATCH_KEPT = 64 << 10, /* the encoding buffer is given back when it has grown beyond */
};

static bool is_own(const struct script *script, const struct stream *stream) {
    return script->running && script->running->stream == stream && !script->running->is_plain;
}

/* ---- receiving ---- */

static struct stream *check_reader(lua_State *L, const struct script *script, const char *signature) {
    struct stream *stream = check_own_stream(L, script, signature);
    if (stream->is_over) return stream;
    if (stream->is_client) client_open(stream);
    if (stream->filter)
        luaL_error(L, "%s: the messages of this stream go to its on_request hook", signature);
    if (!stream->handler->is_function)
        luaL_error(L, "%s: the messages of this stream go to its on_message hook", signature);
    if (stream->reader)
        luaL_error(L, "%s: another coroutine waits for this stream's messages already", signature);
    if (stream->is_client) client_note_reader(stream);
    return stream;
}

/* After the stream is over nothing comes: its own coroutines are cancelled, others are told. */
static int receive_closed(lua_State *L, struct script *script, const struct stream *stream,
                          const char *what) {
    if (is_own(script, stream)) return fiber_yield(L, fiber_wait(L, script, WAIT_RECV, what));
    if (!stream->is_client) return nil_and(L, "closed");
    lua_pushnil(L); /* status() says how it has ended */
    return 1;
}

static int wait_for_message(lua_State *L, struct script *script, struct stream *stream, const char *what,
                            uint64_t timeout) {
    struct fiber *fiber = fiber_wait(L, script, WAIT_RECV, what);
    if (fiber->wait == WAIT_RECV) {
        fiber->target = stream;
        stream->reader = fiber;
        if (timeout) fiber_set_timeout(fiber, loop_now(script->host.loop) + timeout);
    }
    return fiber_yield(L, fiber);
}

static int receive(lua_State *L, struct script *script, struct stream *stream, const char *what,
                   uint64_t timeout) {
    if (stream->is_over) return receive_closed(L, script, stream, what);
    struct fiber *fiber = script->running;
    /* One that never waits would keep everyone else waiting. */
    if (fiber_must_give_way(fiber, L)) return fiber_give_way(L, script, stream, timeout, what);
    int pulled = stream_pull(stream, L);
    if (pulled > 0) {
        fiber_note_message(fiber);
        return 1;
    }
    if (pulled < 0) return receive_closed(L, script, stream, what);
    return wait_for_message(L, script, stream, what, timeout);
}

static int recv(lua_State *L) {
    static const char signature[] = "stream:recv([timeout])";
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = check_reader(L, script, signature);
    uint64_t timeout = lua_isnoneornil(L, 2) ? 0 : check_seconds(L, 2, signature) + 1;
    return receive(L, script, stream, "stream:recv()", timeout);
}

static int next_message(lua_State *L) {
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = check_reader(L, script, "for message in stream:messages() do");
    return receive(L, script, stream, "stream:messages()", 0);
}

static int messages(lua_State *L) {
    check_stream(L, 1, "for message in stream:messages() do");
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- sending ---- */

/* The first send of a stream's own coroutine after its end says so; one that goes on regardless is cancelled.
 */
static int send_closed(lua_State *L, struct script *script, const struct stream *stream) {
    struct fiber *fiber = script->running;
    if (is_own(script, stream)) {
        if (fiber->was_told_closed || fiber->is_cancelled)
            return fiber_yield(L, fiber_wait(L, script, WAIT_SEND, "stream:send()"));
        fiber->was_told_closed = true;
    }
    return nil_and(L, "closed");
}

static int send_later(lua_State *L, struct script *script, struct stream *stream, uint64_t timeout) {
    struct buffer *scratch = &script->scratch;
    buffer_clear(scratch);
    twl_message_encode(L, 2, stream->generation->messages, stream->handler->sends, scratch);
    struct fiber *fiber = fiber_wait(L, script, WAIT_SEND, "stream:send() to a peer that does not keep up");
    if (fiber->wait == WAIT_SEND) {
        fiber->target = stream;
        fiber->message = message_copy(buffer_bytes(scratch), buffer_length(scratch));
        struct list *senders = &stream_extra(stream)->senders;
        list_append(stream->is_client && client_goes_first(stream, fiber) ? senders->next : senders, &fiber->place);
        stream->has_replied = true;
        if (timeout) fiber_set_timeout(fiber, loop_now(script->host.loop) + timeout);
    }
    if (scratch->capacity > SCRATCH_KEPT) buffer_free(scratch);
    return fiber_yield(L, fiber);
}

/* Whether anything can be sent; raises for a second message where there is one. */
static bool is_sending(lua_State *L, struct stream *stream) {
    if (stream->is_over) return false;
    stream_check_reply(L, stream);
    if (!stream->is_client) return true;
    client_open(stream);
    return !client_has_half_closed(stream);
}

static int send_message(lua_State *L) {
    static const char signature[] = "stream:send(message[, timeout])";
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = check_own_stream(L, script, signature);
    if (lua_isnoneornil(L, 2)) return raise_misuse(L, signature);
    uint64_t timeout = lua_gettop(L) < 3 || lua_isnil(L, 3) ? 0 : check_seconds(L, 3, signature) + 1;
    if (!is_sending(L, stream)) return send_closed(L, script, stream);
    if (stream_is_blocked(stream)) return send_later(L, script, stream, timeout);
    if (!stream_encode(L, stream, 2)) return send_closed(L, script, stream);
    fiber_note_message(script->running);
    if (fiber_must_give_way(script->running, L)) return fiber_give_way(L, script, NULL, 0, "stream:send()");
    lua_pushboolean(L, 1);
    return 1;
}

static int try_send(lua_State *L) {
    static const char signature[] = "stream:try_send(message)";
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = check_own_stream(L, script, signature);
    if (lua_isnoneornil(L, 2)) return raise_misuse(L, signature);
    if (!is_sending(L, stream)) return nil_and(L, "closed");
    if (stream_is_blocked(stream)) return nil_and(L, "full");
    if (!stream_encode(L, stream, 2)) return nil_and(L, "closed");
    lua_pushboolean(L, 1);
    return 1;
}

static int pending(lua_State *L) {
    struct stream *stream = check_stream(L, 1, "stream:pending()");
    size_t count = 0, bytes = 0;
    script_settle(script_of(L));
    if (stream->call) call_pending(stream->call, &count, &bytes);
    lua_pushinteger(L, (lua_Integer)count);
    lua_pushinteger(L, (lua_Integer)bytes);
    return 2;
}

static int compress(lua_State *L) {
    static const char signature[] = "stream:compress([on])";
    script_settle(script_of(L));
    struct stream *stream = check_own_stream(L, script_of(L), signature);
    if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2)) return raise_misuse(L, signature);
    if (stream->is_client) return luaL_error(L, "%s: is for the stream that a handler answers", signature);
    bool is_on = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
    lua_pushboolean(L, !stream->is_over && call_compress(stream->call, is_on));
    return 1;
}

/* ---- the end ---- */

static int close_stream(lua_State *L) {
    static const char signature[] = "stream:close([code[, text[, details]]])";
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = check_stream(L, 1, signature);
    enum status status = lua_isnoneornil(L, 2) ? STATUS_OK : check_status(L, 2);
    if (!lua_isnoneornil(L, 3) && !lua_isstring(L, 3)) return raise_misuse(L, signature);
    if (!lua_isnoneornil(L, 4) && !lua_istable(L, 4)) return raise_misuse(L, signature);
    const char *text = lua_isnoneornil(L, 3) ? "" : lua_tostring(L, 3);
    lua_settop(L, 4);
    push_status_details(L, status, text, 4);
    if (stream->is_over) return 0;
    if (stream->is_client) {
        if (!lua_isnoneornil(L, 2))
            return luaL_error(L, "stream:close(): the status of this call is its server's: half_close() or cancel() it");
        client_open(stream);
        client_half_close(stream);
        return 0;
    }
    size_t length = 0;
    const char *details = lua_tolstring(L, 5, &length);
    if (status == STATUS_OK && !details && !*text)
        stream_finish_well(stream);
    else
        stream_finish(stream, status, text, details, length);
    return 0;
}

/* The HTTP/2 error by which each status that a reset can carry reads (grpc/grpc: doc/PROTOCOL-HTTP2.md). */
static const struct {
    enum status status;
    uint32_t error;
} resets[] = {
    {STATUS_CANCELLED, 0x8},          /* CANCEL */
    {STATUS_UNAVAILABLE, 0x7},        /* REFUSED_STREAM */
    {STATUS_RESOURCE_EXHAUSTED, 0xb}, /* ENHANCE_YOUR_CALM */
    {STATUS_PERMISSION_DENIED, 0xc},  /* INADEQUATE_SECURITY */
    {STATUS_INTERNAL, 0x2},           /* INTERNAL_ERROR */
};

static int reset(lua_State *L) {
    static const char signature[] = "stream:reset([code])";
    script_settle(script_of(L));
    struct stream *stream = check_stream(L, 1, signature);
    enum status status = lua_isnoneornil(L, 2) ? STATUS_CANCELLED : check_status(L, 2);
    for (size_t i = 0; i < sizeof resets / sizeof *resets; i++) {
        if (resets[i].status != status) continue;
        stream_reset(stream, resets[i].error);
        return 0;
    }
    return luaL_error(
        L, "a reset can say CANCELLED, UNAVAILABLE, RESOURCE_EXHAUSTED, PERMISSION_DENIED or INTERNAL; "
           "stream:close() sends any status");
}

static int hold(lua_State *L) {
    struct stream *stream = check_stream(L, 1, "stream:hold()");
    if (stream->handler && stream->handler->is_function)
        return luaL_error(L, "stream:hold() is for tables of hooks: this call is its function's and ends when that "
                             "returns; stream:wait() waits for the client");
    stream->is_held = true;
    return 0;
}

static int wait_until_gone(lua_State *L) {
    static const char signature[] = "stream:wait()";
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = check_stream(L, 1, signature);
    if (stream->is_over && !is_own(script, stream)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    struct fiber *fiber = fiber_wait(L, script, WAIT_GONE, signature);
    if (fiber->wait == WAIT_GONE) {
        fiber->target = stream;
        list_append(&stream_extra(stream)->watchers, &fiber->place);
    }
    return fiber_yield(L, fiber);
}

static int on_close(lua_State *L) {
    static const char signature[] = "stream:on_close(f)";
    struct stream *stream = check_stream(L, 1, signature);
    if (!lua_isfunction(L, 2)) return raise_misuse(L, signature);
    if (!stream->handler) return luaL_error(L, "stream:on_close: the stream has closed already");
    struct stream_extra *extra = stream_extra(stream);
    if (extra->closers == LUA_NOREF) {
        lua_newtable(L);
        extra->closers = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    push_ref(L, extra->closers);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    return 0;
}

/* ---- the metatable ---- */

/* The function that encodes what a handler has returned: (value, stream as light userdata). */
static int encode_returned(lua_State *L) {
    struct stream *stream = lua_touserdata(L, 2);
    stream_check_reply(L, stream);
    stream_encode(L, stream, 1);
    return 0;
}

static const luaL_Reg functions[] = {
    {"recv", recv},
    {"send", send_message},
    {"try_send", try_send},
    {"pending", pending},
    {"compress", compress},
    {"close", close_stream},
    {"reset", reset},
    {"hold", hold},
    {"wait", wait_until_gone},
    {"on_close", on_close},
    {"after", job_stream_after},
    {"every", job_stream_every},
    {"spawn", job_stream_spawn},
    {NULL, NULL},
};

void bind_stream_open(struct script *script) {
    lua_State *L = script->L;
    lua_pushcfunction(L, encode_returned);
    script->ref.encode = luaL_ref(L, LUA_REGISTRYINDEX);
    push_locked_metatable(L);
    lua_newtable(L);
    set_functions(L, script, functions);
    bind_metadata_functions(L, script);
    bind_client_functions(L, script);
    bind_upstream_functions(L, script);
    lua_pushlightuserdata(L, script);
    lua_pushlightuserdata(L, script);
    lua_pushcclosure(L, next_message, 1);
    lua_pushcclosure(L, messages, 2);
    lua_setfield(L, -2, "messages");
    bind_stream_properties(L, script);
    script->ref.stream_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}
