/* script/bind_log.c - tidewire.log and print: lines that carry the stream that runs. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "script/bind.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/names.h"
#include "script/state.h"

enum { MOST_FIELDS = 32 };

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct log_field *)a)->name, ((const struct log_field *)b)->name);
}

/* Field values are made into strings on the stack, which keeps them while the line is written. */
static size_t read_fields(lua_State *L, int index, struct log_field *fields) {
    size_t count = 0;
    luaL_checkstack(L, 2 * MOST_FIELDS + 8, "log fields");
    for (lua_pushnil(L); lua_next(L, index);) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "the names of log fields are strings");
        if (count == MOST_FIELDS) luaL_error(L, "a log line has at most %d fields", MOST_FIELDS);
        /* NaN and infinity are no numbers in JSON. */
        double number = lua_tonumber(L, -1);
        bool is_raw = lua_isboolean(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && number - number == 0);
        lua_getglobal(L, "tostring");
        lua_insert(L, -2);
        lua_call(L, 1, 1);
        struct log_field *field = &fields[count++];
        *field = (struct log_field){.name = lua_tostring(L, -2), .is_raw = is_raw};
        field->value = lua_tolstring(L, -1, &field->length);
        if (!field->value) luaL_error(L, "a log field's __tostring gave no string");
        lua_pushvalue(L, -2); /* name and value stay below */
    }
    qsort(fields, count, sizeof *fields, by_name); /* a table has no order that lines could keep */
    return count;
}

static int write_line(lua_State *L, enum log_level level, const char *signature) {
    struct script *script = script_of(L);
    if (!lua_isstring(L, 1) || !(lua_isnoneornil(L, 2) || lua_istable(L, 2)))
        return raise_misuse(L, signature);
    if (!log_is_on(level)) return 0;
    struct log_field fields[MOST_FIELDS];
    size_t count = lua_istable(L, 2) ? read_fields(L, 2, fields) : 0, length;
    const char *text = lua_tolstring(L, 1, &length);
    struct log_scope scope = script_scope(script);
    log_write_fields(level, &scope, text, length, fields, count);
    return 0;
}

static int debug(lua_State *L) { return write_line(L, LOG_DEBUG, "tidewire.log.debug(text[, fields])"); }
static int info(lua_State *L) { return write_line(L, LOG_INFO, "tidewire.log.info(text[, fields])"); }
static int warn(lua_State *L) { return write_line(L, LOG_WARN, "tidewire.log.warn(text[, fields])"); }
static int error(lua_State *L) { return write_line(L, LOG_ERROR, "tidewire.log.error(text[, fields])"); }

int bind_print(lua_State *L) {
    struct script *script = script_of(L);
    if (!log_is_on(LOG_INFO)) return 0;
    luaL_Buffer line;
    int count = lua_gettop(L);
    luaL_checkstack(L, count + LUA_MINSTACK, "too many values to print");
    for (int i = 1; i <= count; i++) {
        lua_getglobal(L, "tostring");
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        if (!lua_isstring(L, -1)) return luaL_error(L, "tostring must return a string to print");
        lua_replace(L, i);
    }
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&line, '\t');
        lua_pushvalue(L, i);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    struct log_scope scope = script_scope(script);
    log_write_fields(LOG_INFO, &scope, text, length, NULL, 0);
    return 0;
}

void bind_log_add(lua_State *L, struct script *script) {
    lua_newtable(L);
    set_functions(
        L, script,
        (const luaL_Reg[]){{"debug", debug}, {"info", info}, {"warn", warn}, {"error", error}, {NULL, NULL}});
    names_close(L, "tidewire.log");
    lua_setfield(L, -2, "log");
}
