/* rpc/coding.h - the messages of a call as its peer writes them, and as handlers have them: compressed or not, JSON
 * (application/…+json) or protobuf. Both happens when a message is taken or given, one at a time: what waits in a queue
 * is as small, or as large, as its sender has made it. */
#ifndef TIDEWIRE_RPC_CODING_H
#define TIDEWIRE_RPC_CODING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call_frame;
struct framed;
struct message;
struct rpc;
struct rpc_call;

/* What is in a message that came: inflated where it is compressed, and protobuf. A new reference. NULL: it is broken or
 * too large, and the call ends by that (call_fault()). */
struct message *coding_read(struct rpc_call *call, const struct framed *framed);
/* Inflates alone, as coding_read() does. */
struct message *coding_inflate(struct rpc_call *call, const void *data, size_t length);

/* For calls that are is_recoded: queues a message in the peer's form; `shared` is the message that the bytes are of, or
 * NULL: one that is given to many calls is turned to JSON once. *queued: how many bytes that are. False: the message has
 * no JSON form, and the call ends by that. */
bool coding_queue(struct rpc_call *call, const void *data, size_t length, struct message *shared, size_t *queued);
/* Queues bytes as the dialect frames a message; returns how many that makes. */
size_t coding_pack(struct rpc_call *call, const void *data, size_t length, uint8_t flags);

/* What coding_queue() keeps of the message that was turned last, until the turn ends; one a worker. */
struct coding_twin;
struct coding_twin *coding_twin_new(struct rpc *rpc);
void coding_twin_free(struct coding_twin **twin);
#endif
