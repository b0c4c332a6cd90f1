/* script/json_encode.c - see json_value.h */
#include <luajit-2.1/lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/codec.h"
#include "schema/json_number.h"
#include "schema/json_place.h"
#include "schema/json_text.h"
#include "script/json_value.h"
#include "script/message_private.h"

struct encoder {
    lua_State *L;
    const struct json_marks *marks;
    struct buffer *out;
    struct error *error;
    size_t begin; /* of the text in `out` */
    unsigned depth;
};

static bool write_value(struct encoder *encoder, int index, const struct json_place *place);

static bool fail(struct encoder *encoder, const struct json_place *place, const char *reason) {
    if (!place) return error_set(encoder->error, "%s", reason);
    return json_fail(encoder->error, place, "%s", reason);
}

static bool has_room(struct encoder *encoder, const struct json_place *place, size_t length) {
    size_t used = buffer_length(encoder->out) - encoder->begin;
    if (length <= JSON_LONGEST && used <= JSON_LONGEST - length) return true;
    return fail(encoder, place, "the text would be larger than 16 MiB");
}

static bool write_string(struct encoder *encoder, int index, const struct json_place *place) {
    size_t length;
    const char *text = lua_tolstring(encoder->L, index, &length);
    if (!has_room(encoder, place, length)) return false;
    if (!codec_is_utf8(text, length)) return fail(encoder, place, "a string that is not UTF-8");
    json_quote(encoder->out, text, length);
    return true;
}

static bool write_number(struct encoder *encoder, int index, const struct json_place *place) {
    double number = lua_tonumber(encoder->L, index);
    if (!isfinite(number)) return fail(encoder, place, "NaN and infinity have no JSON form");
    json_write_double(encoder->out, number);
    return true;
}

static bool write_wide(struct encoder *encoder, int index, const struct json_place *place) {
    uint64_t bits;
    switch (twl_to_wide(encoder->L, index, &bits)) {
    case NUMBER_SIGNED: buffer_format(encoder->out, "%lld", (long long)(int64_t)bits); return true;
    case NUMBER_UNSIGNED: buffer_format(encoder->out, "%llu", (unsigned long long)bits); return true;
    case NUMBER_NONE: break;
    }
    return fail(encoder, place, "a cdata has no JSON form");
}

static bool is_marked_array(struct encoder *encoder, int index) {
    lua_State *L = encoder->L;
    if (!lua_getmetatable(L, index)) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, encoder->marks->array);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is;
}

/* What stands beside 1…count would be lost. */
static bool check_elements(struct encoder *encoder, int index, size_t count, const struct json_place *place) {
    lua_State *L = encoder->L;
    size_t found = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) found++;
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        bool is_hole = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (is_hole) return fail(encoder, place, "an array with a hole: json.null stands for what is not there");
    }
    return found == count || fail(encoder, place, "an array with keys that are not 1, 2, 3 and so on");
}

static bool write_array(struct encoder *encoder, int index, const struct json_place *place) {
    lua_State *L = encoder->L;
    size_t count = lua_objlen(L, index);
    if (!check_elements(encoder, index, count, place)) return false;
    buffer_append_byte(encoder->out, '[');
    for (size_t i = 1; i <= count; i++) {
        struct json_place here = {.outer = place, .kind = JSON_PLACE_ELEMENT, .length = i};
        if (i > 1) buffer_append_byte(encoder->out, ',');
        lua_rawgeti(L, index, (int)i);
        if (!write_value(encoder, lua_gettop(L), &here)) return false;
        lua_pop(L, 1);
    }
    buffer_append_byte(encoder->out, ']');
    return true;
}

struct name {
    const char *text; /* kept by the table */
    size_t length;
};

static int compare_names(const void *a, const void *b) {
    const struct name *left = a, *right = b;
    size_t shared = left->length < right->length ? left->length : right->length;
    int order = memcmp(left->text, right->text, shared);
    return order ? order : (left->length > right->length) - (left->length < right->length);
}

/* Pushes what holds the list of names, sorted, so that equal tables make equal texts; NULL for wrong keys. */
static const struct name *push_names(struct encoder *encoder, int index, size_t *count,
                                     const struct json_place *place) {
    lua_State *L = encoder->L;
    *count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) ++*count;
    struct name *names = lua_newuserdata(L, (*count + 1) * sizeof *names);
    size_t taken = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            fail(encoder, place, "an object whose keys are not all strings");
            return NULL;
        }
        struct name *name = &names[taken++];
        name->text = lua_tolstring(L, -2, &name->length);
    }
    qsort(names, taken, sizeof *names, compare_names);
    return names;
}

static bool write_object(struct encoder *encoder, int index, const struct json_place *place) {
    lua_State *L = encoder->L;
    size_t count;
    const struct name *names = push_names(encoder, index, &count, place);
    if (!names) return false;
    buffer_append_byte(encoder->out, '{');
    for (size_t i = 0; i < count; i++) {
        struct json_place here = {
            .outer = place, .kind = JSON_PLACE_FIELD, .name = names[i].text, .length = names[i].length};
        if (i) buffer_append_byte(encoder->out, ',');
        lua_pushlstring(L, names[i].text, names[i].length);
        if (!write_string(encoder, lua_gettop(L), &here)) return false;
        buffer_append_byte(encoder->out, ':');
        lua_rawget(L, index);
        if (!write_value(encoder, lua_gettop(L), &here)) return false;
        lua_pop(L, 1);
    }
    buffer_append_byte(encoder->out, '}');
    return true;
}

static bool write_table(struct encoder *encoder, int index, const struct json_place *place) {
    if (encoder->depth == JSON_DEEPEST)
        return error_set(encoder->error, "tables inside one another deeper than %d levels, or in a circle",
                         JSON_DEEPEST);
    encoder->depth++;
    luaL_checkstack(encoder->L, 10, "tidewire.json.encode");
    int top = lua_gettop(encoder->L);
    bool is_array = is_marked_array(encoder, index) || lua_objlen(encoder->L, index) > 0;
    bool is_fine = (is_array ? write_array : write_object)(encoder, index, place);
    lua_settop(encoder->L, top);
    encoder->depth--;
    return is_fine;
}

static bool write_value(struct encoder *encoder, int index, const struct json_place *place) {
    lua_State *L = encoder->L;
    if (!has_room(encoder, place, 32)) return false;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: buffer_append_text(encoder->out, lua_toboolean(L, index) ? "true" : "false"); return true;
    case LUA_TNUMBER: return write_number(encoder, index, place);
    case LUA_TSTRING: return write_string(encoder, index, place);
    case LUA_TTABLE: return write_table(encoder, index, place);
    case LUA_TYPE_CDATA: return write_wide(encoder, index, place);
    case LUA_TNIL: return fail(encoder, place, "nil has no JSON form: json.null has");
    default: break;
    }
    if (lua_touserdata(L, index) == encoder->marks->null) {
        buffer_append_text(encoder->out, "null");
        return true;
    }
    if (twl_object(L, index)) return fail(encoder, place, "a message object: message:totable() makes a plain table of it");
    char reason[64];
    snprintf(reason, sizeof reason, "a %s has no JSON form", luaL_typename(L, index));
    return fail(encoder, place, reason);
}

bool json_value_encode(lua_State *L, int index, const struct json_marks *marks, struct buffer *out,
                       struct error *error) {
    struct encoder encoder = {
        .L = L, .marks = marks, .out = out, .error = error, .begin = buffer_length(out)};
    luaL_checkstack(L, 10, "tidewire.json.encode");
    return write_value(&encoder, index, NULL);
}
