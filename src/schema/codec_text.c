/* schema/codec_text.c - the text format, straight from the bytes and in their order: for people and logs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/codec_private.h"

static void write_message(const struct message_type *type, const uint8_t *at, const uint8_t *end, struct buffer *out);

static void write_quoted(const uint8_t *data, size_t length, bool is_text, struct buffer *out) {
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = data[i];
        if (byte == '"' || byte == '\\') buffer_format(out, "\\%c", byte);
        else if (byte == '\n') buffer_append_text(out, "\\n");
        else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text)) buffer_format(out, "\\%03o", byte);
        else buffer_append_byte(out, byte);
    }
    buffer_append_byte(out, '"');
}

/* The shortest form that reads back as the same number. */
static void write_number(double value, int most_digits, struct buffer *out) {
    char text[32];
    if (isnan(value)) return buffer_append_text(out, "nan");
    if (isinf(value)) return buffer_append_text(out, value < 0 ? "-inf" : "inf");
    for (int digits = most_digits - 2; digits <= most_digits; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double again = strtod(text, NULL);
        if (most_digits < 17 ? (float)again == (float)value : again == value) break;
    }
    buffer_append_text(out, text);
}

static void write_scalar(const struct field *field, uint64_t bits, struct buffer *out) {
    const char *name;
    switch (field->type) {
    case FIELD_DOUBLE: write_number(wire_double(bits), 17, out); break;
    case FIELD_FLOAT: write_number((double)wire_float((uint32_t)bits), 9, out); break;
    case FIELD_BOOL: buffer_append_text(out, bits ? "true" : "false"); break;
    case FIELD_ENUM:
        name = enum_name(field->enumeration, (int32_t)bits);
        if (name) buffer_append_text(out, name);
        else buffer_format(out, "%d", (int32_t)bits);
        break;
    case FIELD_UINT64:
    case FIELD_UINT32:
    case FIELD_FIXED64:
    case FIELD_FIXED32: buffer_format(out, "%llu", (unsigned long long)bits); break;
    default: buffer_format(out, "%lld", (long long)(int64_t)bits);
    }
}

static void write_name(const char *name, bool is_scalar, struct buffer *out) {
    buffer_append_text(out, name);
    buffer_append_text(out, is_scalar ? ": " : " ");
}

static void write_inside(const struct message_type *type, const uint8_t *data, size_t length, struct buffer *out) {
    buffer_append_text(out, "{ ");
    write_message(type, data, data + length, out);
    buffer_append_text(out, "} ");
}

static const uint8_t *write_one(const struct field *field, const uint8_t *at, const uint8_t *end,
                                struct buffer *out) {
    struct codec_value value;
    if (codec_is_scalar(field)) {
        at = codec_read_scalar(at, end, field, &value.bits);
        if (!at) return NULL;
        write_name(field->name, true, out);
        write_scalar(field, value.bits, out);
        buffer_append_byte(out, ' ');
        return at;
    }
    at = codec_read_span(at, end, field, &value);
    if (!at) return NULL;
    write_name(field->name, !codec_is_message(field), out);
    if (codec_is_message(field)) {
        write_inside(field->message, value.data, value.length, out);
    } else {
        write_quoted(value.data, value.length, field->type == FIELD_STRING, out);
        buffer_append_byte(out, ' ');
    }
    return at;
}

static const uint8_t *write_packed(const struct field *field, const uint8_t *at, const uint8_t *end,
                                   struct buffer *out) {
    size_t length;
    at = wire_read_length(at, end, &length);
    for (const uint8_t *after = at ? at + length : at; at && at < after;) at = write_one(field, at, after, out);
    return at;
}

/* Unknown fields go by their number, and what is inside of a length as bytes. */
static const uint8_t *write_unknown(uint32_t number, unsigned wire, const uint8_t *at, const uint8_t *end,
                                    struct buffer *out) {
    uint64_t bits = 0;
    size_t length = 0;
    const uint8_t *after = wire_skip(at, end, number, wire, WIRE_DEPTH);
    if (!after) return NULL;
    buffer_format(out, "%u%s", number, wire == WIRE_GROUP ? " { … } " : ": ");
    switch (wire) {
    case WIRE_VARINT:
        wire_read_varint(at, after, &bits);
        buffer_format(out, "%llu ", (unsigned long long)bits);
        break;
    case WIRE_64: buffer_format(out, "0x%016llx ", (unsigned long long)wire_load_64(at)); break;
    case WIRE_32: buffer_format(out, "0x%08x ", wire_load_32(at)); break;
    case WIRE_BYTES:
        at = wire_read_length(at, after, &length);
        write_quoted(at, length, false, out);
        buffer_append_byte(out, ' ');
    }
    return after;
}

static void write_message(const struct message_type *type, const uint8_t *at, const uint8_t *end,
                          struct buffer *out) {
    while (at && at < end) {
        uint32_t number;
        unsigned wire;
        at = wire_read_tag(at, end, &number, &wire);
        if (!at) return;
        const struct field *field = message_field_by_number(type, number);
        switch (field ? codec_shape(field, wire) : CODEC_UNKNOWN) {
        case CODEC_ONE: at = write_one(field, at, end, out); break;
        case CODEC_PACKED: at = write_packed(field, at, end, out); break;
        case CODEC_UNKNOWN: at = write_unknown(number, wire, at, end, out); break;
        }
    }
}

void codec_text(const struct message_type *type, const uint8_t *bytes, size_t length, struct buffer *out) {
    size_t before = buffer_length(out);
    if (length) write_message(type, bytes, bytes + length, out);
    if (buffer_length(out) > before) out->end--; /* the last blank */
}
