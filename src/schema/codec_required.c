/* schema/codec_required.c - proto2's required fields, over all depths of a scanned message.
 *
 * Only the types that have one, of their own or below, come here. Each level is scanned again into slots, because a
 * sub-message may be whole only once its pieces are merged. */
#include <stdlib.h>

#include "base/memory.h"
#include "schema/codec_private.h"

enum { SMALL = 64 * 8 };

static const char *const fault_missing = "a required field is missing";

const struct field *codec_missing_field(const struct codec_view *view) {
    if (!view->type->has_required) return NULL;
    for (size_t i = 0; i < view->type->field_count; i++)
        if (view->type->fields[i].is_required && !codec_bit(view->presence, (unsigned)i))
            return &view->type->fields[i];
    return NULL;
}

static const char *check_list(const struct codec_view *view, const struct field *field) {
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    const char *fault = NULL;
    while (!fault && codec_next(&elements, &value))
        fault = codec_check_required_bytes(field->message, value.data, value.length);
    return fault;
}

static const char *check_pieces(const struct codec_view *view, const struct field *field) {
    struct buffer whole = {0};
    codec_gather(view, field, &whole);
    const char *fault = codec_check_required_bytes(field->message, whole.data, buffer_length(&whole));
    buffer_free(&whole);
    return fault;
}

static const char *check_field(const struct codec_view *view, const struct field *field) {
    const struct codec_slot *slot = &view->slots[field->index];
    if (field->is_repeated) return check_list(view, field);
    if (slot->length & CODEC_SPLIT) return check_pieces(view, field);
    return codec_check_required_bytes(field->message, codec_inside(view, field), slot->length);
}

const char *codec_check_required(const struct codec_view *view) {
    if (codec_missing_field(view)) return fault_missing;
    const struct message_type *type = view->type;
    const char *fault = NULL;
    for (size_t i = 0; i < type->field_count && !fault; i++) {
        const struct field *field = &type->fields[i];
        if (!codec_is_message(field) || !field->message->has_required) continue;
        if (codec_bit(view->presence, (unsigned)i)) fault = check_field(view, field);
        /* An entry without a value stands for an empty message, which then lacks what it requires. */
        else if (type->is_map_entry && field->number == 2) fault = codec_check_required_bytes(field->message, NULL, 0);
    }
    return fault;
}

const char *codec_check_required_bytes(const struct message_type *type, const uint8_t *bytes, size_t length) {
    uint64_t small[SMALL / 8];
    size_t size = codec_view_size(type);
    void *memory = size <= sizeof small ? small : memory_resize(NULL, size);
    struct codec_view view;
    codec_view_place(&view, type, memory);
    codec_rescan(&view, bytes, length);
    const char *fault = codec_check_required(&view);
    if (memory != small) free(memory);
    return fault;
}
