/* script/projected.c - see projected.h */
#include "script/projected.h"

#include "rpc/call.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/state.h"
#include "script/stream.h"

/* What a protected call reads: it takes one light userdata. */
struct reading {
    const struct projection *projection;
    const uint8_t *bytes;
    size_t length;
    const char *fault;
};

static int read_fields(lua_State *L) {
    struct reading *reading = lua_touserdata(L, 1);
    lua_settop(L, 0);
    int count =
        twl_projection_arguments(L, reading->projection, reading->bytes, reading->length, &reading->fault);
    return count < 0 ? 0 : count;
}

int projected_fields(struct script *script, lua_State *L, const struct projection *projection,
                     const uint8_t *bytes, size_t length, const char **fault) {
    struct reading reading = {.projection = projection, .bytes = bytes, .length = length};
    int before = lua_gettop(L);
    push_ref(L, script->ref.read_fields);
    lua_pushlightuserdata(L, &reading);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != 0) reading.fault = "a field has no Lua value";
    *fault = reading.fault;
    if (!reading.fault) return lua_gettop(L) - before;
    lua_settop(L, before);
    return -1;
}

int projected_push(struct stream *stream, lua_State *L, const struct call_message *message) {
    const char *fault;
    int count =
        twl_projection_arguments(L, stream->handler->projection, message->data, message->length, &fault);
    if (count < 0) stream_refuse_message(stream, fault);
    return count;
}

/* What the results from `first` on make. May raise. */
static void write_results(lua_State *L, struct stream *stream, int first) {
    struct script *script = stream->generation->script;
    stream_check_reply(L, stream);
    struct buffer *out = call_begin_message(stream->call);
    if (!out) return;
    script->open_message = stream->call;
    if (!twl_projection_result(L, stream->handler->projection, first, NULL, 0, out)) {
        script_settle(script);
        return;
    }
    script->open_message = NULL;
    call_end_message(stream->call);
    stream->has_replied = true;
}

/* Nearly all replies, without a protected call or a move to one's stack. */
static bool write_plainly(lua_State *L, struct stream *stream) {
    if (stream_has_replied_once(stream)) return false;
    struct buffer *out = call_begin_message(stream->call);
    if (!out) return true;
    if (!twl_projection_plain_result(L, stream->handler->projection, 1, out)) {
        call_abandon_message(stream->call);
        return false;
    }
    call_end_message(stream->call);
    stream->has_replied = true;
    return true;
}

/* (results…, stream as light userdata) */
static int write_reply(lua_State *L) {
    struct stream *stream = lua_touserdata(L, -1);
    lua_pop(L, 1);
    write_results(L, stream, 1);
    return 0;
}

bool projected_send(struct stream *stream, struct fiber *fiber) {
    struct script *script = stream->generation->script;
    lua_State *L = fiber->L;
    int results = lua_gettop(L);
    if (stream->is_over || results == 0) return true;
    if (is_drop(script, L, 1)) {
        stream->has_dropped = true;
        return true;
    }
    if (stream_must_stand(stream, fiber)) return false;
    if (write_plainly(L, stream)) return true;
    push_ref(L, script->ref.write_reply);
    lua_insert(L, 1);
    lua_pushlightuserdata(L, stream);
    if (lua_pcall(L, results + 1, 0, 0) != 0) stream_fail_to_convert(stream, L, CANNOT_SEND);
    return true;
}

bool projected_send_now(struct stream *stream, lua_State *L) {
    if (stream->is_over || lua_gettop(L) == 0) return true;
    if (is_drop(stream->generation->script, L, 1)) {
        stream->has_dropped = true;
        return true;
    }
    if (stream_is_blocked(stream)) return false;
    if (!write_plainly(L, stream)) write_results(L, stream, 1);
    return true;
}

void projected_open_state(struct script *script) {
    lua_pushcfunction(script->L, write_reply);
    script->ref.write_reply = luaL_ref(script->L, LUA_REGISTRYINDEX);
    lua_pushcfunction(script->L, read_fields);
    script->ref.read_fields = luaL_ref(script->L, LUA_REGISTRYINDEX);
}
