/* schema/json_write.c - json_write(): objects, lists and maps, over the views of the codec. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/map.h"
#include "base/memory.h"
#include "schema/json_number.h"
#include "schema/json_text.h"
#include "schema/json_writer.h"
#include "schema/wire.h"

/* Long names and defaults can make much of little: of a list of empty messages, two bytes each, or of enum values. So many
 * characters for each byte are enough for anything but an attack. */
enum { MOST_GROWTH = 64, ALWAYS_ENOUGH = 1024 * 1024 };

static bool check_length(struct json_writer *writer, const struct json_place *place) {
    return buffer_length(writer->out) <= writer->most ||
           json_fail(writer->error, place, "the text would be more than %d times as long as the message", MOST_GROWTH);
}

static void place_view(struct json_view *view, const struct message_type *type) {
    size_t size = codec_view_size(type);
    view->memory = size > sizeof view->room ? memory_new(size) : NULL;
    codec_view_place(&view->view, type, view->memory ? view->memory : view->room);
}

void json_view_open(struct json_view *view, const struct message_type *type, const uint8_t *bytes,
                    size_t length) {
    place_view(view, type);
    codec_rescan(&view->view, bytes, length);
}

void json_view_close(struct json_view *view) { free(view->memory); }

static void write_enum(struct json_writer *writer, const struct enum_type *type, int32_t number) {
    const char *name = enum_name(type, number);
    if (!strcmp(type->full_name, "google.protobuf.NullValue"))
        buffer_append_text(writer->out, "null");
    else if (name)
        json_quote(writer->out, name, strlen(name));
    else
        buffer_format(writer->out, "%d", number);
}

void json_write_bits(struct json_writer *writer, const struct field *field, uint64_t bits) {
    struct buffer *out = writer->out;
    switch (field->type) {
    case FIELD_DOUBLE:
        json_write_double(out, wire_double(bits));
        break;
    case FIELD_FLOAT:
        json_write_float(out, wire_float((uint32_t)bits));
        break;
    case FIELD_BOOL:
        buffer_append_text(out, bits ? "true" : "false");
        break;
    case FIELD_ENUM:
        write_enum(writer, field->enumeration, (int32_t)bits);
        break;
    case FIELD_UINT32:
    case FIELD_FIXED32:
        buffer_format(out, "%u", (unsigned)bits);
        break;
    case FIELD_UINT64:
    case FIELD_FIXED64:
        buffer_format(out, writer->options->is_plain ? "%llu" : "\"%llu\"", (unsigned long long)bits);
        break;
    case FIELD_INT64:
    case FIELD_SINT64:
    case FIELD_SFIXED64:
        buffer_format(out, writer->options->is_plain ? "%lld" : "\"%lld\"", (long long)(int64_t)bits);
        break;
    default:
        buffer_format(out, "%d", (int)(int32_t)bits);
    }
}

static void write_bytes(struct json_writer *writer, const struct field *field, const uint8_t *data,
                        size_t length) {
    if (field->type == FIELD_STRING) {
        json_quote(writer->out, data, length);
        return;
    }
    buffer_append_byte(writer->out, '"');
    base64_write(writer->out, data, length, true);
    buffer_append_byte(writer->out, '"');
}

/* An element of a list. */
static bool write_value(struct json_writer *writer, const struct field *field,
                        const struct codec_value *value, const struct json_place *place, unsigned depth) {
    if (field->message)
        return json_write_message(writer, field->message, value->data, value->length, place, depth + 1);
    if (codec_is_scalar(field))
        json_write_bits(writer, field, value->bits);
    else
        write_bytes(writer, field, value->data, value->length);
    return true;
}

bool json_write_list(struct json_writer *writer, const struct codec_view *view, const struct field *field,
                     const struct json_place *place, unsigned depth) {
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    struct json_place element = {.outer = place, .kind = JSON_PLACE_ELEMENT};
    buffer_append_byte(writer->out, '[');
    for (; codec_next(&elements, &value); element.length++) {
        if (element.length) buffer_append_byte(writer->out, ',');
        if (!check_length(writer, &element)) return false;
        if (!write_value(writer, field, &value, &element, depth)) return false;
    }
    buffer_append_byte(writer->out, ']');
    return true;
}

/* A value that does not stand on the wire: of a map's entry, or a field that is written nevertheless. */
static bool write_default(struct json_writer *writer, const struct field *field,
                          const struct json_place *place, unsigned depth) {
    if (field->is_repeated)
        buffer_append_text(writer->out, field->is_map ? "{}" : "[]");
    else if (field->message)
        return json_write_message(writer, field->message, NULL, 0, place, depth + 1);
    else if (codec_is_scalar(field))
        json_write_bits(writer, field, codec_default_bits(field));
    else
        write_bytes(writer, field, (const uint8_t *)field->default_value.bytes.data,
                    field->default_value.bytes.length);
    return true;
}

static bool write_gathered(struct json_writer *writer, const struct codec_view *view,
                           const struct field *field, const struct json_place *place, unsigned depth) {
    struct buffer whole = {0};
    codec_gather(view, field, &whole);
    bool is_good =
        json_write_message(writer, field->message, whole.data, buffer_length(&whole), place, depth + 1);
    buffer_free(&whole);
    return is_good;
}

bool json_write_field(struct json_writer *writer, const struct codec_view *view, const struct field *field,
                      const struct json_place *place, unsigned depth) {
    const struct codec_slot *slot = &view->slots[field->index];
    if (field->is_map) return json_write_map(writer, view, field, place, depth);
    if (field->is_repeated) return json_write_list(writer, view, field, place, depth);
    if (codec_is_scalar(field)) {
        json_write_bits(writer, field, slot->bits);
        return true;
    }
    if (!field->message) {
        write_bytes(writer, field, view->bytes + slot->offset, slot->length);
        return true;
    }
    if (slot->length & CODEC_SPLIT) return write_gathered(writer, view, field, place, depth);
    return json_write_message(writer, field->message, codec_inside(view, field), slot->length, place,
                              depth + 1);
}

/* The key of an entry as bytes that are equal when the keys are. */
struct key {
    const void *data;
    size_t length;
    uint64_t bits;
};

static void find_key(struct key *key, const struct codec_view *entry) {
    const struct field *field = &entry->type->fields[0];
    bool is_set = codec_bit(entry->presence, 0);
    *key = (struct key){.data = &key->bits, .length = sizeof key->bits};
    if (codec_is_scalar(field)) {
        key->bits = is_set ? entry->slots[0].bits : 0;
    } else {
        key->data = is_set ? entry->bytes + entry->slots[0].offset : (const uint8_t *)"";
        key->length = is_set ? entry->slots[0].length : 0;
    }
}

static void write_key(struct json_writer *writer, const struct field *field, const struct key *key) {
    struct buffer *out = writer->out;
    if (field->type == FIELD_STRING) return json_quote(out, key->data, key->length);
    bool is_wide = field->type == FIELD_INT64 || field->type == FIELD_SINT64 || field->type == FIELD_SFIXED64 ||
                   field->type == FIELD_UINT64 || field->type == FIELD_FIXED64;
    bool is_quoted = is_wide && !writer->options->is_plain; /* without the quotes of a key */
    if (!is_quoted) buffer_append_byte(out, '"');
    json_write_bits(writer, field, key->bits);
    if (!is_quoted) buffer_append_byte(out, '"');
}

/* Maps every key to its last entry, which is the one that counts. */
static void find_last(const struct codec_view *view, const struct field *field, struct map *last) {
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    while (codec_next(&elements, &value)) {
        struct json_view entry;
        struct key key;
        json_view_open(&entry, field->message, value.data, value.length);
        find_key(&key, &entry.view);
        map_put(last, key.data, key.length, (void *)value.data);
        json_view_close(&entry);
    }
}

static bool write_entry(struct json_writer *writer, const struct codec_view *entry, const struct key *key,
                        const struct json_place *map, unsigned depth) {
    const struct field *fields = entry->type->fields;
    struct json_place place = {
        .outer = map, .kind = JSON_PLACE_KEY, .name = key->data, .length = key->length};
    if (fields[0].type != FIELD_STRING) place.length = 0;
    write_key(writer, &fields[0], key);
    buffer_append_byte(writer->out, ':');
    if (codec_bit(entry->presence, 1)) return json_write_field(writer, entry, &fields[1], &place, depth + 1);
    return write_default(writer, &fields[1], &place, depth + 1);
}

static bool write_entries(struct json_writer *writer, const struct codec_view *view,
                          const struct field *field, const struct map *last, const struct json_place *place,
                          unsigned depth) {
    struct codec_elements elements = codec_elements(view, field);
    struct codec_value value;
    bool is_first = true, is_good = true;
    while (is_good && codec_next(&elements, &value)) {
        struct json_view entry;
        struct key key;
        json_view_open(&entry, field->message, value.data, value.length);
        find_key(&key, &entry.view);
        if (!last || map_get(last, key.data, key.length) == value.data) {
            if (!is_first) buffer_append_byte(writer->out, ',');
            is_first = false;
            is_good = write_entry(writer, &entry.view, &key, place, depth);
        }
        json_view_close(&entry);
    }
    return is_good;
}

bool json_write_map(struct json_writer *writer, const struct codec_view *view, const struct field *field,
                    const struct json_place *place, unsigned depth) {
    struct map last = {0};
    bool may_repeat = view->slots[field->index].count > 1;
    if (may_repeat) find_last(view, field, &last);
    buffer_append_byte(writer->out, '{');
    bool is_good = write_entries(writer, view, field, may_repeat ? &last : NULL, place, depth);
    buffer_append_byte(writer->out, '}');
    map_free(&last, NULL);
    return is_good;
}

/* Without presence, a field at zero and one that is not on the wire are the same. */
static bool is_left_out(const struct json_writer *writer, const struct codec_view *view,
                        const struct field *field) {
    bool is_set = codec_bit(view->presence, field->index);
    if (field->has_presence) return !is_set;
    if (writer->options->write_defaults) return false;
    if (!is_set || field->is_repeated) return !is_set;
    const struct codec_slot *slot = &view->slots[field->index];
    return codec_is_scalar(field) ? !slot->bits : !slot->length;
}

static size_t name_length(const struct json_writer *writer, const char *name) {
    size_t length = strlen(name);
    return writer->options->is_plain && length > 1 && name[length - 1] == '_' ? length - 1 : length;
}

bool json_write_members(struct json_writer *writer, const struct codec_view *view,
                        const struct json_place *place, unsigned depth, bool *is_first) {
    for (size_t i = 0; i < view->type->field_count; i++) {
        const struct field *field = &view->type->fields[i];
        if (is_left_out(writer, view, field)) continue;
        const char *name = writer->options->use_proto_names ? field->name : field->json_name;
        struct json_place below = {
            .outer = place, .kind = JSON_PLACE_FIELD, .name = field->name, .length = strlen(field->name)};
        if (!*is_first) buffer_append_byte(writer->out, ',');
        *is_first = false;
        json_quote(writer->out, name, name_length(writer, name));
        buffer_append_byte(writer->out, ':');
        bool is_good = codec_bit(view->presence, i) ? json_write_field(writer, view, field, &below, depth)
                                                    : write_default(writer, field, &below, depth);
        if (!is_good) return false;
    }
    return true;
}

static bool write_view(struct json_writer *writer, const struct codec_view *view,
                       const struct json_place *place, unsigned depth) {
    if (view->type->well_known != NOT_WELL_KNOWN && view->type->well_known != WELL_KNOWN_EMPTY)
        return json_write_well_known(writer, view, place, depth);
    bool is_first = true;
    buffer_append_byte(writer->out, '{');
    if (!json_write_members(writer, view, place, depth, &is_first)) return false;
    buffer_append_byte(writer->out, '}');
    return true;
}

bool json_write_message(struct json_writer *writer, const struct message_type *type, const uint8_t *bytes,
                        size_t length, const struct json_place *place, unsigned depth) {
    /* Only an Any inside an Any can get deeper than what the codec has checked. */
    if (depth > CODEC_DEPTH) return json_fail(writer->error, place, "nested too deeply");
    if (!check_length(writer, place)) return false;
    struct json_view view;
    json_view_open(&view, type, bytes, length);
    bool is_good = write_view(writer, &view.view, place, depth);
    json_view_close(&view);
    return is_good;
}

static bool write_sole_value(struct json_writer *writer, const struct codec_view *view, const struct field *field) {
    struct json_place place = {.kind = JSON_PLACE_FIELD, .name = field->name, .length = strlen(field->name)};
    if (codec_bit(view->presence, field->index)) return json_write_field(writer, view, field, &place, 0);
    if (field->is_repeated || !field->message) return write_default(writer, field, &place, 0);
    buffer_append_text(writer->out, "null");
    return true;
}

/* All of a message or, where `field` is one, the value of that. */
static bool write_all(const struct message_type *type, const struct field *field, const uint8_t *bytes, size_t length,
                      const struct json_options *options, struct buffer *out, struct error *error) {
    static const struct json_options plain;
    size_t before = buffer_length(out), most = ALWAYS_ENOUGH + MOST_GROWTH * length;
    struct json_writer writer = {.options = options ? options : &plain,
                                 .out = out,
                                 .error = error,
                                 .most = before + (most < CODEC_LONGEST ? most : CODEC_LONGEST)};
    struct json_view view;
    place_view(&view, type);
    const char *fault = codec_scan(&view.view, bytes, length);
    bool is_good = fault   ? error_set(error, "no %s: %s", type->full_name, fault)
                   : field ? write_sole_value(&writer, &view.view, field)
                           : write_view(&writer, &view.view, NULL, 0);
    is_good = is_good && check_length(&writer, NULL);
    if (!is_good) out->end = out->start + before;
    json_view_close(&view);
    return is_good;
}

bool json_write(const struct message_type *type, const uint8_t *bytes, size_t length,
                const struct json_options *options, struct buffer *out, struct error *error) {
    return write_all(type, NULL, bytes, length, options, out, error);
}

bool json_write_value(const struct message_type *type, const struct field *field, const uint8_t *bytes, size_t length,
                      const struct json_options *options, struct buffer *out, struct error *error) {
    return write_all(type, field, bytes, length, options, out, error);
}
