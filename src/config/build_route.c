/* config/build_route.c - `route` sections. Whether their paths and methods are any is seen when the schema is there. */
#include <string.h>

#include "base/memory.h"
#include "config/build_private.h"

static bool build_route(const struct build *build, cfg_t *section, struct config_route *route) {
    struct place place = tree_place(build->source, section);
    route->file = place.file;
    route->line = place.line;
    build_put_section(build, route, SECTION_ROUTE, section);
    if (!route->websocket) return SECTION_FAULT(build, section, "`route` needs a path: `websocket`");
    if (!route->method) return SECTION_FAULT(build, section, "`route` needs a `method`");
    if (strncmp(route->websocket, "GET /", 5) != 0)
        return KEY_FAULT(build, section, "websocket", "`websocket` is \"GET /path\", not \"%s\"", route->websocket);
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
