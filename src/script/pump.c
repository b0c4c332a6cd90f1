/* script/pump.c - see pump.h */
#include "script/pump.h"

#include <string.h>

#include "script/fiber.h"
#include "script/generation.h"
#include "script/projected.h"
#include "script/state.h"
#include "script/stream.h"

/* How many, or -1: the message was broken and has ended the stream. */
static int push_arguments(struct stream *stream, lua_State *L, const struct call_message *message) {
    if (stream->handler->projection) return projected_push(stream, L, message);
    return stream_push_message(stream, L, message) ? 1 : -1;
}

/* Pushes true and the hook's arguments behind the stream; or false, when nothing is to be handled now. */
static int fetch(lua_State *L, struct script *script, struct stream *stream) {
    struct call_message message;
    if (script->first_message) {
        message = *script->first_message;
        script->first_message = NULL;
    } else if (stream->is_over || stream_has_successor(stream) || stint_is_over(&stream->stint, STINT_TIME) ||
               call_receive(stream->call, &message) != CALL_MESSAGE) {
        lua_pushboolean(L, 0);
        return 1;
    } else {
        stint_note(&stream->stint, STINT_OF_HOOKS, STINT_TIME);
    }
    watchdog_renew(&script->watchdog);
    lua_settop(L, 0);
    lua_pushboolean(L, 1);
    script->converting = CANNOT_READ;
    int count = push_arguments(stream, L, &message);
    script->converting = NULL;
    if (count >= 0) return count + 1;
    lua_pushboolean(L, 0);
    return 1;
}

/* step(results…) of pump.lua. */
static int step(lua_State *L) {
    struct script *script = script_of(L);
    script_settle(script);
    struct stream *stream = script->running->stream;
    script->converting = CANNOT_SEND;
    bool is_sent = stream->handler->projection ? projected_send_now(stream, L) : stream_send_now(stream, L);
    script->converting = NULL;
    if (is_sent) return fetch(L, script, stream);
    lua_pushboolean(L, 0);
    lua_insert(L, 1);
    return lua_gettop(L);
}

void pump_push_step(lua_State *L, struct script *script) {
    lua_pushlightuserdata(L, script);
    lua_pushcclosure(L, step, 1);
}

void pump_keep_loops(struct script *script) {
    lua_State *L = script->L;
    int *const loops[] = {&script->ref.each_one, &script->ref.each_list, &script->ref.filter_one,
                          &script->ref.filter_list};
    for (int i = 0; i < (int)(sizeof loops / sizeof *loops); i++) {
        lua_rawgeti(L, -1, i + 1);
        *loops[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 1);
}

int pump_prepare(struct stream *stream, struct fiber *fiber, const struct call_message *first) {
    const struct handler *handler = stream->handler;
    const struct projection *projection = handler->projection;
    struct script *script = handler->generation->script;
    lua_State *L = fiber->L;
    script->first_message = first;
    push_ref(L, !projection || twl_projection_is_single(projection) ? script->ref.each_one : script->ref.each_list);
    if (projection)
        twl_projection_function(L, projection);
    else
        push_ref(L, handler->on_message);
    push_stream(L, stream);
    return 2;
}

/* The pump's own lines are no place in a script. */
static void drop_own_place(lua_State *L) {
    static const char own[] = "tidewire/pump.lua:";
    if (lua_type(L, -1) != LUA_TSTRING || strncmp(lua_tostring(L, -1), own, sizeof own - 1) != 0) return;
    const char *text = strstr(lua_tostring(L, -1), ": ");
    if (text) lua_pushstring(L, text + 2);
}

void pump_failed(struct stream *stream, struct fiber *fiber) {
    struct script *script = stream->generation->script;
    const char *converting = script->converting;
    script->converting = NULL;
    drop_own_place(fiber->L);
    if (converting)
        stream_fail_to_convert(stream, fiber->L, converting);
    else
        stream_fail(stream, fiber->L);
}
