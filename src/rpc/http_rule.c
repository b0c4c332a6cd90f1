/* rpc/http_rule.c - see http_rule.h */
#include "rpc/http_rule.h"

#include "rpc/wire_text.h"

/* Fields of google.api.HttpRule and CustomHttpPattern. */
enum { GET = 2, PUT, POST, DELETE, PATCH, BODY = 7, CUSTOM = 8, ADDITIONAL_BINDINGS = 11, RESPONSE_BODY = 12 };
enum { CUSTOM_KIND = 1, CUSTOM_PATH = 2 };

struct reader {
    struct http_rule *rules;
    size_t count;
    struct error *error;
};

static bool read_custom(struct http_rule *rule, struct text custom) {
    const uint8_t *at = (const uint8_t *)custom.data, *end = at + custom.length;
    uint32_t number;
    struct text value;
    while (wire_text_next(&at, end, &number, &value)) {
        if (number == CUSTOM_KIND) rule->verb = value;
        if (number == CUSTOM_PATH) rule->path = value;
    }
    return at != NULL;
}

static void set_path(struct http_rule *rule, const char *verb, struct text path) {
    rule->verb = (struct text){verb, strlen(verb)};
    rule->path = path;
}

static bool read_rule(struct reader *reader, struct text bytes, bool is_additional) {
    const uint8_t *at = (const uint8_t *)bytes.data, *end = at + bytes.length;
    uint32_t number;
    struct text value;
    if (reader->count == HTTP_RULES_MOST) return error_set(reader->error, "too many additional_bindings");
    struct http_rule *rule = &reader->rules[reader->count++];
    *rule = (struct http_rule){0};
    while (wire_text_next(&at, end, &number, &value)) {
        switch (number) {
        case GET: set_path(rule, "GET", value); break;
        case PUT: set_path(rule, "PUT", value); break;
        case POST: set_path(rule, "POST", value); break;
        case DELETE: set_path(rule, "DELETE", value); break;
        case PATCH: set_path(rule, "PATCH", value); break;
        case BODY: rule->body = value; break;
        case RESPONSE_BODY: rule->response_body = value; break;
        case CUSTOM:
            if (!read_custom(rule, value)) return error_set(reader->error, "not a google.api.HttpRule");
            break;
        case ADDITIONAL_BINDINGS:
            if (is_additional) return error_set(reader->error, "additional_bindings within additional_bindings");
            if (!read_rule(reader, value, true)) return false;
            break;
        default: break;
        }
    }
    if (!at) return error_set(reader->error, "not a google.api.HttpRule");
    return (rule->path.length && rule->verb.length) || error_set(reader->error, "a rule has no path");
}

size_t http_rules_read(const uint8_t *bytes, size_t length, struct http_rule *rules, struct error *error) {
    struct reader reader = {.rules = rules, .error = error};
    return read_rule(&reader, (struct text){(const char *)bytes, length}, false) ? reader.count : 0;
}
