/* schema/json_text.c - see json_text.h */
#include "schema/json_text.h"

#include <stdint.h>
#include <string.h>

#include "base/hex.h"
#include "schema/codec.h"

enum { DEEPEST_SKIP = 200 };

static bool fail(struct json_text *text, const char *fault) {
    text->fault = fault;
    return false;
}

char json_peek(struct json_text *text) {
    while (text->at < text->end &&
           (*text->at == ' ' || *text->at == '\n' || *text->at == '\r' || *text->at == '\t'))
        text->at++;
    return text->at < text->end ? *text->at : '\0';
}

bool json_is_done(struct json_text *text) {
    json_peek(text);
    return text->at == text->end;
}

bool json_take(struct json_text *text, char c) {
    if (json_peek(text) != c) return false;
    text->at++;
    return true;
}

bool json_expect(struct json_text *text, char c, const char *fault) {
    return json_take(text, c) || fail(text, fault);
}

static bool is_word_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool json_take_word(struct json_text *text, const char *word) {
    size_t length = strlen(word);
    json_peek(text);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length)) return false;
    const char *after = text->at + length;
    if (after < text->end && is_word_character(*after)) return false;
    text->at = after;
    return true;
}

/* The four digits behind "\u", or -1. */
static int read_unit(const char *at, const char *end) {
    int unit = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high_surrogate(int unit) { return unit >= 0xd800 && unit < 0xdc00; }
static bool is_low_surrogate(int unit) { return unit >= 0xdc00 && unit < 0xe000; }

/* Behind the escape whose backslash stands at `at`, or NULL. */
static const char *pass_escape(const char *at, const char *end) {
    if (end - at < 2 || !at[1] || !strchr("\"\\/bfnrtu", at[1])) return NULL;
    if (at[1] != 'u') return at + 2;
    int unit = read_unit(at + 2, end);
    if (unit < 0 || is_low_surrogate(unit)) return NULL;
    if (!is_high_surrogate(unit)) return at + 6;
    return end - at >= 12 && at[6] == '\\' && at[7] == 'u' && is_low_surrogate(read_unit(at + 8, end))
               ? at + 12
               : NULL;
}

bool json_take_string(struct json_text *text, struct json_string *string) {
    if (json_peek(text) != '"') return fail(text, "expected a string");
    const char *at = text->at + 1, *end = text->end;
    *string = (struct json_string){.data = at};
    while (at < end && *at != '"') {
        if ((unsigned char)*at < 0x20) return fail(text, "a control character in a string");
        if (*at != '\\') {
            at++;
            continue;
        }
        string->is_escaped = true;
        if (!(at = pass_escape(at, end))) return fail(text, "a bad escape in a string");
    }
    if (at >= end) return fail(text, "a string without end");
    string->length = (size_t)(at - string->data);
    if (!codec_is_utf8(string->data, string->length)) return fail(text, "a string that is not UTF-8");
    text->at = at + 1;
    return true;
}

static const char *pass_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at;
}

/* Behind the number at `at`, or NULL. */
static const char *pass_number(const char *at, const char *end) {
    if (at < end && *at == '-') at++;
    const char *digits = at;
    at = pass_digits(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1)) return NULL;
    if (at < end && *at == '.') {
        digits = ++at;
        if ((at = pass_digits(at, end)) == digits) return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        digits = at;
        if ((at = pass_digits(at, end)) == digits) return NULL;
    }
    return at;
}

bool json_is_number(const char *text, size_t length) {
    return pass_number(text, text + length) == text + length;
}

bool json_take_number(struct json_text *text, const char **number, size_t *length) {
    json_peek(text);
    const char *after = pass_number(text->at, text->end);
    if (!after || (after < text->end && is_word_character(*after))) return fail(text, "expected a value");
    *number = text->at;
    *length = (size_t)(after - text->at);
    text->at = after;
    return true;
}

static bool skip_name(struct json_text *text) {
    struct json_string name;
    return json_take_string(text, &name) && json_expect(text, ':', "expected ':'");
}

static bool skip_scalar(struct json_text *text) {
    struct json_string string;
    const char *number;
    size_t length;
    if (json_peek(text) == '"') return json_take_string(text, &string);
    return json_take_word(text, "null") || json_take_word(text, "true") || json_take_word(text, "false") ||
           json_take_number(text, &number, &length);
}

bool json_skip(struct json_text *text) {
    char open[DEEPEST_SKIP]; /* what ends each object and list that is open */
    size_t depth = 0;
    for (;;) {
        char c = json_peek(text);
        if (c == '{' || c == '[') {
            if (depth == DEEPEST_SKIP) return fail(text, "nested too deeply");
            text->at++;
            open[depth++] = c == '{' ? '}' : ']';
            if (!json_take(text, open[depth - 1])) {
                if (c == '{' && !skip_name(text)) return false;
                continue;
            }
            depth--;
        } else if (!skip_scalar(text)) {
            return false;
        }
        while (depth && json_take(text, open[depth - 1])) depth--;
        if (!depth) return true;
        if (!json_expect(text, ',', "expected ',' or the end of a list or object")) return false;
        if (open[depth - 1] == '}' && !skip_name(text)) return false;
    }
}

static void append_rune(struct buffer *out, unsigned rune) {
    uint8_t bytes[4];
    size_t length = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; rune >>= 6) bytes[i] = (uint8_t)(0x80 | (rune & 0x3f));
    bytes[0] = (uint8_t)(marks[length] | rune);
    buffer_append(out, bytes, length);
}

static const char *decode_escape(const char *at, const char *end, struct buffer *out) {
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    if (at[1] != 'u') {
        const char *letter = strchr(letters, at[1]);
        buffer_append_byte(out, (uint8_t)(letter ? meanings[letter - letters] : at[1]));
        return at + 2;
    }
    int unit = read_unit(at + 2, end);
    if (!is_high_surrogate(unit)) {
        append_rune(out, (unsigned)unit);
        return at + 6;
    }
    append_rune(out,
                0x10000u + ((unsigned)(unit - 0xd800) << 10) + (unsigned)(read_unit(at + 8, end) - 0xdc00));
    return at + 12;
}

void json_decode(const struct json_string *string, struct buffer *out) {
    const char *at = string->data, *end = at + string->length;
    while (at < end) {
        const char *escape = string->is_escaped ? memchr(at, '\\', (size_t)(end - at)) : NULL;
        const char *plain_end = escape ? escape : end;
        buffer_append(out, at, (size_t)(plain_end - at));
        at = escape ? decode_escape(escape, end, out) : end;
    }
}

/* What stands as it is in a string. Beside what JSON demands, DEL and U+0080 to U+009F are escaped: they
 * are commands to a terminal. */
static bool is_plain(const char *at, const char *end) {
    unsigned char c = (unsigned char)*at;
    if (c == 0xc2) return end - at < 2 || (unsigned char)at[1] >= 0xa0;
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

void json_quote(struct buffer *out, const void *bytes, size_t length) {
    static const char letters[] = "\b\f\n\r\t\"\\", escapes[] = "bfnrt\"\\";
    const char *at = length ? bytes : "", *run = at, *end = at + length;
    buffer_append_byte(out, '"');
    for (; at < end; at++) {
        if (is_plain(at, end)) continue;
        buffer_append(out, run, (size_t)(at - run));
        const char *letter = *at ? strchr(letters, *at) : NULL;
        if (letter)
            buffer_append(out, (char[]){'\\', escapes[letter - letters]}, 2);
        else if ((unsigned char)*at == 0xc2)
            buffer_format(out, "\\u%04x", (unsigned)(unsigned char)*++at);
        else
            buffer_format(out, "\\u%04x", (unsigned)*at);
        run = at + 1;
    }
    buffer_append(out, run, (size_t)(end - run));
    buffer_append_byte(out, '"');
}
