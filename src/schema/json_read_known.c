/* schema/json_read_known.c - the well-known types of json_read(): each has a JSON form of its own. */
#include <string.h>

#include "base/memory.h"
#include "schema/json_known.h"
#include "schema/json_reader.h"

/* Searches for "@type" may pass the same text once for each Any around it; this many times the text is enough
 * for anything but an attack. */
enum { MOST_LOOKED_AHEAD = 16 };

static bool take_text(struct json_reader *reader, const struct json_place *place, const char *what,
                      struct json_string *text) {
    if (json_peek(&reader->text) != '"') return json_fail(reader->error, place, "expected %s", what);
    if (!json_take_string(&reader->text, text)) return json_fail_syntax(reader);
    *text = json_decoded(reader, text);
    return true;
}

/* Timestamp and Duration are the same two fields. */
static bool read_time(struct json_reader *reader, const struct message_type *type,
                      const struct json_place *place) {
    struct json_string text;
    int64_t seconds;
    int32_t nanos;
    bool is_duration = type->well_known == WELL_KNOWN_DURATION;
    if (!take_text(reader, place, is_duration ? "a duration in a string" : "a time in a string", &text))
        return false;
    const char *fault = is_duration ? json_read_duration(text.data, text.length, &seconds, &nanos)
                                    : json_read_timestamp(text.data, text.length, &seconds, &nanos);
    if (fault) return json_fail(reader->error, place, "%s", fault);
    if (seconds) codec_write_scalar(reader->out, &type->fields[0], (uint64_t)seconds);
    if (nanos) codec_write_scalar(reader->out, &type->fields[1], (uint64_t)(int64_t)nanos);
    return true;
}

static bool read_mask(struct json_reader *reader, const struct message_type *type,
                      const struct json_place *place) {
    struct json_string text;
    if (!take_text(reader, place, "field paths in a string", &text)) return false;
    const char *at = text.data, *end = at + text.length;
    for (bool is_last = !text.length; !is_last; at++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t length = (size_t)((comma ? comma : end) - at);
        size_t opened = codec_open(reader->out, &type->fields[0]);
        if (!json_read_mask_path(reader->out, at, length))
            return json_fail(reader->error, place, "\"%.*s\" is no path in lowerCamelCase",
                             json_quotable(at, length), at);
        codec_close(reader->out, &type->fields[0], opened);
        at += length;
        is_last = !comma;
    }
    return true;
}

/* google.protobuf.Value: which of its fields depends on the token. */
static bool read_json_value(struct json_reader *reader, const struct message_type *type,
                            const struct json_place *place, unsigned depth) {
    enum { NULL_VALUE, NUMBER, STRING, BOOL, STRUCT, LIST };
    const struct field *fields = type->fields;
    uint64_t bits = 0;
    char c = json_peek(&reader->text);
    if (c == '"') return json_read_bytes(reader, &fields[STRING], place, true);
    if (c == '{' || c == '[') {
        const struct field *field = &fields[c == '{' ? STRUCT : LIST];
        size_t opened = codec_open(reader->out, field);
        if (!json_read_message(reader, field->message, place, depth + 1)) return false;
        codec_close(reader->out, field, opened);
        return true;
    }
    if (!strchr("ntf-0123456789", c) || !c) return json_fail(reader->error, place, "expected a value");
    const struct field *field = &fields[c == 'n' ? NULL_VALUE : c == 't' || c == 'f' ? BOOL : NUMBER];
    if (json_take_bits(reader, field, place, &bits) != JSON_TAKEN) return false;
    codec_write_scalar(reader->out, field, bits);
    return true;
}

static bool read_wrapper(struct json_reader *reader, const struct message_type *type,
                         const struct json_place *place) {
    const struct field *value = &type->fields[0];
    uint64_t bits;
    if (!codec_is_scalar(value)) return json_read_bytes(reader, value, place, value->has_presence);
    if (json_take_bits(reader, value, place, &bits) != JSON_TAKEN) return false;
    if (bits || value->has_presence) codec_write_scalar(reader->out, value, bits);
    return true;
}

/* Appends the value of "@type", which may stand anywhere in the object that comes next. The position stays.
 */
static bool find_type(struct json_reader *reader, const struct json_place *place, struct buffer *url,
                      bool *is_empty) {
    struct json_text start = reader->text, *text = &reader->text;
    struct json_string name;
    if (!json_take(text, '{')) return json_fail(reader->error, place, "expected an object");
    *is_empty = json_take(text, '}');
    for (bool is_found = *is_empty; !is_found;) {
        if (!json_take_string(text, &name) || !json_expect(text, ':', "expected ':'"))
            return json_fail_syntax(reader);
        name = json_decoded(reader, &name);
        is_found = name.length == 5 && !memcmp(name.data, "@type", 5);
        if (is_found ? !json_take_string(text, &name) : !json_skip(text)) return json_fail_syntax(reader);
        if (is_found)
            json_decode(&name, url);
        else if (!json_take(text, ','))
            return json_fail(reader->error, place, "\"@type\" is missing");
    }
    reader->looked_ahead += (size_t)(text->at - start.at);
    if (reader->looked_ahead / MOST_LOOKED_AHEAD > (size_t)(text->end - text->start))
        return json_fail(reader->error, place, "too much stands before \"@type\"");
    *text = start;
    return true;
}

/* The type of "type.googleapis.com/pkg.Name". */
static const struct message_type *resolve(struct json_reader *reader, const struct json_place *place,
                                          struct buffer *url) {
    buffer_append_byte(url, '\0');
    url->end--;
    const char *text = (const char *)buffer_bytes(url), *slash = strrchr(text, '/');
    const struct message_type *type = NULL;
    if (slash && reader->options->schema) type = schema_message(reader->options->schema, slash + 1);
    if (!type)
        json_fail(reader->error, place, "the type \"%.*s\" is not known",
                  json_quotable(text, buffer_length(url)), text);
    return type;
}

/* {"@type": …, "value": …}, for types that are no object in JSON. */
static bool read_any_value(struct json_reader *reader, const struct message_type *type,
                           const struct json_place *place, unsigned depth) {
    struct json_text *text = &reader->text;
    struct json_string name;
    bool has_type = false, has_value = type->well_known == WELL_KNOWN_EMPTY, was_read = false;
    json_take(text, '{');
    do {
        if (!json_take_string(text, &name) || !json_expect(text, ':', "expected ':'"))
            return json_fail_syntax(reader);
        name = json_decoded(reader, &name);
        if (name.length == 5 && !memcmp(name.data, "@type", 5) && !has_type) {
            has_type = true;
            if (!json_skip(text)) return json_fail_syntax(reader);
        } else if (name.length == 5 && !memcmp(name.data, "value", 5) && !was_read) {
            has_value = was_read = true;
            if (!json_read_message(reader, type, place, depth + 1)) return false;
        } else if (!reader->options->ignore_unknown) {
            return json_fail(reader->error, place, "expected \"@type\" and \"value\", each once");
        } else if (!json_skip(text)) {
            return json_fail_syntax(reader);
        }
    } while (json_take(text, ','));
    if (!json_expect(text, '}', "expected ',' or '}'")) return json_fail_syntax(reader);
    return has_value || json_fail(reader->error, place, "\"value\" is missing");
}

static bool read_any_of(struct json_reader *reader, const struct message_type *any,
                        const struct json_place *place, unsigned depth, struct buffer *url) {
    bool is_empty = false;
    if (!find_type(reader, place, url, &is_empty)) return false;
    if (is_empty) return json_read_object(reader, any, place, depth, true);
    const struct message_type *type = resolve(reader, place, url);
    if (!type) return false;
    codec_write_bytes(reader->out, &any->fields[0], buffer_bytes(url), buffer_length(url));
    size_t opened = codec_open(reader->out, &any->fields[1]);
    bool is_good = type->well_known ? read_any_value(reader, type, place, depth)
                                    : json_read_object(reader, type, place, depth + 1, true);
    if (is_good) codec_close(reader->out, &any->fields[1], opened);
    return is_good;
}

static bool read_any(struct json_reader *reader, const struct message_type *type,
                     const struct json_place *place, unsigned depth) {
    struct buffer url = {0};
    bool is_good = read_any_of(reader, type, place, depth, &url);
    buffer_free(&url);
    return is_good;
}

bool json_read_well_known(struct json_reader *reader, const struct message_type *type,
                          const struct json_place *place, unsigned depth) {
    switch (type->well_known) {
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
        return read_time(reader, type, place);
    case WELL_KNOWN_FIELD_MASK:
        return read_mask(reader, type, place);
    case WELL_KNOWN_STRUCT:
        return json_read_map(reader, &type->fields[0], place, depth);
    case WELL_KNOWN_LIST:
        return json_read_list(reader, &type->fields[0], place, depth);
    case WELL_KNOWN_VALUE:
        return read_json_value(reader, type, place, depth);
    case WELL_KNOWN_WRAPPER:
        return read_wrapper(reader, type, place);
    case WELL_KNOWN_ANY:
        return read_any(reader, type, place, depth);
    default:
        return json_read_object(reader, type, place, depth, false);
    }
}
