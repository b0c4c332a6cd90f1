/* script/loader.c - see loader.h */
#include "script/loader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/config.h"
#include "script/bind.h"
#include "script/fiber.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/sandbox.h"
#include "script/pump.h"
#include "script/state.h"

static const char loading_mark; /* stands in the table of modules while one is loaded */

/* Pushes the file's text, or returns errno. Nothing in here raises while the file is open. */
static int push_file(lua_State *L, const char *path) {
    struct buffer text = {0};
    FILE *file = fopen(path, "rbe");
    if (!file) return errno;
    size_t length;
    do {
        length = fread(buffer_reserve(&text, 16384), 1, 16384, file);
        buffer_commit(&text, length);
    } while (length);
    int fault = ferror(file) ? errno : 0;
    fclose(file);
    if (!fault) lua_pushlstring(L, (const char *)buffer_bytes(&text), buffer_length(&text));
    buffer_free(&text);
    return fault;
}

/* ---- errors as people read them ---- */

/* Messages call a file by its short name; people open it by its path. */
static bool explain(const struct generation *generation, const struct script_file *file, const char *text,
                    struct error *error) {
    const char *colon = strchr(text, ':');
    char *end = NULL;
    long line = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || end == colon + 1 || end[0] != ':' || end[1] != ' ' || *text == '[' || *text == '.')
        return error_at(error, file->path, 0, "%s", text);
    size_t length = (size_t)(colon - text);
    for (const struct script_file *f = generation->files; f; f = f->next)
        if (strlen(f->name) == length && memcmp(f->name, text, length) == 0)
            return error_at(error, f->path, (int)line, "%s", end + 2);
    char *path = memory_format("%s/%.*s", generation->config->script_path, (int)length, text);
    error_at(error, path, (int)line, "%s", end + 2);
    free(path);
    return false;
}

static bool explain_top(struct generation *generation, const struct script_file *file, struct error *error) {
    lua_State *L = generation->script->L;
    explain(generation, file, push_error_text(generation->script, L, -1), error);
    lua_pop(L, 2);
    return false;
}

/* ---- scripts ---- */

/* Load code has the same budget as a handler. */
static int call_watched(struct generation *generation, const struct script_file *file) {
    struct script *script = generation->script;
    const struct origin origin = {.file = file->name};
    watchdog_enter(&script->watchdog, generation->budget, &origin);
    int status = lua_pcall(script->L, 0, 1, 0);
    watchdog_leave(&script->watchdog);
    script_settle(script);
    return status;
}

static bool run_file(struct generation *generation, struct script_file *file, struct error *error) {
    struct script *script = generation->script;
    lua_State *L = script->L;
    int fault = push_file(L, file->path);
    if (fault) return error_at(error, file->path, 0, "cannot read the script: %s", strerror(fault));
    script->loading_file = file;
    sandbox_push_environment(script, L, file);
    size_t length;
    const char *text = lua_tolstring(L, -2, &length);
    lua_pushfstring(L, "@%s", file->name);
    int status = sandbox_load(L, text, length, lua_tostring(L, -1), -2, file->is_jit);
    if (!status) status = call_watched(generation, file);
    lua_replace(L, -4);
    lua_pop(L, 2);
    if (status) return explain_top(generation, file, error);
    if (!lua_istable(L, -1)) {
        error_at(error, file->path, 0,
                 "a script returns a table with an entry for each method, this one returned %s",
                 luaL_typename(L, -1));
        lua_pop(L, 1);
        return false;
    }
    file->table = luaL_ref(L, LUA_REGISTRYINDEX);
    return true;
}

bool loader_run_files(struct generation *generation, struct error *error) {
    bool is_fine = true;
    for (struct script_file *file = generation->files; file && is_fine; file = file->next)
        is_fine = run_file(generation, file, error);
    generation->script->loading_file = NULL;
    return is_fine;
}

/* ---- modules ---- */

static bool is_module_name(const char *name) {
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    for (;;) {
        size_t length = strspn(name, word);
        if (!length) return false;
        name += length;
        if (!*name) return true;
        if (*name++ != '.') return false;
    }
}

/* The table of modules is at -1; leaves the module's value at the top. */
static void load_module(lua_State *L, struct generation *generation, struct script_file *file,
                        const char *name) {
    const char *relative = luaL_gsub(L, name, ".", "/");
    const char *path = lua_pushfstring(L, "%s/%s.lua", generation->config->script_path, relative);
    int fault = push_file(L, path);
    if (fault) luaL_error(L, "module \"%s\" cannot be read from %s: %s", name, path, strerror(fault));
    sandbox_push_environment(generation->script, L, file);
    size_t length;
    const char *text = lua_tolstring(L, -2, &length);
    const char *chunk = lua_pushfstring(L, "@%s.lua", relative);
    if (sandbox_load(L, text, length, chunk, -2, file->is_jit)) lua_error(L);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
}

/* A script may have kept its `require` somehow until its file is gone. */
static struct script_file *check_file(lua_State *L, const struct generation *generation, struct script_file *file) {
    for (struct script_file *each = generation->files; each; each = each->next)
        if (each == file) return file;
    luaL_error(L, "require: this function is of scripts that are no longer in force");
    return NULL;
}

/* Pushes the API for the environment whose `require` runs: one table for each. */
static int require_tidewire(lua_State *L, struct script *script, struct script_file *file, int kept) {
    lua_pushvalue(L, kept);
    if (!lua_isnil(L, -1)) return 1;
    bind_push_tidewire(script, L, file);
    lua_pushvalue(L, -1);
    lua_replace(L, kept);
    return 1;
}

int loader_require(lua_State *L, struct script *script, struct script_file *file, int kept) {
    static const char signature[] = "require(name)";
    if (lua_type(L, 1) != LUA_TSTRING) return raise_misuse(L, signature);
    const char *name = lua_tostring(L, 1);
    struct generation *generation = check_generation(L, script, signature);
    check_file(L, generation, file);
    if (strcmp(name, "tidewire") == 0) return require_tidewire(L, script, file, kept);
    if (strcmp(name, "tidewire.test") == 0) return raise_not_served(L, name);
    if (!is_module_name(name))
        return luaL_error(
            L, "require \"%s\": a module is named by words with dots between them, as in \"lib.x\"", name);
    push_ref(L, generation->modules);
    int modules = lua_gettop(L);
    lua_getfield(L, modules, name);
    if (lua_touserdata(L, -1) == &loading_mark && lua_islightuserdata(L, -1))
        return luaL_error(
            L, "require \"%s\": it is being loaded already (modules require each other in a circle)", name);
    if (!lua_isnil(L, -1)) return 1;
    if (!script->loading)
        return luaL_error(
            L, "require \"%s\" reads a file: call it at the top of the script, not in a handler", name);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&loading_mark);
    lua_setfield(L, modules, name);
    load_module(L, generation, file, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, modules, name);
    return 1;
}

/* ---- the Lua half ---- */

/* Pushes what lua/tidewire/NAME.lua returns for the `arguments` values at the top. */
static bool run_own(struct script *script, const char *name, int arguments, struct error *error) {
    lua_State *L = script->L;
    char *path = memory_format("%s/tidewire/%s.lua", script->host.lua_path, name);
    int base = lua_gettop(L) - arguments + 1;
    int fault = push_file(L, path), status = 1;
    if (fault) {
        error_at(error, path, 0, "cannot read this part of the gateway: %s", strerror(fault));
    } else {
        size_t length;
        const char *text = lua_tolstring(L, -1, &length);
        char *chunk = memory_format("=tidewire/%s.lua", name);
        status = luaL_loadbufferx(L, text, length, chunk, "t");
        free(chunk);
        lua_remove(L, -2);
        /* The guards stand between scripts and what they call: compiled or not must make no difference. */
        if (!status) luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
        lua_insert(L, base);
        if (!status) status = lua_pcall(L, arguments, 1, 0);
        if (status) error_at(error, path, 0, "%s", lua_tostring(L, -1));
    }
    free(path);
    if (status) lua_settop(L, base - 1);
    return status == 0;
}

bool loader_load_lua_half(struct script *script, struct error *error) {
    lua_State *L = script->L;
    if (script->has_lua_half) return true;
    fiber_push_marks(L, script);
    if (!run_own(script, "guard", 4, error)) return false;
    script->ref.guard = luaL_ref(L, LUA_REGISTRYINDEX);
    pump_push_step(L, script);
    filter_push_step(L, script);
    if (!run_own(script, "pump", 2, error)) return false;
    pump_keep_loops(script);
    if (!run_own(script, "reads", 0, error)) return false;
    script->ref.reads = luaL_ref(L, LUA_REGISTRYINDEX);
    script->has_lua_half = true;
    return true;
}
