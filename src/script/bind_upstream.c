/* script/bind_upstream.c - stream.upstream of a filter, and stream:set_upstream(): which server gets the call, and with
 * what metadata. */
#include "rpc/metadata.h"
#include "script/bind_client.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/userdata.h"
#include "upstream/upstream.h"

/* stream.upstream. */
struct upstream_object {
    struct filter *filter; /* NULL: closed */
};

int filter_push_upstream(lua_State *L, struct filter *filter) {
    struct script *script = filter->generation->script;
    if (filter->upstream_object == LUA_NOREF) {
        struct upstream_object *object = userdata_new(L, script->ref.upstream_meta, sizeof *object);
        object->filter = filter;
        filter->upstream_object = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    push_ref(L, filter->upstream_object);
    return 1;
}

void filter_forget_upstream(struct filter *filter) {
    lua_State *L = filter->generation->script->L;
    if (filter->upstream_object == LUA_NOREF) return;
    push_ref(L, filter->upstream_object);
    struct upstream_object *object = lua_touserdata(L, -1);
    object->filter = NULL;
    lua_pop(L, 1);
    drop_ref(L, &filter->upstream_object);
}

static struct metadata *check_metadata(lua_State *L, const char *signature) {
    struct script *script = script_of(L);
    script_settle(script);
    struct upstream_object *object = userdata_check(L, script->ref.upstream_meta, signature);
    struct metadata *metadata = object->filter ? filter_metadata(object->filter) : NULL;
    if (!metadata)
        luaL_error(L, "%s: the metadata has left for the upstream (once on_open has returned; for a method with one "
                      "request, with that request)", signature);
    return metadata;
}

static const char *check_name(lua_State *L, const char *signature, size_t *length) {
    if (lua_type(L, 2) != LUA_TSTRING) raise_misuse(L, signature);
    return lua_tolstring(L, 2, length);
}

typedef enum metadata_fault write_fn(struct metadata *metadata, const char *name, size_t name_length,
                                     const char *value, size_t value_length);

static int write_header(lua_State *L, write_fn *write, const char *signature) {
    size_t name_length, value_length;
    struct metadata *metadata = check_metadata(L, signature);
    const char *name = check_name(L, signature, &name_length);
    if (!lua_isstring(L, 3)) return raise_misuse(L, signature);
    const char *value = lua_tolstring(L, 3, &value_length);
    enum metadata_fault fault = write(metadata, name, name_length, value, value_length);
    if (fault != METADATA_OK) return luaL_error(L, "%s: \"%s\": %s", signature, name, metadata_fault_text(fault));
    return 0;
}

static int set_header(lua_State *L) {
    return write_header(L, metadata_set, "stream.upstream:set_header(name, value)");
}
static int add_header(lua_State *L) {
    return write_header(L, metadata_add, "stream.upstream:add_header(name, value)");
}

static int remove_header(lua_State *L) {
    static const char signature[] = "stream.upstream:remove_header(name)";
    size_t length;
    struct metadata *metadata = check_metadata(L, signature);
    const char *name = check_name(L, signature, &length);
    metadata_remove(metadata, name, length);
    return 0;
}

static int set_upstream(lua_State *L) {
    static const char signature[] = "stream:set_upstream(name)";
    script_settle(script_of(L));
    struct stream *stream = check_stream(L, 1, signature);
    if (lua_type(L, 2) != LUA_TSTRING) return raise_misuse(L, signature);
    struct filter *filter = stream->filter;
    if (!stream->call) return luaL_error(L, "%s: the stream has closed", signature);
    if (!filter) return luaL_error(L, "%s: the service has no upstream", signature);
    if (filter->is_connected) return luaL_error(L, "%s: the call has left for its upstream", signature);
    filter->upstream = check_upstream(L, filter->generation, lua_tostring(L, 2));
    return 0;
}

static int forget(lua_State *L) {
    (void)L;
    return 0;
}

void bind_upstream_functions(lua_State *L, struct script *script) {
    static const luaL_Reg functions[] = {{"set_header", set_header},
                                         {"add_header", add_header},
                                         {"remove_header", remove_header},
                                         {NULL, NULL}};
    script->ref.upstream_meta = userdata_class(script, "the upstream of a filter", functions, forget);
    set_functions(L, script, (const luaL_Reg[]){{"set_upstream", set_upstream}, {NULL, NULL}});
}
