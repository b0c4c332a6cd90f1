#include "rpc/router.h"

#include "check.h"
#include "rpc/router_private.h"

static const struct method greet = {.full_name = "greet.Service/Greet"},
                           part = {.full_name = "greet.Service/Gree"};
static const struct call_limits limits = {.message = 5};

static const struct call_route *find(struct router *router, const char *service, const char *method,
                                     bool *is_known) {
    return router_find(router, service, strlen(service), method, strlen(method), is_known);
}

static void methods_are_found_by_their_whole_names(void) {
    struct router *router = router_new(9, NULL, NULL);
    int data;
    bool is_known;
    router_add(router, &part, NULL, NULL, &limits);
    router_add(router, &greet, NULL, &data, &limits);
    const struct call_route *route = find(router, "greet.Service", "Greet", &is_known);
    CHECK(route && route->method == &greet && route->data == &data && route->limits.message == 5 && is_known);
    CHECK(find(router, "greet.Service", "Gree", &is_known)->method == &part);
    CHECK(!find(router, "greet.Service", "greet", &is_known) && is_known);
    CHECK(!find(router, "greet.Servic", "e/Greet", &is_known) && !is_known);
    CHECK(!find(router, "", "", &is_known) && !is_known);
    char name[4096];
    memset(name, 'x', sizeof name);
    CHECK(!router_find(router, name, sizeof name, name, sizeof name, &is_known) && !is_known);
    CHECK_INT(router_generation(router), 9);
    router_free(&router);
}

static void adding_a_method_again_replaces_it(void) {
    struct router *router = router_new(1, NULL, NULL);
    int one, two;
    bool is_known;
    router_add(router, &greet, NULL, &one, &limits);
    router_add(router, &greet, NULL, &two, &limits);
    CHECK(find(router, "greet.Service", "Greet", &is_known)->data == &two);
    router_free(&router);
}

static void count(void *context) { ++*(int *)context; }

static void idle_is_told_once_after_retirement(void) {
    int idle = 0;
    bool is_known;
    struct router *router = router_new(1, count, &idle);
    router_add(router, &greet, NULL, NULL, &limits);
    const struct call_route *route = find(router, "greet.Service", "Greet", &is_known);
    router_call_opened(route);
    router_call_closed(route);
    CHECK_INT(idle, 0);
    router_call_opened(route);
    router_call_opened(route);
    router_retire(router);
    router_call_closed(route);
    CHECK_INT(router_call_count(router), 1);
    CHECK_INT(idle, 0);
    router_call_closed(route);
    CHECK_INT(idle, 1);
    router_retire(router);
    CHECK_INT(idle, 1);
    router_free(&router);

    router = router_new(2, count, &idle);
    router_retire(router);
    CHECK_INT(idle, 2);
    router_free(&router);
}

int main(void) {
    RUN(methods_are_found_by_their_whole_names);
    RUN(adding_a_method_again_replaces_it);
    RUN(idle_is_told_once_after_retirement);
    return 0;
}
