/* schema/codec_walk.c - from slots back to the bytes: elements of lists, pieces of sub-messages, entries of maps.
 *
 * All bytes here were checked by a scan. The readers check again all the same, since that costs next to nothing, and
 * end early where they would run over the end. */
#include "schema/codec_private.h"

const uint8_t *codec_read_span(const uint8_t *at, const uint8_t *end, const struct field *field,
                               struct codec_value *inside) {
    if (field->wire_type == WIRE_BYTES) {
        at = wire_read_length(at, end, &inside->length);
        inside->data = at;
        return at ? at + inside->length : NULL;
    }
    inside->data = at;
    for (;;) {
        const uint8_t *tag = at;
        uint32_t number;
        unsigned wire;
        at = wire_read_tag(at, end, &number, &wire);
        if (at && wire == WIRE_END_GROUP) {
            inside->length = (size_t)(tag - inside->data);
            return at;
        }
        if (at) at = wire_skip(at, end, number, wire, WIRE_DEPTH);
        if (!at) return NULL;
    }
}

/* The last number that the entry gives as its value decides. */
bool codec_entry_lacks_value(const struct field *value, const uint8_t *entry, size_t length) {
    const uint8_t *at = entry, *end = entry + length;
    bool is_unknown = false;
    while (at && at < end) {
        uint32_t number;
        unsigned wire;
        uint64_t bits;
        at = wire_read_tag(at, end, &number, &wire);
        if (at && number == value->number && wire == WIRE_VARINT) {
            at = codec_read_scalar(at, end, value, &bits);
            is_unknown = at && !codec_enum_has(value, bits);
        } else if (at) {
            at = wire_skip(at, end, number, wire, WIRE_DEPTH);
        }
    }
    return is_unknown;
}

struct codec_elements codec_elements(const struct codec_view *view, const struct field *field) {
    struct codec_elements elements = {.field = field, .end = view->bytes + view->length};
    if (codec_bit(view->presence, field->index)) {
        elements.at = view->bytes + view->slots[field->index].first;
        elements.left = view->slots[field->index].count;
    }
    return elements;
}

/* False when the packed run is over, or holds only numbers that a closed enum lacks. */
static bool next_packed(struct codec_elements *elements, struct codec_value *value) {
    while (elements->packed_end) {
        if (elements->at < elements->packed_end)
            elements->at = codec_read_scalar(elements->at, elements->packed_end, elements->field, &value->bits);
        else
            elements->packed_end = NULL;
        if (elements->packed_end && codec_enum_has(elements->field, value->bits)) return true;
    }
    return false;
}

/* One occurrence behind its tag. False when it is unknown after all. */
static bool next_unpacked(struct codec_elements *elements, struct codec_value *value) {
    const struct field *field = elements->field;
    if (codec_is_scalar(field)) {
        elements->at = codec_read_scalar(elements->at, elements->end, field, &value->bits);
        return elements->at && codec_enum_has(field, value->bits);
    }
    elements->at = codec_read_span(elements->at, elements->end, field, value);
    return elements->at && !(field->is_map && codec_entry_is_unknown(field, value->data, value->length));
}

bool codec_next(struct codec_elements *elements, struct codec_value *value) {
    if (!elements->left) return false;
    bool is_found = next_packed(elements, value);
    while (!is_found && elements->at && elements->at < elements->end) {
        uint32_t number;
        unsigned wire;
        elements->at = wire_read_tag(elements->at, elements->end, &number, &wire);
        if (!elements->at) break;
        enum codec_shape shape = number == elements->field->number ? codec_shape(elements->field, wire) : CODEC_UNKNOWN;
        if (shape == CODEC_ONE) {
            is_found = next_unpacked(elements, value);
        } else if (shape == CODEC_PACKED) {
            size_t length;
            elements->at = wire_read_length(elements->at, elements->end, &length);
            if (!elements->at) break;
            elements->packed_end = elements->at + length;
            is_found = next_packed(elements, value);
        } else {
            elements->at = wire_skip(elements->at, elements->end, number, wire, WIRE_DEPTH);
        }
    }
    elements->left = is_found ? elements->left - 1 : 0;
    return is_found;
}

const uint8_t *codec_inside(const struct codec_view *view, const struct field *field) {
    const uint8_t *at = view->bytes + view->slots[field->index].offset, *end = view->bytes + view->length;
    uint32_t number;
    unsigned wire;
    size_t length;
    at = wire_read_tag(at, end, &number, &wire);
    return at && wire == WIRE_BYTES ? wire_read_length(at, end, &length) : at;
}

void codec_gather(const struct codec_view *view, const struct field *field, struct buffer *out) {
    const uint8_t *at = view->bytes + view->slots[field->index].offset, *end = view->bytes + view->length;
    while (at && at < end) {
        uint32_t number;
        unsigned wire;
        struct codec_value piece;
        at = wire_read_tag(at, end, &number, &wire);
        if (at && number == field->number && wire == field->wire_type) {
            at = codec_read_span(at, end, field, &piece);
            if (at) buffer_append(out, piece.data, piece.length);
        } else if (at) {
            at = wire_skip(at, end, number, wire, WIRE_DEPTH);
        }
    }
}
