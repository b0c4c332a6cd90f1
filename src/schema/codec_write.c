/* schema/codec_write.c - the way back: original bytes minus some fields, and values one at a time. */
#include "schema/codec_private.h"

/* What a dropped packed list held of numbers that its closed enum lacks stays, one by one. */
static void keep_unknown_numbers(const struct field *field, const uint8_t *at, const uint8_t *end,
                                 struct buffer *out) {
    uint64_t raw;
    while (at && at < end) {
        at = wire_read_varint(at, end, &raw);
        if (!at || codec_enum_has(field, codec_from_varint(FIELD_ENUM, raw))) continue;
        wire_write_tag(out, field->number, WIRE_VARINT);
        wire_write_varint(out, raw);
    }
}

/* Whether the occurrence from behind its tag to `after` goes. */
static bool is_dropped(const struct field *field, unsigned wire, const uint8_t *at, const uint8_t *after,
                       struct buffer *out) {
    uint64_t bits;
    size_t length;
    switch (codec_shape(field, wire)) {
    case CODEC_UNKNOWN: return false;
    case CODEC_PACKED:
        if (field->type == FIELD_ENUM && field->enumeration->is_closed) {
            at = wire_read_length(at, after, &length);
            if (at) keep_unknown_numbers(field, at, at + length, out);
        }
        return true;
    case CODEC_ONE: break;
    }
    if (field->type == FIELD_ENUM) return codec_read_scalar(at, after, field, &bits) && codec_enum_has(field, bits);
    if (!field->is_map) return true;
    at = wire_read_length(at, after, &length);
    return at && !codec_entry_is_unknown(field, at, length);
}

void codec_splice(const struct message_type *type, const uint8_t *bytes, size_t length, const uint64_t *dropped,
                  struct buffer *out) {
    const uint8_t *at = bytes, *end = bytes + length, *run = bytes;
    while (at && at < end) {
        const uint8_t *tag = at;
        uint32_t number;
        unsigned wire;
        const uint8_t *value = wire_read_tag(at, end, &number, &wire);
        at = value ? wire_skip(value, end, number, wire, WIRE_DEPTH) : NULL;
        const struct field *field = at ? message_field_by_number(type, number) : NULL;
        if (!field || !codec_bit(dropped, field->index)) continue;
        /* The run goes first: what is_dropped() keeps of this occurrence stands behind it. */
        buffer_append(out, run, (size_t)(tag - run));
        run = is_dropped(field, wire, value, at, out) ? at : tag;
    }
    buffer_append(out, run, (size_t)(end - run));
}

static inline uint8_t *put_scalar(uint8_t *at, uint8_t type, uint8_t wire, uint64_t bits) {
    switch (wire) {
    case WIRE_VARINT:
        if (type == FIELD_SINT32 || type == FIELD_SINT64) bits = wire_zigzag((int64_t)bits);
        return wire_put_varint(at, bits);
    case WIRE_64:
        for (int i = 0; i < 8; i++) *at++ = (uint8_t)(bits >> 8 * i);
        return at;
    default:
        for (int i = 0; i < 4; i++) *at++ = (uint8_t)(bits >> 8 * i);
        return at;
    }
}

static inline uint8_t *put_tag(uint8_t *at, const struct field *field, unsigned wire) {
    return wire_put_varint(at, (uint64_t)field->number << 3 | wire);
}

void codec_write_scalar(struct buffer *out, const struct field *field, uint64_t bits) {
    uint8_t *at = buffer_reserve(out, WIRE_LONGEST_TAG + WIRE_LONGEST_VARINT);
    uint8_t *after = put_scalar(put_tag(at, field, field->wire_type), field->type, field->wire_type, bits);
    buffer_commit(out, (size_t)(after - at));
}

void codec_write_packed(struct buffer *out, const struct field *field, uint64_t bits) {
    uint8_t *at = buffer_reserve(out, WIRE_LONGEST_VARINT);
    buffer_commit(out, (size_t)(put_scalar(at, field->type, field->wire_type, bits) - at));
}

void codec_write_bytes(struct buffer *out, const struct field *field, const void *data, size_t length) {
    uint8_t *at = buffer_reserve(out, WIRE_LONGEST_TAG + WIRE_LONGEST_VARINT + length);
    uint8_t *after = wire_put_varint(put_tag(at, field, WIRE_BYTES), length);
    if (length) memcpy(after, data, length);
    buffer_commit(out, (size_t)(after - at) + length);
}

/* One byte is kept free for the length, which is enough for most; positions count from the start of the buffer's
 * bytes, which move. */
size_t codec_open(struct buffer *out, const struct field *field) {
    uint8_t *at = buffer_reserve(out, WIRE_LONGEST_TAG + 1), *after;
    bool is_group = field->type == FIELD_GROUP;
    after = put_tag(at, field, is_group ? WIRE_GROUP : WIRE_BYTES);
    if (!is_group) after++;
    buffer_commit(out, (size_t)(after - at));
    return buffer_length(out);
}

void codec_close(struct buffer *out, const struct field *field, size_t opened) {
    if (field->type == FIELD_GROUP) {
        wire_write_tag(out, field->number, WIRE_END_GROUP);
        return;
    }
    size_t length = buffer_length(out) - opened, more = wire_varint_size(length) - 1;
    if (more) {
        buffer_reserve(out, more);
        uint8_t *inside = buffer_bytes(out) + opened;
        memmove(inside + more, inside, length);
        buffer_commit(out, more);
    }
    wire_put_varint(buffer_bytes(out) + opened - 1, length);
}

uint64_t codec_default_bits(const struct field *field) {
    if (!field->has_default) {
        bool starts_at_first = field->type == FIELD_ENUM && field->enumeration->is_closed;
        return starts_at_first ? (uint64_t)(int64_t)field->enumeration->values[0].number : 0;
    }
    switch (field->type) {
    case FIELD_DOUBLE: return wire_double_bits(field->default_value.number);
    case FIELD_FLOAT: return wire_float_bits((float)field->default_value.number);
    default: return field->default_value.unsigned_integer;
    }
}
