/* rpc/rest_message.c - see rest.h */
#include "base/memory.h"
#include "rpc/rest.h"
#include "schema/wire.h"

/* ---- the path ---- */

static bool bind_path(struct rest_call *rest, const struct path_template *path, struct text target,
                      struct error *error) {
    const struct rest_route *route = rest->route;
    struct path_match match;
    struct buffer value = {0};
    bool is_fine = path_template_match(path, target, &match);
    for (size_t i = 0; is_fine && i < route->variable_count; i++) {
        struct error why;
        buffer_clear(&value);
        if (!path_value_decode(path, i, match.values[i], &value)) is_fine = error_set(error, "the path is malformed");
        else if (!parameter_bind(&rest->bound, &route->variables[i], rest_text_of(&value), &why))
            is_fine = error_set(error, "the path: %s", why.text);
    }
    buffer_free(&value);
    return is_fine;
}

/* ---- the query ---- */

struct query {
    struct rest_call *rest;
    struct parameter seen[PARAMETERS_MOST];
    size_t seen_count, count;
    struct buffer name, value;
    struct error *error;
};

static bool fail(const struct query *query, const char *text) {
    int length = buffer_length(&query->name) < 100 ? (int)buffer_length(&query->name) : 100;
    return error_set(query->error, "the parameter \"%.*s\" %s", length, rest_text_of(&query->name).data, text);
}

/* What stands in the path or in the body is not asked for again. */
static bool is_elsewhere(const struct rest_route *route, const struct parameter *parameter) {
    const struct parameter body = {.fields = {route->body}, .depth = 1};
    if (route->body && (parameter_is_in(parameter, route->body) || parameters_clash(&body, parameter))) return true;
    for (size_t i = 0; i < route->variable_count; i++)
        if (parameters_clash(&route->variables[i], parameter)) return true;
    return false;
}

/* Names that the type does not have are passed over, as in a body. */
static bool bind_parameter(struct query *query) {
    const struct rest_route *route = query->rest->route;
    struct parameter *parameter = &query->seen[query->seen_count];
    struct error why;
    switch (parameter_find(route->method->request, rest_text_of(&query->name), parameter)) {
    case PARAMETER_UNKNOWN: return true;
    case PARAMETER_OF_MESSAGE: return fail(query, "is a message: only its fields can be named");
    case PARAMETER_OK: break;
    }
    if (is_elsewhere(route, parameter)) return true;
    for (size_t i = 0; i < query->seen_count; i++)
        if (parameters_clash(&query->seen[i], parameter)) return fail(query, "stands twice, or beside another of its oneof");
    query->seen_count++;
    return parameter_bind(&query->rest->bound, parameter, rest_text_of(&query->value), &why) ||
           error_set(query->error, "the query: %s", why.text);
}

static bool bind_parameters(struct query *query, struct text text) {
    struct text name, value;
    while (parameter_next(&text, &name, &value)) {
        buffer_clear(&query->name);
        buffer_clear(&query->value);
        if (query->count++ == PARAMETERS_MOST) return error_set(query->error, "the query has too many parameters");
        if (!parameter_decode(&query->name, name) || !parameter_decode(&query->value, value))
            return error_set(query->error, "the query is malformed");
        if (buffer_length(&query->name) && !bind_parameter(query)) return false;
    }
    return true;
}

static bool bind_query(struct rest_call *rest, struct text text, struct error *error) {
    struct query query = {.rest = rest, .error = error};
    bool is_fine = bind_parameters(&query, text);
    buffer_free(&query.name);
    buffer_free(&query.value);
    return is_fine;
}

bool rest_bind(struct rest_call *rest, const struct path_template *path, struct text target, struct error *error) {
    struct text query, place = text_cut(target, '?', &query);
    bool has_parameters = !rest->route->has_body || rest->route->body;
    if (has_parameters && !bind_query(rest, query, error)) return false;
    return bind_path(rest, path, place, error);
}

/* ---- bodies ---- */

static bool is_blank(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i]) return false;
    return true;
}

/* Fields of the path stand behind those of the body: the last one counts. */
bool rest_json_read(const struct rest_call *rest, const char *text, size_t length, struct json_options options,
                    struct buffer *out, struct error *error) {
    const struct rest_route *route = rest->route;
    options.is_partial = true;
    bool is_fine = true;
    if (route->is_body_raw) rest_body_read(rest, (struct text){length ? text : "", length}, out);
    else if (is_blank(text, length)) is_fine = true;
    else if (route->body) is_fine = json_read_value(route->body, text, length, &options, out, error);
    else is_fine = json_read(route->method->request, text, length, &options, out, error);
    struct text bound = rest_text_of(&rest->bound);
    if (is_fine) buffer_append(out, bound.data, bound.length);
    return is_fine;
}

bool rest_json_write(struct rest_call *rest, const uint8_t *bytes, size_t length, const struct json_options *options,
                     struct buffer *out, struct error *error) {
    const struct rest_route *route = rest->route;
    if (route->is_answer_raw) {
        rest_body_write(rest, (struct text){(const char *)bytes, length}, out);
        return true;
    }
    if (route->answer) return json_write_value(route->method->response, route->answer, bytes, length, options, out, error);
    return json_write(route->method->response, bytes, length, options, out, error);
}

/* ---- the ids of events ---- */

static void set_number(struct buffer *id, const struct field *field, uint64_t bits) {
    buffer_clear(id);
    if (!bits) return;
    if (field->type == FIELD_UINT64 || field->type == FIELD_UINT32) buffer_format(id, "%llu", (unsigned long long)bits);
    else buffer_format(id, "%lld", (long long)(int64_t)bits);
}

/* What would end the line, or is not allowed in it, makes no id. */
static void set_text(struct buffer *id, const uint8_t *bytes, size_t length) {
    buffer_clear(id);
    for (size_t i = 0; i < length; i++)
        if (bytes[i] == '\n' || bytes[i] == '\r' || !bytes[i]) return;
    buffer_append(id, bytes, length);
}

void rest_note_id(struct rest_call *rest, const uint8_t *bytes, size_t length) {
    const struct field *field = rest->route->event_id;
    const uint8_t *at = bytes, *end = bytes + length;
    buffer_clear(&rest->id);
    if (!field || rest->form != REST_EVENTS) return;
    while (at && at < end) {
        uint32_t number;
        unsigned type;
        uint64_t bits;
        size_t size;
        const uint8_t *value = wire_read_tag(at, end, &number, &type);
        at = value ? wire_skip(value, end, number, type, WIRE_DEPTH) : NULL;
        if (!at || number != field->number || type != field->wire_type) continue;
        if (type == WIRE_VARINT && wire_read_varint(value, end, &bits)) set_number(&rest->id, field, bits);
        if (type == WIRE_BYTES && (value = wire_read_length(value, end, &size))) set_text(&rest->id, value, size);
    }
}
