/* rpc/rest_route.c - see rest.h */
#include <stdlib.h>

#include "base/memory.h"
#include "rpc/rest.h"

static bool is_all(struct text name) { return text_is(name, "*"); }

static bool find_variables(struct rest_route *route, const struct path_template *path, struct error *error) {
    const struct message_type *type = route->method->request;
    for (size_t i = 0; i < path->variable_count; i++) {
        struct text name = path->variables[i].name;
        struct parameter *variable = &route->variables[i];
        enum parameter_fault fault = parameter_find(type, name, variable);
        if (fault == PARAMETER_UNKNOWN)
            return error_set(error, "{%.*s}: %s has no such field", (int)name.length, name.data, type->full_name);
        if (fault == PARAMETER_OF_MESSAGE || variable->fields[variable->depth - 1]->is_repeated)
            return error_set(error, "{%.*s}: a field in a path has one value", (int)name.length, name.data);
        for (size_t j = 0; j < i; j++)
            if (parameters_clash(&route->variables[j], variable))
                return error_set(error, "{%.*s}: another variable is the same field, or of the same oneof", (int)name.length,
                                 name.data);
    }
    route->variable_count = path->variable_count;
    return true;
}

/* Of the outermost message alone, as google/api/http.proto has it. */
static bool find_field(const struct message_type *type, const char *what, struct text name, const struct field **field,
                       struct error *error) {
    if (!name.length || is_all(name)) return true;
    *field = parameter_field(type, name);
    return *field || error_set(error, "`%s`: %s has no field \"%.*s\"", what, type->full_name, (int)name.length, name.data);
}

static bool check_body(const struct rest_route *route, struct error *error) {
    if (!route->body) return true;
    for (size_t i = 0; i < route->variable_count; i++)
        if (parameter_is_in(&route->variables[i], route->body))
            return error_set(error, "`body`: a part of \"%s\" stands in the path", route->body->name);
    return true;
}

/* What is inside of the field, or all of it; NULL: no message, or several. */
static const struct message_type *sole_message(const struct field *field, const struct message_type *all) {
    return !field ? all : field->is_repeated ? NULL : field->message;
}

static void find_raw(struct rest_route *route) {
    const struct method *method = route->method;
    bool is_sole = route->has_body && !method->is_client_streaming;
    route->is_body_raw = is_sole && rest_body_is(sole_message(route->body, method->request));
    route->is_answer_raw = rest_body_is(sole_message(route->answer, method->response));
}

static bool check_event_id(const struct field *field, struct error *error) {
    if (!field) return true;
    bool is_fine = !field->is_repeated && (field->type == FIELD_STRING || field->type == FIELD_INT64 ||
                                           field->type == FIELD_UINT64 || field->type == FIELD_INT32 ||
                                           field->type == FIELD_UINT32);
    return is_fine || error_set(error, "`event_id`: \"%s\" is neither a string nor an int or uint", field->name);
}

static bool fill(struct rest_route *route, const struct path_template *path, const struct rest_rule *rule,
                 struct error *error) {
    const struct method *method = route->method;
    if (!find_variables(route, path, error)) return false;
    if (!find_field(method->request, "body", rule->body, &route->body, error)) return false;
    if (!find_field(method->response, "response_body", rule->response_body, &route->answer, error)) return false;
    if (!find_field(method->response, "event_id", rule->event_id, &route->event_id, error)) return false;
    find_raw(route);
    return check_body(route, error) && check_event_id(route->event_id, error);
}

struct rest_route *rest_route_new(const struct path_template *path, const struct rest_rule *rule,
                                  const struct method *method, struct error *error) {
    struct rest_route *route = memory_new(sizeof *route);
    route->verb = memory_copy(rule->verb.data, rule->verb.length);
    route->method = method;
    route->has_body = rule->body.length > 0;
    if (!fill(route, path, rule, error)) rest_route_free(&route);
    return route;
}

void rest_route_free(struct rest_route **handle) {
    struct rest_route *route = *handle;
    *handle = NULL;
    if (!route) return;
    free(route->verb);
    free(route);
}

bool rest_route_takes_head(const struct rest_route *route) {
    return strcmp(route->verb, "GET") == 0 && !route->method->is_server_streaming;
}

static bool is_same_field(const struct field *a, const struct field *b) {
    return a && b ? !strcmp(a->name, b->name) : a == b;
}

bool rest_route_is_like(const struct rest_route *route, const struct rest_route *other) {
    return !strcmp(route->verb, other->verb) && !strcmp(route->method->full_name, other->method->full_name) &&
           route->has_body == other->has_body && route->is_body_raw == other->is_body_raw &&
           route->is_answer_raw == other->is_answer_raw && is_same_field(route->body, other->body) &&
           is_same_field(route->answer, other->answer) && is_same_field(route->event_id, other->event_id);
}

bool rest_route_takes(const struct rest_route *route, struct text verb) {
    if (text_is(verb, route->verb) || strcmp(route->verb, "*") == 0) return true;
    return text_is(verb, "HEAD") && rest_route_takes_head(route);
}
