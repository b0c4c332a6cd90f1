/* rpc/client.c - a connection that we make, kept for the calls on it, and made anew when it takes no more. */
#include <stdlib.h>

#include "net/connection.h"
#include "rpc/call_private.h"
#include "rpc/grpc_client.h"

struct rpc_client {
    struct rpc *rpc;
    char *address, *authority;
    struct tls_client *tls;
    bool compresses;
    struct rpc_connection *connection; /* that new calls go to; NULL: none stands */
};

/* False, with a connection that is ending already, when the address makes no sense. */
static bool dial(struct rpc_client *client, struct rpc_connection **out, struct error *error) {
    struct rpc *rpc = client->rpc;
    const struct connection_options options = {.tls_client = client->tls,
                                               .handshake_timeout = rpc->limits.http.settings_timeout};
    struct rpc_connection *connection = rpc_connection_new(rpc, true);
    struct connection *wire = connection_dial(rpc->loop, client->address, &options, &http_connection_events,
                                              connection->session, error);
    *out = connection;
    if (!wire) {
        http_session_close(connection->session, HTTP_NO_ERROR, error->text);
        return false;
    }
    connection->log.connection = connection_id(wire);
    http_session_attach(connection->session, wire);
    connection->client = client;
    client->connection = connection;
    return true;
}

struct rpc_client *rpc_client_new(struct rpc *rpc, const struct rpc_client_options *options,
                                  struct error *error) {
    struct rpc_client *client = memory_new(sizeof *client);
    struct rpc_connection *connection;
    client->rpc = rpc;
    client->address = memory_copy_string(options->address);
    client->authority = memory_copy_string(options->authority ? options->authority : options->address);
    client->tls = options->tls;
    client->compresses = options->compresses;
    if (!dial(client, &connection, error)) rpc_client_free(&client);
    return client;
}

/* Takes no new calls, and closes when those that it has are over. */
static void let_go(struct rpc_client *client) {
    struct rpc_connection *connection = client->connection;
    if (!connection) return;
    client->connection = NULL;
    connection->client = NULL;
    rpc_connection_drain(connection);
}

void rpc_client_lost(struct rpc_connection *connection) {
    if (!connection->client) return;
    connection->client->connection = NULL;
    connection->client = NULL;
}

void rpc_client_free(struct rpc_client **handle) {
    struct rpc_client *client = *handle;
    *handle = NULL;
    if (!client) return;
    let_go(client);
    free(client->address);
    free(client->authority);
    free(client);
}

struct call *rpc_client_open(struct rpc_client *client, const struct method *method,
                             const struct metadata *metadata, uint64_t timeout,
                             const struct call_handler *handler, void *data,
                             const struct call_limits *limits) {
    const struct grpc_client_request request = {.method = method,
                                                .metadata = metadata,
                                                .authority = client->authority,
                                                .is_tls = client->tls != NULL,
                                                .compresses = client->compresses,
                                                .timeout = timeout,
                                                .handler = handler,
                                                .data = data,
                                                .limits = limits};
    struct rpc_connection *connection = client->connection;
    struct rpc_call *call = connection ? grpc_client_open(connection, &request) : NULL;
    if (call) return &call->call;
    struct error error = {.text = "the connection takes no calls"};
    let_go(client);
    dial(client, &connection, &error);
    call = grpc_client_open(connection, &request);
    if (!call) call = grpc_client_open_failed(connection, &request, error.text);
    return &call->call;
}
