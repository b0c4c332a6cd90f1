/* script/names.c - see names.h */
#include "script/names.h"

#include <string.h>

#include "base/error.h"
#include "script/state.h"

enum { MOST_WORDS = 64 };

int names_raise_missing(lua_State *L, const char *prefix, const char *name, const char *const *words) {
    const char *nearest = error_nearest(name, words);
    if (nearest) return luaL_error(L, "%s \"%s\" (did you mean \"%s\"?)", prefix, name, nearest);
    return luaL_error(L, "%s \"%s\"", prefix, name);
}

int names_raise_unknown(lua_State *L, const char *what, int index, int words, const char *hint) {
    if (lua_type(L, index) != LUA_TSTRING)
        return luaL_error(L, "%s has names, not a %s", what, luaL_typename(L, index));
    const char *list[MOST_WORDS + 1], *name = lua_tostring(L, index);
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, words); lua_pop(L, 1))
        if (count < MOST_WORDS && lua_type(L, -2) == LUA_TSTRING)
            list[count++] = lua_tostring(L, -2); /* the table keeps it */
    list[count] = NULL;
    const char *nearest = error_nearest(name, list);
    if (nearest) return luaL_error(L, "%s has no \"%s\" (did you mean \"%s\"?)", what, name, nearest);
    return luaL_error(L, "%s has no \"%s\"%s", what, name, hint ? hint : "");
}

/* (table, name), for __index and __newindex; upvalue: what the table is. */
static int unknown_name(lua_State *L) {
    return names_raise_unknown(L, lua_tostring(L, lua_upvalueindex(1)), 2, 1, NULL);
}

void names_close(lua_State *L, const char *what) {
    push_locked_metatable(L);
    lua_pushstring(L, what);
    lua_pushcclosure(L, unknown_name, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__newindex");
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

static bool is_one_of(const char *word, const char *const *words) {
    for (; *words; words++)
        if (strcmp(word, *words) == 0) return true;
    return false;
}

void names_check_options(lua_State *L, int index, const char *const *names, const char *signature) {
    if (lua_isnoneornil(L, index)) return;
    if (!lua_istable(L, index)) raise_misuse(L, signature);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) raise_misuse(L, signature);
        const char *name = lua_tostring(L, -2);
        if (is_one_of(name, names)) continue;
        const char *nearest = error_nearest(name, names);
        if (nearest) luaL_error(L, "there is no option \"%s\" (did you mean \"%s\"?): expected %s", name, nearest, signature);
        luaL_error(L, "there is no option \"%s\": expected %s", name, signature);
    }
}
