/* script/message_read.c - bytes to Lua values. */
#include <string.h>

#include "script/message_private.h"

static void push_message(const struct reader *reader, const struct message_type *type, const uint8_t *bytes,
                         size_t length) {
    if (reader->makes_tables) {
        twl_push_table(reader, type, bytes, length);
        return;
    }
    lua_State *L = reader->L;
    twl_object_push(L, twl_type_of(L, reader->schema, type), bytes, length, reader->owner, &reader->options);
}

/* A value of a list or map, or what is inside a singular field. */
static void push_value(const struct reader *reader, const struct field *field, const struct codec_value *value) {
    if (codec_is_scalar(field)) twl_push_scalar(reader->L, field, value->bits, reader->options.int64);
    else if (codec_is_message(field)) push_message(reader, field->message, value->data, value->length);
    else lua_pushlstring(reader->L, (const char *)value->data, value->length);
}

const uint8_t *twl_push_inside(const struct reader *reader, const struct codec_view *view, const struct field *field,
                               size_t *length) {
    lua_State *L = reader->L;
    *length = view->slots[field->index].length & ~CODEC_SPLIT;
    if (!(view->slots[field->index].length & CODEC_SPLIT)) {
        lua_pushnil(L);
        return codec_inside(view, field);
    }
    struct buffer *pieces = &reader->schema->state->pieces;
    buffer_clear(pieces);
    codec_gather(view, field, pieces);
    *length = buffer_length(pieces);
    uint8_t *merged = lua_newuserdata(L, *length + 1);
    if (*length) memcpy(merged, buffer_bytes(pieces), *length);
    twl_scratch_done(pieces);
    return merged;
}

static void push_sub_message(const struct reader *reader, const struct codec_view *view, const struct field *field) {
    size_t length;
    const uint8_t *bytes = twl_push_inside(reader, view, field, &length);
    struct reader inner = *reader;
    if (view->slots[field->index].length & CODEC_SPLIT) inner.owner = NULL;
    push_message(&inner, field->message, bytes, length);
    lua_remove(reader->L, -2);
}

/* Memory for more elements than that is not taken because of what a peer wrote. */
static void check_count(const struct reader *reader, const struct codec_view *view, const struct field *field,
                        uint32_t count) {
    if (count > reader->options.list_elements)
        luaL_error(reader->L, "%s.%s has %d elements, more than the limit of %d", view->type->full_name, field->name,
                   (int)count, (int)reader->options.list_elements);
}

static uint32_t count_of(const struct codec_view *view, const struct field *field) {
    return codec_bit(view->presence, field->index) ? view->slots[field->index].count : 0;
}

static void push_list(const struct reader *reader, const struct codec_view *view, const struct field *field) {
    uint32_t count = count_of(view, field);
    check_count(reader, view, field, count);
    lua_createtable(reader->L, (int)count, 0);
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    for (int place = 1; codec_next(&elements, &value); place++) {
        push_value(reader, field, &value);
        lua_rawseti(reader->L, -2, place);
    }
}

/* A 64-bit key beyond 2^53 is its decimal string: cdata of the same value are different keys. */
static void push_key(const struct reader *reader, const struct field *field, const struct codec_view *entry) {
    lua_State *L = reader->L;
    bool is_present = codec_bit(entry->presence, field->index);
    const struct codec_slot *slot = &entry->slots[field->index];
    if (field->wire_type == WIRE_BYTES) {
        if (is_present) lua_pushlstring(L, (const char *)entry->bytes + slot->offset, slot->length);
        else lua_pushliteral(L, "");
        return;
    }
    uint64_t bits = is_present ? slot->bits : 0;
    enum int64_form form = reader->options.int64 == INT64_AS_STRING ? INT64_AS_STRING : INT64_AS_NUMBER;
    twl_push_scalar(L, field, bits, form);
    if (lua_type(L, -1) != LUA_TYPE_CDATA) return;
    lua_pop(L, 1);
    twl_push_scalar(L, field, bits, INT64_AS_STRING);
}

static void push_map_value(const struct reader *reader, const struct field *field, const struct codec_view *entry) {
    if (codec_bit(entry->presence, field->index)) twl_push_field(reader, entry, field);
    else if (codec_is_message(field)) push_message(reader, field->message, NULL, 0);
    else twl_push_default(reader, field);
}

static void push_map(const struct reader *reader, const struct codec_view *view, const struct field *field) {
    const struct message_type *type = field->message;
    uint64_t memory[8]; /* a word of bits and two slots, with room to spare */
    struct codec_view entry;
    codec_view_place(&entry, type, memory);
    uint32_t count = count_of(view, field);
    check_count(reader, view, field, count);
    lua_createtable(reader->L, 0, (int)count);
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    while (codec_next(&elements, &value)) {
        codec_rescan(&entry, value.data, value.length);
        push_key(reader, &type->fields[0], &entry);
        push_map_value(reader, &type->fields[1], &entry);
        lua_rawset(reader->L, -3);
    }
}

void twl_push_default(const struct reader *reader, const struct field *field) {
    lua_State *L = reader->L;
    if (codec_is_message(field)) lua_pushnil(L);
    else if (codec_is_scalar(field)) twl_push_scalar(L, field, codec_default_bits(field), reader->options.int64);
    else if (field->has_default)
        lua_pushlstring(L, field->default_value.bytes.data, field->default_value.bytes.length);
    else lua_pushliteral(L, "");
}

void twl_push_field(const struct reader *reader, const struct codec_view *view, const struct field *field) {
    luaL_checkstack(reader->L, 10, "message");
    const struct codec_slot *slot = &view->slots[field->index];
    if (field->is_map) push_map(reader, view, field);
    else if (field->is_repeated) push_list(reader, view, field);
    else if (codec_is_scalar(field)) twl_push_scalar(reader->L, field, slot->bits, reader->options.int64);
    else if (codec_is_message(field)) push_sub_message(reader, view, field);
    else lua_pushlstring(reader->L, (const char *)view->bytes + slot->offset, slot->length);
}

static void push_table(const struct reader *reader, struct codec_view *view) {
    lua_State *L = reader->L;
    size_t present = 0;
    for (size_t i = 0; i < codec_words(view->type); i++)
        present += (size_t)__builtin_popcountll(view->presence[i]);
    lua_createtable(L, 0, (int)present);
    for (size_t i = 0; i < view->type->field_count; i++) {
        const struct field *field = &view->type->fields[i];
        if (!codec_bit(view->presence, field->index)) continue;
        lua_pushstring(L, field->name);
        twl_push_field(reader, view, field);
        lua_rawset(L, -3);
    }
}

void twl_push_table(const struct reader *reader, const struct message_type *type, const uint8_t *bytes,
                    size_t length) {
    struct reader inner = *reader;
    inner.makes_tables = true;
    luaL_checkstack(reader->L, 6, "message");
    uint64_t small[2 * SMALL_FIELDS];
    size_t size = codec_view_size(type);
    bool is_small = size <= sizeof small;
    struct codec_view view;
    codec_view_place(&view, type, is_small ? (void *)small : lua_newuserdata(reader->L, size));
    codec_rescan(&view, bytes, length);
    push_table(&inner, &view);
    if (!is_small) lua_remove(reader->L, -2);
}

void twl_push_plain(const struct reader *reader, const struct codec_view *view, const struct field *field) {
    const struct codec_slot *slot = &view->slots[field->index];
    if (!codec_bit(view->presence, field->index)) {
        if (field->has_presence) lua_pushnil(reader->L);
        else twl_push_default(reader, field);
    } else if (codec_is_scalar(field)) {
        twl_push_scalar(reader->L, field, slot->bits, reader->options.int64);
    } else {
        lua_pushlstring(reader->L, (const char *)view->bytes + slot->offset, slot->length);
    }
}
