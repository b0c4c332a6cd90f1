/* config/build_route.c - `route` sections. Whether their paths and methods are any is seen when the schema is there. */
#include <string.h>

#include "base/memory.h"
#include "config/build_private.h"

/* "GET /path": the names of HTTP's methods are in capitals. */
static bool is_request(const char *text) {
    size_t verb = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    if (!verb && *text == '*') verb = 1;
    return verb && strncmp(text + verb, " /", 2) == 0;
}

static bool check_websocket(const struct build *build, cfg_t *section, const struct config_route *route) {
    static const char *const names[] = {"body", "response_body", "event_id"};
    const char *const values[] = {route->body, route->response_body, route->event_id};
    if (strncmp(route->websocket, "GET /", 5) != 0)
        return KEY_FAULT(build, section, "websocket", "`websocket` is \"GET /path\", not \"%s\"", route->websocket);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (values[i]) return KEY_FAULT(build, section, names[i], "`%s` is for `http`, not for `websocket`", names[i]);
    return true;
}

static bool check_http(const struct build *build, cfg_t *section, const struct config_route *route) {
    if (!is_request(route->http))
        return KEY_FAULT(build, section, "http", "`http` is \"GET /path\", not \"%s\"", route->http);
    return route->dialect == DIALECT_TIDEWIRE ||
           KEY_FAULT(build, section, "dialect", "`dialect` is for `websocket`, not for `http`");
}

static bool build_route(const struct build *build, cfg_t *section, struct config_route *route) {
    struct place place = tree_place(build->source, section);
    route->file = place.file;
    route->line = place.line;
    build_put_section(build, route, SECTION_ROUTE, section);
    if (!route->websocket == !route->http)
        return SECTION_FAULT(build, section, "`route` needs a path: either `http` or `websocket`");
    if (!route->method) return SECTION_FAULT(build, section, "`route` needs a `method`");
    if (route->websocket ? !check_websocket(build, section, route) : !check_http(build, section, route)) return false;
    if (!strchr(route->method, '/') || *route->method == '/')
        return KEY_FAULT(build, section, "method", "`method` is \"pkg.Service/Method\", not \"%s\"", route->method);
    return true;
}

bool build_routes(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "route");
    config->routes = memory_new((count + 1) * sizeof *config->routes);
    for (size_t i = 0; i < count; i++) {
        struct config_route *route = &config->routes[config->route_count++];
        if (!build_route(build, tree_section(build->tree, "route", i), route)) return false;
    }
    return true;
}
