/* gateway/routes.c - see routes.h */
#include "gateway/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/path_template.h"

static bool knows(const struct schema *schema, const char *method) {
    const char *slash = strchr(method, '/');
    const struct service *service = schema_service(schema, method, (size_t)(slash - method));
    return service && service_method(service, slash + 1, strlen(slash + 1));
}

static bool add(struct router *router, const struct config_route *route, struct error *error) {
    struct path_route path = {.path = path_template_parse(route->websocket + strlen("GET "), error),
                              .way = PATH_WEBSOCKET,
                              .is_goa = route->dialect == DIALECT_GOA};
    if (!path.path) return false;
    path.method = memory_format("/%s", route->method);
    if (router_add_path(router, &path)) return true;
    error_set(error, "another `route` has the path \"%s\", or one that means the same", route->websocket);
    path_template_free(&path.path);
    free(path.method);
    return false;
}

bool routes_check(const struct config *config, const struct schema *schema, struct error *error) {
    struct router *router = router_new(0, NULL, NULL);
    bool is_fine = true;
    for (size_t i = 0; i < config->route_count && is_fine; i++) {
        const struct config_route *route = &config->routes[i];
        struct error why;
        is_fine = add(router, route, &why);
        if (is_fine && !knows(schema, route->method)) is_fine = error_set(&why, "no `proto` has a method %s", route->method);
        if (!is_fine) error_at(error, route->file, route->line, "%s", why.text);
    }
    router_free(&router);
    return is_fine;
}

void routes_add(struct router *router, const struct config *config) {
    struct error unused;
    for (size_t i = 0; i < config->route_count; i++) add(router, &config->routes[i], &unused);
}
