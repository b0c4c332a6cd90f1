/* rpc/grpc_server.h - what gRPC-Web says in the same words as gRPC. */
#ifndef TIDEWIRE_RPC_GRPC_SERVER_H
#define TIDEWIRE_RPC_GRPC_SERVER_H
#include "rpc/dialect.h"

void grpc_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text);
void grpc_send_headers(struct rpc_call *call);
/* Adds the trailers' fields to the block, which has room for STATUS_TEXT_MOST bytes, the encoded details and
 * call->trailers; it points at `number`. */
void grpc_add_status(const struct rpc_call *call, struct header_block *block, char number[4], const void *details,
                     size_t details_length);
/* The answer in one header block, where nothing has been sent yet. False: there were headers to send, or they have
 * left; the end has to follow them. */
bool grpc_send_trailers_only(struct rpc_call *call, const void *details, size_t details_length);
#endif
