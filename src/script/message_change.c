/* script/message_change.c - did the script write into what it read?
 *
 * Lists and maps are ordinary tables, which tell nobody when they are written. So what was read is held against the
 * bytes when the message is about to leave. Nothing of this runs for a message of which only plain fields were
 * read. */
#include <string.h>

#include "schema/wire.h"
#include "script/message_private.h"

static bool is_nan(const struct field *field, uint64_t bits) {
    if (field->type == FIELD_DOUBLE) return (bits & INT64_MAX) > UINT64_C(0x7ff0000000000000);
    return field->type == FIELD_FLOAT && (bits & INT32_MAX) > 0x7f800000u;
}

/* NaNs lose their spare bits on the way through Lua. */
static bool same_bits(const struct field *field, uint64_t a, uint64_t b) {
    return a == b || (is_nan(field, a) && is_nan(field, b));
}

/* The message at the top of the stack against the bytes that it was read from. */
static bool same_message(struct writer *writer, const struct codec_value *was, const struct step *step) {
    int index = lua_gettop(writer->L);
    struct object *object = twl_object(writer->L, index);
    if (!object || object->view.type != step->field->message) return false;
    if (twl_object_settle(writer, index, object, step)) return false;
    return object->view.length == was->length && memcmp(object->view.bytes, was->data, was->length) == 0;
}

/* The value at the top of the stack. One of a wrong type is refused here, or makes the list a changed one and is
 * refused when that is written. */
static bool same_value(struct writer *writer, const struct codec_value *was, const struct step *step) {
    lua_State *L = writer->L;
    const struct field *field = step->field;
    if (codec_is_message(field)) return same_message(writer, was, step);
    if (codec_is_scalar(field)) return same_bits(field, twl_to_bits(writer, lua_gettop(L), step), was->bits);
    size_t length;
    if (lua_type(L, -1) != LUA_TSTRING) return false;
    const char *text = lua_tolstring(L, -1, &length);
    return length == was->length && memcmp(text, was->data, length) == 0;
}

static bool list_changed(struct writer *writer, int index, const struct codec_view *view, const struct step *step) {
    lua_State *L = writer->L;
    const struct field *field = step->field;
    uint32_t count = codec_bit(view->presence, field->index) ? view->slots[field->index].count : 0;
    if (lua_objlen(L, index) != count) return true;
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    for (int place = 1; codec_next(&elements, &value); place++) {
        struct step here = {.up = step, .field = field, .place = (size_t)place};
        lua_rawgeti(L, index, place);
        bool is_same = same_value(writer, &value, &here);
        lua_pop(L, 1);
        if (!is_same) return true;
    }
    /* Something behind the elements, or beside them. */
    if (count) lua_pushinteger(L, (lua_Integer)count);
    else lua_pushnil(L);
    if (!lua_next(L, index)) return false;
    lua_pop(L, 2);
    return true;
}

/* Two values of a map, at the top of the stack: what is there now, and what a fresh reading gives. */
static bool same_pair(struct writer *writer, const struct step *step) {
    lua_State *L = writer->L;
    const struct object *fresh = twl_object(L, -1);
    bool is_same;
    if (fresh) {
        struct codec_value was = {.data = fresh->view.bytes, .length = fresh->view.length};
        lua_insert(L, -2);
        is_same = same_message(writer, &was, step);
        lua_insert(L, -2);
        return is_same;
    }
    if (codec_is_scalar(step->field) && !lua_isnil(L, -2)) {
        int top = lua_gettop(L);
        return same_bits(step->field, twl_to_bits(writer, top - 1, step), twl_to_bits(writer, top, step));
    }
    return lua_rawequal(L, -1, -2);
}

/* A map is read once more and held against the table key by key: so keys that came twice, or in another form than
 * one writes them, count as what they were read as. */
static bool map_changed(struct writer *writer, int index, const struct object *object, const struct step *step) {
    lua_State *L = writer->L;
    const struct field *value = &step->field->message->fields[1];
    struct reader reader = {L, object->type->schema, object->options, object->owner, false};
    int top = lua_gettop(L);
    size_t keys = 0, keys_before = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) keys++;
    twl_push_field(&reader, &object->view, step->field);
    for (lua_pushnil(L); lua_next(L, top + 1); lua_pop(L, 1)) {
        int key = lua_gettop(L) - 1;
        keys_before++;
        lua_pushvalue(L, key);
        lua_rawget(L, index);
        lua_insert(L, -2);
        struct step here = {.up = step, .field = value, .key = key};
        bool is_same = same_pair(writer, &here);
        lua_remove(L, -2);
        if (is_same) continue;
        lua_settop(L, top);
        return true;
    }
    lua_settop(L, top);
    return keys != keys_before;
}

static bool field_changed(struct writer *writer, int index, struct object *object, const struct field *field,
                          const struct step *up) {
    lua_State *L = writer->L;
    struct step step = {.up = up, .field = field};
    twl_object_overlaid(L, index, field);
    int value = lua_gettop(L);
    bool is_changed;
    if (field->is_map) is_changed = map_changed(writer, value, object, &step);
    else if (field->is_repeated) is_changed = list_changed(writer, value, &object->view, &step);
    else is_changed = twl_object_settle(writer, value, twl_object(L, value), &step);
    lua_settop(L, value - 1);
    return is_changed;
}

bool twl_object_settle(struct writer *writer, int index, struct object *object, const struct step *step) {
    if (!object->has_overlay) return object->is_changed;
    twl_write_enter(writer, step);
    uint64_t *changed = object_changed(object), *overlaid = object_overlaid(object);
    const struct message_type *type = object->view.type;
    for (size_t word = 0, words = codec_words(type); word < words; word++) {
        for (uint64_t left = overlaid[word] & ~changed[word]; left; left &= left - 1) {
            const struct field *field = &type->fields[word * 64 + (size_t)__builtin_ctzll(left)];
            if (!field_changed(writer, index, object, field, step)) continue;
            codec_set_bit(changed, field->index);
            object->is_changed = true;
        }
    }
    writer->depth--;
    return object->is_changed;
}
