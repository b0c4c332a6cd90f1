/* rpc/grpc_client.h - gRPC over HTTP/2, the asking side. */
#ifndef TIDEWIRE_RPC_GRPC_CLIENT_H
#define TIDEWIRE_RPC_GRPC_CLIENT_H
#include "rpc/rpc_private.h"

struct rpc_request;
struct rpc_link;

/* A call that waits; its attempt is not there yet. */
struct rpc_call *grpc_client_new(struct rpc *rpc, const struct rpc_request *request);
/* What leaves with every attempt, into rpc->block. */
void grpc_client_write_fields(struct rpc *rpc, const struct rpc_request *request);
/* NULL when the link takes no more calls. */
struct http_stream *grpc_client_send(struct rpc_call *call, const struct rpc_link *link);

/* HTTP's events. */
void grpc_client_response(void *user, const struct http_header *headers, size_t count, bool is_end);
void grpc_client_end(struct rpc_call *call, const struct http_header *trailers, size_t count);
void grpc_client_closed(struct rpc_call *call, uint32_t error, bool is_connection);
#endif
