/* schema/descriptor_value.c - see descriptor.h. The texts inside descriptors: proto2 defaults, and JSON's
 * names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/descriptor.h"

static bool parse_signed(const char *text, int64_t least, int64_t most, int64_t *value) {
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && !*end && !errno && *value >= least && *value <= most;
}

static bool parse_unsigned(const char *text, uint64_t most, uint64_t *value) {
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return end != text && *text != '-' && !*end && !errno && *value <= most;
}

/* "inf", "-inf" and "nan" are strtod()'s words too. A value that overflows becomes infinite, as in protoc. */
static bool parse_number(const char *text, bool is_float, double *value) {
    char *end;
    *value = is_float ? (double)strtof(text, &end) : strtod(text, &end);
    return end != text && !*end;
}

static bool is_octal(char c) { return c >= '0' && c <= '7'; }

static char parse_octal(const char **at) {
    unsigned value = 0;
    for (int i = 0; i < 3 && is_octal(**at); i++) value = value * 8 + (unsigned)(*(*at)++ - '0');
    return (char)value;
}

static char parse_hex(const char **at) {
    char digits[3] = {0};
    for (int i = 0; i < 2 && strchr("0123456789abcdefABCDEF", **at) && **at; i++) digits[i] = *(*at)++;
    return (char)strtoul(digits, NULL, 16);
}

/* Defaults of bytes are escaped as in C, because a descriptor holds them as a string. */
static bool unescape(struct arena *arena, const char *text, struct field *field) {
    static const char letters[] = "abfnrtv", meanings[] = "\a\b\f\n\r\t\v";
    char *out = arena_copy_string(arena, text), *start = out;
    while (*text) {
        if (*text != '\\') {
            *out++ = *text++;
            continue;
        }
        const char *letter = *++text ? strchr(letters, *text) : NULL;
        if (!*text) return false;
        if (is_octal(*text))
            *out++ = parse_octal(&text);
        else if (*text == 'x' || *text == 'X')
            text++, *out++ = parse_hex(&text);
        else
            *out++ = letter ? meanings[letter - letters] : *text, text++;
    }
    field->default_value.bytes.data = start;
    field->default_value.bytes.length = (size_t)(out - start);
    return true;
}

bool descriptor_parse_default(struct arena *arena, const char *text, struct field *field) {
    int32_t number;
    switch (field->type) {
    case FIELD_DOUBLE:
    case FIELD_FLOAT:
        return parse_number(text, field->type == FIELD_FLOAT, &field->default_value.number);
    case FIELD_INT64:
    case FIELD_SINT64:
    case FIELD_SFIXED64:
        return parse_signed(text, INT64_MIN, INT64_MAX, &field->default_value.integer);
    case FIELD_INT32:
    case FIELD_SINT32:
    case FIELD_SFIXED32:
        return parse_signed(text, INT32_MIN, INT32_MAX, &field->default_value.integer);
    case FIELD_UINT64:
    case FIELD_FIXED64:
        return parse_unsigned(text, UINT64_MAX, &field->default_value.unsigned_integer);
    case FIELD_UINT32:
    case FIELD_FIXED32:
        return parse_unsigned(text, UINT32_MAX, &field->default_value.unsigned_integer);
    case FIELD_BOOL:
        field->default_value.integer = !strcmp(text, "true");
        return field->default_value.integer || !strcmp(text, "false");
    case FIELD_STRING:
        field->default_value.bytes.data = arena_copy_string(arena, text);
        field->default_value.bytes.length = strlen(text);
        return true;
    case FIELD_BYTES:
        return unescape(arena, text, field);
    case FIELD_ENUM:
        if (!enum_number(field->enumeration, text, strlen(text), &number)) return false;
        field->default_value.integer = number;
        return true;
    default:
        return false;
    }
}

/* lowerCamelCase as protoc makes it: an underscore goes and raises the letter behind it. */
char *descriptor_json_name(struct arena *arena, const char *name) {
    char *out = arena_copy_string(arena, name), *start = out;
    for (bool is_raised = false; *name; name++) {
        if (*name != '_')
            *out++ = is_raised && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        is_raised = *name == '_';
    }
    *out = '\0';
    return start;
}
