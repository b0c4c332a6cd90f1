/* rpc/access.c - access lines: one when a call ends, and one for each that is still open after a second.
 *
 * The calls of less than a second stand in one list by age, so that one timer of the worker serves them all.
 */
#include "base/clock.h"
#include "rpc/call_private.h"
#include "rpc/meter.h"
#include "rpc/raw.h"

enum { YOUNG_SECONDS = 1 };

static struct log_access access_line(struct rpc_call *call) {
    const struct call *c = &call->call;
    return (struct log_access){
        .scope = c->log,
        .peer = rpc_connection_peer(call->connection),
        .protocol = call->dialect->name,
        .upstream = c->upstream,
        .target = call->is_raw ? raw_target(call) : NULL,
        .is_raw = call->is_raw,
        .duration_ns = loop_now(c->rpc->loop) - c->opened,
        .messages_in = c->messages_in,
        .messages_out = c->messages_out,
        .bytes_in = c->bytes_in,
        .bytes_out = c->bytes_out,
        .generation = c->route ? router_generation(c->route->router) : 0,
    };
}

_Static_assert(REASON_UPSTREAM + 1 == CALL_REASONS, "each has a name and a counter");
const char *const call_reason_names[CALL_REASONS + 1] = {
    [REASON_HANDLER] = "handler",       [REASON_CLIENT] = "client", [REASON_SERVER] = "server",
    [REASON_DEADLINE] = "deadline",     [REASON_LIMIT] = "limit",   [REASON_DRAIN] = "drain",
    [REASON_CONNECTION] = "connection", [REASON_UPSTREAM] = "upstream",
};

static uint64_t grown_up(const struct list *node) {
    return container_of(node, const struct rpc_call, young)->call.opened + YOUNG_SECONDS * NS_PER_S;
}

void access_grow_up(struct timer *timer) {
    struct rpc *rpc = container_of(timer, struct rpc, young_timer);
    uint64_t now = loop_now(rpc->loop);
    while (!list_is_empty(&rpc->young) && grown_up(rpc->young.next) <= now) {
        struct rpc_call *call = container_of(list_take(&rpc->young), struct rpc_call, young);
        struct log_access line = access_line(call);
        line.is_open = true;
        log_write_access(&line);
    }
    if (!list_is_empty(&rpc->young)) timer_start(rpc->loop, timer, grown_up(rpc->young.next));
}

void access_opened(struct rpc_call *call) {
    struct rpc *rpc = call->call.rpc;
    if (call->is_client || call->connection->is_internal || !log_access_is_on()) return;
    list_append(&rpc->young, &call->young);
    if (!timer_is_running(&rpc->young_timer))
        timer_start(rpc->loop, &rpc->young_timer, grown_up(&call->young));
}

void access_closed(struct rpc_call *call) {
    list_remove(&call->young);
    if (call->is_client || call->connection->is_internal || !log_access_is_on()) return;
    struct log_access line = access_line(call);
    line.status = status_name(call->status);
    line.reason = call_reason_names[call->reason];
    if (call->meter) line.limit = meter_verdict_name(&call->meter->verdict);
    log_write_access(&line);
}

void access_refused(const struct arrival *arrival, enum status status, enum call_reason reason) {
    struct rpc_connection *connection = arrival->connection;
    const char *path = arrival->request.path.data;
    size_t path_length = arrival->request.path.length;
    if (connection->is_internal || !log_access_is_on()) return;
    struct buffer *method = &connection->rpc->scratch;
    buffer_clear(method);
    if (path_length && *path == '/') {
        path++;
        path_length--;
    }
    buffer_append(method, path, path_length < 256 ? path_length : 256);
    buffer_append_byte(method, 0);
    struct log_access line = {.scope = connection->log,
                              .peer = rpc_connection_peer(connection),
                              .protocol = arrival->dialect ? arrival->dialect->name : "http",
                              .status = status_name(status),
                              .reason = call_reason_names[reason],
                              .limit = arrival->verdict ? meter_verdict_name(arrival->verdict) : NULL};
    line.scope.method = (const char *)buffer_bytes(method);
    log_write_access(&line);
}
