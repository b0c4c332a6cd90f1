/* script/message_methods.c - the methods of message objects, and `tidewire.message`. */
#include <string.h>

#include "schema/json.h"
#include "script/message_private.h"

static bool is_empty_table(lua_State *L, int index) {
    lua_pushnil(L);
    if (!lua_next(L, index)) return true;
    lua_pop(L, 2);
    return false;
}

/* Whether a field is set: for one without presence of its own, whether it differs from its default. */
static bool has_field(lua_State *L, int index, struct object *object, const struct field *field) {
    bool is_present = codec_bit(object->view.presence, field->index);
    if (codec_bit(object_overlaid(object), field->index) && !codec_is_message(field) && !field->has_presence) {
        twl_object_overlaid(L, index, field);
        int value = lua_gettop(L);
        bool has = field->is_repeated ? !is_empty_table(L, value) : lua_objlen(L, value) > 0;
        lua_settop(L, value - 1);
        return has;
    }
    if (field->is_repeated && codec_bit(object_overlaid(object), field->index)) {
        twl_object_overlaid(L, index, field);
        bool has = !is_empty_table(L, lua_gettop(L));
        lua_pop(L, 1);
        return has;
    }
    if (!is_present || field->is_repeated || field->has_presence || codec_is_message(field)) return is_present;
    const struct codec_slot *slot = &object->view.slots[field->index];
    return codec_is_scalar(field) ? slot->bits != 0 : slot->length > 0;
}

static int method_has(lua_State *L) {
    static const char signature[] = "message:has(field)";
    struct object *object = twl_check_object(L, signature);
    lua_pushboolean(L, has_field(L, 1, object, twl_check_field(L, object, signature)));
    return 1;
}

static int unknown_oneof(lua_State *L, const struct message_type *type, const char *name) {
    const char **names = lua_newuserdata(L, (type->oneof_count + 1) * sizeof *names);
    for (size_t i = 0; i < type->oneof_count; i++) names[i] = type->oneofs[i].name;
    names[type->oneof_count] = NULL;
    const char *nearest = error_nearest(name, names);
    if (nearest) return luaL_error(L, "%s has no oneof \"%s\" (did you mean \"%s\"?)", type->full_name, name, nearest);
    return luaL_error(L, "%s has no oneof \"%s\"", type->full_name, name);
}

static int method_which(lua_State *L) {
    static const char signature[] = "message:which(oneof)";
    struct object *object = twl_check_object(L, signature);
    const struct message_type *type = object->view.type;
    size_t length;
    if (lua_type(L, 2) != LUA_TSTRING) return twl_expected(L, signature);
    const char *name = lua_tolstring(L, 2, &length);
    const struct oneof *oneof = message_oneof(type, name, length);
    if (!oneof) return unknown_oneof(L, type, name);
    uint16_t chosen = object->view.chosen[oneof - type->oneofs];
    if (chosen) lua_pushstring(L, type->fields[chosen - 1].name);
    else lua_pushnil(L);
    return 1;
}

/* As reading the field, but one that is unset reads as its default. */
static int method_get(lua_State *L) {
    static const char signature[] = "message:get(field)";
    struct object *object = twl_check_object(L, signature);
    const struct field *field = twl_check_field(L, object, signature);
    twl_object_read(L, 1, object, field);
    if (!lua_isnil(L, -1)) return 1;
    struct reader reader = {L, object->type->schema, object->options, NULL, false};
    twl_push_default(&reader, field);
    return 1;
}

static int method_clear(lua_State *L) {
    static const char signature[] = "message:clear(field)";
    struct object *object = twl_check_object(L, signature);
    twl_object_clear(L, 1, object, twl_check_field(L, object, signature));
    return 0;
}

/* The iterator of pairs: the field after the named one that is set. */
static int next_field(lua_State *L) {
    struct object *object = twl_check_object(L, "message:pairs()");
    size_t index = lua_isnoneornil(L, 2) ? 0 : twl_check_field(L, object, "message:pairs()")->index + 1u;
    for (; index < object->view.type->field_count; index++) {
        const struct field *field = &object->view.type->fields[index];
        if (!has_field(L, 1, object, field)) continue;
        lua_pushstring(L, field->name);
        twl_object_read(L, 1, object, field);
        return 2;
    }
    return 0;
}

static int method_pairs(lua_State *L) {
    twl_check_object(L, "message:pairs()");
    lua_pushcfunction(L, next_field);
    lua_pushvalue(L, 1);
    return 2;
}

static int method_totable(lua_State *L) {
    struct object *object = twl_check_object(L, "message:totable()");
    size_t length;
    const uint8_t *bytes = twl_object_bytes(L, 1, object, false, &length);
    struct reader reader = {L, object->type->schema, object->options, NULL, true};
    twl_push_table(&reader, object->view.type, bytes, length);
    twl_scratch_done(&object->type->schema->state->scratch);
    return 1;
}

static int method_json(lua_State *L) {
    struct object *object = twl_check_object(L, "message:json()");
    struct twl_schema *schema = object->type->schema;
    size_t length;
    const uint8_t *bytes = twl_object_bytes(L, 1, object, false, &length);
    struct buffer *text = &schema->state->pieces;
    struct json_options options = {.schema = schema->schema};
    struct error error;
    buffer_clear(text);
    if (!json_write(object->view.type, bytes, length, &options, text, &error)) return luaL_error(L, "%s", error.text);
    lua_pushlstring(L, (const char *)buffer_bytes(text), buffer_length(text));
    twl_scratch_done(text);
    twl_scratch_done(&schema->state->scratch);
    return 1;
}

static int method_bytes(lua_State *L) {
    struct object *object = twl_check_object(L, "message:bytes()");
    size_t length;
    const uint8_t *bytes = twl_object_bytes(L, 1, object, false, &length);
    lua_pushlstring(L, (const char *)bytes, length);
    twl_scratch_done(&object->type->schema->state->scratch);
    return 1;
}

static int method_copy(lua_State *L) {
    struct object *object = twl_check_object(L, "message:copy()");
    size_t length;
    const uint8_t *bytes = twl_object_bytes(L, 1, object, true, &length);
    struct message *owner = object->is_changed ? NULL : object->owner;
    twl_object_push(L, object->type, bytes, length, owner, &object->options);
    twl_scratch_done(&object->type->schema->state->scratch);
    return 1;
}

static int method_type(lua_State *L) {
    const struct message_type *type = twl_message_type(L, 1);
    if (type) lua_pushstring(L, type->full_name);
    else lua_pushnil(L);
    return 1;
}

static const luaL_Reg methods[] = {
    {"has", method_has},     {"which", method_which},     {"get", method_get},   {"clear", method_clear},
    {"pairs", method_pairs}, {"totable", method_totable}, {"json", method_json}, {"bytes", method_bytes},
    {"copy", method_copy},   {"type", method_type},       {NULL, NULL},
};

void twl_methods_push(lua_State *L) {
    lua_createtable(L, 0, (int)(sizeof methods / sizeof methods[0]));
    for (const luaL_Reg *each = methods; each->name; each++) {
        lua_pushcfunction(L, each->func);
        lua_setfield(L, -2, each->name);
    }
}

const struct message_type *twl_check_type(lua_State *L, const struct schema *schema, const char *full_name) {
    const struct message_type *type = schema_message(schema, full_name);
    if (type) return type;
    const char *nearest = schema_nearest_message(schema, full_name);
    if (nearest)
        luaL_error(L, "no message type \"%s\" in the loaded .proto files (did you mean \"%s\"?)", full_name, nearest);
    luaL_error(L, "no message type \"%s\" in the loaded .proto files", full_name);
    return NULL;
}

/* new(type[, table, bytes or message]); upvalues: the schema, the options */
static int library_new(lua_State *L) {
    struct twl_schema *schema = lua_touserdata(L, lua_upvalueindex(1));
    const struct twl_message_options *options = lua_touserdata(L, lua_upvalueindex(2));
    int value = lua_type(L, 2);
    bool is_content = value <= LUA_TNIL || value == LUA_TTABLE || value == LUA_TSTRING || twl_object(L, 2);
    if (lua_type(L, 1) != LUA_TSTRING || !is_content)
        return twl_expected(L, "tidewire.message.new(type[, table, bytes or message])");
    twl_message_new(L, schema, twl_check_type(L, schema->schema, lua_tostring(L, 1)), 2, options);
    return 1;
}

void twl_message_library(lua_State *L, struct twl_schema *schema, const struct twl_message_options *options) {
    twl_methods_push(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, schema->self);
    memcpy(lua_newuserdata(L, sizeof *options), options, sizeof *options);
    lua_pushcclosure(L, library_new, 2);
    lua_setfield(L, -2, "new");
}
