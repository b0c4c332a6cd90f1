/* Requests of REST: a byte chooses the route, the rest of the first line is the path with its query, what follows is the
 * body. What is bound is a message of the type, and has a form as JSON. */
#include <stdlib.h>

#include "check.h"
#include "base/memory.h"
#include "rpc/http_rule.h"
#include "rpc/rest.h"
#include "schema/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { ROUTES_MOST = 32 };

static struct route {
    struct path_template *path;
    struct rest_route *rest;
} routes[ROUTES_MOST];
static size_t route_count;
static struct schema *schema;

static void add(const struct method *method, const struct http_rule *rule) {
    struct error error;
    char *text = memory_copy(rule->path.data, rule->path.length);
    const struct rest_rule said = {rule->verb, rule->body, rule->response_body, {0}};
    struct route *route = &routes[route_count++];
    CHECK((route->path = path_template_parse(text, &error)));
    CHECK((route->rest = rest_route_new(route->path, &said, method, &error)));
    free(text);
}

static void load(void) {
    static const char *const paths[] = {"tests/proto", "proto", NULL}, *const files[] = {"library.proto", NULL};
    struct error error;
    CHECK((schema = schema_load((char *const *)paths, (char *const *)files, &error)));
    const struct service *service = schema_service(schema, "library.Library", 15);
    for (size_t i = 0; i < service->method_count; i++) {
        struct http_rule rules[HTTP_RULES_MOST];
        const struct method *method = &service->methods[i];
        size_t count = method->http_rule ? http_rules_read(method->http_rule, method->http_rule_length, rules, &error) : 0;
        for (size_t j = 0; j < count && route_count < ROUTES_MOST; j++) add(method, &rules[j]);
    }
}

static void check(const struct rest_call *rest, const char *body, size_t length) {
    const struct message_type *type = rest->route->method->request;
    const struct json_options options = {.ignore_unknown = true, .schema = schema};
    struct buffer out = {0}, json = {0};
    struct error error;
    if (buffer_length(&rest->bound))
        CHECK(!codec_check(type, buffer_bytes(&rest->bound), buffer_length(&rest->bound)));
    if (rest_json_read(rest, body, length, options, &out, &error)) {
        buffer_reserve(&out, 1);
        CHECK(!codec_check(type, buffer_bytes(&out), buffer_length(&out)));
        CHECK(json_write(type, buffer_bytes(&out), buffer_length(&out), &options, &json, &error));
    } else {
        CHECK(strlen(error.text) > 0);
        CHECK_INT(buffer_length(&out), 0);
    }
    buffer_free(&out);
    buffer_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (!schema) load();
    if (!size) return 0;
    const struct route *route = &routes[*bytes++ % route_count];
    const uint8_t *line = --size ? memchr(bytes, '\n', size) : NULL;
    size_t length = line ? (size_t)(line - bytes) : size;
    struct rest_call rest = {.route = route->rest};
    struct error error;
    char *target = malloc(length + 1), *body = malloc(size - length + 1); /* nearly no byte more: what is read beyond is found */
    if (length) memcpy(target, bytes, length);
    if (line) memcpy(body, line + 1, size - length - 1);
    if (rest_bind(&rest, route->path, (struct text){target, length}, &error)) check(&rest, body, line ? size - length - 1 : 0);
    buffer_free(&rest.bound);
    free(target);
    free(body);
    return 0;
}
