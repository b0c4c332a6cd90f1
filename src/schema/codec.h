/* schema/codec.h - the bytes of a message as values, without a tree.
 *
 * A scan goes once over the bytes, checks them whole, and notes for every field of the type where its value is: a
 * slot each, in memory that the caller gives. Lists, maps and sub-messages stay bytes until somebody walks them.
 * Writing goes the other way: the original bytes minus some fields (codec_splice), then values one at a time.
 *
 * Wire facts: protobuf.dev/programming-guides/encoding. Where that page is silent this follows the C++
 * implementation: the last scalar wins, pieces of a split sub-message merge, a wire type that does not fit makes the
 * field unknown, numbers that a closed enum lacks are unknown fields. */
#ifndef TIDEWIRE_SCHEMA_CODEC_H
#define TIDEWIRE_SCHEMA_CODEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "schema/schema.h"

enum {
    CODEC_DEPTH = 100,        /* messages and groups below the outermost message */
    CODEC_LONGEST = INT32_MAX /* bytes of one message */
};

/* What is known of one field. Scalars are held in 64 bits in one form whatever the wire said: signed ones
 * sign-extended, bool 0 or 1, float and double as their bits. */
struct codec_slot {
    union {
        uint64_t bits;                       /* singular scalars */
        struct { uint32_t offset, length; }; /* strings and bytes: what is behind tag and length; messages and
                                              * groups: the tag, and the length inside: see codec_inside() */
        struct { uint32_t first, count; };   /* lists and maps: the first element's tag; entries of a map that
                                              * share their key count one by one */
    };
};
/* Set in the length of a sub-message that came in pieces, which then is that of all: see codec_gather(). */
#define CODEC_SPLIT 0x80000000u

struct codec_view {
    const struct message_type *type;
    const uint8_t *bytes;
    uint32_t length;
    uint64_t *presence;       /* a bit for each field: it is on the wire */
    struct codec_slot *slots; /* meaningful where the presence bit is set */
    uint16_t *chosen;         /* for each oneof: the index + 1 of the field that is set, or 0 */
};

static inline size_t codec_words(const struct message_type *type) { return (type->field_count + 63) / 64; }
/* The memory that a view of this type needs for presence, slots and chosen; aligned to 8. */
static inline size_t codec_view_size(const struct message_type *type) {
    return (codec_words(type) + type->field_count) * 8 + (type->oneof_count * 2 + 7) / 8 * 8;
}
static inline void codec_view_place(struct codec_view *view, const struct message_type *type, void *memory) {
    view->type = type;
    view->presence = memory;
    view->slots = (void *)(view->presence + codec_words(type));
    view->chosen = (void *)(view->slots + type->field_count);
}
static inline bool codec_bit(const uint64_t *bits, unsigned index) { return bits[index >> 6] >> (index & 63) & 1; }
static inline void codec_set_bit(uint64_t *bits, unsigned index) { bits[index >> 6] |= UINT64_C(1) << (index & 63); }
static inline void codec_clear_bit(uint64_t *bits, unsigned index) {
    bits[index >> 6] &= ~(UINT64_C(1) << (index & 63));
}

/* Fills a placed view. Everything is checked, at all depths: structure, nesting, UTF-8, required fields. NULL, or a
 * static sentence that says what is wrong, good for a status text. */
const char *codec_scan(struct codec_view *view, const uint8_t *bytes, size_t length);
/* The same for bytes that were checked before, as part of a larger message: only this level is read. */
void codec_rescan(struct codec_view *view, const uint8_t *bytes, size_t length);
/* The check alone. */
const char *codec_check(const struct message_type *type, const uint8_t *bytes, size_t length);
bool codec_is_utf8(const void *text, size_t length);
/* The first required field that the view lacks at its own level, or NULL. */
const struct field *codec_missing_field(const struct codec_view *view);

/* A value of a list: `data` points at what is inside a string, bytes, message, group or map entry. */
struct codec_value {
    union {
        uint64_t bits;
        struct { const uint8_t *data; size_t length; };
    };
};

/* Walks the elements of a list or the entries of a map in a scanned view, in their order. */
struct codec_elements {
    const struct field *field;
    const uint8_t *at, *end, *packed_end;
    uint32_t left;
};
struct codec_elements codec_elements(const struct codec_view *view, const struct field *field);
bool codec_next(struct codec_elements *elements, struct codec_value *value);

/* The bytes inside of a sub-message or group that is set and came in one piece. */
const uint8_t *codec_inside(const struct codec_view *view, const struct field *field);
/* Appends the merged bytes of one, in however many pieces it came. */
void codec_gather(const struct codec_view *view, const struct field *field, struct buffer *out);

/* Appends the checked `bytes` without the fields whose bit is set in `dropped` (codec_words() words). What only looks
 * like such a field and is unknown (a foreign wire type, a number that a closed enum lacks) stays. */
void codec_splice(const struct message_type *type, const uint8_t *bytes, size_t length, const uint64_t *dropped,
                  struct buffer *out);

/* One value with its tag. `bits` as in a slot. */
void codec_write_scalar(struct buffer *out, const struct field *field, uint64_t bits);
void codec_write_bytes(struct buffer *out, const struct field *field, const void *data, size_t length);
/* One element of a packed list, without tag. */
void codec_write_packed(struct buffer *out, const struct field *field, uint64_t bits);
/* Around what is inside a sub-message, a group, a map entry, or a packed list. The result of the first goes to the
 * second, which puts the length in front. */
size_t codec_open(struct buffer *out, const struct field *field);
void codec_close(struct buffer *out, const struct field *field, size_t opened);

/* True for strings, bytes, messages and groups: their slots say where they are. */
static inline bool codec_is_scalar(const struct field *field) {
    return field->wire_type != WIRE_BYTES && field->wire_type != WIRE_GROUP;
}
static inline bool codec_is_message(const struct field *field) {
    return field->type == FIELD_MESSAGE || field->type == FIELD_GROUP;
}
/* What an unset singular scalar reads as: its declared default, for a closed enum else its first value, else zero. */
uint64_t codec_default_bits(const struct field *field);

/* Appends the text format of checked bytes, in one line: `name: "x" place { row: 1 }`. */
void codec_text(const struct message_type *type, const uint8_t *bytes, size_t length, struct buffer *out);
#endif
