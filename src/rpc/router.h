/* rpc/router.h - which handler answers a path. One router a worker and generation; a call keeps a reference on the
 * router that it was found in, so that a generation lives until its last call has closed. */
#ifndef TIDEWIRE_RPC_ROUTER_H
#define TIDEWIRE_RPC_ROUTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "rpc/call.h"

struct figures;
struct limit_book;
struct limit_set;
struct tally;

struct call_limits {
    uint64_t message;              /* payload of one message, decompressed */
    uint64_t passed_message; /* of one that is passed on, as it is on the wire; 0: none */
    uint64_t buffered_per_stream;
    const struct config_limit *const *named; /* ended by NULL; NULL: none. Of a route: in the router's book */
    bool is_link;        /* it carries the calls of a gateway: what a listener limits for clients is not for it */
    const char *service; /* whose `named` are; lives as long as the router */
};

/* One method, or all that a pattern stands for. Owned by the router. */
struct call_route {
    const struct method *method; /* NULL: of a pattern, whose calls are passed on */
    const struct call_handler *handler;
    void *data; /* the handler's: for scripts the function or table of hooks; call->data begins as it */
    struct call_limits limits;
    struct limit_set *set; /* of limits.named; or NULL */
    struct tally *tally;   /* its calls are counted in; or NULL */
    struct router *router;
    uint64_t calls; /* open ones */
    bool is_rest;   /* of a pattern: router_add_rest() */
};

struct router;
struct pages;
struct path_match;
struct path_template;
struct rest_route;
struct text;

/* A path of its own for a method. */
struct path_route {
    struct path_template *path;
    char *method; /* "/pkg.Service/Method" */
    enum { PATH_WEBSOCKET, PATH_HTTP } way;
    struct rest_route *rest; /* of PATH_HTTP */
    bool is_goa; /* as clients that Goa has generated speak */
};

/* `on_idle` is called, in the worker's thread, when the router was retired and its last call has closed. */
struct router *router_new(uint32_t generation, void (*on_idle)(void *context), void *context);
void router_add(struct router *router, const struct method *method, const struct call_handler *handler, void *data,
                const struct call_limits *limits);
/* What the `named` limits of the routes that are added from now on mean. The book outlives the router. */
void router_set_limits(struct router *router, const struct limit_book *book);
/* Where calls of the routes that are added from now on are counted (rpc/tally.h); `worker` is this one's number. */
void router_set_tallies(struct router *router, struct figures *tallies, uint32_t worker);
/* Those that hold for every call of connections that were accepted by this listener. */
void router_add_listener(struct router *router, const char *address, const struct config_limit *const *named);
/* NULL: none. */
const struct limit_set *router_listener_limits(const struct router *router, const char *address);
/* Every method of "pkg.Service", "pkg.*" (that package and those below it) or "*", whether its types are known or not.
 * A service of which a method was added by itself is not touched; else the longest pattern counts. The calls are raw
 * where the client speaks gRPC: `handler` has on_request. NULL: these names are taken, and what was not added by itself is unknown. */
void router_add_pattern(struct router *router, const char *pattern, const struct call_handler *handler, void *data,
                        const struct call_limits *limits);
/* The same, also for the methods of such a service that were not added by themselves. */
void router_add_rest(struct router *router, const char *pattern, const struct call_handler *handler, void *data,
                     const struct call_limits *limits);
/* Service and method as in the path. NULL: `is_known_service` tells which of the two statuses texts is due. */
const struct call_route *router_find(const struct router *router, const char *service, size_t service_length,
                                     const char *method, size_t method_length, bool *is_known_service);
/* Where its call of this path is counted; NULL: nowhere. Of what a pattern passes on, the methods that the schema has are told
 * apart. */
struct tally *router_tally(const struct call_route *route, struct text service, struct text method);
/* NULL: it is added, and what the route owns taken over. Else nothing is, as that one is there, which means the same. */
const struct path_route *router_add_path(struct router *router, const struct path_route *route);
/* NULL: none fits. */
const struct path_route *router_find_path(const struct router *router, int way, struct text path,
                                          struct path_match *match);
/* The same for all that fit, the most specific first; *place begins as 0. NULL: there are no more. */
const struct path_route *router_next_path(const struct router *router, int way, struct text path, struct path_match *match,
                                          size_t *place);
/* A route by REST that is like one of another router; NULL: none is. */
const struct rest_route *router_find_rest(const struct router *router, const struct rest_route *other);
/* The types of the messages, for whoever needs them by name. Borrowed: it lives as long as the router. NULL at first. */
void router_set_schema(struct router *router, const struct schema *schema);
const struct schema *router_schema(const struct router *router);
/* What is shown to a browser. Borrowed, as the schema is. NULL at first. */
void router_set_pages(struct router *router, const struct pages *pages);
const struct pages *router_pages(const struct router *router);
uint32_t router_generation(const struct router *router);
size_t router_call_count(const struct router *router);
/* No new calls; on_idle follows, at once when there are none open. */
void router_retire(struct router *router);
void router_free(struct router **router);
#endif
