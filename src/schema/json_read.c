/* schema/json_read.c - json_read(): objects, lists and maps. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "schema/json_reader.h"

/* Where the reader stands, from 1. */
static size_t line_of(const struct json_text *text, size_t *column) {
    size_t line = 1;
    *column = 1;
    for (const char *at = text->start; at < text->at; at++) {
        ++*column;
        if (*at == '\n') line++, *column = 1;
    }
    return line;
}

bool json_fail_syntax(struct json_reader *reader) {
    size_t column, line = line_of(&reader->text, &column);
    if (reader->options->fault_line)
        return error_set(reader->error, "column %zu: %s", column, reader->text.fault);
    return error_set(reader->error, "line %zu, column %zu: %s", line, column, reader->text.fault);
}

struct json_string json_decoded(struct json_reader *reader, const struct json_string *string) {
    if (!string->is_escaped) return *string;
    buffer_clear(&reader->scratch);
    json_decode(string, &reader->scratch);
    return (struct json_string){.data = (const char *)buffer_bytes(&reader->scratch),
                                .length = buffer_length(&reader->scratch)};
}

bool json_is_null_value(const struct field *field) {
    return field->type == FIELD_ENUM && !strcmp(field->enumeration->full_name, "google.protobuf.NullValue");
}

/* null stands for "not set", except where it is a value of its own. */
static bool takes_null(const struct field *field) {
    return json_is_null_value(field) || (field->message && field->message->well_known == WELL_KNOWN_VALUE);
}

static bool expect_start(struct json_reader *reader, const struct json_place *place, char c,
                         const char *what) {
    return json_take(&reader->text, c) || json_fail(reader->error, place, "expected %s", what);
}

/* One value with its tag. */
static enum json_taken read_value(struct json_reader *reader, const struct field *field,
                                  const struct json_place *place, unsigned depth, bool is_zero_written) {
    if (codec_is_scalar(field)) {
        uint64_t bits;
        enum json_taken taken = json_take_bits(reader, field, place, &bits);
        if (taken == JSON_TAKEN && (bits || is_zero_written)) codec_write_scalar(reader->out, field, bits);
        return taken;
    }
    if (!field->message)
        return json_read_bytes(reader, field, place, is_zero_written) ? JSON_TAKEN : JSON_BAD;
    size_t opened = codec_open(reader->out, field);
    if (!json_read_message(reader, field->message, place, depth + 1)) return JSON_BAD;
    codec_close(reader->out, field, opened);
    return JSON_TAKEN;
}

static bool refuse_null(struct json_reader *reader, const struct field *field,
                        const struct json_place *place) {
    if (takes_null(field) || !json_take_word(&reader->text, "null")) return true;
    return json_fail(reader->error, place, "null cannot stand in a list or map");
}

static enum json_taken read_packed(struct json_reader *reader, const struct field *field,
                                   const struct json_place *place) {
    uint64_t bits;
    enum json_taken taken = json_take_bits(reader, field, place, &bits);
    if (taken == JSON_TAKEN) codec_write_packed(reader->out, field, bits);
    return taken;
}

bool json_read_list(struct json_reader *reader, const struct field *field, const struct json_place *place,
                    unsigned depth) {
    if (!expect_start(reader, place, '[', "a list")) return false;
    if (json_take(&reader->text, ']')) return true;
    size_t start = buffer_length(reader->out), opened = field->is_packed ? codec_open(reader->out, field) : 0;
    struct json_place element = {.outer = place, .kind = JSON_PLACE_ELEMENT};
    do {
        if (!refuse_null(reader, field, &element)) return false;
        enum json_taken taken = field->is_packed ? read_packed(reader, field, &element)
                                                 : read_value(reader, field, &element, depth, true);
        if (taken == JSON_BAD) return false;
        element.length++;
    } while (json_take(&reader->text, ','));
    if (!json_expect(&reader->text, ']', "expected ',' or ']'")) return json_fail_syntax(reader);
    if (!field->is_packed) return true;
    if (buffer_length(reader->out) == opened)
        reader->out->end = reader->out->start + start;
    else
        codec_close(reader->out, field, opened);
    return true;
}

/* The entry, whose key stands in the text as `key`. What `seen` maps the keys to is of no meaning. */
static bool read_entry(struct json_reader *reader, const struct field *field, const struct json_string *key,
                       const struct json_place *place, unsigned depth, struct map *seen) {
    const struct field *entry = field->message->fields;
    size_t start = buffer_length(reader->out), opened = codec_open(reader->out, field);
    if (!json_read_key(reader, &entry[0], key, place)) return false;
    if (map_put(seen, buffer_bytes(reader->out) + opened, buffer_length(reader->out) - opened, seen))
        return json_fail(reader->error, place, "the key stands twice in its map");
    if (!refuse_null(reader, &entry[1], place)) return false;
    enum json_taken taken = read_value(reader, &entry[1], place, depth + 1, true);
    if (taken == JSON_BAD) return false;
    if (taken == JSON_IGNORED)
        reader->out->end = reader->out->start + start;
    else
        codec_close(reader->out, field, opened);
    return true;
}

static bool take_name(struct json_reader *reader, struct json_string *name) {
    return (json_take_string(&reader->text, name) && json_expect(&reader->text, ':', "expected ':'")) ||
           json_fail_syntax(reader);
}

static bool read_entries(struct json_reader *reader, const struct field *field,
                         const struct json_place *place, unsigned depth, struct map *seen) {
    do {
        struct json_string key;
        if (!take_name(reader, &key)) return false;
        struct json_place entry = {
            .outer = place, .kind = JSON_PLACE_KEY, .name = key.data, .length = key.length};
        if (!read_entry(reader, field, &key, &entry, depth, seen)) return false;
    } while (json_take(&reader->text, ','));
    return json_expect(&reader->text, '}', "expected ',' or '}'") || json_fail_syntax(reader);
}

bool json_read_map(struct json_reader *reader, const struct field *field, const struct json_place *place,
                   unsigned depth) {
    if (!expect_start(reader, place, '{', "an object")) return false;
    if (json_take(&reader->text, '}')) return true;
    struct map seen = {0};
    bool is_good = read_entries(reader, field, place, depth, &seen);
    map_free(&seen, NULL);
    return is_good;
}

enum seen { UNSEEN, SET, NAMED /* but not set */ };

/* What is known of the message that is being read: its fields and oneofs that came. */
struct object {
    const struct message_type *type;
    const struct json_place *place;
    unsigned depth;
    size_t seen; /* where its bytes start in reader->seen */
};

/* True for the first of its kind. */
static bool mark(struct json_reader *reader, const struct object *object, size_t index) {
    uint8_t *seen = buffer_bytes(&reader->seen) + object->seen + index;
    bool is_first = *seen == UNSEEN;
    *seen = SET;
    return is_first;
}

static void set_seen(struct json_reader *reader, const struct object *object, const struct field *field,
                     enum seen seen) {
    buffer_bytes(&reader->seen)[object->seen + field->index] = (uint8_t)seen;
}

static bool read_field(struct json_reader *reader, const struct object *object, const struct field *field,
                       const struct json_place *place) {
    if (!mark(reader, object, field->index)) return json_fail(reader->error, place, "the field stands twice");
    if ((field->is_repeated || !takes_null(field)) && json_take_word(&reader->text, "null")) {
        set_seen(reader, object, field, NAMED);
        return true;
    }
    if (field->oneof >= 0 && !mark(reader, object, object->type->field_count + (size_t)field->oneof))
        return json_fail(reader->error, place, "another field of the oneof \"%s\" is set",
                         object->type->oneofs[field->oneof].name);
    if (field->is_map) return json_read_map(reader, field, place, object->depth);
    if (field->is_repeated) return json_read_list(reader, field, place, object->depth);
    enum json_taken taken = read_value(reader, field, place, object->depth, field->has_presence);
    if (taken == JSON_IGNORED) set_seen(reader, object, field, NAMED);
    return taken != JSON_BAD;
}

static bool skip_unknown(struct json_reader *reader, const struct object *object,
                         const struct json_string *name) {
    if (reader->options->ignore_unknown) return json_skip(&reader->text) || json_fail_syntax(reader);
    char *terminated = memory_copy(name->data, name->length < 256 ? name->length : 256);
    const char *nearest = message_nearest_field(object->type, terminated);
    json_fail(reader->error, object->place, "%s has no field \"%.*s\"%s%s%s", object->type->full_name,
              json_quotable(name->data, name->length), name->data, nearest ? " (did you mean \"" : "",
              nearest ? nearest : "", nearest ? "\"?)" : "");
    free(terminated);
    return false;
}

static bool read_member(struct json_reader *reader, const struct object *object, bool is_any) {
    struct json_string raw;
    if (!take_name(reader, &raw)) return false;
    struct json_string name = json_decoded(reader, &raw);
    if (is_any && name.length == 5 && !memcmp(name.data, "@type", 5)) {
        size_t place = object->type->field_count + object->type->oneof_count;
        if (!mark(reader, object, place))
            return json_fail(reader->error, object->place, "\"@type\" stands twice");
        return json_skip(&reader->text) || json_fail_syntax(reader);
    }
    const struct field *field = message_field_by_json(object->type, name.data, name.length);
    if (!field) field = message_field(object->type, name.data, name.length);
    if (!field) return skip_unknown(reader, object, &name);
    struct json_place place = {
        .outer = object->place, .kind = JSON_PLACE_FIELD, .name = field->name, .length = strlen(field->name)};
    return read_field(reader, object, field, &place);
}

static bool read_members(struct json_reader *reader, const struct object *object, bool is_any) {
    if (json_take(&reader->text, '}')) return true;
    do {
        if (!read_member(reader, object, is_any)) return false;
    } while (json_take(&reader->text, ','));
    return json_expect(&reader->text, '}', "expected ',' or '}'") || json_fail_syntax(reader);
}

static bool has_required(struct json_reader *reader, const struct object *object) {
    if (reader->options->is_partial) return true;
    for (size_t i = 0; object->type->has_required && i < object->type->field_count; i++) {
        const struct field *field = &object->type->fields[i];
        if (field->is_required && buffer_bytes(&reader->seen)[object->seen + i] != SET)
            return json_fail(reader->error, object->place, "the required field \"%s\" is missing",
                             field->name);
    }
    return true;
}

bool json_read_object(struct json_reader *reader, const struct message_type *type,
                      const struct json_place *place, unsigned depth, bool is_any) {
    if (!expect_start(reader, place, '{', "an object")) return false;
    struct object object = {
        .type = type, .place = place, .depth = depth, .seen = buffer_length(&reader->seen)};
    size_t size = type->field_count + type->oneof_count + 1;
    memset(buffer_reserve(&reader->seen, size), 0, size);
    buffer_commit(&reader->seen, size);
    bool is_good = read_members(reader, &object, is_any) && has_required(reader, &object);
    reader->seen.end -= size;
    return is_good;
}

bool json_read_message(struct json_reader *reader, const struct message_type *type,
                       const struct json_place *place, unsigned depth) {
    if (depth > CODEC_DEPTH) return json_fail(reader->error, place, "nested too deeply");
    if (type->well_known == NOT_WELL_KNOWN || type->well_known == WELL_KNOWN_EMPTY)
        return json_read_object(reader, type, place, depth, false);
    return json_read_well_known(reader, type, place, depth);
}

static bool read_sole_value(struct json_reader *reader, const struct field *field) {
    struct json_place place = {.kind = JSON_PLACE_FIELD, .name = field->name, .length = strlen(field->name)};
    if ((field->is_repeated || !takes_null(field)) && json_take_word(&reader->text, "null")) return true;
    if (field->is_map) return json_read_map(reader, field, &place, 0);
    if (field->is_repeated) return json_read_list(reader, field, &place, 0);
    return read_value(reader, field, &place, 0, true) != JSON_BAD;
}

/* What is read from the reader's text, all of it: `type` or, where that is NULL, the value of `field`. */
static bool read_all(struct json_reader *reader, const struct message_type *type, const struct field *field) {
    size_t before = buffer_length(reader->out);
    bool is_good = type ? json_read_message(reader, type, NULL, 0) : read_sole_value(reader, field);
    if (is_good && !json_is_done(&reader->text)) {
        reader->text.fault = "something stands behind the message";
        is_good = json_fail_syntax(reader);
    }
    size_t column;
    if (!is_good && reader->options->fault_line) *reader->options->fault_line = line_of(&reader->text, &column);
    if (!is_good) reader->out->end = reader->out->start + before;
    buffer_free(&reader->scratch);
    buffer_free(&reader->seen);
    return is_good;
}

static const struct json_options plain;

bool json_read(const struct message_type *type, const char *text, size_t length,
               const struct json_options *options, struct buffer *out, struct error *error) {
    struct json_reader reader = {.text = {.start = text, .at = text, .end = text + length},
                                 .options = options ? options : &plain,
                                 .out = out,
                                 .error = error};
    return read_all(&reader, type, NULL);
}

bool json_read_value(const struct field *field, const char *text, size_t length, const struct json_options *options,
                     struct buffer *out, struct error *error) {
    struct json_reader reader = {.text = {.start = text, .at = text, .end = text + length},
                                 .options = options ? options : &plain,
                                 .out = out,
                                 .error = error};
    return read_all(&reader, NULL, field);
}
