/* schema/json_write_known.c - the well-known types of json_write(). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/json_known.h"
#include "schema/json_text.h"
#include "schema/json_writer.h"
#include "schema/wire.h"

/* Timestamp and Duration are the same two fields. */
static bool write_time(struct json_writer *writer, const struct codec_view *view,
                       const struct json_place *place) {
    int64_t seconds = codec_bit(view->presence, 0) ? (int64_t)view->slots[0].bits : 0;
    int64_t nanos = codec_bit(view->presence, 1) ? (int64_t)view->slots[1].bits : 0;
    buffer_append_byte(writer->out, '"');
    const char *fault = view->type->well_known == WELL_KNOWN_DURATION
                            ? json_write_duration(writer->out, seconds, nanos)
                            : json_write_timestamp(writer->out, seconds, nanos);
    buffer_append_byte(writer->out, '"');
    return !fault || json_fail(writer->error, place, "%s", fault);
}

static bool write_mask(struct json_writer *writer, const struct codec_view *view,
                       const struct json_place *place) {
    struct codec_elements elements = codec_elements(view, &view->type->fields[0]);
    struct codec_value path;
    struct buffer text = {0};
    bool is_good = true;
    for (size_t count = 0; is_good && codec_next(&elements, &path); count++) {
        if (count) buffer_append_byte(&text, ',');
        is_good = json_write_mask_path(&text, (const char *)path.data, path.length) ||
                  json_fail(writer->error, place, "\"%.*s\" has no form in lowerCamelCase",
                            json_quotable((const char *)path.data, path.length), (const char *)path.data);
    }
    if (is_good) json_quote(writer->out, text.data, buffer_length(&text));
    buffer_free(&text);
    return is_good;
}

static bool write_json_value(struct json_writer *writer, const struct codec_view *view,
                             const struct json_place *place, unsigned depth) {
    const struct field *set = NULL;
    for (size_t i = 0; i < view->type->field_count && !set; i++)
        if (codec_bit(view->presence, i)) set = &view->type->fields[i];
    if (!set) {
        buffer_append_text(writer->out, "null");
        return true;
    }
    if (set->type == FIELD_DOUBLE && !isfinite(wire_double(view->slots[set->index].bits)))
        return json_fail(writer->error, place, "a value in JSON is no NaN and not infinite");
    return json_write_field(writer, view, set, place, depth);
}

static bool write_wrapper(struct json_writer *writer, const struct codec_view *view,
                          const struct json_place *place, unsigned depth) {
    const struct field *value = &view->type->fields[0];
    if (codec_bit(view->presence, 0)) return json_write_field(writer, view, value, place, depth);
    if (codec_is_scalar(value))
        json_write_bits(writer, value, 0);
    else
        buffer_append_text(writer->out, "\"\"");
    return true;
}

/* What is inside an Any: members beside "@type", or a "value" for types that are no object in JSON. */
static bool write_any_of(struct json_writer *writer, const struct codec_view *inside,
                         const struct json_place *place, unsigned depth) {
    bool is_first = false;
    enum well_known kind = inside->type->well_known;
    if (kind == WELL_KNOWN_EMPTY) return true;
    if (kind == NOT_WELL_KNOWN) return json_write_members(writer, inside, place, depth + 1, &is_first);
    buffer_append_text(writer->out, ",\"value\":");
    return json_write_message(writer, inside->type, inside->bytes, inside->length, place, depth + 1);
}

static bool write_resolved(struct json_writer *writer, const struct message_type *type, const uint8_t *bytes,
                           size_t length, const struct json_place *place, unsigned depth) {
    struct codec_view view;
    void *memory = memory_new(codec_view_size(type));
    codec_view_place(&view, type, memory);
    const char *fault = codec_scan(&view, bytes, length);
    bool is_good = fault ? json_fail(writer->error, place, "no %s: %s", type->full_name, fault)
                         : write_any_of(writer, &view, place, depth);
    free(memory);
    return is_good;
}

static bool write_any(struct json_writer *writer, const struct codec_view *view,
                      const struct json_place *place, unsigned depth) {
    struct buffer *out = writer->out;
    const struct codec_slot *url = &view->slots[0], *value = &view->slots[1];
    size_t url_length = codec_bit(view->presence, 0) ? url->length : 0;
    size_t value_length = codec_bit(view->presence, 1) ? value->length : 0;
    if (!url_length && !value_length) {
        buffer_append_text(out, "{}");
        return true;
    }
    char *text = memory_copy(url_length ? view->bytes + url->offset : NULL, url_length),
         *slash = strrchr(text, '/');
    const struct message_type *type =
        slash && writer->options->schema ? schema_message(writer->options->schema, slash + 1) : NULL;
    buffer_append_text(out, "{\"@type\":");
    json_quote(out, text, url_length);
    bool is_good = type ? write_resolved(writer, type, value_length ? view->bytes + value->offset : NULL,
                                         value_length, place, depth)
                        : json_fail(writer->error, place, "the type \"%.*s\" is not known",
                                    json_quotable(text, url_length), text);
    buffer_append_byte(out, '}');
    free(text);
    return is_good;
}

bool json_write_well_known(struct json_writer *writer, const struct codec_view *view,
                           const struct json_place *place, unsigned depth) {
    switch (view->type->well_known) {
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
        return write_time(writer, view, place);
    case WELL_KNOWN_FIELD_MASK:
        return write_mask(writer, view, place);
    case WELL_KNOWN_STRUCT:
        return json_write_map(writer, view, &view->type->fields[0], place, depth);
    case WELL_KNOWN_LIST:
        return json_write_list(writer, view, &view->type->fields[0], place, depth);
    case WELL_KNOWN_VALUE:
        return write_json_value(writer, view, place, depth);
    case WELL_KNOWN_WRAPPER:
        return write_wrapper(writer, view, place, depth);
    default:
        return write_any(writer, view, place, depth);
    }
}
