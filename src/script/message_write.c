/* script/message_write.c - Lua values to bytes: plain tables, lists, maps, and objects with what changed in them.
 *
 * Tables are read raw, so no code of a script runs in between. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "script/message_private.h"

static void append_step(const struct writer *writer, const struct step *step, struct buffer *path) {
    lua_State *L = writer->L;
    if (!step) return buffer_append_text(path, writer->root->full_name);
    append_step(writer, step->up, path);
    if (step->place) return buffer_format(path, "[%zu]", step->place);
    if (!step->key) return buffer_format(path, ".%s", step->field->name);
    if (lua_type(L, step->key) == LUA_TSTRING) return buffer_format(path, "[\"%.60s\"]", lua_tostring(L, step->key));
    if (lua_type(L, step->key) == LUA_TNUMBER) return buffer_format(path, "[%.17g]", lua_tonumber(L, step->key));
    buffer_format(path, "[%s]", lua_type(L, step->key) == LUA_TBOOLEAN
                                    ? lua_toboolean(L, step->key) ? "true" : "false"
                                    : luaL_typename(L, step->key));
}

/* The path into a circle has a hundred steps, of which the first and the last tell enough. */
static void shorten(struct buffer *path) {
    enum { ENDS = 100 };
    static const char gap[] = " … ";
    size_t length = buffer_length(path);
    if (length <= 2 * ENDS + sizeof gap) return;
    uint8_t *text = buffer_bytes(path);
    memcpy(text + ENDS, gap, sizeof gap - 1);
    memmove(text + ENDS + sizeof gap - 1, text + length - ENDS, ENDS);
    path->end -= length - (2 * ENDS + sizeof gap - 1);
}

/* The text is put together in the state's own memory, since lua_error() frees nothing. */
void twl_write_fault(const struct writer *writer, const struct step *step, const char *format, ...) {
    lua_State *L = writer->L;
    struct buffer *text = &writer->schema->state->pieces;
    buffer_clear(text);
    append_step(writer, step, text);
    shorten(text);
    char reason[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    buffer_format(text, ": %s", reason);
    luaL_checkstack(L, 4, "message");
    luaL_where(L, 1);
    lua_pushlstring(L, (const char *)buffer_bytes(text), buffer_length(text));
    twl_scratch_done(text);
    lua_concat(L, 2);
    lua_error(L);
    __builtin_unreachable();
}

void twl_write_mistyped(const struct writer *writer, const struct step *step, const char *expected, int index) {
    const struct object *object = twl_object(writer->L, index);
    twl_write_fault(writer, step, "expected %s, got %s", expected,
                    object ? object->view.type->full_name : luaL_typename(writer->L, index));
}

const char *twl_to_text(const struct writer *writer, int index, const struct step *step, size_t *length) {
    lua_State *L = writer->L;
    if (lua_type(L, index) != LUA_TSTRING) twl_write_mistyped(writer, step, "a string", index);
    const char *text = lua_tolstring(L, index, length);
    if (step->field->is_utf8 && !codec_is_utf8(text, *length))
        twl_write_fault(writer, step, "the string is not valid UTF-8");
    return text;
}

/* One element, with its tag; a scalar of a packed list without. */
static void write_one(struct writer *writer, int index, const struct step *step, bool is_packed) {
    const struct field *field = step->field;
    size_t length;
    if (codec_is_message(field)) {
        size_t opened = codec_open(writer->out, field);
        twl_write_message(writer, index, field->message, step);
        codec_close(writer->out, field, opened);
    } else if (!codec_is_scalar(field)) {
        const char *text = twl_to_text(writer, index, step, &length);
        twl_write_check_size(writer, step, length);
        codec_write_bytes(writer->out, field, text, length);
    } else if (is_packed) {
        codec_write_packed(writer->out, field, twl_to_bits(writer, index, step));
    } else {
        codec_write_scalar(writer->out, field, twl_to_bits(writer, index, step));
    }
}

/* Whatever is in the table beside 1…count is a mistake that would be lost silently. */
static void check_only_elements(const struct writer *writer, int index, size_t count, const struct step *step) {
    lua_State *L = writer->L;
    size_t found = 0;
    if (count) lua_pushinteger(L, (lua_Integer)count);
    else lua_pushnil(L);
    if (!lua_next(L, index)) return;
    lua_pop(L, 2);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        double place = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (place >= 1 && place <= (double)count && place == (double)(size_t)place) {
            found++;
            continue;
        }
        struct step here = {.up = step, .field = step->field, .key = lua_gettop(L) - 1};
        twl_write_fault(writer, &here, "not an element: a list has the keys 1 to %zu", count);
    }
    if (found != count) twl_write_fault(writer, step, "a list may not have holes");
}

static void write_list(struct writer *writer, int index, const struct step *step) {
    lua_State *L = writer->L;
    const struct field *field = step->field;
    size_t count = lua_objlen(L, index);
    check_only_elements(writer, index, count, step);
    if (!count) return;
    bool is_packed = field->is_packed;
    size_t opened = is_packed ? codec_open(writer->out, field) : 0;
    for (size_t place = 1; place <= count; place++) {
        struct step here = {.up = step, .field = field, .place = place};
        lua_rawgeti(L, index, (int)place);
        if (lua_isnil(L, -1)) twl_write_fault(writer, step, "a list may not have holes");
        write_one(writer, lua_gettop(L), &here, is_packed);
        lua_pop(L, 1);
    }
    if (is_packed) codec_close(writer->out, field, opened);
}

/* A map writes key and value even where they are defaults, as everyone does. */
static void write_map(struct writer *writer, int index, const struct step *step) {
    lua_State *L = writer->L;
    const struct field *map = step->field, *fields = map->message->fields;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        int value = lua_gettop(L), key = value - 1;
        size_t opened = codec_open(writer->out, map);
        struct step of_key = {.up = step, .field = &fields[0], .key = key};
        struct step of_value = {.up = step, .field = &fields[1], .key = key};
        write_one(writer, key, &of_key, false);
        write_one(writer, value, &of_value, false);
        codec_close(writer->out, map, opened);
    }
}

bool twl_write_plain(lua_State *L, int index, const struct field *field, struct buffer *out) {
    int type = lua_type(L, index);
    uint64_t bits;
    size_t length;
    if (codec_is_scalar(field)) {
        if (!twl_plain_bits(L, index, type, field, &bits)) return false;
        if (bits || field->has_presence) codec_write_scalar(out, field, bits);
        return true;
    }
    if (type != LUA_TSTRING) return false;
    const char *text = lua_tolstring(L, index, &length);
    if (field->is_utf8 && !codec_is_utf8(text, length)) return false;
    if (length || field->has_presence) codec_write_bytes(out, field, text, length);
    return true;
}

void twl_write_field(struct writer *writer, int index, const struct field *field, const struct step *up) {
    struct step step = {.up = up, .field = field};
    size_t length;
    if (twl_is_plain(field) && twl_write_plain(writer->L, index, field, writer->out)) {
        twl_write_check_size(writer, up, 0);
        return;
    }
    if (field->is_repeated) {
        if (lua_type(writer->L, index) != LUA_TTABLE)
            twl_write_mistyped(writer, &step, field->is_map ? "a table of keys and values" : "a list", index);
        if (field->is_map) write_map(writer, index, &step);
        else write_list(writer, index, &step);
    } else if (codec_is_scalar(field)) {
        uint64_t bits = twl_to_bits(writer, index, &step);
        if (bits || field->has_presence) codec_write_scalar(writer->out, field, bits);
    } else if (codec_is_message(field)) {
        write_one(writer, index, &step, false);
    } else {
        const char *text = twl_to_text(writer, index, &step, &length);
        twl_write_check_size(writer, &step, length);
        if (length || field->has_presence) codec_write_bytes(writer->out, field, text, length);
    }
}

_Noreturn static void unknown_key(const struct writer *writer, int key, const struct message_type *type,
                                  const struct step *step) {
    lua_State *L = writer->L;
    if (lua_type(L, key) != LUA_TSTRING)
        twl_write_fault(writer, step, "a message has named fields, but a key is a %s", luaL_typename(L, key));
    const char *name = lua_tostring(L, key), *nearest = message_nearest_field(type, name);
    if (nearest) twl_write_fault(writer, step, "no field \"%.60s\" (did you mean \"%s\"?)", name, nearest);
    twl_write_fault(writer, step, "no field \"%.60s\"", name);
}

/* Which fields a table sets, and where on the stack their values are. */
struct given {
    uint64_t *bits;
    uint16_t *place;
};

/* Leaves the values on the stack, so that they are written in the order of the fields: a table's own order changes
 * from run to run. */
static void collect(struct writer *writer, int index, const struct twl_type *type, const struct given *given,
                    const struct step *step) {
    lua_State *L = writer->L;
    int top = lua_gettop(L), room = top + 8;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const struct field *field = twl_type_field(L, type, -2);
        if (!field) unknown_key(writer, lua_gettop(L) - 1, type->type, step);
        lua_insert(L, -2); /* the key stays on top, as lua_next() wants it */
        given->place[field->index] = (uint16_t)++top;
        codec_set_bit(given->bits, field->index);
        if (top == room) {
            luaL_checkstack(L, 20, "message");
            room += 12;
        }
    }
}

static void check_oneof(const struct writer *writer, const struct field *field, const struct message_type *type,
                        const struct given *given, const struct step *step) {
    const struct oneof *oneof = &type->oneofs[field->oneof];
    for (size_t i = 0; i < oneof->field_count; i++) {
        const struct field *other = &type->fields[oneof->fields[i]];
        if (other != field && codec_bit(given->bits, other->index))
            twl_write_fault(writer, step, "\"%s\" and \"%s\" are both given, but oneof \"%s\" has one of them",
                            field->name, other->name, oneof->name);
    }
}

static void check_required(const struct writer *writer, const struct message_type *type, const uint64_t *present,
                           const struct step *step) {
    struct codec_view view = {.type = type, .presence = (uint64_t *)(uintptr_t)present};
    const struct field *missing = writer->is_partial ? NULL : codec_missing_field(&view);
    if (missing) twl_write_fault(writer, step, "required field \"%s\" is not set", missing->name);
}

/* Tables of a few numbers and strings, whose own order mostly is that of the fields: often there is one alone. False,
 * nothing written: it is no such table. */
static bool write_in_order(struct writer *writer, int index, const struct twl_type *known) {
    lua_State *L = writer->L;
    struct buffer *out = writer->out;
    size_t before = buffer_length(out);
    int last = -1;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const struct field *field = twl_type_field(L, known, -2);
        if (!field || field->index <= last || !twl_is_plain(field) || field->oneof >= 0 ||
            !twl_write_plain(L, -1, field, out) || buffer_length(out) > writer->most) {
            lua_pop(L, 2);
            out->end = out->start + before;
            return false;
        }
        last = field->index;
        lua_pop(L, 1);
    }
    return true;
}

static void write_table(struct writer *writer, int index, struct twl_type *known, const struct step *step) {
    lua_State *L = writer->L;
    const struct message_type *type = known->type;
    if (!known->has_other_tables && !type->has_required) {
        if (write_in_order(writer, index, known)) return;
        known->has_other_tables = true;
    }
    size_t words = codec_words(type);
    uint64_t small_bits = 0;
    uint16_t small_place[SMALL_FIELDS];
    struct given given = {&small_bits, small_place};
    int top = lua_gettop(L);
    if (type->field_count > SMALL_FIELDS) {
        given.bits = lua_newuserdata(L, words * 8 + type->field_count * 2);
        given.place = (uint16_t *)(given.bits + words);
        memset(given.bits, 0, words * 8);
    }
    collect(writer, index, known, &given, step);
    check_required(writer, type, given.bits, step);
    for (size_t word = 0; word < words; word++) {
        for (uint64_t left = given.bits[word]; left; left &= left - 1) {
            const struct field *field = &type->fields[word * 64 + (size_t)__builtin_ctzll(left)];
            if (field->oneof >= 0) check_oneof(writer, field, type, &given, step);
            twl_write_field(writer, given.place[field->index], field, step);
        }
    }
    lua_settop(L, top);
}

static void write_changed_field(struct writer *writer, int index, const struct object *object,
                                const struct field *field, const struct step *step) {
    if (codec_bit(object_overlaid(object), field->index)) {
        twl_object_overlaid(writer->L, index, field);
        twl_write_field(writer, lua_gettop(writer->L), field, step);
        lua_pop(writer->L, 1);
    } else if (!field->is_repeated && codec_bit(object->view.presence, field->index)) {
        uint64_t bits = object->view.slots[field->index].bits;
        if (bits || field->has_presence) codec_write_scalar(writer->out, field, bits);
    }
}

static void write_object(struct writer *writer, int index, struct object *object, const struct step *step) {
    const struct codec_view *view = &object->view;
    const struct message_type *type = view->type;
    writer->depth--; /* settling counts this level itself */
    bool is_changed = twl_object_settle(writer, index, object, step);
    writer->depth++;
    if (!is_changed) {
        buffer_append(writer->out, view->bytes, view->length);
        return;
    }
    check_required(writer, type, view->presence, step);
    const uint64_t *changed = object_changed(object);
    codec_splice(type, view->bytes, view->length, changed, writer->out);
    for (size_t word = 0, words = codec_words(type); word < words; word++)
        for (uint64_t left = changed[word]; left; left &= left - 1)
            write_changed_field(writer, index, object, &type->fields[word * 64 + (size_t)__builtin_ctzll(left)], step);
}

void twl_write_message(struct writer *writer, int index, const struct message_type *type, const struct step *step) {
    lua_State *L = writer->L;
    twl_write_enter(writer, step);
    twl_write_check_size(writer, step, 0);
    if (lua_type(L, index) == LUA_TTABLE) {
        write_table(writer, index, twl_type_of(L, writer->schema, type), step);
    } else {
        struct object *object = twl_object(L, index);
        if (!object || (object->view.type != type && strcmp(object->view.type->full_name, type->full_name) != 0))
            twl_write_mistyped(writer, step, type->full_name, index);
        write_object(writer, index, object, step);
    }
    writer->depth--;
}

void twl_message_encode(lua_State *L, int index, struct twl_schema *schema, const struct message_type *type,
                        struct buffer *out) {
    if (index < 0) index = lua_gettop(L) + index + 1;
    struct writer writer = {.L = L, .out = out, .schema = schema, .root = type};
    twl_write_message(&writer, index, type, NULL);
}

bool twl_message_unchanged(lua_State *L, int index, const uint8_t **bytes, size_t *length, struct message **owner) {
    struct object *object = twl_object(L, index);
    if (!object || object->is_changed) return false;
    if (index < 0) index = lua_gettop(L) + index + 1;
    struct writer writer = {.L = L, .schema = object->type->schema, .root = object->view.type};
    if (twl_object_settle(&writer, index, object, NULL)) return false;
    *bytes = object->view.bytes;
    *length = object->view.length;
    *owner = object->owner;
    return true;
}

const uint8_t *twl_object_bytes(lua_State *L, int index, struct object *object, bool is_partial, size_t *length) {
    struct buffer *scratch = &object->type->schema->state->scratch;
    struct writer writer = {.L = L, .out = scratch, .schema = object->type->schema, .root = object->view.type,
                            .is_partial = is_partial};
    if (!twl_object_settle(&writer, index, object, NULL)) {
        *length = object->view.length;
        return object->view.bytes;
    }
    buffer_clear(scratch);
    buffer_reserve(scratch, 1); /* so that even no bytes have an address */
    twl_write_message(&writer, index, object->view.type, NULL);
    *length = buffer_length(scratch);
    return buffer_bytes(scratch);
}

void twl_scratch_done(struct buffer *scratch) {
    enum { MOST_KEPT = 64 * 1024 };
    if (scratch->capacity > MOST_KEPT) buffer_free(scratch);
    else buffer_clear(scratch);
}
