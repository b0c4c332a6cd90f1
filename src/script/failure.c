/* script/failure.c - see failure.h */
#include "script/failure.h"

#include <string.h>

#include "base/error.h"
#include "schema/wire.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/state.h"
#include "script/userdata.h"

#define FAIL "tidewire.fail(code[, text[, details]])"

static bool has_metatable(lua_State *L, int index, int metatable) {
    if (!lua_getmetatable(L, index)) return false;
    push_ref(L, metatable);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is;
}

static bool is_same(lua_State *L, int index, int reference) {
    lua_pushvalue(L, index);
    push_ref(L, reference);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is;
}

bool is_cancelled(struct script *script, lua_State *L, int index) {
    return is_same(L, index, script->ref.cancelled);
}
bool is_drop(struct script *script, lua_State *L, int index) {
    return lua_touserdata(L, index) == script->drop;
}

bool is_list(lua_State *L, int index) {
    if (!lua_istable(L, index)) return false;
    lua_rawgeti(L, index, 1);
    bool is = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return is;
}

/* A failure is a table { status, text, details } that the script may have laid hands on: nothing is taken for
 * granted. The strings stay alive in the table. */
bool to_failure(struct script *script, lua_State *L, int index, struct failure *failure) {
    if (!lua_istable(L, index) || !has_metatable(L, index, script->ref.fail_meta)) return false;
    if (index < 0) index += lua_gettop(L) + 1;
    *failure = (struct failure){.status = STATUS_UNKNOWN, .text = ""};
    for (int i = 1; i <= 3; i++) lua_rawgeti(L, index, i);
    if (lua_type(L, -3) == LUA_TNUMBER) failure->status = (enum status)lua_tointeger(L, -3);
    if (lua_type(L, -2) == LUA_TSTRING) failure->text = lua_tostring(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING) failure->details = lua_tolstring(L, -1, &failure->details_length);
    if ((unsigned)failure->status >= STATUS_COUNT || failure->status == STATUS_OK)
        failure->status = STATUS_UNKNOWN;
    lua_pop(L, 3);
    return true;
}

/* ---- google.rpc.Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3 }
 * ---- */

static void write_any(struct buffer *out, const char *type, const char *bytes, size_t length) {
    static const char prefix[] = "type.googleapis.com/";
    size_t url = sizeof prefix - 1 + strlen(type);
    size_t size = 1 + wire_varint_size(url) + url + 1 + wire_varint_size(length) + length;
    wire_write_tag(out, 3, WIRE_BYTES);
    wire_write_varint(out, size);
    wire_write_tag(out, 1, WIRE_BYTES);
    wire_write_varint(out, url);
    buffer_append(out, prefix, sizeof prefix - 1);
    buffer_append_text(out, type);
    wire_write_tag(out, 2, WIRE_BYTES);
    wire_write_bytes(out, bytes, length);
}

/* A detail is a message object, or { type = name, value = bytes }, as stream:status() gives those of unknown types. */
static const char *push_type(lua_State *L, int index) {
    const struct message_type *type = twl_message_type(L, index);
    if (type)
        lua_pushstring(L, type->full_name);
    else if (lua_istable(L, index))
        lua_getfield(L, index, "type");
    else
        lua_pushnil(L);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (!name) luaL_error(L, "status details are a list of message objects (tidewire.message.new)");
    return name;
}

/* Pushes the bytes of the detail at `index` as a string. */
static void push_bytes(lua_State *L, struct buffer *scratch, struct twl_schema *schema, int index) {
    const struct message_type *type = twl_message_type(L, index);
    if (!type) {
        lua_getfield(L, index, "value");
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "a status detail's value is its bytes");
        return;
    }
    buffer_clear(scratch);
    twl_message_encode(L, index, schema, type, scratch);
    lua_pushlstring(L, (const char *)buffer_bytes(scratch), buffer_length(scratch));
}

void push_status_details(lua_State *L, enum status status, const char *text, int index) {
    struct script *script = script_of(L);
    struct buffer *scratch = &script->scratch;
    if (lua_isnoneornil(L, index)) {
        lua_pushnil(L);
        return;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    int count = (int)lua_objlen(L, index), first = lua_gettop(L) + 1;
    if (count > 64) luaL_error(L, "status details are at most 64 messages");
    luaL_checkstack(L, 3 * count + 4, "status details");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        push_type(L, lua_gettop(L));
        push_bytes(L, scratch, script_generation(script)->messages, lua_gettop(L) - 1);
    }
    buffer_clear(scratch);
    wire_write_tag(scratch, 1, WIRE_VARINT);
    wire_write_varint(scratch, (uint64_t)status);
    if (text && *text) {
        wire_write_tag(scratch, 2, WIRE_BYTES);
        wire_write_bytes(scratch, text, strlen(text));
    }
    for (int i = 0; i < count; i++) {
        size_t length;
        const char *bytes = lua_tolstring(L, first + 3 * i + 2, &length);
        write_any(scratch, lua_tostring(L, first + 3 * i + 1), bytes, length);
    }
    lua_settop(L, first - 1);
    lua_pushlstring(L, (const char *)buffer_bytes(scratch), buffer_length(scratch));
    buffer_clear(scratch);
}

/* ---- for scripts ---- */

static int fail(lua_State *L) {
    struct script *script = script_of(L);
    if (lua_type(L, 1) != LUA_TSTRING) return raise_misuse(L, FAIL);
    if (!lua_isnoneornil(L, 2) && !lua_isstring(L, 2)) return raise_misuse(L, FAIL);
    if (!lua_isnoneornil(L, 3) && !lua_istable(L, 3)) return raise_misuse(L, FAIL);
    enum status status = check_status(L, 1);
    if (status == STATUS_OK)
        return luaL_error(L, "tidewire.fail: OK is no failure; close the stream or return");
    const char *text = lua_isnoneornil(L, 2) ? "" : lua_tostring(L, 2);
    lua_settop(L, 3);
    lua_createtable(L, 3, 0);
    lua_pushinteger(L, status);
    lua_rawseti(L, 4, 1);
    lua_pushstring(L, text);
    lua_rawseti(L, 4, 2);
    push_status_details(L, status, text, 3);
    lua_rawseti(L, 4, 3);
    push_ref(L, script->ref.fail_meta);
    lua_setmetatable(L, 4);
    return lua_error(L);
}

static int failure_tostring(lua_State *L) {
    struct failure failure;
    if (!to_failure(script_of(L), L, 1, &failure)) return 0;
    lua_pushfstring(L, "%s: %s", status_name(failure.status), failure.text);
    return 1;
}

static int misspelt_status(lua_State *L) {
    check_status(L, 2);
    return 0;
}

static int constant_set(lua_State *L) { return luaL_error(L, "this table cannot be written"); }

static void add_status(lua_State *L) {
    lua_newtable(L);
    push_locked_metatable(L);
    lua_newtable(L);
    for (int i = 0; i < STATUS_COUNT; i++) {
        lua_pushstring(L, status_names[i]);
        lua_setfield(L, -2, status_names[i]);
    }
    push_locked_metatable(L);
    lua_pushcfunction(L, misspelt_status);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, constant_set);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "status");
}

void bind_failure_open(struct script *script) {
    lua_State *L = script->L;
    push_locked_metatable(L);
    set_functions(L, script, (const luaL_Reg[]){{"__tostring", failure_tostring}, {NULL, NULL}});
    script->ref.fail_meta = luaL_ref(L, LUA_REGISTRYINDEX);
    script->ref.cancelled = userdata_constant(L, "cancelled");
    script->ref.drop = userdata_constant(L, "DROP");
    push_ref(L, script->ref.drop);
    script->drop = lua_touserdata(L, -1);
    lua_pop(L, 1);
}

void bind_failure_add(lua_State *L, struct script *script) {
    push_ref(L, script->ref.cancelled);
    lua_setfield(L, -2, "cancelled");
    push_ref(L, script->ref.drop);
    lua_setfield(L, -2, "DROP");
    add_status(L);
    set_functions(L, script, (const luaL_Reg[]){{"fail", fail}, {NULL, NULL}});
}
