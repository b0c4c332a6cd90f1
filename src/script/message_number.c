/* script/message_number.c - 64-bit integers, which Lua's numbers hold only up to 2^53.
 *
 * Beyond, they are LuaJIT's int64_t and uint64_t, which the C API does not know: three small Lua values made through
 * ffi create and recognise them. Slow beside a number, and rare. */
#include <errno.h>
#include <luajit-2.1/lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/message_private.h"

static const int64_t exact_most = INT64_C(1) << 53;

static const char helpers[] = "local ffi = ...\n"
                              "local signed, unsigned = ffi.typeof 'int64_t', ffi.typeof 'uint64_t'\n"
                              "return signed, unsigned, function(value)\n"
                              "  return ffi.istype(signed, value) and 1 or ffi.istype(unsigned, value) and 2 or 0\n"
                              "end\n";

static void push_ffi(lua_State *L) {
    luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 1);
    lua_getfield(L, -1, "ffi");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushcfunction(L, luaopen_ffi);
        lua_call(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "ffi");
    }
    lua_remove(L, -2);
}

void twl_numbers_open(lua_State *L, struct twl_state *state) {
    if (luaL_loadbuffer(L, helpers, sizeof helpers - 1, "=int64")) lua_error(L);
    push_ffi(L);
    lua_call(L, 1, 3);
    state->classify = luaL_ref(L, LUA_REGISTRYINDEX);
    state->new_unsigned = luaL_ref(L, LUA_REGISTRYINDEX);
    state->new_signed = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The address that Lua gives for such a value is that of its eight bytes. */
static void push_wide(lua_State *L, int constructor, uint64_t bits) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, constructor);
    lua_call(L, 0, 1);
    memcpy((void *)(uintptr_t)lua_topointer(L, -1), &bits, sizeof bits);
}

static void push_decimal(lua_State *L, bool is_negative, uint64_t size) {
    char text[24];
    int length = snprintf(text, sizeof text, "%s%llu", is_negative ? "-" : "", (unsigned long long)size);
    lua_pushlstring(L, text, (size_t)length);
}

void twl_push_int64(lua_State *L, int64_t value, enum int64_form form) {
    if (form == INT64_AS_STRING) push_decimal(L, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    else if (form == INT64_AS_NUMBER && value >= -exact_most && value <= exact_most) lua_pushnumber(L, (double)value);
    else push_wide(L, twl_state_of(L)->new_signed, (uint64_t)value);
}

void twl_push_uint64(lua_State *L, uint64_t value, enum int64_form form) {
    if (form == INT64_AS_STRING) push_decimal(L, false, value);
    else if (form == INT64_AS_NUMBER && value <= (uint64_t)exact_most) lua_pushnumber(L, (double)value);
    else push_wide(L, twl_state_of(L)->new_unsigned, value);
}

static enum number_kind from_cdata(lua_State *L, int index, uint64_t *bits) {
    if (index < 0) index = lua_gettop(L) + index + 1;
    lua_rawgeti(L, LUA_REGISTRYINDEX, twl_state_of(L)->classify);
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    enum number_kind kind = (enum number_kind)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (kind != NUMBER_NONE) memcpy(bits, lua_topointer(L, index), sizeof *bits);
    return kind;
}

/* Digits with at most a minus in front, nothing else. */
static enum number_kind from_decimal(const char *text, size_t length, uint64_t *bits) {
    bool is_negative = *text == '-';
    const char *digits = text + is_negative;
    if (!*digits || strspn(digits, "0123456789") != length - is_negative) return NUMBER_NONE;
    errno = 0;
    unsigned long long value = strtoull(digits, NULL, 10);
    if (errno || (is_negative && value > (unsigned long long)INT64_MAX + 1)) return NUMBER_NONE;
    *bits = is_negative ? 0 - (uint64_t)value : value;
    return is_negative ? NUMBER_SIGNED : NUMBER_UNSIGNED;
}

enum number_kind twl_to_wide(lua_State *L, int index, uint64_t *bits) {
    int type = lua_type(L, index);
    if (type == LUA_TYPE_CDATA) return from_cdata(L, index, bits);
    if (type != LUA_TSTRING) return NUMBER_NONE;
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    return from_decimal(text, length, bits);
}

void twl_push_scalar(lua_State *L, const struct field *field, uint64_t bits, enum int64_form form) {
    float narrow;
    double number;
    uint32_t half = (uint32_t)bits;
    switch (field->type) {
    case FIELD_INT64:
    case FIELD_SINT64:
    case FIELD_SFIXED64: twl_push_int64(L, (int64_t)bits, form); break;
    case FIELD_UINT64:
    case FIELD_FIXED64: twl_push_uint64(L, bits, form); break;
    case FIELD_BOOL: lua_pushboolean(L, bits != 0); break;
    case FIELD_FLOAT:
        memcpy(&narrow, &half, sizeof narrow);
        lua_pushnumber(L, (double)narrow);
        break;
    case FIELD_DOUBLE:
        memcpy(&number, &bits, sizeof number);
        lua_pushnumber(L, number);
        break;
    default: lua_pushnumber(L, (double)(int64_t)bits);
    }
}

struct range {
    double least, beyond; /* beyond: the first whole number that is too large */
    const char *name;
};
static const struct range range_int32 = {-0x1p31, 0x1p31, "a 32-bit integer"};
static const struct range range_uint32 = {0, 0x1p32, "an unsigned 32-bit integer"};
static const struct range range_int64 = {-0x1p63, 0x1p63, "a 64-bit integer"};
static const struct range range_uint64 = {0, 0x1p64, "an unsigned 64-bit integer"};

static const struct range *range_of(const struct field *field) {
    switch (field->type) {
    case FIELD_UINT32:
    case FIELD_FIXED32: return &range_uint32;
    case FIELD_INT64:
    case FIELD_SINT64:
    case FIELD_SFIXED64: return &range_int64;
    case FIELD_UINT64:
    case FIELD_FIXED64: return &range_uint64;
    default: return &range_int32;
    }
}

static bool wide_fits(enum number_kind kind, uint64_t bits, const struct range *range) {
    bool is_negative = kind == NUMBER_SIGNED && (int64_t)bits < 0;
    if (range == &range_uint64) return !is_negative;
    if (range == &range_int64) return is_negative || bits <= INT64_MAX;
    return is_negative ? (double)(int64_t)bits >= range->least : bits < (uint64_t)range->beyond;
}

/* Whole and in range. */
static inline bool number_fits(double number, const struct range *range, uint64_t *bits) {
    if (!(number >= range->least && number < range->beyond)) return false;
    *bits = number < 0 ? (uint64_t)(int64_t)number : (uint64_t)number;
    return number == (number < 0 ? (double)(int64_t)*bits : (double)*bits);
}

static uint64_t to_integer(const struct writer *writer, int index, const struct step *step) {
    lua_State *L = writer->L;
    const struct range *range = range_of(step->field);
    int type = lua_type(L, index);
    uint64_t bits;
    if (type == LUA_TNUMBER) {
        double number = lua_tonumber(L, index);
        if (number_fits(number, range, &bits)) return bits;
        if (!(number >= range->least && number < range->beyond))
            twl_write_fault(writer, step, "%.17g is out of range for %s", number, range->name);
        twl_write_fault(writer, step, "%.17g is not a whole number", number);
    }
    bool is_wide = range == &range_int64 || range == &range_uint64;
    enum number_kind kind = type == LUA_TSTRING && !is_wide ? NUMBER_NONE : twl_to_wide(L, index, &bits);
    if (kind == NUMBER_NONE && type == LUA_TSTRING && is_wide)
        twl_write_fault(writer, step, "\"%.40s\" is not %s in decimal", lua_tostring(L, index), range->name);
    if (kind == NUMBER_NONE) twl_write_mistyped(writer, step, "a number", index);
    if (!wide_fits(kind, bits, range)) {
        if (kind == NUMBER_SIGNED)
            twl_write_fault(writer, step, "%lld is out of range for %s", (long long)(int64_t)bits, range->name);
        twl_write_fault(writer, step, "%llu is out of range for %s", (unsigned long long)bits, range->name);
    }
    return bits;
}

static uint64_t to_enum(const struct writer *writer, int index, const struct step *step) {
    lua_State *L = writer->L;
    const struct enum_type *enumeration = step->field->enumeration;
    int32_t number;
    int type = lua_type(L, index);
    if (type == LUA_TSTRING) {
        size_t length;
        const char *name = lua_tolstring(L, index, &length);
        if (!enum_number(enumeration, name, length, &number))
            twl_write_fault(writer, step, "%s has no value \"%.60s\"", enumeration->full_name, name);
        return (uint64_t)(int64_t)number;
    }
    if (type != LUA_TNUMBER) twl_write_mistyped(writer, step, "a number or name", index);
    uint64_t bits = to_integer(writer, index, step);
    if (enumeration->is_closed && !enum_name(enumeration, (int32_t)bits))
        twl_write_fault(writer, step, "%s has no value %d", enumeration->full_name, (int32_t)bits);
    return bits;
}

bool twl_plain_bits(lua_State *L, int index, int type, const struct field *field, uint64_t *bits) {
    double number;
    if (type == LUA_TBOOLEAN) {
        *bits = (uint64_t)lua_toboolean(L, index);
        return field->type == FIELD_BOOL;
    }
    if (type != LUA_TNUMBER) return false;
    number = lua_tonumber(L, index);
    switch (field->type) {
    case FIELD_BOOL:
    case FIELD_ENUM:
    case FIELD_FLOAT: return false;
    case FIELD_DOUBLE: memcpy(bits, &number, sizeof number); return true;
    default: return number_fits(number, range_of(field), bits);
    }
}

uint64_t twl_to_bits(const struct writer *writer, int index, const struct step *step) {
    lua_State *L = writer->L;
    double number;
    float narrow;
    uint32_t half;
    uint64_t bits;
    switch (step->field->type) {
    case FIELD_BOOL:
        if (lua_type(L, index) != LUA_TBOOLEAN) twl_write_mistyped(writer, step, "a boolean", index);
        return (uint64_t)lua_toboolean(L, index);
    case FIELD_ENUM: return to_enum(writer, index, step);
    case FIELD_DOUBLE:
        if (lua_type(L, index) != LUA_TNUMBER) twl_write_mistyped(writer, step, "a number", index);
        number = lua_tonumber(L, index);
        memcpy(&bits, &number, sizeof bits);
        return bits;
    case FIELD_FLOAT:
        if (lua_type(L, index) != LUA_TNUMBER) twl_write_mistyped(writer, step, "a number", index);
        number = lua_tonumber(L, index);
        narrow = (float)number;
        if (isinf(narrow) && !isinf(number))
            twl_write_fault(writer, step, "%.17g is out of range for a float", number);
        memcpy(&half, &narrow, sizeof half);
        return half;
    default: return to_integer(writer, index, step);
    }
}
