/* script/enum.c - `tidewire.enum "pkg.Level"`: names to numbers and back, in one plain table. */
#include <luajit-2.1/lauxlib.h>

#include "base/memory.h"
#include "script/message_private.h"

/* Upvalues: the enum_type and the schema that keeps it. */
static int unknown_value(lua_State *L) {
    const struct enum_type *type = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_type(L, 2) == LUA_TNUMBER)
        return luaL_error(L, "%s has no value %f", type->full_name, lua_tonumber(L, 2));
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "%s: a value is a name or a number, not a %s", type->full_name, luaL_typename(L, 2));
    const char *name = lua_tostring(L, 2);
    const char **names = lua_newuserdata(L, (type->value_count + 1) * sizeof *names);
    for (size_t i = 0; i < type->value_count; i++) names[i] = type->values[i].name;
    names[type->value_count] = NULL;
    const char *nearest = error_nearest(name, names);
    if (nearest) return luaL_error(L, "%s has no value \"%s\" (did you mean \"%s\"?)", type->full_name, name, nearest);
    return luaL_error(L, "%s has no value \"%s\"", type->full_name, name);
}

static int refuse_write(lua_State *L) {
    const struct enum_type *type = lua_touserdata(L, lua_upvalueindex(1));
    return luaL_error(L, "%s is an enum: its values cannot be set", type->full_name);
}

static void set_metamethod(lua_State *L, const char *name, lua_CFunction function, const struct enum_type *type,
                           const struct twl_schema *schema) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)type);
    lua_rawgeti(L, LUA_REGISTRYINDEX, schema->self);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

static void push_new(lua_State *L, struct twl_schema *schema, const struct enum_type *type) {
    lua_createtable(L, 0, (int)type->value_count * 2);
    for (size_t i = 0; i < type->value_count; i++) {
        lua_pushnumber(L, type->values[i].number);
        lua_setfield(L, -2, type->values[i].name);
        /* Of two names for a number the first stands. */
        lua_pushnumber(L, type->values[i].number);
        lua_pushstring(L, enum_name(type, type->values[i].number));
        lua_rawset(L, -3);
    }
    lua_createtable(L, 0, 3);
    set_metamethod(L, "__index", unknown_value, type, schema);
    set_metamethod(L, "__newindex", refuse_write, type, schema);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

void twl_enum_push(lua_State *L, struct twl_schema *schema, const char *full_name) {
    const struct enum_type *type = schema_enum(schema->schema, full_name);
    if (type) {
        push_new(L, schema, type);
        return;
    }
    const char *nearest = schema_nearest_enum(schema->schema, full_name);
    if (nearest)
        luaL_error(L, "no enum \"%s\" in the loaded .proto files (did you mean \"%s\"?)", full_name, nearest);
    luaL_error(L, "no enum \"%s\" in the loaded .proto files", full_name);
}
