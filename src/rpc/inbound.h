/* rpc/inbound.h - what a peer has sent and the handler has not taken: DATA bytes taken apart into framed messages.
 *
 * The bytes of a read live until its after_read has run. Until then whole messages are only pointed at, in runs
 * ("ranges") of one DATA chunk each. A message that a chunk's end cuts is put together in a struct message of its own,
 * whose memory grows with what has really come. What is not taken in time is copied behind each other ("spilled").
 *
 *   first → range: 3 messages in the read buffer → range: 1 message put together → …      partial: the cut one
 *
 * The peer's window: a byte of the partial message is given back at once, as long as no whole message waits in front
 * of it and the buffering accounts allow it; all others when the handler takes their message. So a message may be
 * larger than the window, and a handler that takes nothing still stops its peer. A large message widens its stream's
 * window, up to what may be buffered for a stream. */
#ifndef TIDEWIRE_RPC_INBOUND_H
#define TIDEWIRE_RPC_INBOUND_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/message.h"

struct rpc_call;

/* A run of whole framed messages: in the read buffer, or (owner) one message, or (slab) spilled. */
struct range {
    struct range *next;
    const uint8_t *bytes; /* at the prefix of the next message */
    uint32_t left;        /* bytes from there on */
    uint32_t owed;        /* of the peer's window, when its messages are taken */
    uint64_t charged;     /* to the accounts */
    struct message *owner;
    struct buffer slab;
};

struct inbound {
    struct range *first, *last;
    struct range *taken;     /* what the handler borrows: goes at the next take, or when its function returns */
    struct message *partial; /* NULL while its prefix is not whole; memory for the next while `have` is 0 */
    uint64_t charged;        /* for partial */
    uint32_t have;           /* bytes of it, prefix included */
    uint32_t owed;           /* of those, not given back to the peer */
    uint32_t whole;          /* messages that wait */
    uint32_t received;       /* whole messages so far, for methods that allow one; stays at its largest value */
    uint8_t prefix[MESSAGE_PREFIX];
    bool is_ended;           /* END_STREAM has come */
    bool is_in_place;        /* some range points into the read buffer */
    bool is_late;            /* the handler is told behind the next reads: nothing may stay in their buffer */
    bool is_faulty;          /* framing is broken: what follows is dropped */
};

struct framed {
    const uint8_t *data;
    size_t length;
    bool is_compressed;
    struct message *owner; /* or NULL */
};

/* Faults (flags, sizes, an end inside a message) are told by call_fault(). */
void inbound_receive(struct rpc_call *call, const uint8_t *bytes, size_t length);
void inbound_end(struct rpc_call *call);
/* The same for a body that is one message without a prefix, whose length nobody knows before its end. */
void inbound_receive_whole(struct rpc_call *call, const uint8_t *bytes, size_t length);
void inbound_end_whole(struct rpc_call *call);
/* The message has ended, and another may follow. */
void inbound_end_message(struct rpc_call *call, bool is_compressed);
/* A message that has come in another way; takes the reference. `owed`: bytes of the peer's window that it took. */
void inbound_put(struct rpc_call *call, struct message *message, bool is_compressed, uint32_t owed);
/* False when no whole message waits. The bytes live until the next inbound_take() or inbound_release(). */
bool inbound_take(struct rpc_call *call, struct framed *framed);
/* The first message without taking it. */
bool inbound_peek(const struct rpc_call *call, struct framed *framed);
/* Puts an inflated message in the place of the only, compressed one that waits; takes the reference. */
void inbound_replace(struct rpc_call *call, struct message *message);
/* The handler borrows this until its function returns; takes the reference. */
void inbound_lend(struct rpc_call *call, struct message *message);
void inbound_release(struct rpc_call *call);
/* The read buffer goes: copies what still points into it. */
void inbound_spill(struct rpc_call *call);
/* The accounts allow growth again. */
void inbound_resume(struct rpc_call *call);
/* Forgets everything but what the handler borrows; what comes later is dropped. */
void inbound_drop(struct rpc_call *call);
#endif
