/* schema/json_text.h - JSON text (RFC 8259) token by token: no tree, no memory, numbers as they were written.
 *
 * Every function first passes white space. One that fails leaves a fault, and its place, for the message. */
#ifndef TIDEWIRE_SCHEMA_JSON_TEXT_H
#define TIDEWIRE_SCHEMA_JSON_TEXT_H
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct json_text {
    const char *start, *at, *end;
    const char *fault; /* "expected ','", or NULL */
};

/* What stands between the quotes: valid UTF-8 and escapes. */
struct json_string {
    const char *data;
    size_t length;
    bool is_escaped;
};

/* The first character of the next token, or 0 at the end. */
char json_peek(struct json_text *text);
/* Takes this character when it comes next. Not a fault otherwise. */
bool json_take(struct json_text *text, char c);
/* As json_take(), for "null", "true" and "false". */
bool json_take_word(struct json_text *text, const char *word);
bool json_expect(struct json_text *text, char c, const char *fault);
bool json_take_string(struct json_text *text, struct json_string *string);
bool json_take_number(struct json_text *text, const char **number, size_t *length);
/* Any value. Bounded in depth. */
bool json_skip(struct json_text *text);
/* Nothing but white space is left. */
bool json_is_done(struct json_text *text);

/* Whether the bytes are a number and nothing else. */
bool json_is_number(const char *text, size_t length);
/* Appends the characters that a string means. */
void json_decode(const struct json_string *string, struct buffer *out);
/* Appends a string in quotes. The bytes are UTF-8. */
void json_quote(struct buffer *out, const void *bytes, size_t length);
#endif
