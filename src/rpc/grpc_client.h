/* rpc/grpc_client.h - gRPC over HTTP/2, the asking side. */
#ifndef TIDEWIRE_RPC_GRPC_CLIENT_H
#define TIDEWIRE_RPC_GRPC_CLIENT_H
#include "rpc/rpc_private.h"

struct grpc_client_request {
    const struct method *method;
    const struct metadata *metadata; /* may be NULL */
    const char *authority;
    bool is_tls, compresses;
    uint64_t timeout; /* ns; 0: none */
    const struct call_handler *handler;
    void *data;
    const struct call_limits *limits;
};

/* NULL when the connection takes no more calls. */
struct rpc_call *grpc_client_open(struct rpc_connection *connection, const struct grpc_client_request *request);
/* A call that ends UNAVAILABLE in its first turn. */
struct rpc_call *grpc_client_open_failed(struct rpc_connection *connection, const struct grpc_client_request *request,
                                         const char *text);

/* HTTP's events. */
void grpc_client_response(void *user, const struct http_header *headers, size_t count, bool is_end);
void grpc_client_end(struct rpc_call *call, const struct http_header *trailers, size_t count);
void grpc_client_closed(struct rpc_call *call, uint32_t error, bool is_connection);
#endif
