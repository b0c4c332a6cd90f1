/* schema/json_read_scalar.c - numbers, bools, enums, strings and bytes of json_read(). */
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "schema/json_number.h"
#include "schema/json_reader.h"
#include "schema/wire.h"

static const char *const type_names[] = {
    [FIELD_DOUBLE] = "double",   [FIELD_FLOAT] = "float",       [FIELD_INT64] = "int64",
    [FIELD_UINT64] = "uint64",   [FIELD_INT32] = "int32",       [FIELD_FIXED64] = "fixed64",
    [FIELD_FIXED32] = "fixed32", [FIELD_BOOL] = "bool",         [FIELD_UINT32] = "uint32",
    [FIELD_ENUM] = "enum",       [FIELD_SFIXED32] = "sfixed32", [FIELD_SFIXED64] = "sfixed64",
    [FIELD_SINT32] = "sint32",   [FIELD_SINT64] = "sint64",
};

static bool is_text(const struct json_string *text, const char *word) {
    return text->length == strlen(word) && !memcmp(text->data, word, text->length);
}

/* NaN and the infinities are strings. */
static bool take_special(const struct json_string *text, double *value) {
    if (is_text(text, "NaN"))
        *value = NAN;
    else if (is_text(text, "Infinity"))
        *value = INFINITY;
    else if (is_text(text, "-Infinity"))
        *value = -INFINITY;
    else
        return false;
    return true;
}

static enum json_number to_bits(const struct field *field, const struct json_string *number, uint64_t *bits) {
    enum json_number result;
    double wide;
    float narrow;
    switch (field->type) {
    case FIELD_DOUBLE:
        result = json_to_double(number->data, number->length, &wide);
        *bits = wire_double_bits(wide);
        return result;
    case FIELD_FLOAT:
        result = json_to_float(number->data, number->length, &narrow);
        *bits = wire_float_bits(narrow);
        return result;
    case FIELD_UINT32:
    case FIELD_FIXED32:
        return json_to_unsigned(number->data, number->length, UINT32_MAX, bits);
    case FIELD_UINT64:
    case FIELD_FIXED64:
        return json_to_unsigned(number->data, number->length, UINT64_MAX, bits);
    case FIELD_INT64:
    case FIELD_SINT64:
    case FIELD_SFIXED64:
        return json_to_signed(number->data, number->length, INT64_MIN, INT64_MAX, (int64_t *)bits);
    default:
        return json_to_signed(number->data, number->length, INT32_MIN, INT32_MAX, (int64_t *)bits);
    }
}

static bool convert(struct json_reader *reader, const struct field *field, const struct json_string *number,
                    const struct json_place *place, uint64_t *bits) {
    const char *type = type_names[field->type];
    switch (to_bits(field, number, bits)) {
    case JSON_NUMBER_OK:
        return true;
    case JSON_NUMBER_FRACTION:
        return json_fail(reader->error, place, "%.*s is no whole number",
                         json_quotable(number->data, number->length), number->data);
    default:
        return json_fail(reader->error, place, "%.*s is out of range for %s",
                         json_quotable(number->data, number->length), number->data, type);
    }
}

/* What stood in quotes. */
static bool take_quoted_number(struct json_reader *reader, const struct field *field,
                               const struct json_string *text, const struct json_place *place,
                               uint64_t *bits) {
    double special;
    bool is_real = field->type == FIELD_DOUBLE || field->type == FIELD_FLOAT;
    if (is_real && take_special(text, &special)) {
        *bits = field->type == FIELD_DOUBLE ? wire_double_bits(special) : wire_float_bits((float)special);
        return true;
    }
    if (json_is_number(text->data, text->length)) return convert(reader, field, text, place, bits);
    return json_fail(reader->error, place, "expected a number (%s)", type_names[field->type]);
}

static bool is_number_start(char c) { return c == '-' || (c >= '0' && c <= '9'); }

static bool take_number(struct json_reader *reader, const struct field *field, const struct json_place *place,
                        uint64_t *bits) {
    struct json_string text;
    char c = json_peek(&reader->text);
    if (c == '"') {
        if (!json_take_string(&reader->text, &text)) return json_fail_syntax(reader);
        text = json_decoded(reader, &text);
        return take_quoted_number(reader, field, &text, place, bits);
    }
    if (!is_number_start(c))
        return json_fail(reader->error, place, "expected a number (%s)", type_names[field->type]);
    if (!json_take_number(&reader->text, &text.data, &text.length)) return json_fail_syntax(reader);
    return convert(reader, field, &text, place, bits);
}

static bool take_bool(struct json_reader *reader, const struct json_place *place, uint64_t *bits) {
    *bits = json_take_word(&reader->text, "true");
    return *bits || json_take_word(&reader->text, "false") ||
           json_fail(reader->error, place, "expected true or false");
}

/* A closed enum has no room for numbers that it does not know. */
static enum json_taken check_enum(struct json_reader *reader, const struct field *field,
                                  const struct json_place *place, uint64_t bits) {
    if (!field->enumeration->is_closed || enum_name(field->enumeration, (int32_t)bits)) return JSON_TAKEN;
    if (reader->options->ignore_unknown) return JSON_IGNORED;
    json_fail(reader->error, place, "%s has no value %d", field->enumeration->full_name, (int32_t)bits);
    return JSON_BAD;
}

static enum json_taken take_enum(struct json_reader *reader, const struct field *field,
                                 const struct json_place *place, uint64_t *bits) {
    struct json_string text;
    int32_t number;
    if (json_is_null_value(field) && json_take_word(&reader->text, "null")) {
        *bits = 0;
        return JSON_TAKEN;
    }
    if (json_peek(&reader->text) != '"')
        return take_number(reader, field, place, bits) ? check_enum(reader, field, place, *bits) : JSON_BAD;
    if (!json_take_string(&reader->text, &text)) {
        json_fail_syntax(reader);
        return JSON_BAD;
    }
    text = json_decoded(reader, &text);
    if (enum_number(field->enumeration, text.data, text.length, &number)) {
        *bits = (uint64_t)(int64_t)number;
        return JSON_TAKEN;
    }
    if (json_is_number(text.data, text.length))
        return convert(reader, field, &text, place, bits) ? check_enum(reader, field, place, *bits)
                                                          : JSON_BAD;
    if (reader->options->ignore_unknown) return JSON_IGNORED;
    json_fail(reader->error, place, "%s has no value \"%.*s\"", field->enumeration->full_name,
              json_quotable(text.data, text.length), text.data);
    return JSON_BAD;
}

enum json_taken json_take_bits(struct json_reader *reader, const struct field *field,
                               const struct json_place *place, uint64_t *bits) {
    if (field->type == FIELD_ENUM) return take_enum(reader, field, place, bits);
    bool is_good =
        field->type == FIELD_BOOL ? take_bool(reader, place, bits) : take_number(reader, field, place, bits);
    return is_good ? JSON_TAKEN : JSON_BAD;
}

bool json_read_key(struct json_reader *reader, const struct field *key, const struct json_string *raw,
                   const struct json_place *place) {
    struct json_string text = json_decoded(reader, raw);
    uint64_t bits;
    if (key->type == FIELD_STRING) {
        codec_write_bytes(reader->out, key, text.data, text.length);
        return true;
    }
    if (key->type == FIELD_BOOL) {
        bits = is_text(&text, "true");
        if (!bits && !is_text(&text, "false"))
            return json_fail(reader->error, place, "expected the key \"true\" or \"false\"");
    } else if (!take_quoted_number(reader, key, &text, place, &bits)) {
        return false;
    }
    codec_write_scalar(reader->out, key, bits);
    return true;
}

bool json_read_bytes(struct json_reader *reader, const struct field *field, const struct json_place *place,
                     bool is_empty_written) {
    struct json_string text;
    if (json_peek(&reader->text) != '"')
        return json_fail(reader->error, place, "expected a string%s",
                         field->type == FIELD_BYTES ? " of base64" : "");
    if (!json_take_string(&reader->text, &text)) return json_fail_syntax(reader);
    text = json_decoded(reader, &text);
    if (!text.length && !is_empty_written) return true;
    if (field->type == FIELD_STRING) {
        codec_write_bytes(reader->out, field, text.data, text.length);
        return true;
    }
    size_t opened = codec_open(reader->out, field);
    if (!base64_read(reader->out, text.data, text.length))
        return json_fail(reader->error, place, "no base64");
    codec_close(reader->out, field, opened);
    return true;
}
