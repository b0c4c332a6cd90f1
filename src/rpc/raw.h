/* rpc/raw.h - calls that are passed on: two raw calls joined (call_join()), between which everything crosses as it came.
 *
 * What arrives on one is put into the other's outbox in the same HTTP event, without a turn of any handler, and leaves
 * with the flush of this turn of the loop. The window of the one grows as the bytes leave on the other: so what a call
 * keeps for a peer that does not read is at most one window.
 *
 * What waits, in both directions, is on the account of the client's connection: that one can be stopped without
 * stopping others, as the calls of many clients share the connection to a server. */
#ifndef TIDEWIRE_RPC_RAW_H
#define TIDEWIRE_RPC_RAW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/stream.h"

struct rpc;
struct rpc_call;
struct rpc_link;
struct rpc_request;

/* A raw client call, which waits for its first attempt. */
struct rpc_call *raw_new(struct rpc *rpc, const struct rpc_request *request);
/* Its request on a link; NULL when that takes no more. */
struct http_stream *raw_send(struct rpc_call *call, const struct rpc_link *link);

/* Bytes that are on the account already, to the partner. */
void raw_pass(struct rpc_call *call, const uint8_t *bytes, size_t length);

/* HTTP's events on a raw call. */
void raw_response(struct rpc_call *call, const struct http_header *headers, size_t count, bool is_end);
void raw_receive(struct rpc_call *call, const uint8_t *bytes, size_t length);
void raw_end(struct rpc_call *call, const struct http_header *trailers, size_t count);
/* True: what it has said before is still held back (rpc/walk.h), and stands. */
bool raw_closed(struct rpc_call *call, uint32_t error, bool is_connection);
/* Whose account the outbox of a raw call is on. */
struct rpc_call *raw_payer(struct rpc_call *call);
/* The accounts of `call`'s connection allow growth again. */
void raw_resume(struct rpc_call *call);
/* Who answers a server call, for access lines; NULL: nobody yet. */
const char *raw_target(const struct rpc_call *server);
/* Bytes have left on `call`: its partner may receive as many. */
void raw_gone(struct rpc_call *call, size_t length);
/* `call` ends, for a reason of its own: so does its partner. `error`: for a client that is reset. */
void raw_part(struct rpc_call *call, enum http_error error);
#endif
