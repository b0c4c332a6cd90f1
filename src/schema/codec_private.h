/* schema/codec_private.h - what the files of the codec share. */
#ifndef TIDEWIRE_SCHEMA_CODEC_PRIVATE_H
#define TIDEWIRE_SCHEMA_CODEC_PRIVATE_H
#include "schema/codec.h"
#include "schema/wire.h"

/* A varint from the wire as a slot holds it. */
static inline uint64_t codec_from_varint(uint8_t type, uint64_t raw) {
    switch (type) {
    case FIELD_INT32:
    case FIELD_ENUM: return (uint64_t)(int64_t)(int32_t)(uint32_t)raw;
    case FIELD_UINT32: return (uint32_t)raw;
    case FIELD_BOOL: return raw != 0;
    case FIELD_SINT32: return (uint64_t)wire_unzigzag((uint32_t)raw);
    case FIELD_SINT64: return (uint64_t)wire_unzigzag(raw);
    default: return raw;
    }
}
static inline uint64_t codec_from_32(uint8_t type, uint32_t raw) {
    return type == FIELD_SFIXED32 ? (uint64_t)(int64_t)(int32_t)raw : raw;
}

static inline bool codec_enum_has(const struct field *field, uint64_t bits) {
    return field->type != FIELD_ENUM || !field->enumeration->is_closed ||
           enum_name(field->enumeration, (int32_t)bits) != NULL;
}

/* How an occurrence of a known field on the wire is to be taken. */
enum codec_shape { CODEC_ONE, CODEC_PACKED, CODEC_UNKNOWN };
static inline enum codec_shape codec_shape(const struct field *field, unsigned wire) {
    if (wire == field->wire_type) return CODEC_ONE;
    return wire == WIRE_BYTES && field->is_repeated && codec_is_scalar(field) ? CODEC_PACKED : CODEC_UNKNOWN;
}

/* One scalar without tag; NULL at the end of the bytes. */
static inline const uint8_t *codec_read_scalar(const uint8_t *at, const uint8_t *end, const struct field *field,
                                               uint64_t *bits) {
    uint32_t narrow;
    switch (field->wire_type) {
    case WIRE_VARINT:
        at = wire_read_varint(at, end, bits);
        if (at) *bits = codec_from_varint(field->type, *bits);
        return at;
    case WIRE_64: return wire_read_64(at, end, bits);
    default:
        at = wire_read_32(at, end, &narrow);
        if (at) *bits = codec_from_32(field->type, narrow);
        return at;
    }
}

/* What is inside a string, bytes, message or group that starts at `at`, behind its tag; returns where it goes on.
 * The bytes were checked before. */
const uint8_t *codec_read_span(const uint8_t *at, const uint8_t *end, const struct field *field,
                               struct codec_value *inside);
/* An entry whose value is a number that its closed enum lacks is an unknown field as a whole. */
bool codec_entry_lacks_value(const struct field *value, const uint8_t *entry, size_t length);
static inline bool codec_entry_is_unknown(const struct field *map, const uint8_t *entry, size_t length) {
    const struct field *value = &map->message->fields[map->message->field_count - 1];
    return value->type == FIELD_ENUM && value->enumeration->is_closed && codec_entry_lacks_value(value, entry, length);
}
/* NULL, or the sentence that says that a required field is missing at some depth. */
const char *codec_check_required(const struct codec_view *view);
const char *codec_check_required_bytes(const struct message_type *type, const uint8_t *bytes, size_t length);
#endif
