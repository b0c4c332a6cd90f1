/* rpc/account.c - what calls make the process keep: counted per call, connection and worker, and bounded.
 *
 * A connection at a bound is "limited": it gets no window back, neither its own nor its streams', until it is
 * below three quarters again. Calls of a limited connection that move nothing for limits.stalled end, largest
 * first. */
#include <inttypes.h>

#include "rpc/call_private.h"

static uint64_t three_quarters(uint64_t n) { return n / 4 * 3; }

/* When the worker's total grows tight, those go first that hold more than their share, so that one greedy
 * connection does not stop the others. */
static bool is_over_share(const struct rpc_connection *connection, uint64_t total) {
    const struct rpc *rpc = connection->rpc;
    uint64_t connections = rpc->counters.connections ? rpc->counters.connections : 1;
    return rpc->counters.buffered >= three_quarters(total) &&
           connection->buffered >= three_quarters(total) / connections;
}

static bool is_at_bound(const struct rpc_connection *connection) {
    const struct rpc *rpc = connection->rpc;
    uint64_t total = rpc->limits.buffered_total;
    return connection->buffered >= rpc->limits.buffered_per_connection || rpc->counters.buffered >= total ||
           is_over_share(connection, total);
}

static bool has_room(const struct rpc_connection *connection) {
    const struct rpc *rpc = connection->rpc;
    uint64_t total = rpc->limits.buffered_total;
    return connection->buffered < three_quarters(rpc->limits.buffered_per_connection) &&
           rpc->counters.buffered < total && !is_over_share(connection, total);
}

static void limit(struct rpc_connection *connection) {
    struct rpc *rpc = connection->rpc;
    list_append(&rpc->limited, &connection->limited);
    if (connection->session) http_session_set_window_open(connection->session, false);
    if (rpc->limits.stalled && !timer_is_running(&connection->stalled))
        timer_start(rpc->loop, &connection->stalled, loop_now(rpc->loop) + rpc->limits.stalled);
    log_debug(&connection->log, "buffering %" PRIu64 " bytes: no more window until some are gone",
              connection->buffered);
}

static void relax(struct rpc_connection *connection) {
    list_remove(&connection->limited);
    timer_stop(connection->rpc->loop, &connection->stalled);
    if (connection->session) http_session_set_window_open(connection->session, true);
    for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, sibling);
        inbound_resume(call);
        if (call->is_choked && call->outbox.bytes <= call->most_queued / 2) call_wake(call, NEWS_WRITABLE);
    }
}

void account_charge(struct rpc_call *call, uint64_t bytes) {
    struct rpc_connection *connection = call->connection;
    struct rpc *rpc = connection->rpc;
    call->buffered += bytes;
    connection->buffered += bytes;
    rpc->counters.buffered += bytes;
    if (!connection_is_limited(connection) && is_at_bound(connection)) limit(connection);
}

void account_discharge(struct rpc_call *call, uint64_t bytes) {
    struct rpc_connection *connection = call->connection;
    struct rpc *rpc = connection->rpc;
    call->buffered -= bytes;
    connection->buffered -= bytes;
    rpc->counters.buffered -= bytes;
    if (list_is_empty(&rpc->limited)) return;
    for (struct list *node = rpc->limited.next, *next; node != &rpc->limited; node = next) {
        next = node->next;
        struct rpc_connection *limited = container_of(node, struct rpc_connection, limited);
        if (has_room(limited)) relax(limited);
    }
}

/* The largest call that has not moved for limits.stalled; NULL: none, and `next` says when one might be. */
static struct rpc_call *stalled_call(struct rpc_connection *connection, uint64_t *next) {
    uint64_t now = loop_now(connection->rpc->loop), patience = connection->rpc->limits.stalled;
    struct rpc_call *largest = NULL;
    *next = now + patience;
    for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, sibling);
        if (!call->buffered) continue;
        if (call->progress + patience > now) {
            if (call->progress + patience < *next) *next = call->progress + patience;
        } else if (!largest || call->buffered > largest->buffered) {
            largest = call;
        }
    }
    return largest;
}

void account_stalled(struct timer *timer) {
    struct rpc_connection *connection = container_of(timer, struct rpc_connection, stalled);
    uint64_t next = 0;
    struct rpc_call *call;
    while (connection_is_limited(connection) && (call = stalled_call(connection, &next))) {
        uint64_t before = call->buffered;
        connection->rpc->counters.limited++;
        call_fail(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT,
                  "too much is buffered, and this call made no progress");
        if (call->buffered >= before) break; /* nothing of it could be freed */
    }
    if (connection_is_limited(connection)) timer_start(connection->rpc->loop, timer, next);
}

void account_forget(struct rpc_connection *connection) {
    timer_stop(connection->rpc->loop, &connection->stalled);
    list_remove(&connection->limited);
}
