/* rpc/account.c - what calls make the process keep: counted per call, connection and worker, and bounded.
 *
 * A connection at a bound is "limited": it gets no window back, neither its own nor its streams', until it is
 * below three quarters again. Calls of a limited connection that move nothing for limits.stalled end, largest
 * first. A call that has ended, and whose peer takes nothing of the rest for so long, goes without any bound. */
#include <inttypes.h>

#include "rpc/call_private.h"
#include "rpc/raw.h"

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

static void look_later(struct rpc_connection *connection) {
    struct rpc *rpc = connection->rpc;
    if (rpc->limits.stalled && !timer_is_running(&connection->stalled))
        timer_start(rpc->loop, &connection->stalled, loop_now(rpc->loop) + rpc->limits.stalled);
}

static void limit(struct rpc_connection *connection) {
    struct rpc *rpc = connection->rpc;
    list_append(&rpc->limited, &connection->limited);
    if (connection->session) http_session_set_window_open(connection->session, false);
    look_later(connection);
    log_debug(&connection->log, "buffering %" PRIu64 " bytes: no more window until some are gone",
              connection->buffered);
}

static void relax(struct rpc_connection *connection) {
    list_remove(&connection->limited);
    if (connection->session) http_session_set_window_open(connection->session, true);
    for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, sibling);
        if (call->is_raw)
            raw_resume(call);
        else
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

void account_ended(struct rpc_call *call) {
    call->progress = loop_now(call->call.rpc->loop);
    look_later(call->connection);
}

/* Nothing is left to do for it but what its peer must take. */
static bool has_ended(const struct rpc_call *call) {
    return call->stream && (call->state >= CALL_OVER || (call->state == CALL_FINISHING && !call->is_client));
}

/* When the call counts as stalled unless it moves; 0: it never does. */
static uint64_t patience_ends(const struct rpc_call *call) {
    bool is_watched = has_ended(call) || (connection_is_limited(call->connection) && call->buffered);
    return is_watched ? call->progress + call->call.rpc->limits.stalled : 0;
}

static void abandon_stalled(struct rpc_connection *connection, uint64_t now) {
    for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, sibling);
        if (has_ended(call) && patience_ends(call) <= now) call_abandon(call);
    }
}

static struct rpc_call *largest_stalled(struct rpc_connection *connection, uint64_t now) {
    struct rpc_call *largest = NULL;
    for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, sibling);
        if (call->buffered && patience_ends(call) <= now && (!largest || call->buffered > largest->buffered))
            largest = call;
    }
    return largest;
}

static void fail_stalled(struct rpc_connection *connection, uint64_t now) {
    struct rpc_call *call;
    while (connection_is_limited(connection) && (call = largest_stalled(connection, now))) {
        uint64_t before = call->buffered;
        connection->rpc->counters.limited++;
        call_fail(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT,
                  "too much is buffered, and this call made no progress");
        if (call->buffered >= before) break; /* nothing of it could be freed */
    }
}

/* 0: there is nothing to wait for. */
static uint64_t next_look(const struct rpc_connection *connection, uint64_t now) {
    uint64_t least = now + connection->rpc->limits.stalled;
    bool is_needed = connection_is_limited(connection);
    for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
        uint64_t due = patience_ends(container_of(node, struct rpc_call, sibling));
        is_needed |= due != 0;
        if (due > now && due < least) least = due;
    }
    return is_needed ? least : 0;
}

void account_stalled(struct timer *timer) {
    struct rpc_connection *connection = container_of(timer, struct rpc_connection, stalled);
    uint64_t now = loop_now(connection->rpc->loop);
    abandon_stalled(connection, now);
    fail_stalled(connection, now);
    uint64_t next = next_look(connection, now);
    if (next) timer_start(connection->rpc->loop, timer, next);
}

void account_forget(struct rpc_connection *connection) {
    timer_stop(connection->rpc->loop, &connection->stalled);
    list_remove(&connection->limited);
}
