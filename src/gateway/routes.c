/* gateway/routes.c - see routes.h */
#include "gateway/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/http_rule.h"
#include "rpc/path_template.h"
#include "rpc/rest.h"

static const struct method *find_method(const struct schema *schema, const char *name) {
    const char *slash = strchr(name, '/');
    const struct service *service = schema_service(schema, name, (size_t)(slash - name));
    return service ? service_method(service, slash + 1, strlen(slash + 1)) : NULL;
}

static void path_free(struct path_route *path) {
    path_template_free(&path->path);
    rest_route_free(&path->rest);
    free(path->method);
}

/* Takes over what the path owns. */
static bool add_path(struct router *router, struct path_route *path, struct error *error) {
    const struct path_route *other = router_add_path(router, path);
    if (!other) return true;
    error_set(error, "another route has the path \"%s\", or one that means the same: that of %s", path->path->source,
              other->method + 1);
    path_free(path);
    return false;
}

static bool add_websocket(struct router *router, const struct config_route *route, struct error *error) {
    struct path_route path = {.path = path_template_parse(route->websocket + strlen("GET "), error),
                              .way = PATH_WEBSOCKET,
                              .is_goa = route->dialect == DIALECT_GOA};
    if (!path.path) return false;
    path.method = memory_format("/%s", route->method);
    return add_path(router, &path, error);
}

static bool add_rest(struct router *router, const char *template, const struct rest_rule *rule,
                     const struct method *method, struct error *error) {
    struct path_route path = {.path = path_template_parse(template, error), .way = PATH_HTTP};
    if (path.path) path.rest = rest_route_new(path.path, rule, method, error);
    if (!path.rest) {
        path_free(&path);
        return false;
    }
    path.method = memory_format("/%s", method->full_name);
    return add_path(router, &path, error);
}

static struct text text_of(const char *text) { return (struct text){text ? text : "", text ? strlen(text) : 0}; }

static bool add_configured(struct router *router, const struct schema *schema, const struct config_route *route,
                           struct error *error) {
    const struct method *method = find_method(schema, route->method);
    if (!method) return error_set(error, "no `proto` has a method %s", route->method);
    if (route->websocket) return add_websocket(router, route, error);
    const char *blank = strchr(route->http, ' ');
    const struct rest_rule rule = {.verb = {route->http, (size_t)(blank - route->http)},
                                   .body = text_of(route->body),
                                   .response_body = text_of(route->response_body),
                                   .event_id = text_of(route->event_id)};
    return add_rest(router, blank + 1, &rule, method, error);
}

/* ---- annotations: the option google.api.http of methods ---- */

static bool has_route(const struct config *config, const struct method *method) {
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].http && strcmp(config->routes[i].method, method->full_name) == 0) return true;
    return false;
}

static bool add_annotated(struct router *router, const struct method *method, struct error *error) {
    struct http_rule rules[HTTP_RULES_MOST];
    struct error why;
    size_t count = http_rules_read(method->http_rule, method->http_rule_length, rules, &why);
    bool is_fine = count > 0;
    for (size_t i = 0; i < count && is_fine; i++) {
        const struct rest_rule rule = {
            .verb = rules[i].verb, .body = rules[i].body, .response_body = rules[i].response_body};
        char *template = memory_copy(rules[i].path.data, rules[i].path.length);
        is_fine = add_rest(router, template, &rule, method, &why);
        free(template);
    }
    return is_fine || error_set(error, "the option google.api.http of %s: %s", method->full_name, why.text);
}

/* In which file the method stands, for errors. */
static const char *file_of(const struct schema *schema, const struct method *method) {
    char *symbol = memory_copy_string(method->full_name);
    *strrchr(symbol, '/') = '.';
    const struct schema_file *file = schema_file_by_symbol(schema, symbol);
    free(symbol);
    return file ? file->name : "";
}

static bool add_annotations(struct router *router, const struct config *config, const struct schema *schema,
                            struct error *error) {
    for (size_t i = 0; i < schema_service_count(schema); i++) {
        const struct service *service = schema_service_at(schema, i);
        if (!config_find_service(config, service->full_name)) continue;
        for (size_t j = 0; j < service->method_count; j++) {
            const struct method *method = &service->methods[j];
            struct error why;
            if (!method->http_rule || has_route(config, method) || add_annotated(router, method, &why)) continue;
            return error_at(error, file_of(schema, method), method->line, "%s", why.text);
        }
    }
    return true;
}

static bool add_all(struct router *router, const struct config *config, const struct schema *schema, struct error *error) {
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        struct error why;
        if (!add_configured(router, schema, route, &why)) return error_at(error, route->file, route->line, "%s", why.text);
    }
    return add_annotations(router, config, schema, error);
}

bool routes_check(const struct config *config, const struct schema *schema, struct error *error) {
    struct router *router = router_new(0, NULL, NULL);
    bool is_fine = add_all(router, config, schema, error);
    router_free(&router);
    return is_fine;
}

void routes_add(struct router *router, const struct config *config, const struct schema *schema) {
    struct error unused;
    add_all(router, config, schema, &unused);
}
