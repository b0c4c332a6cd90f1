/* rpc/outbox.h - what waits to be sent on a call: framed messages in order, given to HTTP as its windows allow.
 *
 * Small messages stand behind each other in chunks, larger ones are referenced. A chunk begins with room for the head
 * of a struct message, so that one large message that was encoded in place becomes a struct message without a copy.
 * A drained outbox owns nothing. */
#ifndef TIDEWIRE_RPC_OUTBOX_H
#define TIDEWIRE_RPC_OUTBOX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/pool.h"

struct http_output;

enum {
    OUTBOX_REFERENCE_LEAST = 1024, /* from here on referencing is cheaper than copying */
    OUTBOX_SIZES = 4,              /* of chunks */
};

struct piece;

struct chunk_list {
    struct piece *first;
    size_t count;
};

/* Chunks and pieces that wait for their next use; one a worker. */
struct outbox_pool {
    struct chunk_list chunks[OUTBOX_SIZES]; /* by size */
    struct pool pieces; /* without memory for messages */
};
void outbox_pool_init(struct outbox_pool *pool);
void outbox_pool_clear(struct outbox_pool *pool);

struct outbox {
    struct piece *first, *last;
    size_t bytes;      /* with prefixes */
    uint32_t messages; /* of which some byte is still here */
    uint32_t left;     /* bytes still here of the message that has begun to leave; 0: none has */
    size_t begun;      /* place in the last chunk of the prefix of a message that is being encoded; 0: none */
    uint32_t dropped;  /* messages of which some byte was here when they were forgotten */
    bool is_cut;       /* a message had begun to leave when the rest was forgotten */
    bool is_raw;       /* what is in it is not messages: none are counted */
};

/* All return the bytes that were queued. */
size_t outbox_add_copy(struct outbox *outbox, struct outbox_pool *pool, const void *data, size_t length,
                       uint8_t flags);
/* Takes a reference of its own. */
size_t outbox_add_reference(struct outbox *outbox, struct outbox_pool *pool, struct message *message);
/* Messages that stand behind each other with their prefixes, from byte `from` of the run up to `to`: by a reference, or,
 * when they are few, or little of the run, by a copy. */
void outbox_add_run(struct outbox *outbox, struct outbox_pool *pool, struct message *run, size_t from, size_t to,
                    uint32_t count);
struct buffer *outbox_begin(struct outbox *outbox, struct outbox_pool *pool);
size_t outbox_end(struct outbox *outbox);
void outbox_abandon(struct outbox *outbox, struct outbox_pool *pool);
/* What is in it is the message as it leaves, without a prefix before it; takes the reference over. */
size_t outbox_add_packed(struct outbox *outbox, struct outbox_pool *pool, struct message *message);
/* Bytes of any kind, for a raw outbox; nothing else may be added to it. */
void outbox_add_raw(struct outbox *outbox, struct outbox_pool *pool, const void *bytes, size_t length);
/* Hands over `length` bytes, at most outbox.bytes. */
void outbox_give(struct outbox *outbox, struct outbox_pool *pool, size_t length, struct http_output *output);
/* Copies the next `length` bytes without handing them over. */
void outbox_peek(const struct outbox *outbox, size_t length, struct buffer *into);
void outbox_clear(struct outbox *outbox, struct outbox_pool *pool);
#endif
