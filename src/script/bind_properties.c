/* script/bind_properties.c - stream.id, stream.ctx and the like. Functions and properties are found by one C
 * function: a table of members has a function or, for a property, its number. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "script/bind_client.h"
#include "script/bind_stream.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/names.h"
#include "script/state.h"
#include "script/stream.h"

enum property { CTX = 1, ID, SERVICE, METHOD, PEER, PROTOCOL, TLS, UPSTREAM, DRAINING, NODE, COMPRESSED };

static const struct {
    const char *name;
    enum property property;
} properties[] = {
    {"ctx", CTX},           {"id", ID},   {"service", SERVICE},   {"method", METHOD},     {"peer", PEER},
    {"protocol", PROTOCOL}, {"tls", TLS}, {"upstream", UPSTREAM}, {"draining", DRAINING},
    {"node", NODE},         {"compressed", COMPRESSED},
};

static void set_text(lua_State *L, const char *name, const char *text) {
    if (!text) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static int push_tls(lua_State *L, const struct tls_info *tls) {
    if (!tls) return 0;
    lua_newtable(L);
    set_text(L, "version", tls->version);
    set_text(L, "cipher", tls->cipher);
    set_text(L, "protocol", tls->protocol);
    set_text(L, "server_name", tls->server_name);
    set_text(L, "client_subject", tls->client_subject);
    set_text(L, "client_common_name", tls->client_common_name);
    set_text(L, "client_fingerprint", tls->client_fingerprint);
    if (!tls->client_names) return 1;
    lua_newtable(L);
    for (int i = 0; tls->client_names[i]; i++) {
        lua_pushstring(L, tls->client_names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "client_names");
    return 1;
}

/* The script's own table is the userdata's environment: it lives as long as whoever can still reach it. */
static int push_ctx(lua_State *L, struct stream *stream) {
    if (!stream->has_ctx) {
        lua_newtable(L);
        lua_setfenv(L, 1);
        stream->has_ctx = true;
    }
    lua_getfenv(L, 1);
    return 1;
}

static int push_property(lua_State *L, struct stream *stream, enum property property) {
    struct call *call = stream->call;
    if (property == ID) {
        lua_pushnumber(L, (double)stream->id);
        return 1;
    }
    if (!stream->handler) return luaL_error(L, "stream.%s: the stream has closed", lua_tostring(L, 2));
    if (property == SERVICE) {
        lua_pushstring(L, stream->handler->method->service->full_name);
        return 1;
    }
    if (property == METHOD) {
        lua_pushstring(L, stream->handler->method->name);
        return 1;
    }
    if (property == UPSTREAM && stream->filter) return filter_push_upstream(L, stream->filter);
    if (property == UPSTREAM) return bind_client_push_upstream(L, script_of(L), stream);
    if (!call) return luaL_error(L, "stream.%s: the stream is not open yet", lua_tostring(L, 2));
    switch (property) {
    case PEER:
        lua_pushstring(L, call_peer(call));
        return 1;
    case PROTOCOL:
        lua_pushstring(L, call_protocol(call));
        return 1;
    case NODE:
        lua_pushstring(L, call_node(call));
        return 1;
    case TLS:
        return push_tls(L, call_tls(call));
    case COMPRESSED:
        lua_pushboolean(L, call->took_compressed);
        return 1;
    default:
        lua_pushboolean(L, call_is_draining(call));
        return 1;
    }
}

/* The metatable is locked, so the first argument is a stream. Lua keeps one copy of each string: ctx, which hooks
 * read for every message, is known by its address. */
static int stream_index(lua_State *L) {
    const struct script *script = script_of(L);
    if (lua_topointer(L, 2) == script->ctx_name) return push_ctx(L, lua_touserdata(L, 1));
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    if (lua_type(L, -1) == LUA_TFUNCTION) return 1;
    if (lua_type(L, -1) != LUA_TNUMBER)
        return names_raise_unknown(L, "a stream", 2, lua_upvalueindex(2),
                                   "; what is the script's own goes to stream.ctx");
    script_settle(script_of(L));
    return push_property(L, lua_touserdata(L, 1), (enum property)lua_tointeger(L, -1));
}

static int stream_newindex(lua_State *L) {
    struct stream *stream = check_stream(L, 1, "a stream");
    const char *name = lua_tostring(L, 2);
    if (lua_topointer(L, 2) != script_of(L)->ctx_name)
        return luaL_error(L, "stream.%s cannot be set; what is the script's own goes to stream.ctx",
                          name ? name : "?");
    if (!lua_istable(L, 3)) return luaL_error(L, "stream.ctx is a table, not a %s", luaL_typename(L, 3));
    lua_pushvalue(L, 3);
    lua_setfenv(L, 1);
    stream->has_ctx = true;
    return 0;
}

static int stream_tostring(lua_State *L) {
    const struct stream *stream = check_stream(L, 1, "a stream");
    char *text = stream->handler ? memory_format("stream %llu (%s)", (unsigned long long)stream->id,
                                              stream->handler->method->full_name)
                              : memory_format("stream %llu (closed)", (unsigned long long)stream->id);
    lua_pushstring(L, text);
    free(text);
    return 1;
}

static int remaining(lua_State *L) {
    const struct stream *stream = check_stream(L, 1, "stream:remaining()");
    if (!stream->call || !stream->call->deadline) {
        lua_pushnil(L);
        return 1;
    }
    uint64_t now = loop_now(script_of(L)->host.loop), deadline = stream->call->deadline;
    lua_pushnumber(L, deadline > now ? (double)(deadline - now) / NS_PER_S : 0);
    return 1;
}

void bind_stream_properties(lua_State *L, struct script *script) {
    set_functions(L, script, (const luaL_Reg[]){{"remaining", remaining}, {NULL, NULL}});
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        lua_pushinteger(L, properties[i].property);
        lua_setfield(L, -2, properties[i].name);
    }
    lua_pushliteral(L, "ctx"); /* kept by the table, as its key */
    script->ctx_name = lua_topointer(L, -1);
    lua_pop(L, 1);
    const luaL_Reg with_members[] = {
        {"__index", stream_index}, {"__newindex", stream_newindex}, {"__tostring", stream_tostring}};
    for (size_t i = 0; i < 3; i++) {
        lua_pushlightuserdata(L, script);
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, with_members[i].func, 2);
        lua_setfield(L, -3, with_members[i].name);
    }
    lua_pop(L, 1);
}
