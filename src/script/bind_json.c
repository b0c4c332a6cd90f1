/* script/bind_json.c - tidewire.json for scripts. */
#include "script/bind.h"
#include "script/json_value.h"
#include "script/names.h"
#include "script/state.h"
#include "script/userdata.h"

enum { SCRATCH_KEPT = 64 << 10 };

static int encode(lua_State *L) {
    struct script *script = script_of(L);
    struct error error;
    if (lua_gettop(L) != 1) return raise_misuse(L, "tidewire.json.encode(value)");
    push_ref(L, script->ref.json_null);
    const struct json_marks marks = {.null = lua_touserdata(L, -1), .array = script->ref.json_array};
    struct buffer *scratch = &script->scratch;
    buffer_clear(scratch);
    if (!json_value_encode(L, 1, &marks, scratch, &error)) return nil_and(L, error.text);
    lua_pushlstring(L, (const char *)buffer_bytes(scratch), buffer_length(scratch));
    if (scratch->capacity > SCRATCH_KEPT) buffer_free(scratch);
    return 1;
}

static int decode(lua_State *L) {
    struct script *script = script_of(L);
    struct error error;
    size_t length;
    if (lua_type(L, 1) != LUA_TSTRING) return raise_misuse(L, "tidewire.json.decode(text)");
    const char *text = lua_tolstring(L, 1, &length);
    bool is_fine = json_value_decode(L, text, length, script->ref.json_null, script->ref.json_array,
                                     &script->scratch, &error);
    if (script->scratch.capacity > SCRATCH_KEPT) buffer_free(&script->scratch);
    return is_fine ? 1 : nil_and(L, error.text);
}

static int array(lua_State *L) {
    static const char signature[] = "tidewire.json.array([list]): a table without a metatable";
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    if (!lua_istable(L, 1) || lua_getmetatable(L, 1)) return raise_misuse(L, signature);
    push_ref(L, script_of(L)->ref.json_array);
    lua_setmetatable(L, 1);
    return 1;
}

void bind_json_open(struct script *script) {
    lua_State *L = script->L;
    script->ref.json_null = userdata_constant(L, "null");
    push_locked_metatable(L);
    script->ref.json_array = luaL_ref(L, LUA_REGISTRYINDEX);
}

void bind_json_add(lua_State *L, struct script *script) {
    lua_newtable(L);
    set_functions(L, script,
                  (const luaL_Reg[]){{"encode", encode}, {"decode", decode}, {"array", array}, {NULL, NULL}});
    push_ref(L, script->ref.json_null);
    lua_setfield(L, -2, "null");
    names_close(L, "tidewire.json");
    lua_setfield(L, -2, "json");
}
