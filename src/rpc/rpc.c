/* rpc/rpc.c - see rpc.h */
#include "rpc/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/connection.h"
#include "net/tls.h"
#include "rpc/call_private.h"
#include "rpc/call_wire.h"
#include "rpc/coding.h"
#include "rpc/cors.h"
#include "rpc/tunnel.h"
#include "rpc/status_text.h"
#include "websocket/deflate.h"

enum {
    CALLS_KEPT = 4096,
    RANGES_KEPT = 4096, /* a read of small DATA frames takes about as many */
};

static void run_ready(struct task *task) { rpc_run_ready(container_of(task, struct rpc, run)); }
static void run_late(struct task *task) { rpc_run_late(container_of(task, struct rpc, run_late)); }
static void grace_is_over(struct timer *timer) { rpc_abort_all(container_of(timer, struct rpc, end_timer)); }

struct rpc *rpc_new(struct loop *loop, const struct rpc_limits *limits) {
    struct rpc *rpc = memory_new(sizeof *rpc);
    rpc->loop = loop;
    rpc->http = http_worker_new(loop);
    rpc_set_limits(rpc, limits);
    buffer_reserve(&rpc->coded, 1); /* an empty message that was decoded has an address */
    buffer_reserve(&rpc->framed, 1);
    list_init(&rpc->connections);
    list_init(&rpc->limited);
    list_init(&rpc->ready);
    list_init(&rpc->late);
    list_init(&rpc->young);
    task_init(&rpc->run, run_ready);
    task_init(&rpc->run_late, run_late);
    timer_init(&rpc->young_timer, access_grow_up);
    timer_init(&rpc->end_timer, grace_is_over);
    pool_init(&rpc->calls, sizeof(struct rpc_call), CALLS_KEPT);
    pool_init(&rpc->ranges, sizeof(struct range), RANGES_KEPT);
    outbox_pool_init(&rpc->outboxes);
    rpc->compressor = compressor_new();
    rpc->deflater = websocket_deflater_new();
    rpc->twin = coding_twin_new(rpc);
    rpc->waiting = rpc_connection_new_without_wire(rpc, true);
    rpc->own = account_new(rpc);
    return rpc;
}

static void end_waiting(struct rpc *rpc, const char *text) {
    struct list *calls = &rpc->waiting->calls;
    for (struct list *node = calls->next; node != calls; node = node->next)
        call_fail(container_of(node, struct rpc_call, sibling), STATUS_UNAVAILABLE, REASON_DRAIN, text);
}

static void end_orphans(struct rpc *rpc, const char *text) {
    for (struct list *c = rpc->connections.next; c != &rpc->connections; c = c->next) {
        struct rpc_connection *connection = container_of(c, struct rpc_connection, node);
        for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
            struct rpc_call *call = container_of(node, struct rpc_call, sibling);
            if (call->is_orphan) call_end(call, STATUS_UNAVAILABLE, REASON_DRAIN, text);
        }
    }
}

void rpc_settle(struct rpc *rpc) {
    while (!list_is_empty(&rpc->ready) || !list_is_empty(&rpc->late)) {
        rpc_run_ready(rpc);
        rpc_run_late(rpc);
    }
}

void rpc_free(struct rpc **handle) {
    struct rpc *rpc = *handle;
    *handle = NULL;
    if (!rpc) return;
    /* Cuts what is still connected; the calls on it end in their turn, which may make others ready. */
    rpc->is_ending = true;
    http_worker_free(&rpc->http);
    end_orphans(rpc, "the server has ended");
    end_waiting(rpc, "the client has gone");
    rpc_settle(rpc);
    rpc_connection_free(rpc->waiting);
    account_unref(&rpc->own);
    timer_stop(rpc->loop, &rpc->young_timer);
    timer_stop(rpc->loop, &rpc->end_timer);
    task_cancel(&rpc->run);
    task_cancel(&rpc->run_late);
    pool_clear(&rpc->calls);
    pool_clear(&rpc->ranges);
    outbox_pool_clear(&rpc->outboxes);
    compressor_free(&rpc->compressor);
    websocket_deflater_free(&rpc->deflater);
    metadata_reader_free(&rpc->reader);
    header_block_free(&rpc->block);
    header_block_free(&rpc->translation);
    buffer_free(&rpc->scratch);
    buffer_free(&rpc->compressed);
    buffer_free(&rpc->coded);
    buffer_free(&rpc->framed);
    buffer_free(&rpc->exposed);
    coding_twin_free(&rpc->twin);
    free(rpc);
}

void rpc_set_limits(struct rpc *rpc, const struct rpc_limits *limits) {
    const uint64_t unbounded = INT64_MAX;
    rpc->limits = *limits;
    if (!rpc->limits.buffered_per_connection) rpc->limits.buffered_per_connection = unbounded;
    if (!rpc->limits.buffered_total) rpc->limits.buffered_total = unbounded;
}

void rpc_set_router(struct rpc *rpc, struct router *router) { rpc->router = router; }

void rpc_set_tallies(struct rpc *rpc, struct figures *tallies, uint32_t worker) {
    rpc->unknown = tally_unknown(tallies, worker);
}

struct loop *rpc_loop(const struct rpc *rpc) {
    return rpc->loop;
}
const struct rpc_counters *rpc_counters(const struct rpc *rpc) { return &rpc->counters; }

/* What one client may cost is no matter between workers; and a peer has all its streams besides Link/Connect. */
static struct http_limits limits_of(const struct rpc *rpc, const struct rpc_accepted *accepted) {
    struct http_limits limits = rpc->limits.http;
    if (accepted->is_internal) {
        limits.streams = INT32_MAX;
        limits.idle = limits.keepalive_interval = 0;
    }
    if (accepted->takes_peers) limits.streams++;
    return limits;
}

void rpc_accept(struct rpc *rpc, const struct rpc_accepted *accepted) {
    const struct connection_options options = {.tls_server = accepted->tls,
                                               .reads_proxy_header = accepted->reads_proxy_header,
                                               .handshake_timeout = rpc->limits.http.settings_timeout};
    const struct http_limits limits = limits_of(rpc, accepted);
    struct rpc_connection *connection = rpc_connection_new(rpc, false, &limits);
    connection->router = accepted->router;
    connection->is_internal = accepted->is_internal;
    if (accepted->is_internal) http_session_set_relay(connection->session);
    connection->takes_peers = accepted->takes_peers;
    connection->listener = accepted->listener;
    connection->cors = accepted->cors;
    connection->gone = accepted->gone;
    connection->on_gone = accepted->on_gone;
    connection->context = accepted->context;
    struct connection *wire =
        connection_accepted(rpc->loop, accepted->fd, &options, &http_connection_events, connection->session);
    struct tls_server *tls = accepted->tls;
    tls_server_unref(&tls); /* the connection has its own reference */
    rpc_connection_attach(connection, wire);
    if (rpc->is_draining && !connection->is_internal) rpc_connection_drain(connection);
}

void rpc_turn_away(const struct rpc_accepted *accepted) {
    struct tls_server *tls = accepted->tls;
    struct cors *cors = accepted->cors;
    if (accepted->gone) atomic_fetch_add_explicit(accepted->gone, 1, memory_order_relaxed);
    if (accepted->fd >= 0) close(accepted->fd);
    tls_server_unref(&tls);
    cors_unref(&cors);
    free(accepted->listener);
}

void rpc_each_call(struct rpc *rpc, void (*f)(struct call *call, void *context), void *context) {
    for (struct list *c = rpc->connections.next; c != &rpc->connections; c = c->next) {
        struct rpc_connection *connection = container_of(c, struct rpc_connection, node);
        for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next) {
            struct rpc_call *call = container_of(node, struct rpc_call, sibling);
            if (call->was_opened && call->state != CALL_TOLD) f(&call->call, context);
        }
    }
}

void rpc_drain(struct rpc *rpc) {
    rpc->is_draining = true;
    for (struct list *c = rpc->connections.next; c != &rpc->connections; c = c->next) {
        struct rpc_connection *connection = container_of(c, struct rpc_connection, node);
        /* Calls may need others still. */
        if (!connection->is_client && !connection->is_internal) rpc_connection_drain(connection);
        for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next)
            call_wake(container_of(node, struct rpc_call, sibling), NEWS_DRAIN);
    }
}

/* The calls in the tunnel have last words too, which go this way. */
static bool carries_tunnel(const struct rpc_call *call) {
    const struct rpc_call *server = call->is_client && call->partner ? call->partner : call;
    return call_has_wire(&call->call) || (server->name && strcmp(server->name, rpc_tunnel_method.full_name) == 0);
}

static void end_call(struct rpc_call *call, const char *text) {
    if (carries_tunnel(call)) return;
    if (call->is_client)
        call_fail(call, STATUS_UNAVAILABLE, REASON_DRAIN, text);
    else
        call_finish_for(call, STATUS_UNAVAILABLE, REASON_DRAIN, text, NULL, 0);
}

void rpc_end_all(struct rpc *rpc, const char *text, uint64_t grace) {
    rpc_drain(rpc);
    for (struct list *c = rpc->connections.next; c != &rpc->connections; c = c->next) {
        struct rpc_connection *connection = container_of(c, struct rpc_connection, node);
        if (connection->is_tunnelled) rpc_connection_drain(connection);
        for (struct list *node = connection->calls.next; node != &connection->calls; node = node->next)
            end_call(container_of(node, struct rpc_call, sibling), text);
    }
    timer_start(rpc->loop, &rpc->end_timer, loop_now(rpc->loop) + grace);
}

void rpc_abort_all(struct rpc *rpc) {
    for (struct list *c = rpc->connections.next, *next; c != &rpc->connections; c = next) {
        next = c->next;
        struct rpc_connection *connection = container_of(c, struct rpc_connection, node);
        if (connection->session) http_session_close(connection->session, HTTP_NO_ERROR, "the server ends");
    }
    rpc->is_ending = true; /* none of those calls outlives its stream any more */
    end_orphans(rpc, "the server ends");
    end_waiting(rpc, "the server ends");
}

const char *rpc_versions(void) {
    static char text[32]; /* --version alone asks, in the main thread */
    snprintf(text, sizeof text, "zlib %s", compressor_version());
    return text;
}
