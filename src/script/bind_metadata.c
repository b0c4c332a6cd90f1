/* script/bind_metadata.c - stream:metadata…, headers and trailers. */
#include "rpc/metadata.h"

#include "script/bind_stream.h"
#include "script/state.h"
#include "script/stream.h"

/* ---- the peer's ---- */

static struct stream *check_live(lua_State *L, const char *signature) {
    struct stream *stream = check_stream(L, 1, signature);
    script_settle(script_of(L));
    if (!stream->handler) luaL_error(L, "%s: the stream has closed", signature);
    return stream;
}

static const struct metadata *check_metadata(lua_State *L, const char *signature) {
    static const struct metadata none;
    const struct call *call = check_live(L, signature)->call;
    return call && call->metadata ? call->metadata : &none;
}

static const char *check_name(lua_State *L, const char *signature, size_t *length) {
    if (lua_type(L, 2) != LUA_TSTRING) raise_misuse(L, signature);
    return lua_tolstring(L, 2, length);
}

int push_metadata_map(lua_State *L, const struct metadata *metadata) {
    lua_createtable(L, 0, (int)metadata->count);
    for (size_t i = 0; i < metadata->count; i++) {
        const struct metadata_entry *entry = &metadata->entries[i];
        lua_pushlstring(L, entry->name, entry->name_length);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5);
        }
        lua_pushlstring(L, entry->value, entry->value_length);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
        lua_pop(L, 2);
    }
    return 1;
}

static int metadata_first(lua_State *L) {
    static const char signature[] = "stream:metadata([name])";
    const struct metadata *metadata = check_metadata(L, signature);
    if (lua_isnoneornil(L, 2)) return push_metadata_map(L, metadata);
    size_t length, place = 0;
    const char *name = check_name(L, signature, &length);
    const struct metadata_entry *entry = metadata_find(metadata, name, length, &place);
    if (entry) lua_pushlstring(L, entry->value, entry->value_length);
    else lua_pushnil(L);
    return 1;
}

static int metadata_all(lua_State *L) {
    static const char signature[] = "stream:metadata_all(name)";
    const struct metadata *metadata = check_metadata(L, signature);
    size_t length, place = 0;
    const char *name = check_name(L, signature, &length);
    const struct metadata_entry *entry;
    lua_newtable(L);
    for (int i = 1; (entry = metadata_find(metadata, name, length, &place)); i++) {
        lua_pushlstring(L, entry->value, entry->value_length);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* ---- ours ---- */

typedef enum metadata_fault write_fn(struct metadata *metadata, const char *name, size_t name_length,
                                     const char *value, size_t value_length);

static int write_metadata(lua_State *L, struct metadata *metadata, write_fn *write, const char *signature) {
    size_t name_length, value_length;
    const char *name = check_name(L, signature, &name_length);
    if (!lua_isstring(L, 3)) return raise_misuse(L, signature);
    const char *value = lua_tolstring(L, 3, &value_length);
    enum metadata_fault fault = write(metadata, name, name_length, value, value_length);
    if (fault != METADATA_OK)
        return luaL_error(L, "%s: \"%s\": %s", signature, name, metadata_fault_text(fault));
    return 0;
}

/* The metadata that a stream.upstream will be opened with. */
static struct metadata *check_planned(lua_State *L, struct stream *stream, const char *signature) {
    if (!client_is_planned(stream))
        luaL_error(L, "%s: the call has been opened, with its metadata: tidewire.open() takes { metadata = … }",
                   signature);
    return client_metadata(stream);
}

static int write_header(lua_State *L, write_fn *write, const char *signature) {
    struct stream *stream = check_live(L, signature);
    if (stream->is_over) return luaL_error(L, "%s: the stream is over", signature);
    if (stream->is_client) return write_metadata(L, check_planned(L, stream, signature), write, signature);
    if (call_headers_are_sent(stream->call))
        return luaL_error(
            L, "%s: the headers have left (with the first message, or when the handler first waited)",
            signature);
    return write_metadata(L, call_headers(stream->call), write, signature);
}

static int write_trailer(lua_State *L, write_fn *write, const char *signature) {
    struct stream *stream = check_live(L, signature);
    if (stream->is_over) return luaL_error(L, "%s: the stream is over", signature);
    if (stream->is_client) return luaL_error(L, "%s: only the server of a call sends trailers", signature);
    return write_metadata(L, call_trailers(stream->call), write, signature);
}

static int set_header(lua_State *L) {
    return write_header(L, metadata_set, "stream:set_header(name, value)");
}
static int add_header(lua_State *L) {
    return write_header(L, metadata_add, "stream:add_header(name, value)");
}
static int set_trailer(lua_State *L) {
    return write_trailer(L, metadata_set, "stream:set_trailer(name, value)");
}
static int add_trailer(lua_State *L) {
    return write_trailer(L, metadata_add, "stream:add_trailer(name, value)");
}

static int remove_header(lua_State *L) {
    static const char signature[] = "stream.upstream:remove_header(name)";
    struct stream *stream = check_live(L, signature);
    size_t length;
    const char *name = check_name(L, signature, &length);
    if (!stream->is_client) return luaL_error(L, "%s: a header that is not set need not be removed", signature);
    metadata_remove(check_planned(L, stream, signature), name, length);
    return 0;
}

static int send_headers(lua_State *L) {
    struct stream *stream = check_live(L, "stream:send_headers()");
    if (stream->is_client) client_open(stream);
    else stream_send_headers(stream);
    return 0;
}

static int hold_headers(lua_State *L) {
    static const char signature[] = "stream:hold_headers()";
    struct stream *stream = check_live(L, signature);
    if (stream->is_client) return luaL_error(L, "%s: is for the stream that a handler answers", signature);
    if (stream->filter) return luaL_error(L, "%s: the headers of this stream leave when its upstream's have come", signature);
    stream->headers_are_due = false;
    return 0;
}

void bind_metadata_functions(lua_State *L, struct script *script) {
    set_functions(L, script,
                  (const luaL_Reg[]){{"metadata", metadata_first},
                                     {"metadata_all", metadata_all},
                                     {"set_header", set_header},
                                     {"add_header", add_header},
                                     {"set_trailer", set_trailer},
                                     {"add_trailer", add_trailer},
                                     {"remove_header", remove_header},
                                     {"send_headers", send_headers},
                                     {"hold_headers", hold_headers},
                                     {NULL, NULL}});
}
