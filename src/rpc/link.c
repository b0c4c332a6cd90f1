/* rpc/link.c - a connection that we make, for as long as somebody wants to open calls on it. */
#include <stdlib.h>

#include "net/connection.h"
#include "rpc/call_private.h"
#include "rpc/call_wire.h"
#include "rpc/client_private.h"
#include "rpc/tunnel.h"

static void tell(struct task *task) {
    struct rpc_link *link = container_of(task, struct rpc_link, task);
    if (link->connection)
        link->events->on_change(link->context);
    else
        link->events->on_gone(link->context, link->reason);
}

static void note(struct rpc_link *link) { loop_defer(link->rpc->loop, LOOP_RUN, &link->task); }

static void took_too_long(struct timer *timer) {
    rpc_link_close(container_of(timer, struct rpc_link, timer), "connecting took too long");
}

static struct rpc_connection *new_connection(struct rpc *rpc, const struct rpc_link_options *options) {
    enum { HEADERS = 64 * 1024 }; /* of an answer; what the listeners' clients may send is another matter */
    struct http_limits limits = rpc->limits.http;
    limits.headers = HEADERS;
    limits.idle = limits.settings_timeout = 0; /* the link's owner closes it; its timer bounds the beginning */
    limits.keepalive_interval = options->keepalive_interval;
    limits.keepalive_timeout = options->keepalive_timeout;
    limits.pings_without_streams = options->pings_without_streams;
    return rpc_connection_new(rpc, true, &limits);
}

static struct rpc_link *new_link(struct rpc *rpc, struct rpc_connection *connection, struct connection *wire,
                                 const struct rpc_link_options *options, const struct rpc_link_events *events,
                                 void *context) {
    rpc_connection_attach(connection, wire);
    struct rpc_link *link = memory_new(sizeof *link);
    *link = (struct rpc_link){.rpc = rpc,
                              .connection = connection,
                              .events = events,
                              .context = context,
                              .authority = memory_copy_string(options->authority),
                              .most_streams = options->most_streams ? options->most_streams : UINT32_MAX,
                              .is_tls = connection_tls(wire) != NULL};
    connection->link = link;
    task_init(&link->task, tell);
    timer_init(&link->timer, took_too_long);
    if (options->connect_timeout)
        timer_start(rpc->loop, &link->timer, loop_now(rpc->loop) + options->connect_timeout);
    return link;
}

struct rpc_link *rpc_link_new(struct rpc *rpc, const struct rpc_link_options *options,
                              const struct rpc_link_events *events, void *context, struct error *error) {
    const struct connection_options wire_options = {.tls_client = options->tls,
                                                    .address = options->address,
                                                    .address_length = options->address_length,
                                                    .server_name = options->server_name};
    struct rpc_connection *connection = new_connection(rpc, options);
    struct connection *wire = connection_dial(rpc->loop, options->name, &wire_options, &http_connection_events,
                                              connection->session, error);
    if (wire) return new_link(rpc, connection, wire, options, events, context);
    http_session_close(connection->session, HTTP_NO_ERROR, error->text);
    return NULL;
}

struct rpc_link *rpc_link_over_fd(struct rpc *rpc, int fd, const struct rpc_link_options *options,
                                  const struct rpc_link_events *events, void *context) {
    static const struct connection_options plain;
    struct rpc_connection *connection = new_connection(rpc, options);
    struct connection *wire =
        connection_accepted(rpc->loop, fd, &plain, &http_connection_events, connection->session);
    connection->peer = memory_copy_string(options->name); /* the socket has none */
    return new_link(rpc, connection, wire, options, events, context);
}

struct rpc_link *rpc_tunnel_link(struct call *call, const struct rpc_link_options *options,
                                 const struct rpc_link_events *events, void *context) {
    struct rpc_connection *connection = new_connection(call->rpc, options);
    connection->is_tunnelled = true;
    struct connection *wire = call_wire_new(call, options->name, connection->session);
    return new_link(call->rpc, connection, wire, options, events, context);
}

void rpc_link_free(struct rpc_link **handle) {
    struct rpc_link *link = *handle;
    *handle = NULL;
    if (!link) return;
    task_cancel(&link->task);
    timer_stop(link->rpc->loop, &link->timer);
    if (link->connection) {
        link->connection->link = NULL;
        rpc_connection_drain(link->connection);
    }
    free(link->authority);
    free(link->reason);
    free(link);
}

void rpc_link_changed(struct rpc_connection *connection) {
    struct rpc_link *link = connection->link;
    if (!link) return;
    if (rpc_link_is_ready(link)) timer_stop(link->rpc->loop, &link->timer);
    note(link);
}

void rpc_link_lost(struct rpc_connection *connection, const char *reason) {
    struct rpc_link *link = connection->link;
    if (!link) return;
    timer_stop(link->rpc->loop, &link->timer);
    connection->link = NULL;
    link->connection = NULL;
    link->reason = memory_copy_string(reason);
    note(link);
}

static struct http_session *session_of(const struct rpc_link *link) {
    return link->connection ? link->connection->session : NULL;
}

bool rpc_link_is_ready(const struct rpc_link *link) {
    const struct http_session *session = session_of(link);
    return session && http_session_is_set_up(session);
}

bool rpc_link_is_closing(const struct rpc_link *link) {
    const struct http_session *session = session_of(link);
    return !session || http_session_is_closing(session);
}

uint32_t rpc_link_room(const struct rpc_link *link) {
    const struct http_session *session = session_of(link);
    if (!session) return 0;
    uint32_t room = http_session_room(session);
    size_t streams = http_session_stream_count(session);
    uint32_t own_room = streams < link->most_streams ? link->most_streams - (uint32_t)streams : 0;
    return room < own_room ? room : own_room;
}

size_t rpc_link_streams(const struct rpc_link *link) {
    const struct http_session *session = session_of(link);
    return session ? http_session_stream_count(session) : 0;
}

bool rpc_link_pings_too_often(const struct rpc_link *link) {
    const struct http_session *session = session_of(link);
    const char *reason = session ? http_session_reason(session) : link->reason;
    return reason && strstr(reason, "too_many_pings");
}

void rpc_link_drain(struct rpc_link *link, const char *reason) {
    if (!link->connection || link->connection->is_draining || !link->connection->session) return;
    link->connection->is_draining = true;
    http_session_drain(link->connection->session, reason);
    note(link);
}

void rpc_link_close(struct rpc_link *link, const char *reason) {
    struct http_session *session = session_of(link);
    if (session) http_session_close(session, HTTP_NO_ERROR, reason);
}
