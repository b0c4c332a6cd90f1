/* script/bind.c - see bind.h */
#include "script/bind.h"

#include <string.h>

#include "schema/codec.h"
#include "script/answer.h"
#include "script/bind_client.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/job.h"
#include "script/message.h"
#include "script/names.h"
#include "script/projected.h"
#include "script/sandbox.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/subscriber.h"

static int not_served(lua_State *L) { return raise_not_served(L, lua_tostring(L, lua_upvalueindex(1))); }

/* Of later versions: using one says so. */
static const char *const later_tables[] = {"metrics", "http", NULL};

static void push_not_served(lua_State *L, const char *name) {
    lua_pushfstring(L, "tidewire.%s", name);
    lua_pushcclosure(L, not_served, 1);
}

static void add_later(lua_State *L) {
    for (size_t i = 0; later_tables[i]; i++) {
        lua_newtable(L);
        push_locked_metatable(L);
        push_not_served(L, later_tables[i]);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__newindex");
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__call");
        lua_setfield(L, -2, "__index");
        lua_setmetatable(L, -2);
        lua_setfield(L, -2, later_tables[i]);
    }
}

/* (name); upvalues: the script, and this copy's table of the enums that were asked for. */
static int enumeration(lua_State *L) {
    static const char signature[] = "tidewire.enum(name)";
    if (lua_type(L, 1) != LUA_TSTRING) return raise_misuse(L, signature);
    struct twl_schema *messages = check_generation(L, script_of(L), signature)->messages;
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_rawget(L, lua_upvalueindex(2));
    if (!lua_isnil(L, -1)) return 1;
    twl_enum_push(L, messages, lua_tostring(L, 1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(2));
    return 1;
}

static int set_health(lua_State *L) {
    struct script *script = script_of(L);
    if (lua_type(L, 1) != LUA_TSTRING || !lua_isboolean(L, 2))
        return raise_misuse(L, "tidewire.set_health(service, is_serving): \"\" is the whole server");
    if (!script->running)
        return luaL_error(L, "tidewire.set_health: load code cannot set it, since a refused script has done nothing: "
                             "call it in tidewire.spawn(function() … end)");
    size_t length;
    const char *service = lua_tolstring(L, 1, &length);
    if (strlen(service) != length || !codec_is_utf8(service, length))
        return luaL_error(L, "tidewire.set_health: the name of a service is text");
    script->host.set_health(script->host.context, service, lua_toboolean(L, 2));
    return 0;
}

static void add_worker(lua_State *L, const struct script *script) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)script->host.worker);
    lua_setfield(L, -2, "id");
    lua_pushinteger(L, (lua_Integer)script->host.worker_count);
    lua_setfield(L, -2, "count");
    names_close(L, "tidewire.worker");
    lua_setfield(L, -2, "worker");
}

static void add_enum(lua_State *L, struct script *script) {
    lua_pushlightuserdata(L, script);
    lua_newtable(L);
    lua_pushcclosure(L, enumeration, 2);
    lua_setfield(L, -2, "enum");
}

void bind_open(struct script *script) {
    bind_stream_open(script);
    answers_open_state(script);
    fibers_open_state(script);
    projected_open_state(script);
    bind_failure_open(script);
    bind_job_open(script);
    bind_topic_open(script);
    bind_json_open(script);
    bind_dict_open(script);
    bind_peer_open(script);
    bind_channel_open(script);
    bind_semaphore_open(script);
    bind_limit_open(script);
}

static const struct twl_message_options *options_of_file(const struct generation *generation,
                                                         const struct script_file *file) {
    for (size_t i = 0; i < generation->service_count; i++)
        if (generation->services[i].file == file) return &generation->services[i].options;
    return &generation->options;
}

static void add_message(lua_State *L, struct generation *generation, const struct script_file *file) {
    twl_message_library(L, generation->messages, options_of_file(generation, file));
    names_close(L, "tidewire.message");
    lua_setfield(L, -2, "message");
}

void bind_push_tidewire(struct script *script, lua_State *L, const struct script_file *file) {
    lua_newtable(L);
    bind_failure_add(L, script);
    bind_job_add(L, script);
    bind_time_add(L, script);
    bind_topic_add(L, script);
    bind_bus_add(L, script);
    bind_log_add(L, script);
    bind_json_add(L, script);
    bind_dict_add(L, script);
    bind_client_add(L, script, file);
    bind_peer_add(L, script, file);
    bind_channel_add(L, script);
    bind_semaphore_add(L, script);
    bind_limit_add(L, script);
    set_functions(L, script, (const luaL_Reg[]){{"set_health", set_health}, {NULL, NULL}});
    lua_pushcfunction(L, twl_project);
    lua_setfield(L, -2, "project");
    add_enum(L, script);
    add_worker(L, script);
    add_message(L, script_generation(script), file);
    add_later(L);
    names_close(L, "tidewire");
}
