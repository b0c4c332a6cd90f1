/* rpc/move.c - an open call goes over from the routes that it came by to those in force. */
#include <string.h>

#include "rpc/call_private.h"
#include "rpc/meter.h"
#include "rpc/rest.h"
#include "rpc/router_private.h"

static const struct call_route *route_in_force(const struct rpc_call *call, const struct router *router,
                                               const struct method *method) {
    const char *slash = strrchr(method->full_name, '/');
    bool is_known;
    const struct call_route *route = router_find(router, method->full_name, (size_t)(slash - method->full_name), slash + 1,
                                                 strlen(slash + 1), &is_known);
    return route && route->handler == call->call.handler ? route : NULL;
}

static void change_route(struct rpc_call *call, const struct method *method) {
    struct rpc_connection *connection = call->connection;
    const struct router *router = connection->router ? connection->router : connection->rpc->router;
    const struct call_route *before = call->call.route, *now = route_in_force(call, router, method);
    struct rest_call *rest = rest_of(call->edge);
    const struct rest_route *rule = rest ? router_find_rest(router, rest->route) : NULL;
    if (!now || now == before || (rest && !rule)) return;
    const char *listener = now->limits.is_link ? NULL : connection->listener;
    const struct meter_request request = {.connection = connection,
                                          .sets = {now->set, router_listener_limits(router, listener)},
                                          .metadata = call->call.metadata};
    if (rest) rest->route = rule;
    router_call_opened(now);
    call->call.route = now;
    call_set_limits(call, &now->limits);
    meter_move(call, &request);
    router_call_closed(before);
}

void call_move(struct call *base, const struct method *method) {
    struct rpc_call *call = rpc_call_of(base);
    if (base->route && call->state == CALL_OPEN) change_route(call, method);
    base->method = method;
    base->log.method = method->full_name;
}
