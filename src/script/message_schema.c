/* script/message_schema.c - a schema as one Lua state knows it: field names as Lua strings, metatables, lifetime. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/message_private.h"

static const char state_key; /* its address is the key in the registry */

struct twl_state *twl_state_of(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&state_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct twl_state *state = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return state;
}

static int free_state(lua_State *L) {
    struct twl_state *state = lua_touserdata(L, 1);
    buffer_free(&state->scratch);
    buffer_free(&state->pieces);
    return 0;
}

static void push_metatable_with_gc(lua_State *L, lua_CFunction gc) {
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

void twl_message_open(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&state_key);
    struct twl_state *state = lua_newuserdata(L, sizeof *state);
    *state = (struct twl_state){0};
    push_metatable_with_gc(L, free_state);
    lua_setmetatable(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);

    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    state->weak = luaL_ref(L, LUA_REGISTRYINDEX);

    twl_methods_push(L);
    state->methods = luaL_ref(L, LUA_REGISTRYINDEX);
    twl_numbers_open(L, state);
}

void twl_message_on_held(lua_State *L, void (*on_held)(void *context), void *context) {
    struct twl_state *state = twl_state_of(L);
    state->on_held = on_held;
    state->on_held_context = context;
}

const size_t *twl_message_held_bytes(lua_State *L) { return &twl_state_of(L)->held_bytes; }

/* Twice as many places as names, so that a search ends soon. The strings are anchored in the schema's environment,
 * which keeps their addresses. */
struct twl_type *twl_type_make(lua_State *L, struct twl_schema *schema, const struct message_type *type) {
    unsigned bits = 1;
    while ((size_t)1 << bits < type->field_count * 2) bits++;
    size_t places = (size_t)1 << bits;
    luaL_checkstack(L, 6, "message type");
    lua_rawgeti(L, LUA_REGISTRYINDEX, schema->state->weak);
    lua_rawgeti(L, -1, schema->weak_plain);
    lua_rawgeti(L, -1, 1); /* the schema's userdata */
    lua_getfenv(L, -1);
    lua_createtable(L, (int)type->field_count, 0);
    for (size_t i = 0; i < type->field_count; i++) {
        lua_pushstring(L, type->fields[i].name);
        lua_rawseti(L, -2, (int)i + 1);
    }

    struct twl_type *made = memory_new(sizeof *made + places * sizeof made->names[0]);
    *made = (struct twl_type){.type = type, .schema = schema, .shift = 64 - bits, .view_size = codec_view_size(type)};
    for (size_t i = 0; i < type->field_count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        const void *key = lua_topointer(L, -1);
        lua_pop(L, 1);
        size_t place = twl_name_hash(key, made->shift);
        while (made->names[place].key) place = (place + 1) & (places - 1);
        made->names[place] = (struct twl_name){key, &type->fields[i]};
    }
    schema->types[type->number] = made;
    lua_rawseti(L, -2, (int)type->number + 1);
    lua_pop(L, 4);
    return made;
}

static int free_schema(lua_State *L) {
    struct twl_schema *schema = lua_touserdata(L, 1);
    if (!schema->schema) return 0;
    for (size_t i = 0, count = schema_message_count(schema->schema); i < count; i++) free(schema->types[i]);
    free(schema->types);
    schema_unref(&schema->schema);
    return 0;
}

/* Leaves the metatable's places; the schema's userdata is at `self`. */
static int make_metatable(lua_State *L, struct twl_schema *schema, int self, bool is_owning, int *weak) {
    lua_newtable(L);
    lua_pushvalue(L, self);
    lua_rawseti(L, -2, 1);
    twl_object_metatable(L, schema, is_owning);
    lua_getfenv(L, self); /* the schema keeps both metatables, as they keep it */
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, is_owning ? -1 : 0);
    lua_pop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, schema->state->weak);
    lua_pushvalue(L, -2);
    *weak = luaL_ref(L, -2);
    lua_pop(L, 1);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

struct twl_schema *twl_schema_open(lua_State *L, struct schema *schema) {
    luaL_checkstack(L, 10, "schema");
    struct twl_schema *made = lua_newuserdata(L, sizeof *made);
    *made = (struct twl_schema){.state = twl_state_of(L), .is_open = true};
    push_metatable_with_gc(L, free_schema);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_setfenv(L, -2);
    made->types = memory_new((schema_message_count(schema) + 1) * sizeof *made->types);
    made->schema = schema_ref(schema);
    int self = lua_gettop(L);
    made->plain = make_metatable(L, made, self, false, &made->weak_plain);
    made->owning = make_metatable(L, made, self, true, &made->weak_owning);
    made->self = luaL_ref(L, LUA_REGISTRYINDEX);
    return made;
}

void twl_schema_close(lua_State *L, struct twl_schema **schema) {
    struct twl_schema *closing = *schema;
    *schema = NULL;
    if (!closing) return;
    closing->is_open = false;
    luaL_unref(L, LUA_REGISTRYINDEX, closing->plain);
    luaL_unref(L, LUA_REGISTRYINDEX, closing->owning);
    luaL_unref(L, LUA_REGISTRYINDEX, closing->self);
}

struct schema *twl_schema_schema(const struct twl_schema *schema) { return schema->schema; }

void twl_schema_metatable(lua_State *L, const struct twl_schema *schema, bool is_owning) {
    if (schema->is_open) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, is_owning ? schema->owning : schema->plain);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, schema->state->weak);
    lua_rawgeti(L, -1, is_owning ? schema->weak_owning : schema->weak_plain);
    lua_remove(L, -2);
}
