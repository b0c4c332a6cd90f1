/* script/json_decode.c - see json_value.h */
#include <luajit-2.1/lauxlib.h>
#include <string.h>

#include "schema/json_number.h"
#include "schema/json_text.h"
#include "script/json_value.h"
#include "script/message.h"

struct decoder {
    lua_State *L;
    struct json_text text;
    struct buffer *scratch;
    int null, array;
    unsigned depth;
    size_t values;
};

static bool push_value(struct decoder *decoder);

static bool fail(struct decoder *decoder, const char *fault) {
    if (!decoder->text.fault) decoder->text.fault = fault;
    return false;
}

static bool push_string(struct decoder *decoder) {
    struct json_string string;
    if (!json_take_string(&decoder->text, &string)) return false;
    if (!string.is_escaped) {
        lua_pushlstring(decoder->L, string.data, string.length);
        return true;
    }
    buffer_clear(decoder->scratch);
    json_decode(&string, decoder->scratch);
    lua_pushlstring(decoder->L, (const char *)buffer_bytes(decoder->scratch), buffer_length(decoder->scratch));
    return true;
}

/* Digits alone are a whole number, exact as far as 64 bits go. */
static bool push_whole(struct decoder *decoder, const char *text, size_t length) {
    int64_t value;
    uint64_t large;
    if (memchr(text, '.', length) || memchr(text, 'e', length) || memchr(text, 'E', length)) return false;
    if (length == 2 && memcmp(text, "-0", 2) == 0) return false;
    if (json_to_signed(text, length, INT64_MIN, INT64_MAX, &value) == JSON_NUMBER_OK)
        twl_push_int64(decoder->L, value, INT64_AS_NUMBER);
    else if (json_to_unsigned(text, length, UINT64_MAX, &large) == JSON_NUMBER_OK)
        twl_push_uint64(decoder->L, large, INT64_AS_NUMBER);
    else
        return false;
    return true;
}

static bool push_number(struct decoder *decoder) {
    const char *text;
    size_t length;
    double value;
    if (!json_take_number(&decoder->text, &text, &length)) return false;
    if (push_whole(decoder, text, length)) return true;
    if (json_to_double(text, length, &value) != JSON_NUMBER_OK) return fail(decoder, "a number that is too large");
    lua_pushnumber(decoder->L, value);
    return true;
}

static bool push_array(struct decoder *decoder) {
    lua_State *L = decoder->L;
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, decoder->array);
    lua_setmetatable(L, -2);
    if (json_take(&decoder->text, ']')) return true;
    for (int i = 1;; i++) {
        if (!push_value(decoder)) return false;
        lua_rawseti(L, -2, i);
        if (json_take(&decoder->text, ']')) return true;
        if (!json_expect(&decoder->text, ',', "expected ',' or ']'")) return false;
    }
}

static bool push_object(struct decoder *decoder) {
    lua_State *L = decoder->L;
    lua_newtable(L);
    if (json_take(&decoder->text, '}')) return true;
    for (;;) {
        if (!push_string(decoder)) return false;
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (!lua_isnil(L, -1)) return fail(decoder, "a name that stands twice");
        lua_pop(L, 1);
        if (!json_expect(&decoder->text, ':', "expected ':'") || !push_value(decoder)) return false;
        lua_rawset(L, -3);
        if (json_take(&decoder->text, '}')) return true;
        if (!json_expect(&decoder->text, ',', "expected ',' or '}'")) return false;
    }
}

static bool push_nested(struct decoder *decoder, bool (*push)(struct decoder *decoder)) {
    if (decoder->depth == JSON_DEEPEST) return fail(decoder, "nested deeper than 100 levels");
    decoder->depth++;
    luaL_checkstack(decoder->L, 10, "tidewire.json.decode");
    bool is_fine = push(decoder);
    decoder->depth--;
    return is_fine;
}

static bool push_value(struct decoder *decoder) {
    lua_State *L = decoder->L;
    struct json_text *text = &decoder->text;
    if (++decoder->values > JSON_MOST_VALUES) return fail(decoder, "more than 1048576 values");
    if (json_peek(text) == '"') return push_string(decoder);
    if (json_take(text, '{')) return push_nested(decoder, push_object);
    if (json_take(text, '[')) return push_nested(decoder, push_array);
    if (json_take_word(text, "null")) lua_rawgeti(L, LUA_REGISTRYINDEX, decoder->null);
    else if (json_take_word(text, "true")) lua_pushboolean(L, 1);
    else if (json_take_word(text, "false")) lua_pushboolean(L, 0);
    else return push_number(decoder);
    return true;
}

static bool explain(const struct json_text *text, struct error *error) {
    size_t line = 1, column = 1;
    for (const char *at = text->start; at < text->at; at++) {
        column++;
        if (*at == '\n') line++, column = 1;
    }
    return error_set(error, "line %zu, column %zu: %s", line, column, text->fault);
}

bool json_value_decode(lua_State *L, const char *text, size_t length, int null, int array, struct buffer *scratch,
                       struct error *error) {
    if (length > JSON_LONGEST) return error_set(error, "the text is larger than %d MiB", JSON_LONGEST >> 20);
    struct decoder decoder = {.L = L,
                              .text = {.start = text, .at = text, .end = text + length},
                              .scratch = scratch,
                              .null = null,
                              .array = array};
    int top = lua_gettop(L);
    luaL_checkstack(L, 10, "tidewire.json.decode");
    if (push_value(&decoder) && (json_is_done(&decoder.text) || fail(&decoder, "expected the end of the text")))
        return true;
    lua_settop(L, top);
    return explain(&decoder.text, error);
}
