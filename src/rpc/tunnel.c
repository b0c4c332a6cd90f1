/* rpc/tunnel.c - see tunnel.h: the side that serves; the one that opens calls is a link (rpc/link.c). */
#include "rpc/tunnel.h"

#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/call_wire.h"
#include "rpc/chunk.h"

const struct method rpc_tunnel_method = {.name = "Connect",
                                         .full_name = "tidewire.peer.v1.Link/Connect",
                                         .is_client_streaming = true,
                                         .is_server_streaming = true};
const struct call_limits rpc_tunnel_limits = {.message = CHUNK_MOST, .buffered_per_stream = 256 * 1024};

struct rpc_tunnel {
    struct rpc *rpc;
    struct rpc_connection *connection; /* NULL once it has gone */
    const struct rpc_tunnel_events *events;
    void *context;
    char *reason; /* why it has gone */
    struct task task;
};

static void tell(struct task *task) {
    struct rpc_tunnel *tunnel = container_of(task, struct rpc_tunnel, task);
    if (!tunnel->connection) tunnel->events->on_gone(tunnel->context, tunnel->reason);
    else if (tunnel->events->on_idle) tunnel->events->on_idle(tunnel->context);
}

static void on_idle(void *context) {
    struct rpc_tunnel *tunnel = context;
    loop_defer(tunnel->rpc->loop, LOOP_RUN, &tunnel->task);
}

static void on_gone(void *context) {
    struct rpc_tunnel *tunnel = context;
    tunnel->reason = memory_copy_string(tunnel->connection->reason);
    tunnel->connection = NULL;
    loop_defer(tunnel->rpc->loop, LOOP_RUN, &tunnel->task);
}

/* What the call's connection does for itself is not done here again. */
static struct rpc_connection *new_connection(struct rpc *rpc) {
    struct http_limits limits = rpc->limits.http;
    limits.idle = limits.keepalive_interval = 0;
    struct rpc_connection *connection = rpc_connection_new(rpc, false, &limits);
    connection->is_tunnelled = true;
    return connection;
}

struct rpc_tunnel *rpc_tunnel_serve(struct call *call, const struct rpc_tunnel_options *options,
                                    const struct rpc_tunnel_events *events, void *context) {
    struct rpc *rpc = call->rpc;
    struct rpc_connection *connection = new_connection(rpc);
    struct rpc_tunnel *tunnel = memory_new(sizeof *tunnel);
    *tunnel = (struct rpc_tunnel){.rpc = rpc, .connection = connection, .events = events, .context = context};
    task_init(&tunnel->task, tell);
    connection->router = options->router;
    if (options->node) rpc_connection_set_node(connection, options->node);
    connection->on_idle = on_idle;
    connection->on_gone = on_gone;
    connection->context = tunnel;
    rpc_connection_attach(connection, call_wire_new(call, call_peer(call), connection->session));
    if (rpc->is_draining) rpc_connection_drain(connection);
    return tunnel;
}

void rpc_tunnel_free(struct rpc_tunnel **handle) {
    struct rpc_tunnel *tunnel = *handle;
    *handle = NULL;
    if (!tunnel) return;
    task_cancel(&tunnel->task);
    if (tunnel->connection) {
        tunnel->connection->on_idle = tunnel->connection->on_gone = NULL;
        rpc_connection_drain(tunnel->connection);
    }
    free(tunnel->reason);
    free(tunnel);
}

static struct http_session *session_of(const struct rpc_tunnel *tunnel) {
    return tunnel->connection ? tunnel->connection->session : NULL;
}

size_t rpc_tunnel_streams(const struct rpc_tunnel *tunnel) {
    const struct http_session *session = session_of(tunnel);
    return session ? http_session_stream_count(session) : 0;
}

void rpc_tunnel_drain(struct rpc_tunnel *tunnel) {
    if (tunnel->connection) rpc_connection_drain(tunnel->connection);
}

void rpc_tunnel_close(struct rpc_tunnel *tunnel, const char *reason) {
    struct http_session *session = session_of(tunnel);
    if (session) http_session_close(session, HTTP_NO_ERROR, reason);
}
