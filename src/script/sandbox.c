/* script/sandbox.c - see sandbox.h */
#include "script/sandbox.h"

#include <luajit-2.1/lualib.h>
#include <stdlib.h>
#include <string.h>

#include "script/bind.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/loader.h"
#include "script/state.h"

#define MOST_REPEATED (64 << 20) /* bytes that one string.rep may make */

/* ---- functions that stand in for the standard ones ---- */

/* As the original, but a position inside the Lua half's guards is no position of the script. */
RAISES static int sandbox_error(lua_State *L) {
    int level = luaL_optint(L, 2, 1);
    lua_Debug debug;
    lua_settop(L, 1);
    if (lua_type(L, 1) != LUA_TSTRING || level <= 0) return lua_error(L);
    if (!lua_getstack(L, level, &debug) || !lua_getinfo(L, "Sl", &debug)) return lua_error(L);
    if (debug.currentline <= 0 || strncmp(debug.source, "=tidewire", 9) == 0) return lua_error(L);
    lua_pushfstring(L, "%s:%d: %s", debug.short_src, debug.currentline, lua_tostring(L, 1));
    return lua_error(L);
}

static int sandbox_collectgarbage(lua_State *L) {
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "count") != 0)
        return luaL_error(
            L, "collectgarbage(\"%s\"): the gateway runs the collector; only \"count\" is for scripts", what);
    lua_pushnumber(L, lua_gc(L, LUA_GCCOUNT, 0) + lua_gc(L, LUA_GCCOUNTB, 0) / 1024.0);
    return 1;
}

static int bounded_rep(lua_State *L) {
    size_t length, separator = 0;
    luaL_checklstring(L, 1, &length);
    double count = luaL_checknumber(L, 2);
    if (!lua_isnoneornil(L, 3)) luaL_checklstring(L, 3, &separator);
    if (count > 0 && count * (double)(length + separator) > MOST_REPEATED)
        return luaL_error(L, "string.rep: the result would be larger than %d MiB", MOST_REPEATED >> 20);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* Yielding is for coroutines that the script has made: the gateway's own wait through tidewire's functions.
 */
static int sandbox_yield(lua_State *L) {
    struct script *script = script_of(L);
    if (script->running && script->running->L == L)
        return luaL_error(L, "coroutine.yield outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int sandbox_running(lua_State *L) {
    struct script *script = script_of(L);
    if (lua_pushthread(L) || (script->running && script->running->L == L)) lua_pushnil(L);
    return 1;
}

static int unknown_global(lua_State *L) {
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    return luaL_error(L, "writing the unknown global \"%s\": declare it with local", name);
}

/* ---- load and require ---- */

int sandbox_load(lua_State *L, const char *text, size_t length, const char *name, int environment,
                 bool is_jit) {
    if (environment < 0) environment += lua_gettop(L) + 1;
    int status = luaL_loadbufferx(L, text, length, name, "t");
    if (status) return status;
    lua_pushvalue(L, environment);
    lua_setfenv(L, -2);
    if (!is_jit) luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    return 0;
}

/* Leaves the pieces that the function at 1 gives, concatenated, in its place. */
static void read_pieces(lua_State *L) {
    luaL_Buffer pieces;
    luaL_buffinit(L, &pieces);
    for (;;) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1) || (lua_isstring(L, -1) && lua_objlen(L, -1) == 0)) break;
        if (!lua_isstring(L, -1)) luaL_error(L, "load: the reader must return strings");
        luaL_addvalue(&pieces);
    }
    lua_pop(L, 1);
    luaL_pushresult(&pieces);
    lua_replace(L, 1);
}

/* load(text or function[, name[, mode[, environment]]]); upvalues: script, the file's environment, is_jit */
static int load(lua_State *L) {
    lua_settop(L, 4);
    if (lua_isfunction(L, 1)) {
        read_pieces(L);
        if (lua_isnil(L, 2)) {
            lua_pushliteral(L, "=(load)");
            lua_replace(L, 2);
        }
    }
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    const char *name = lua_isnil(L, 2) ? text : luaL_checkstring(L, 2);
    if (lua_isnil(L, 4)) {
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_replace(L, 4);
    }
    luaL_checktype(L, 4, LUA_TTABLE);
    if (sandbox_load(L, text, length, name, 4, lua_toboolean(L, lua_upvalueindex(3))) == 0) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int loadstring(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 2);
    return load(L);
}

/* ---- the environment ---- */

static void close_the_real_libraries(struct script *script) {
    lua_State *L = script->L;
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_getfield(L, -1, "rep");
    lua_pushcclosure(L, bounded_rep, 1);
    lua_setfield(L, -2, "rep");
    lua_pop(L, 1);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable"); /* its __index is the real table of string functions */
    lua_pop(L, 2);
    lua_pushnil(L);
    lua_setglobal(L, "newproxy");
}

void sandbox_open(struct script *script) {
    lua_State *L = script->L;
    luaL_openlibs(L);
    close_the_real_libraries(script);
    /* Room for the traces of many handlers: with the defaults 64 busy methods already evict one another. */
    if (luaL_dostring(L, "jit.opt.start('maxtrace=8000', 'maxrecord=16000', 'maxmcode=40960')")) abort();
}

static const char *const plain_functions[] = {
    "assert", "getmetatable", "ipairs",   "next",     "pairs", "rawequal", "rawget",   "rawset",
    "select", "setmetatable", "tonumber", "tostring", "type",  "unpack",   "_VERSION", NULL};
static const char *const whole_libraries[] = {"string", "table", "math", "bit", NULL};
static const char *const os_functions[] = {"time", "date", "clock", "difftime", "getenv", NULL};
static const char *const debug_functions[] = {"traceback", NULL};
static const char *const guarded[] = {"pcall", "xpcall", NULL};

/* From the table below the top to the table at the top. */
static void copy_names(lua_State *L, const char *const *names) {
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
}

static void copy_all(lua_State *L) {
    for (lua_pushnil(L); lua_next(L, -3);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* Puts a copy of the library's functions (all, or those named) into the environment at the top. */
static void add_library(lua_State *L, const char *name, const char *const *names) {
    lua_getglobal(L, name);
    lua_newtable(L);
    if (names)
        copy_names(L, names);
    else
        copy_all(L);
    lua_remove(L, -2);
    lua_setfield(L, -2, name);
}

static void add_guarded(lua_State *L, struct script *script) {
    push_ref(L, script->ref.guard);
    lua_pushvalue(L, -2);
    copy_names(L, guarded);
    lua_pop(L, 1);
    lua_getfield(L, -1, "coroutine");
    lua_newtable(L);
    copy_all(L);
    lua_remove(L, -2);
    set_functions(L, script,
                  (const luaL_Reg[]){{"yield", sandbox_yield}, {"running", sandbox_running}, {NULL, NULL}});
    lua_setfield(L, -3, "coroutine");
    lua_pop(L, 1);
}

static int require(lua_State *L) {
    return loader_require(L, script_of(L), lua_touserdata(L, lua_upvalueindex(2)), lua_upvalueindex(3));
}

static void add_loading(lua_State *L, struct script *script, struct script_file *file) {
    const luaL_Reg loads[] = {{"load", load}, {"loadstring", loadstring}};
    for (int i = 0; i < 2; i++) {
        lua_pushlightuserdata(L, script);
        lua_pushvalue(L, -2);
        lua_pushboolean(L, file->is_jit);
        lua_pushcclosure(L, loads[i].func, 3);
        lua_setfield(L, -2, loads[i].name);
    }
    lua_pushlightuserdata(L, script);
    lua_pushlightuserdata(L, file);
    lua_pushnil(L);
    lua_pushcclosure(L, require, 3);
    lua_setfield(L, -2, "require");
}

void sandbox_push_environment(struct script *script, lua_State *L, struct script_file *file) {
    lua_newtable(L);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_pushvalue(L, -2);
    copy_names(L, plain_functions);
    lua_pop(L, 2);
    for (size_t i = 0; whole_libraries[i]; i++) add_library(L, whole_libraries[i], NULL);
    add_library(L, "os", os_functions);
    add_library(L, "debug", debug_functions);
    add_guarded(L, script);
    add_loading(L, script, file);
    set_functions(L, script,
                  (const luaL_Reg[]){{"error", sandbox_error},
                                     {"collectgarbage", sandbox_collectgarbage},
                                     {"print", bind_print},
                                     {NULL, NULL}});
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    push_locked_metatable(L);
    lua_pushcfunction(L, unknown_global);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
}
