/* script/userdata.c - see userdata.h */
#include "script/userdata.h"

#include "script/names.h"
#include "script/state.h"

int userdata_class(struct script *script, const char *what, const luaL_Reg *functions, lua_CFunction forget) {
    lua_State *L = script->L;
    push_locked_metatable(L);
    lua_newtable(L);
    set_functions(L, script, functions);
    names_close(L, what);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, forget);
    lua_setfield(L, -2, "__gc");
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void *userdata_new(lua_State *L, int class, size_t size) {
    void *object = lua_newuserdata(L, size);
    push_ref(L, class);
    lua_setmetatable(L, -2);
    return object;
}

void *userdata_check(lua_State *L, int class, const char *signature) {
    void *object = lua_touserdata(L, 1);
    push_ref(L, class);
    if (!object || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, -2)) raise_misuse(L, signature);
    lua_pop(L, 2);
    return object;
}

static int constant_tostring(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

int userdata_constant(lua_State *L, const char *text) {
    lua_newuserdata(L, 0);
    push_locked_metatable(L);
    lua_pushstring(L, text);
    lua_pushcclosure(L, constant_tostring, 1);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}
