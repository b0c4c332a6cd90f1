/* script/message.c - the message object: making one, reading and writing its fields. */
#include "script/message.h"

#include <string.h>

#include "script/message_private.h"

const char twl_object_magic;

static void take_owner(struct object *object, struct message *owner) {
    struct twl_state *state = object->type->schema->state;
    object->owner = owner;
    state->held_bytes += object->view.length;
    if (state->on_held) state->on_held(state->on_held_context);
}

static int free_object(lua_State *L) {
    struct object *object = lua_touserdata(L, 1);
    if (!object->owner) return 0;
    object->type->schema->state->held_bytes -= object->view.length;
    message_unref(&object->owner);
    return 0;
}

/* An object without bytes yet; a place for `inline_length` of them stands at its end. [-0, +1, m] */
static struct object *push_empty(lua_State *L, const struct twl_type *type, size_t inline_length, bool is_owning,
                                 const struct twl_message_options *options) {
    size_t words = codec_words(type->type), flags = 2 * words;
    struct object *object = lua_newuserdata(L, sizeof *object + flags * 8 + type->view_size + inline_length);
    object->magic = &twl_object_magic;
    object->type = type;
    object->owner = NULL;
    object->options = *options;
    object->has_overlay = object->is_changed = false;
    for (size_t i = 0; i < flags; i++) object->memory[i] = 0;
    codec_view_place(&object->view, type->type, object->memory + flags);
    twl_schema_metatable(L, type->schema, is_owning);
    lua_setmetatable(L, -2);
    return object;
}

static uint8_t *inline_bytes(struct object *object) {
    return (uint8_t *)object->view.presence + object->type->view_size;
}

/* The view was filled from elsewhere: now the object has the bytes itself. */
static void settle_bytes(struct object *object, const uint8_t *bytes, size_t length, struct message *owner) {
    if (length < BY_REFERENCE) {
        uint8_t *own = inline_bytes(object);
        if (length) memcpy(own, bytes, length);
        object->view.bytes = own;
    } else if (owner) {
        take_owner(object, message_ref(owner));
    } else {
        take_owner(object, message_copy(bytes, length));
        object->view.bytes = object->owner->data;
    }
}

struct object *twl_object_push(lua_State *L, const struct twl_type *type, const uint8_t *bytes, size_t length,
                               struct message *owner, const struct twl_message_options *options) {
    bool is_owning = length >= BY_REFERENCE;
    struct object *object = push_empty(L, type, is_owning ? 0 : length, is_owning, options);
    codec_rescan(&object->view, bytes, length);
    settle_bytes(object, bytes, length, owner);
    return object;
}

bool twl_message_push(lua_State *L, struct twl_schema *schema, const struct message_type *type, const uint8_t *bytes,
                      size_t length, struct message *owner, const struct twl_message_options *options,
                      const char **fault) {
    bool is_owning = length >= BY_REFERENCE;
    struct object *object = push_empty(L, twl_type_of(L, schema, type), is_owning ? 0 : length, is_owning, options);
    *fault = codec_scan(&object->view, bytes, length);
    if (*fault) {
        lua_pop(L, 1);
        return false;
    }
    settle_bytes(object, bytes, length, owner);
    return true;
}

const struct message_type *twl_message_type(lua_State *L, int index) {
    const struct object *object = twl_object(L, index);
    return object ? object->type->type : NULL;
}

/* An object of its own from a table or object, through the bytes. */
static void push_made(struct writer *writer, const struct message_type *type, int index, const struct step *step,
                      const struct twl_message_options *options) {
    const char *fault;
    struct buffer *scratch = writer->out = &writer->schema->state->scratch;
    buffer_clear(scratch);
    buffer_reserve(scratch, 1); /* so that even no bytes have an address */
    twl_write_message(writer, index, type, step);
    /* What another generation calls by the same name may be another message. */
    if (!twl_message_push(writer->L, writer->schema, type, buffer_bytes(scratch), buffer_length(scratch), NULL, options,
                          &fault))
        twl_write_fault(writer, step, "this is no %s: %s", type->full_name, fault);
    twl_scratch_done(scratch);
}

void twl_message_new(lua_State *L, struct twl_schema *schema, const struct message_type *type, int index,
                     const struct twl_message_options *options) {
    const char *fault, *bytes;
    size_t length;
    struct writer writer = {.L = L, .schema = schema, .root = type};
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: twl_object_push(L, twl_type_of(L, schema, type), NULL, 0, NULL, options); return;
    case LUA_TSTRING:
        bytes = lua_tolstring(L, index, &length);
        if (!twl_message_push(L, schema, type, (const uint8_t *)bytes, length, NULL, options, &fault))
            luaL_error(L, "these bytes are no %s: %s", type->full_name, fault);
        return;
    default: push_made(&writer, type, index < 0 ? lua_gettop(L) + index + 1 : index, NULL, options);
    }
}

void twl_object_overlay(lua_State *L, int index, struct object *object, const struct field *field) {
    if (index < 0) index = lua_gettop(L) + index + 1;
    if (object->has_overlay) {
        lua_getfenv(L, index);
    } else {
        size_t fields = object->view.type->field_count;
        lua_createtable(L, fields <= FEW_FIELDS ? (int)fields : 0, 0);
        lua_pushvalue(L, -1);
        lua_setfenv(L, index);
        object->has_overlay = true;
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, field->index + 1);
    lua_pop(L, 1);
    codec_set_bit(object_overlaid(object), field->index);
}

void twl_object_overlaid(lua_State *L, int index, const struct field *field) {
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, field->index + 1);
    lua_remove(L, -2);
}

static void forget_overlay(lua_State *L, int index, struct object *object, const struct field *field) {
    if (!codec_bit(object_overlaid(object), field->index)) return;
    codec_clear_bit(object_overlaid(object), field->index);
    lua_getfenv(L, index);
    lua_pushnil(L);
    lua_rawseti(L, -2, field->index + 1);
    lua_pop(L, 1);
}

static void mark_changed(struct object *object, const struct field *field, bool is_present) {
    codec_set_bit(object_changed(object), field->index);
    if (is_present) codec_set_bit(object->view.presence, field->index);
    else codec_clear_bit(object->view.presence, field->index);
    object->is_changed = true;
}

/* The siblings go even where they do not seem to be set: the bytes may hold one that a later one had unset, and that
 * would come back. */
static void clear_siblings(lua_State *L, int index, struct object *object, const struct field *field) {
    const struct message_type *type = object->view.type;
    const struct oneof *oneof = &type->oneofs[field->oneof];
    for (size_t i = 0; i < oneof->field_count; i++) {
        const struct field *sibling = &type->fields[oneof->fields[i]];
        if (sibling == field) continue;
        forget_overlay(L, index, object, sibling);
        mark_changed(object, sibling, false);
    }
}

void twl_object_clear(lua_State *L, int index, struct object *object, const struct field *field) {
    bool is_present = codec_bit(object->view.presence, field->index);
    if (!is_present && !codec_bit(object_overlaid(object), field->index)) return;
    forget_overlay(L, index, object, field);
    mark_changed(object, field, false);
    if (field->oneof < 0) return;
    object->view.chosen[field->oneof] = 0;
    clear_siblings(L, index, object, field);
}

void twl_object_read(lua_State *L, int index, struct object *object, const struct field *field) {
    struct reader reader = {L, object->type->schema, object->options, object->owner, false};
    bool is_present = codec_bit(object->view.presence, field->index);
    if (object->has_overlay && codec_bit(object_overlaid(object), field->index)) {
        twl_object_overlaid(L, index, field);
    } else if (field->is_repeated) {
        /* A list that was cleared or is absent is an empty table that may be written. */
        if (codec_bit(object_changed(object), field->index)) lua_newtable(L);
        else twl_push_field(&reader, &object->view, field);
        lua_pushvalue(L, -1);
        twl_object_overlay(L, index, object, field);
    } else if (is_present) {
        twl_push_field(&reader, &object->view, field);
        if (!codec_is_message(field)) return;
        lua_pushvalue(L, -1);
        twl_object_overlay(L, index, object, field);
    } else if (field->has_presence || codec_is_message(field)) {
        lua_pushnil(L);
    } else {
        twl_push_default(&reader, field);
    }
}

int twl_unknown_field(lua_State *L, const struct message_type *type, const char *name) {
    const char *nearest = message_nearest_field(type, name);
    if (nearest) return luaL_error(L, "%s has no field \"%s\" (did you mean \"%s\"?)", type->full_name, name, nearest);
    return luaL_error(L, "%s has no field \"%s\"", type->full_name, name);
}

/* What is no field may be a method; both by the same string's address or table lookup. */
static int read_other(lua_State *L, const struct object *object) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, object->type->schema->state->methods);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) return 1;
    if (lua_type(L, 2) == LUA_TSTRING) return twl_unknown_field(L, object->view.type, lua_tostring(L, 2));
    return luaL_error(L, "%s: a field is named by a string, not by a %s", object->view.type->full_name,
                      luaL_typename(L, 2));
}

/* The metatable is locked, so metamethods only ever see objects as their first argument. */
static int index_object(lua_State *L) {
    struct object *object = lua_touserdata(L, 1);
    const struct field *field = twl_type_field(L, object->type, 2);
    if (!field) return read_other(L, object);
    /* Numbers and strings first, without the detour: they are most of what is read. */
    const struct codec_slot *slot = &object->view.slots[field->index];
    bool is_one = !field->is_repeated && codec_bit(object->view.presence, field->index);
    if (is_one && codec_is_scalar(field))
        twl_push_scalar(L, field, slot->bits, object->options.int64);
    else if (is_one && !codec_is_message(field) && !object->has_overlay)
        lua_pushlstring(L, (const char *)object->view.bytes + slot->offset, slot->length);
    else
        twl_object_read(L, 1, object, field);
    return 1;
}

/* The value that the overlay gets for a string, message, list or map: checked as far as it is final. Pushed. */
static void push_overlay_value(struct writer *writer, struct object *object, const struct step *step, int index) {
    lua_State *L = writer->L;
    const struct field *field = step->field;
    size_t length;
    if (field->is_repeated) {
        if (lua_type(L, index) != LUA_TTABLE) twl_write_mistyped(writer, step, "a table", index);
    } else if (codec_is_message(field)) {
        const struct object *value = twl_object(L, index);
        if (!value && lua_type(L, index) != LUA_TTABLE)
            twl_write_mistyped(writer, step, field->message->full_name, index);
        if (!value || value->view.type != field->message) {
            push_made(writer, field->message, index, step, &object->options);
            return;
        }
    } else {
        twl_to_text(writer, index, step, &length);
    }
    lua_pushvalue(L, index);
}

static int write_object(lua_State *L) {
    struct object *object = lua_touserdata(L, 1);
    const struct field *field = twl_type_field(L, object->type, 2);
    if (!field) return twl_unknown_field(L, object->view.type, lua_tostring(L, 2) ? lua_tostring(L, 2) : "?");
    if (lua_isnil(L, 3)) {
        twl_object_clear(L, 1, object, field);
        return 0;
    }
    struct writer writer = {.L = L, .schema = object->type->schema, .root = object->view.type};
    struct step step = {.field = field};
    if (codec_is_scalar(field) && !field->is_repeated) {
        object->view.slots[field->index].bits = twl_to_bits(&writer, 3, &step);
    } else {
        push_overlay_value(&writer, object, &step, 3);
        twl_object_overlay(L, 1, object, field);
    }
    mark_changed(object, field, true);
    if (field->oneof >= 0) {
        object->view.chosen[field->oneof] = (uint16_t)(field->index + 1);
        clear_siblings(L, 1, object, field);
    }
    return 0;
}

static int describe_object(lua_State *L) {
    struct object *object = lua_touserdata(L, 1);
    struct twl_state *state = object->type->schema->state;
    size_t length;
    const uint8_t *bytes = twl_object_bytes(L, 1, object, true, &length);
    struct buffer *text = &state->pieces;
    buffer_clear(text);
    buffer_append_text(text, object->view.type->full_name);
    buffer_append_text(text, length ? " { " : " {");
    codec_text(object->view.type, bytes, length, text);
    buffer_append_text(text, length ? " }" : "}");
    lua_pushlstring(L, (const char *)buffer_bytes(text), buffer_length(text));
    twl_scratch_done(text);
    twl_scratch_done(&state->scratch);
    return 1;
}

void twl_object_metatable(lua_State *L, struct twl_schema *schema, bool is_owning) {
    static const luaL_Reg metamethods[] = {
        {"__index", index_object}, {"__newindex", write_object}, {"__tostring", describe_object}, {NULL, NULL}};
    (void)schema;
    for (const luaL_Reg *each = metamethods; each->name; each++) {
        lua_pushcfunction(L, each->func);
        lua_setfield(L, -2, each->name);
    }
    if (is_owning) {
        lua_pushcfunction(L, free_object);
        lua_setfield(L, -2, "__gc");
    }
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

int twl_expected(lua_State *L, const char *signature) { return luaL_error(L, "expected %s", signature); }

struct object *twl_check_object(lua_State *L, const char *signature) {
    struct object *object = twl_object(L, 1);
    if (!object) luaL_error(L, "expected %s, not a %s", signature, luaL_typename(L, 1));
    return object;
}

const struct field *twl_check_field(lua_State *L, const struct object *object, const char *signature) {
    if (lua_type(L, 2) != LUA_TSTRING) twl_expected(L, signature);
    const struct field *field = twl_type_field(L, object->type, 2);
    if (!field) twl_unknown_field(L, object->view.type, lua_tostring(L, 2));
    return field;
}
