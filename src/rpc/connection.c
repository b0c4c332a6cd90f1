/* rpc/connection.c - a connection and its calls: HTTP's events, and the turn of the calls that have news. */
#include "net/connection.h"

#include <stdlib.h>

#include "limit/table.h"
#include "rpc/call_private.h"
#include "rpc/cors.h"
#include "rpc/grpc_client.h"
#include "rpc/raw.h"

#define CALLS_TIME NS_PER_MS /* for those that one read has given news */

struct rpc_connection *rpc_connection_new_without_wire(struct rpc *rpc, bool is_client) {
    struct rpc_connection *connection = memory_new(sizeof *connection);
    connection->rpc = rpc;
    connection->is_client = is_client;
    list_init(&connection->calls);
    list_append(&rpc->connections, &connection->node);
    return connection;
}

struct rpc_connection *rpc_connection_new(struct rpc *rpc, bool is_client, const struct http_limits *limits) {
    struct rpc_connection *connection = rpc_connection_new_without_wire(rpc, is_client);
    connection->session = http_session_new(rpc->http, !is_client, limits,
                                           is_client ? &rpc_client_events : &rpc_server_events, connection);
    counter_add(&rpc->counters.connections, 1);
    if (is_client) return connection;
    connection->account = account_new(rpc);
    connection->account->connection = connection;
    return connection;
}

void rpc_connection_attach(struct rpc_connection *connection, struct connection *wire) {
    connection->log.connection = connection_id(wire);
    http_session_attach(connection->session, wire);
}

void rpc_connection_free_if_done(struct rpc_connection *connection) {
    if (connection->session || !list_is_empty(&connection->calls) || connection == connection->rpc->waiting) return;
    counter_take(&connection->rpc->counters.connections, 1);
    rpc_connection_free(connection);
}

void rpc_connection_free(struct rpc_connection *connection) {
    if (connection->gone) atomic_fetch_add_explicit(connection->gone, 1, memory_order_relaxed);
    if (connection->on_gone) connection->on_gone(connection->context);
    if (connection->account) account_close(&connection->account);
    list_remove(&connection->node);
    peer_metadata_unref(&connection->last_metadata);
    for (size_t i = 0; i < connection->entry_count; i++) limit_entry_close(&connection->entries[i]);
    free(connection->entries);
    free(connection->listener);
    cors_unref(&connection->cors);
    free(connection->peer);
    free(connection->peer_node);
    free(connection->reason);
    free(connection);
}

/* Copied, as lines about a call are written when its connection has gone already. */
const char *rpc_connection_peer(struct rpc_connection *connection) {
    if (connection->peer) return connection->peer;
    struct connection *wire = connection->session ? http_session_connection(connection->session) : NULL;
    if (!wire) return "";
    connection->peer = memory_copy_string(connection_peer(wire));
    return connection->peer;
}

void rpc_connection_set_node(struct rpc_connection *connection, const char *node) {
    free(connection->peer_node);
    connection->peer_node = memory_copy_string(node);
    if (connection->session) http_session_set_relay(connection->session);
}

void rpc_connection_drain(struct rpc_connection *connection) {
    if (connection->is_draining || !connection->session) return;
    connection->is_draining = true;
    http_session_drain(connection->session, "graceful_stop");
}

/* Each has at least one message; calls without end, or whose handlers take long, would keep everyone else waiting. */
static void run_some(struct rpc *rpc, struct list *calls) {
    struct list *node;
    stint_begin(&rpc->stint);
    while (!stint_is_over(&rpc->stint, CALLS_TIME) && (node = list_take(calls))) {
        stint_note(&rpc->stint, STINT_UNCOUNTED, CALLS_TIME);
        struct rpc_call *call = container_of(node, struct rpc_call, ready);
        call->inbound.is_late = false;
        call_run(call);
    }
}

/* The read buffer goes. */
static void keep_for_later(struct rpc *rpc, struct list *calls) {
    if (list_is_empty(calls)) return;
    for (struct list *node = calls->next; node != calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, ready);
        inbound_spill(call);
        call->inbound.is_late = true;
    }
    list_splice(&rpc->late, calls);
    loop_defer(rpc->loop, LOOP_AGAIN, &rpc->run_late);
}

void rpc_run_ready(struct rpc *rpc) {
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &rpc->ready);
    run_some(rpc, &batch);
    keep_for_later(rpc, &batch);
}

void rpc_run_late(struct rpc *rpc) {
    run_some(rpc, &rpc->late);
    if (!list_is_empty(&rpc->late)) loop_defer(rpc->loop, LOOP_AGAIN, &rpc->run_late);
}

/* ---- HTTP's events ---- */

static void on_after_read(struct http_session *session) {
    struct rpc_connection *connection = http_session_owner(session);
    rpc_run_ready(connection->rpc);
}

static void on_server_end(void *user, const struct http_header *trailers, size_t count) {
    struct rpc_call *call = user;
    if (!call) return;
    if (call->is_raw)
        raw_end(call, trailers, count);
    else
        call_on_end(call); /* trailers of requests mean nothing */
}

static void on_client_end(void *user, const struct http_header *trailers, size_t count) {
    if (user) grpc_client_end(user, trailers, count);
}

static void on_room(struct http_session *session) { rpc_link_changed(http_session_owner(session)); }

static void on_session_end(struct http_session *session, const char *reason) {
    struct rpc_connection *connection = http_session_owner(session);
    log_debug(&connection->log, "connection ends: %s", reason);
    if (!list_is_empty(&connection->calls)) rpc_connection_peer(connection); /* their lines name it */
    connection->session = NULL;
    connection->reason = memory_copy_string(reason);
    rpc_link_lost(connection, reason);
    rpc_connection_free_if_done(connection);
}

const struct http_events rpc_server_events = {
    .on_request = arrival_request,
    .on_data = call_on_data,
    .on_end = on_server_end,
    .on_close = call_on_close,
    .after_read = on_after_read,
    .on_session_end = on_session_end,
    .body_ready = call_body_ready,
    .body_give = call_body_give,
};

const struct http_events rpc_client_events = {
    .on_response = grpc_client_response,
    .on_data = call_on_data,
    .on_end = on_client_end,
    .on_close = call_on_close,
    .after_read = on_after_read,
    .on_room = on_room,
    .on_session_end = on_session_end,
    .body_ready = call_body_ready,
    .body_give = call_body_give,
};
