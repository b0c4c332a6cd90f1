/* rpc/router.c - see router.h */
#include "rpc/router.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "limit/book.h"
#include "rpc/path_search.h"
#include "rpc/path_template.h"
#include "rpc/rest.h"
#include "rpc/router_private.h"
#include "rpc/tally.h"

/* No name of a method is longer: what a path names beyond it is unknown. */
enum { NAME_MOST = 512 };

struct router {
    struct map routes;   /* "pkg.Service/Method" → struct call_route */
    struct map services; /* names of the services that have a route */
    struct map patterns; /* "pkg.Service", "pkg.*", "*" → struct call_route */
    struct path_route *paths; /* those that go before others first */
    size_t path_count;
    const struct schema *schema;
    struct map listeners; /* addresses → struct limit_set */
    const struct limit_book *book; /* NULL: `named` limits mean nothing */
    struct figures *tallies;       /* NULL: calls are not counted */
    struct map passed; /* "pkg.Service/Method" of what a pattern passes on, where the schema has it → struct tally */
    uint32_t worker;
    const struct pages *pages;
    uint32_t generation;
    bool is_retired;
    size_t calls;
    void (*on_idle)(void *context);
    void *context;
};

struct router *router_new(uint32_t generation, void (*on_idle)(void *context), void *context) {
    struct router *router = memory_new(sizeof *router);
    router->generation = generation;
    router->on_idle = on_idle;
    router->context = context;
    return router;
}

void router_set_limits(struct router *router, const struct limit_book *book) { router->book = book; }

void router_set_tallies(struct router *router, struct figures *tallies, uint32_t worker) {
    router->tallies = tallies;
    router->worker = worker;
}

void router_add_listener(struct router *router, const char *address, const struct config_limit *const *named) {
    struct limit_set *set = limit_book_set(router->book, named, address);
    if (set) free(map_put(&router->listeners, address, strlen(address), set));
}

const struct limit_set *router_listener_limits(const struct router *router, const char *address) {
    return router->listeners.count && address ? map_get(&router->listeners, address, strlen(address)) : NULL;
}

static struct call_route *route_new(struct router *router, const struct call_handler *handler, void *data,
                                    const struct call_limits *limits) {
    struct call_route *route = memory_new(sizeof *route);
    *route = (struct call_route){.handler = handler,
                                 .data = data,
                                 .limits = *limits,
                                 .set = limit_book_set(router->book, limits->named, limits->service),
                                 .router = router};
    return route;
}

static void route_free(void *memory) {
    struct call_route *route = memory;
    if (!route) return;
    free(route->set);
    free(route);
}

void router_add(struct router *router, const struct method *method, const struct call_handler *handler,
                void *data, const struct call_limits *limits) {
    struct call_route *route = route_new(router, handler, data, limits);
    route->method = method;
    if (router->tallies) route->tally = tally_of_method(router->tallies, router->worker, method);
    const char *slash = strrchr(method->full_name, '/');
    assert(slash);
    map_put(&router->services, method->full_name, (size_t)(slash - method->full_name), router);
    route_free(map_put(&router->routes, method->full_name, strlen(method->full_name), route));
}

static struct call_route *add_pattern(struct router *router, const char *pattern, const struct call_handler *handler,
                                      void *data, const struct call_limits *limits) {
    struct call_route *route = route_new(router, handler, data, limits);
    if (router->tallies && handler) route->tally = tally_of_pattern(router->tallies, router->worker, pattern);
    route_free(map_put(&router->patterns, pattern, strlen(pattern), route));
    return route;
}

void router_add_pattern(struct router *router, const char *pattern, const struct call_handler *handler, void *data,
                        const struct call_limits *limits) {
    add_pattern(router, pattern, handler, data, limits);
}

void router_add_rest(struct router *router, const char *pattern, const struct call_handler *handler, void *data,
                     const struct call_limits *limits) {
    add_pattern(router, pattern, handler, data, limits)->is_rest = true;
}

/* The longest pattern for a service: its own name, then "a.b.*", "a.*", "*". NULL where that one passes nothing on. */
static const struct call_route *find_pattern(const struct router *router, const char *service, size_t length) {
    char pattern[NAME_MOST + 1];
    if (!router->patterns.count) return NULL;
    memcpy(pattern, service, length);
    const struct call_route *route = map_get(&router->patterns, pattern, length);
    while (!route) {
        while (length && pattern[length - 1] != '.') length--;
        pattern[length] = '*';
        route = map_get(&router->patterns, pattern, length + 1);
        if (!length) break;
        length--;
    }
    return route && route->handler ? route : NULL;
}

const struct call_route *router_find(const struct router *router, const char *service, size_t service_length,
                                     const char *method, size_t method_length, bool *is_known_service) {
    char name[NAME_MOST];
    const struct call_route *route = NULL;
    bool is_possible = service_length + 1 + method_length <= sizeof name;
    if (is_possible) {
        memcpy(name, service, service_length);
        name[service_length] = '/';
        memcpy(name + service_length + 1, method, method_length);
        route = map_get(&router->routes, name, service_length + 1 + method_length);
    }
    *is_known_service = route || map_get(&router->services, service, service_length);
    if (route || !is_possible) return route;
    route = find_pattern(router, service, service_length);
    return *is_known_service && route && !route->is_rest ? NULL : route;
}

/* Their paths do; a path may be there for each verb. */
static bool means_the_same(const struct path_route *one, const struct path_route *other) {
    if (one->way != other->way) return false;
    return one->way != PATH_HTTP || strcmp(one->rest->verb, other->rest->verb) == 0;
}

/* Each is looked up in the schema once. */
struct tally *router_tally(const struct call_route *route, struct text service, struct text method) {
    struct router *router = route->router;
    size_t length = service.length + 1 + method.length;
    if (!route->tally || route->method || !router->schema || length > NAME_MOST) return route->tally;
    char name[NAME_MOST];
    memcpy(name, service.data, service.length);
    name[service.length] = '/';
    memcpy(name + service.length + 1, method.data, method.length);
    struct tally *tally = map_get(&router->passed, name, length);
    if (tally) return tally;
    const struct service *known = schema_service(router->schema, service.data, service.length);
    const struct method *found = known ? service_method(known, method.data, method.length) : NULL;
    if (!found) return route->tally;
    tally = tally_of_method(router->tallies, router->worker, found);
    map_put(&router->passed, name, length, tally);
    return tally;
}

const struct path_route *router_add_path(struct router *router, const struct path_route *route) {
    size_t place = path_search_place(router->paths, router->path_count, route->path);
    for (; place < router->path_count && !path_template_compare(router->paths[place].path, route->path); place++)
        if (means_the_same(&router->paths[place], route)) return &router->paths[place];
    router->paths = memory_resize(router->paths, (router->path_count + 1) * sizeof *router->paths);
    memmove(router->paths + place + 1, router->paths + place, (router->path_count - place) * sizeof *router->paths);
    router->paths[place] = *route;
    router->path_count++;
    return NULL;
}

const struct path_route *router_find_path(const struct router *router, int way, struct text path,
                                          struct path_match *match) {
    size_t place = 0;
    return router_next_path(router, way, path, match, &place);
}

const struct path_route *router_next_path(const struct router *router, int way, struct text path, struct path_match *match,
                                          size_t *place) {
    while ((*place = path_search(router->paths, router->path_count, path, *place)) < router->path_count) {
        const struct path_route *route = &router->paths[(*place)++];
        if ((int)route->way == way && path_template_match(route->path, path, match)) return route;
    }
    return NULL;
}

const struct rest_route *router_find_rest(const struct router *router, const struct rest_route *other) {
    for (size_t i = 0; i < router->path_count; i++)
        if (router->paths[i].rest && rest_route_is_like(router->paths[i].rest, other)) return router->paths[i].rest;
    return NULL;
}

void router_set_schema(struct router *router, const struct schema *schema) { router->schema = schema; }
const struct schema *router_schema(const struct router *router) { return router->schema; }
void router_set_pages(struct router *router, const struct pages *pages) { router->pages = pages; }
const struct pages *router_pages(const struct router *router) { return router->pages; }
uint32_t router_generation(const struct router *router) { return router->generation; }
size_t router_call_count(const struct router *router) { return router->calls; }

void router_retire(struct router *router) {
    if (router->is_retired) return;
    router->is_retired = true;
    if (router->calls == 0 && router->on_idle) router->on_idle(router->context);
}

void router_free(struct router **router) {
    struct router *r = *router;
    *router = NULL;
    if (!r) return;
    map_free(&r->routes, route_free);
    map_free(&r->services, NULL);
    map_free(&r->patterns, route_free);
    map_free(&r->listeners, free);
    map_free(&r->passed, NULL);
    for (size_t i = 0; i < r->path_count; i++) {
        path_template_free(&r->paths[i].path);
        rest_route_free(&r->paths[i].rest);
        free(r->paths[i].method);
    }
    free(r->paths);
    free(r);
}

/* Routes are constant for everyone but these two. */
void router_call_opened(const struct call_route *route) {
    ((struct call_route *)(uintptr_t)route)->calls++;
    route->router->calls++;
}

void router_call_closed(const struct call_route *route) {
    struct router *router = route->router;
    ((struct call_route *)(uintptr_t)route)->calls--;
    if (--router->calls == 0 && router->is_retired && router->on_idle) router->on_idle(router->context);
}
