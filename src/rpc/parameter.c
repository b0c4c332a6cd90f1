/* rpc/parameter.c - see parameter.h */
#include "rpc/parameter.h"

#include "base/hex.h"
#include "rpc/status_text.h"
#include "schema/codec.h"
#include "schema/json.h"

/* ---- values ---- */

static bool is_bool(const struct field *field) {
    const struct message_type *type = field->message;
    if (type && type->well_known == WELL_KNOWN_WRAPPER) return type->fields[0].type == FIELD_BOOL;
    return field->type == FIELD_BOOL;
}

void parameter_write(struct buffer *out, const struct field *field, struct text value) {
    bool is_word = is_bool(field) && (text_is(value, "true") || text_is(value, "false"));
    if (is_word) buffer_append(out, value.data, value.length);
    else status_text_quote(out, value.length ? value.data : "", value.length);
}

static void write_json(struct buffer *out, const struct field *field, struct text value) {
    if (field->is_repeated) buffer_append_byte(out, '[');
    parameter_write(out, field, value);
    if (field->is_repeated) buffer_append_byte(out, ']');
}

/* On the wire of protobuf, what comes later is merged with what came before: so each parameter is written for itself. */
bool parameter_bind(struct buffer *out, const struct parameter *parameter, struct text value, struct error *error) {
    const struct field *leaf = parameter->fields[parameter->depth - 1];
    size_t before = buffer_length(out), opened[PARAMETER_DEPTH];
    struct buffer json = {0};
    if (!codec_is_utf8(value.length ? value.data : "", value.length)) return error_set(error, "%s: no UTF-8", leaf->name);
    write_json(&json, leaf, value);
    for (size_t i = 0; i + 1 < parameter->depth; i++) opened[i] = codec_open(out, parameter->fields[i]);
    bool is_fine = json_read_value(leaf, (const char *)buffer_bytes(&json), buffer_length(&json), NULL, out, error);
    for (size_t i = parameter->depth - 1; i-- > 0;) codec_close(out, parameter->fields[i], opened[i]);
    if (!is_fine) out->end = out->start + before;
    buffer_free(&json);
    return is_fine;
}

/* ---- names ---- */

static bool has_value(const struct field *field) {
    if (field->is_map) return false;
    if (!field->message) return true;
    switch (field->message->well_known) {
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
    case WELL_KNOWN_FIELD_MASK:
    case WELL_KNOWN_WRAPPER: return true;
    default: return false;
    }
}

const struct field *parameter_field(const struct message_type *type, struct text name) {
    if (!name.length) return NULL;
    const struct field *field = message_field(type, name.data, name.length);
    return field ? field : message_field_by_json(type, name.data, name.length);
}

enum parameter_fault parameter_find(const struct message_type *type, struct text name, struct parameter *parameter) {
    parameter->depth = 0;
    do {
        const struct field *field = type ? parameter_field(type, text_cut(name, '.', &name)) : NULL;
        if (!field || parameter->depth == PARAMETER_DEPTH) return PARAMETER_UNKNOWN;
        parameter->fields[parameter->depth++] = field;
        type = field->is_repeated || has_value(field) ? NULL : field->message;
    } while (name.length);
    return has_value(parameter->fields[parameter->depth - 1]) ? PARAMETER_OK : PARAMETER_OF_MESSAGE;
}

bool parameters_clash(const struct parameter *one, const struct parameter *other) {
    size_t depth = one->depth < other->depth ? one->depth : other->depth;
    for (size_t i = 0; i < depth; i++) {
        const struct field *a = one->fields[i], *b = other->fields[i];
        if (a != b) return a->oneof >= 0 && a->oneof == b->oneof;
    }
    return !one->fields[depth - 1]->is_repeated;
}

/* ---- queries ---- */

bool parameter_next(struct text *query, struct text *name, struct text *value) {
    while (query->length) {
        struct text parameter = text_cut(*query, '&', query);
        *name = text_cut(parameter, '=', value);
        if (name->length) return true;
    }
    return false;
}

bool parameter_decode(struct buffer *out, struct text value) {
    for (size_t i = 0; i < value.length; i++) {
        char c = value.data[i];
        if (c == '%') {
            int high = value.length - i > 2 ? hex_value(value.data[i + 1]) : -1;
            int low = value.length - i > 2 ? hex_value(value.data[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buffer_append_byte(out, (uint8_t)c);
    }
    return true;
}
