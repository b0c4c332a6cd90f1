/* schema/codec_scan.c - the one pass over the bytes: checks them, and fills the slots of the outermost level.
 *
 * The same loop serves both, with a view (the outermost level) and without (everything below); it is inlined into
 * its two callers so that the levels below pay nothing for slots. */
#include "schema/codec_private.h"

static const char *const fault_malformed = "a field of the message is malformed or cut off";
static const char *const fault_deep = "messages are nested deeper than 100 levels";
static const char *const fault_utf8 = "a string field is not valid UTF-8";
static const char *const fault_group = "a group does not end where it should";
static const char *const fault_long = "the message is longer than 2 GiB";

struct pass {
    const char *fault;
    bool is_deep;             /* look into sub-messages and strings; false: they were checked before */
    const uint8_t *group_end; /* where the tag stands that ended the group read last */
};

/* Where a value is read: what is left of its message, how many levels may still follow below it, and the tag. */
struct place {
    const uint8_t *at, *end, *tag;
    unsigned depth;
};

static const uint8_t *check_message(struct pass *pass, const struct message_type *type, const uint8_t *at,
                                    const uint8_t *end, unsigned depth, uint32_t group);

static __attribute__((noinline, cold)) const uint8_t *refuse(struct pass *pass, const char *fault) {
    if (!pass->fault) pass->fault = fault;
    return NULL;
}

/* Small numbers have a table. Larger ones mostly come in order, so the field behind the last one, or that one once
 * more, is tried before the search. */
static inline const struct field *find_field(const struct message_type *type, uint32_t number, size_t *next) {
    if (number < type->by_number_count) {
        uint16_t found = type->by_number[number];
        return found ? &type->fields[found - 1] : NULL;
    }
    if (*next < type->field_count && type->fields[*next].number == number) return &type->fields[(*next)++];
    if (*next && type->fields[*next - 1].number == number) return &type->fields[*next - 1];
    const struct field *field = message_field_by_number(type, number);
    if (field) *next = field->index + 1u;
    return field;
}

static inline void note_list(struct codec_view *view, const struct field *field, const uint8_t *tag, uint32_t count) {
    if (!count) return;
    struct codec_slot *slot = &view->slots[field->index];
    if (codec_bit(view->presence, field->index)) {
        slot->count += count;
        return;
    }
    codec_set_bit(view->presence, field->index);
    slot->first = (uint32_t)(tag - view->bytes);
    slot->count = count;
}

/* Marks a singular field as set, which unsets the sibling that was set before it in a oneof. */
static inline struct codec_slot *note_one(struct codec_view *view, const struct field *field) {
    codec_set_bit(view->presence, field->index);
    if (field->oneof >= 0) {
        uint16_t *chosen = &view->chosen[field->oneof];
        if (*chosen && *chosen != field->index + 1) codec_clear_bit(view->presence, *chosen - 1u);
        *chosen = (uint16_t)(field->index + 1);
    }
    return &view->slots[field->index];
}

static inline void note_span(struct codec_view *view, const struct field *field, const uint8_t *tag,
                             const uint8_t *inside, size_t length) {
    bool is_message = codec_is_message(field), is_piece = is_message && codec_bit(view->presence, field->index);
    struct codec_slot *slot = note_one(view, field);
    if (is_piece) {
        slot->length = (slot->length + (uint32_t)length) | CODEC_SPLIT;
    } else {
        slot->offset = (uint32_t)((is_message ? tag : inside) - view->bytes);
        slot->length = (uint32_t)length;
    }
}

/* Each take_… reads one occurrence of a known field behind its tag, and returns where it goes on. */

static const uint8_t *take_packed(struct pass *pass, struct place place, const struct field *field,
                                  struct codec_view *view) {
    size_t length;
    const uint8_t *at = wire_read_length(place.at, place.end, &length);
    if (!at) return refuse(pass, fault_malformed);
    const uint8_t *end = at + length;
    uint32_t count = 0;
    if (field->wire_type != WIRE_VARINT) {
        size_t width = field->wire_type == WIRE_64 ? 8 : 4;
        if (length % width) return refuse(pass, fault_malformed);
        count = (uint32_t)(length / width);
        at = end;
    }
    bool is_closed = field->type == FIELD_ENUM && field->enumeration->is_closed;
    while (at < end) {
        uint64_t raw;
        at = wire_read_varint(at, end, &raw);
        if (!at) return refuse(pass, fault_malformed);
        count += !is_closed || codec_enum_has(field, codec_from_varint(FIELD_ENUM, raw));
    }
    if (view) note_list(view, field, place.tag, count);
    return at;
}

static inline const uint8_t *take_scalar(struct pass *pass, struct place place, const struct field *field,
                                         struct codec_view *view) {
    uint64_t bits;
    const uint8_t *after = codec_read_scalar(place.at, place.end, field, &bits);
    if (!after) return refuse(pass, fault_malformed);
    if (!view || !codec_enum_has(field, bits)) return after;
    if (field->is_repeated) note_list(view, field, place.tag, 1);
    else note_one(view, field)->bits = bits;
    return after;
}

static inline const uint8_t *take_span(struct pass *pass, struct place place, const struct field *field,
                                       struct codec_view *view) {
    size_t length;
    const uint8_t *inside = wire_read_length(place.at, place.end, &length), *after;
    if (!inside) return refuse(pass, fault_malformed);
    after = inside + length;
    if (field->type == FIELD_MESSAGE) {
        if (!place.depth) return refuse(pass, fault_deep);
        if (pass->is_deep && !check_message(pass, field->message, inside, after, place.depth - 1, 0)) return NULL;
        if (view && field->is_map && codec_entry_is_unknown(field, inside, length)) return after;
    } else if (field->is_utf8 && pass->is_deep && !codec_is_utf8(inside, length)) {
        return refuse(pass, fault_utf8);
    }
    if (!view) return after;
    if (field->is_repeated) note_list(view, field, place.tag, 1);
    else note_span(view, field, place.tag, inside, length);
    return after;
}

static const uint8_t *take_group(struct pass *pass, struct place place, const struct field *field,
                                 struct codec_view *view) {
    if (!place.depth) return refuse(pass, fault_deep);
    const uint8_t *after = check_message(pass, field->message, place.at, place.end, place.depth - 1, field->number);
    if (!after || !view) return after;
    if (field->is_repeated) note_list(view, field, place.tag, 1);
    else note_span(view, field, place.tag, place.at, (size_t)(pass->group_end - place.at));
    return after;
}

static const uint8_t *take_unknown(struct pass *pass, struct place place, uint32_t number, unsigned wire) {
    const uint8_t *after = wire_skip(place.at, place.end, number, wire, place.depth);
    return after ? after : refuse(pass, fault_malformed);
}

/* Reads to the end, or to the tag that ends the group; returns where it goes on behind. */
static inline __attribute__((always_inline)) const uint8_t *pass_over(struct pass *pass,
                                                                      const struct message_type *type,
                                                                      const uint8_t *at, const uint8_t *end,
                                                                      unsigned depth, uint32_t group,
                                                                      struct codec_view *view) {
    size_t next = 0;
    while (at < end) {
        uint32_t number;
        unsigned wire;
        struct place place = {.end = end, .tag = at, .depth = depth};
        place.at = wire_read_tag(at, end, &number, &wire);
        if (!place.at) return refuse(pass, fault_malformed);
        if (wire == WIRE_END_GROUP) {
            if (number != group) return refuse(pass, fault_group);
            pass->group_end = at;
            return place.at;
        }
        const struct field *field = find_field(type, number, &next);
        switch (field ? codec_shape(field, wire) : CODEC_UNKNOWN) {
        case CODEC_UNKNOWN: at = take_unknown(pass, place, number, wire); break;
        case CODEC_PACKED: at = take_packed(pass, place, field, view); break;
        case CODEC_ONE:
            if (wire == WIRE_BYTES) at = take_span(pass, place, field, view);
            else if (wire == WIRE_GROUP) at = take_group(pass, place, field, view);
            else at = take_scalar(pass, place, field, view);
        }
        if (!at) return NULL;
    }
    return group ? refuse(pass, fault_group) : at;
}

static const uint8_t *check_message(struct pass *pass, const struct message_type *type, const uint8_t *at,
                                    const uint8_t *end, unsigned depth, uint32_t group) {
    return pass_over(pass, type, at, end, depth, group, NULL);
}

static const char *fill(struct codec_view *view, const uint8_t *bytes, size_t length, bool is_deep) {
    static const uint8_t none[1];
    if (length > CODEC_LONGEST) return fault_long;
    if (!bytes) bytes = none;
    view->bytes = bytes;
    view->length = (uint32_t)length;
    for (size_t i = 0, words = codec_words(view->type); i < words; i++) view->presence[i] = 0;
    if (view->type->oneof_count) memset(view->chosen, 0, view->type->oneof_count * sizeof *view->chosen);
    struct pass pass = {.is_deep = is_deep};
    pass_over(&pass, view->type, bytes, bytes + length, CODEC_DEPTH, 0, view);
    return pass.fault;
}

const char *codec_scan(struct codec_view *view, const uint8_t *bytes, size_t length) {
    const char *fault = fill(view, bytes, length, true);
    return fault || !view->type->has_required ? fault : codec_check_required(view);
}

void codec_rescan(struct codec_view *view, const uint8_t *bytes, size_t length) { fill(view, bytes, length, false); }

const char *codec_check(const struct message_type *type, const uint8_t *bytes, size_t length) {
    if (length > CODEC_LONGEST) return fault_long;
    struct pass pass = {.is_deep = true};
    if (length && !check_message(&pass, type, bytes, bytes + length, CODEC_DEPTH, 0)) return pass.fault;
    return type->has_required ? codec_check_required_bytes(type, bytes, length) : NULL;
}

static bool is_utf8_slowly(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint8_t lead = *at++;
        if (lead < 0x80) continue;
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;  /* overlong */
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf; /* surrogates; beyond U+10FFFF */
        ptrdiff_t more = lead >= 0xc2 && lead <= 0xdf ? 1 : lead >= 0xe0 && lead <= 0xef ? 2
                       : lead >= 0xf0 && lead <= 0xf4 ? 3 : 0;
        if (!more || end - at < more || at[0] < low || at[0] > high) return false;
        for (ptrdiff_t i = 1; i < more; i++)
            if ((at[i] & 0xc0) != 0x80) return false;
        at += more;
    }
    return true;
}

static inline uint64_t high_bits(const uint8_t *at) {
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    return eight & UINT64_C(0x8080808080808080);
}

/* Eight bytes at a time while they are ASCII, the last eight overlapping those before; from the first that is not,
 * character by character after table 3-7 of the Unicode standard. */
bool codec_is_utf8(const void *text, size_t length) {
    const uint8_t *at = text, *end = at + length;
    if (length < sizeof(uint64_t)) {
        while (at < end && *at < 0x80) at++;
        return at == end || is_utf8_slowly(at, end);
    }
    const uint8_t *last = end - sizeof(uint64_t);
    while (at < last && !high_bits(at)) at += sizeof(uint64_t);
    return (at >= last && !high_bits(last)) || is_utf8_slowly(at < last ? at : last, end);
}
