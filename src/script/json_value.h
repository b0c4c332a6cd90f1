/* script/json_value.h - plain Lua values as JSON text and back: tidewire.json.
 *
 * An array is a table with the metatable that `array` refers to, or one that has [1]; every other table is an object.
 * null is a value of its own (`null`), since a nil would leave a hole. Tables are read raw: no code of a script runs.
 * Whole numbers beyond 2^53 are LuaJIT's 64-bit integers, as in messages. */
#ifndef TIDEWIRE_SCRIPT_JSON_VALUE_H
#define TIDEWIRE_SCRIPT_JSON_VALUE_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    JSON_DEEPEST = 100,          /* tables inside one another */
    JSON_LONGEST = 16 << 20,     /* bytes of a text */
    JSON_MOST_VALUES = 1 << 20,
};

struct json_marks {
    const void *null; /* the userdata */
    int array;        /* reference on the metatable */
};

/* Appends the text of the value at `index`, names in order. False, and what is wrong where: `items[2]: a function has
 * no JSON form`. May raise for want of memory. */
bool json_value_encode(lua_State *L, int index, const struct json_marks *marks, struct buffer *out,
                       struct error *error);
/* Pushes the value of the text; or, nothing pushed, false and `line 1, column 7: expected ','`. `scratch` is for
 * strings with escapes. May raise for want of memory. */
bool json_value_decode(lua_State *L, const char *text, size_t length, int null, int array, struct buffer *scratch,
                       struct error *error);
#endif
