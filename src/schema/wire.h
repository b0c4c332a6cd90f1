/* schema/wire.h - the protobuf wire format (protobuf.dev/programming-guides/encoding): tags, varints, skipping.
 *
 * Readers take where they stand and where the bytes end, and return where they stand afterwards, or NULL when the
 * bytes are malformed or end too early. None reads at or behind `end`. */
#ifndef TIDEWIRE_SCHEMA_WIRE_H
#define TIDEWIRE_SCHEMA_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "schema/schema.h"

enum {
    WIRE_DEPTH = 100,       /* messages and groups inside one another, below the outermost message */
    WIRE_LONGEST_VARINT = 10,
    WIRE_LONGEST_TAG = 5,
};

/* At most ten bytes; bits above the 64th are dropped, as every implementation does. */
static inline const uint8_t *wire_read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    uint64_t result = 0;
    for (unsigned shift = 0; at < end && shift < 7 * WIRE_LONGEST_VARINT; shift += 7) {
        uint8_t byte = *at++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return at;
        }
    }
    return NULL;
}

/* Refuses field number 0, tags above 32 bits and the wire types that do not exist. */
static inline const uint8_t *wire_read_tag(const uint8_t *at, const uint8_t *end, uint32_t *number, unsigned *type) {
    uint64_t tag;
    if (at < end && *at < 0x80 && *at >= 1 << 3) { /* numbers up to 15 fill one byte */
        *number = *at >> 3;
        *type = *at & 7;
        return *type <= WIRE_32 ? at + 1 : NULL;
    }
    const uint8_t *after = wire_read_varint(at, end, &tag);
    if (!after || after - at > WIRE_LONGEST_TAG || tag > UINT32_MAX || tag >> 3 == 0) return NULL;
    *number = (uint32_t)(tag >> 3);
    *type = (unsigned)(tag & 7);
    return *type <= WIRE_32 ? after : NULL;
}

/* The length in front of a WIRE_BYTES value: that many bytes do follow. At most five bytes, like a tag. */
static inline const uint8_t *wire_read_length(const uint8_t *at, const uint8_t *end, size_t *length) {
    uint64_t value;
    const uint8_t *after = wire_read_varint(at, end, &value);
    if (!after || after - at > WIRE_LONGEST_TAG || value > (uint64_t)(end - after)) return NULL;
    *length = (size_t)value;
    return after;
}

static inline uint32_t wire_load_32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static inline uint64_t wire_load_64(const uint8_t *at) {
    return (uint64_t)wire_load_32(at) | (uint64_t)wire_load_32(at + 4) << 32;
}
static inline const uint8_t *wire_read_32(const uint8_t *at, const uint8_t *end, uint32_t *value) {
    if (end - at < 4) return NULL;
    *value = wire_load_32(at);
    return at + 4;
}
static inline const uint8_t *wire_read_64(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    if (end - at < 8) return NULL;
    *value = wire_load_64(at);
    return at + 8;
}

/* Past a value that is no group. */
static inline const uint8_t *wire_skip_value(const uint8_t *at, const uint8_t *end, unsigned type) {
    uint64_t ignored;
    size_t length;
    switch (type) {
    case WIRE_VARINT: return wire_read_varint(at, end, &ignored);
    case WIRE_64: return end - at < 8 ? NULL : at + 8;
    case WIRE_32: return end - at < 4 ? NULL : at + 4;
    case WIRE_BYTES:
        at = wire_read_length(at, end, &length);
        return at ? at + length : NULL;
    default: return NULL;
    }
}

/* Past the value whose tag was just read. `depth` is how many groups may still stand inside one another here, at
 * most WIRE_DEPTH; 0 refuses any group. An end-group tag that nothing opened is malformed. */
static inline const uint8_t *wire_skip(const uint8_t *at, const uint8_t *end, uint32_t number, unsigned type,
                                       unsigned depth) {
    if (type != WIRE_GROUP) return wire_skip_value(at, end, type);
    uint32_t open[WIRE_DEPTH];
    unsigned count = 0;
    if (depth > WIRE_DEPTH) depth = WIRE_DEPTH;
    for (;;) {
        if (type == WIRE_GROUP) {
            if (count == depth) return NULL;
            open[count++] = number;
        } else if (type == WIRE_END_GROUP) {
            if (number != open[--count]) return NULL;
            if (!count) return at;
        } else if (!(at = wire_skip_value(at, end, type))) {
            return NULL;
        }
        if (!(at = wire_read_tag(at, end, &number, &type))) return NULL;
    }
}

static inline uint64_t wire_zigzag(int64_t value) { return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0); }
static inline int64_t wire_unzigzag(uint64_t value) { return (int64_t)(value >> 1 ^ (~(value & 1) + 1)); }

static inline size_t wire_varint_size(uint64_t value) {
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}
/* Writes at most ten bytes and returns behind the last. */
static inline uint8_t *wire_put_varint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline void wire_write_varint(struct buffer *out, uint64_t value) {
    uint8_t *at = buffer_reserve(out, WIRE_LONGEST_VARINT);
    buffer_commit(out, (size_t)(wire_put_varint(at, value) - at));
}
static inline void wire_write_tag(struct buffer *out, uint32_t number, unsigned type) {
    wire_write_varint(out, (uint64_t)number << 3 | type);
}
static inline void wire_write_32(struct buffer *out, uint32_t value) {
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    buffer_append(out, bytes, sizeof bytes);
}
static inline void wire_write_64(struct buffer *out, uint64_t value) {
    wire_write_32(out, (uint32_t)value);
    wire_write_32(out, (uint32_t)(value >> 32));
}
static inline void wire_write_bytes(struct buffer *out, const void *bytes, size_t length) {
    wire_write_varint(out, length);
    buffer_append(out, bytes, length);
}

static inline float wire_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline double wire_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t wire_float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline uint64_t wire_double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
#endif
