/* rpc/outbox.c - see outbox.h */
#include "rpc/outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "http/stream.h"

enum {
    SMALL = 256,         /* the first chunk's memory: many calls have one small message at a time */
    LARGE = 4096,        /* that of those behind it */
    LARGEST = 16 * 1024, /* a chunk that has grown beyond this is not kept */
    LARGE_FULL =
        LARGEST - OUTBOX_REFERENCE_LEAST, /* no message begins beyond this: what was sent can be freed */
    BECOME_LEAST = 4096, /* below this a copy is cheaper than the memory that the chunk loses */
    SMALL_KEPT = 1024,
    LARGE_KEPT = 128,
    PIECES_KEPT = 1024,
    HEAD = offsetof(struct message, prefix),
};

struct piece {
    struct piece *next;
    struct message *message; /* referenced: one framed message; NULL: a chunk */
    size_t position;         /* bytes given: of the framed message, or place in the chunk */
    struct buffer chunk;     /* starts with HEAD unused bytes */
};

void outbox_pool_init(struct outbox_pool *pool) {
    *pool = (struct outbox_pool){0};
    pool_init(&pool->pieces, sizeof(struct piece), PIECES_KEPT);
}

static void free_chunk(struct outbox_pool *pool, struct piece *piece) {
    buffer_free(&piece->chunk);
    pool_give(&pool->pieces, piece);
}

static void clear_list(struct outbox_pool *pool, struct chunk_list *list) {
    while (list->first) {
        struct piece *piece = list->first;
        list->first = piece->next;
        free_chunk(pool, piece);
    }
    list->count = 0;
}

void outbox_pool_clear(struct outbox_pool *pool) {
    clear_list(pool, &pool->small);
    clear_list(pool, &pool->large);
    pool_clear(&pool->pieces);
}

static void append(struct outbox *outbox, struct piece *piece) {
    if (outbox->last)
        outbox->last->next = piece;
    else
        outbox->first = piece;
    outbox->last = piece;
}

static struct piece *chunk_new(struct outbox_pool *pool, bool is_large) {
    struct chunk_list *list = is_large ? &pool->large : &pool->small;
    struct piece *piece = list->first;
    if (piece) {
        list->first = piece->next;
        list->count--;
        piece->next = NULL;
    } else {
        piece = pool_take(&pool->pieces);
        buffer_reserve(&piece->chunk, is_large ? LARGE : SMALL);
    }
    piece->chunk.end = piece->position = HEAD;
    return piece;
}

#ifdef TIDEWIRE_SANITIZED
enum { KEEPS_CHUNKS = 0 };
#else
enum { KEEPS_CHUNKS = 1 };
#endif

/* Chunks that one message has made very large are not kept: a worker would end up with only such. */
static void piece_free(struct outbox_pool *pool, struct piece *piece) {
    if (piece->message) {
        message_unref(&piece->message);
        pool_give(&pool->pieces, piece);
        return;
    }
    bool is_large = piece->chunk.capacity >= LARGE;
    struct chunk_list *list = is_large ? &pool->large : &pool->small;
    if (KEEPS_CHUNKS && piece->chunk.capacity <= LARGEST &&
        list->count < (is_large ? LARGE_KEPT : SMALL_KEPT)) {
        piece->next = list->first;
        list->first = piece;
        list->count++;
    } else {
        free_chunk(pool, piece);
    }
}

static struct piece *chunk_for_next(struct outbox *outbox, struct outbox_pool *pool) {
    struct piece *last = outbox->last;
    size_t full = last && last->chunk.capacity >= LARGE ? LARGE_FULL : SMALL / 2;
    if (last && !last->message && last->chunk.end < full) return last;
    last = chunk_new(pool, last != NULL);
    append(outbox, last);
    return last;
}

static void write_prefix(uint8_t *at, size_t length, bool is_compressed) {
    at[0] = is_compressed;
    at[1] = (uint8_t)(length >> 24);
    at[2] = (uint8_t)(length >> 16);
    at[3] = (uint8_t)(length >> 8);
    at[4] = (uint8_t)length;
}

static uint32_t framed_length(const uint8_t *prefix) {
    return MESSAGE_PREFIX +
           ((uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4]);
}

static size_t added(struct outbox *outbox, size_t length) {
    size_t bytes = MESSAGE_PREFIX + length;
    outbox->bytes += bytes;
    outbox->messages++;
    return bytes;
}

size_t outbox_add_copy(struct outbox *outbox, struct outbox_pool *pool, const void *data, size_t length,
                       bool is_compressed) {
    struct buffer *chunk = &chunk_for_next(outbox, pool)->chunk;
    uint8_t *at = buffer_reserve(chunk, MESSAGE_PREFIX + length);
    write_prefix(at, length, is_compressed);
    if (length) memcpy(at + MESSAGE_PREFIX, data, length);
    buffer_commit(chunk, MESSAGE_PREFIX + length);
    return added(outbox, length);
}

size_t outbox_add_reference(struct outbox *outbox, struct outbox_pool *pool, struct message *message) {
    struct piece *piece = pool_take(&pool->pieces);
    message_set_prefix(message, 0);
    piece->message = message_ref(message);
    append(outbox, piece);
    return added(outbox, message->length);
}

struct buffer *outbox_begin(struct outbox *outbox, struct outbox_pool *pool) {
    assert(!outbox->begun);
    struct buffer *chunk = &chunk_for_next(outbox, pool)->chunk;
    outbox->begun = chunk->end;
    buffer_reserve(chunk, MESSAGE_PREFIX);
    buffer_commit(chunk, MESSAGE_PREFIX);
    return chunk;
}

/* A chunk with one large message in it is turned into that message, which HTTP then sends without a copy. */
static void become_message(struct piece *piece, size_t length) {
    struct message *message = (struct message *)(void *)piece->chunk.data;
    message->references = 1;
    message->length = (uint32_t)length;
    message->capacity = (uint32_t)(piece->chunk.capacity - offsetof(struct message, data));
    piece->message = message;
    piece->chunk = (struct buffer){0};
    piece->position = 0;
}

size_t outbox_end(struct outbox *outbox, bool is_compressed) {
    struct piece *piece = outbox->last;
    size_t begun = outbox->begun, length = piece->chunk.end - begun - MESSAGE_PREFIX;
    outbox->begun = 0;
    write_prefix(piece->chunk.data + begun, length, is_compressed);
    if (begun == HEAD && length >= BECOME_LEAST) become_message(piece, length);
    return added(outbox, length);
}

void outbox_abandon(struct outbox *outbox, struct outbox_pool *pool) {
    struct piece *piece = outbox->last, *before = NULL;
    piece->chunk.end = outbox->begun;
    outbox->begun = 0;
    if (piece->chunk.end > piece->position) return;
    /* An empty chunk was taken for this message alone. */
    for (struct piece *p = outbox->first; p != piece; p = p->next) before = p;
    if (before)
        before->next = NULL;
    else
        outbox->first = NULL;
    outbox->last = before;
    piece_free(pool, piece);
}

/* Counts the messages that have left for good with these bytes of a chunk. */
static void count_gone(struct outbox *outbox, const uint8_t *bytes, size_t length) {
    while (length) {
        if (!outbox->left) outbox->left = framed_length(bytes);
        size_t step = length < outbox->left ? length : outbox->left;
        outbox->left -= (uint32_t)step;
        bytes += step;
        length -= step;
        if (!outbox->left) outbox->messages--;
    }
}

static const uint8_t *piece_bytes(const struct piece *piece, size_t *length) {
    if (!piece->message) {
        *length = piece->chunk.end - piece->position;
        return piece->chunk.data + piece->position;
    }
    *length = MESSAGE_PREFIX + (size_t)piece->message->length - piece->position;
    return piece->message->prefix + piece->position;
}

void outbox_give(struct outbox *outbox, struct outbox_pool *pool, size_t length, struct http_output *output) {
    outbox->bytes -= length;
    while (length) {
        struct piece *piece = outbox->first;
        size_t here;
        const uint8_t *bytes = piece_bytes(piece, &here);
        size_t step = length < here ? length : here;
        if (piece->message && step >= OUTBOX_REFERENCE_LEAST)
            http_output_reference(output, bytes, step, piece->message);
        else
            http_output_copy(output, bytes, step);
        if (!piece->message)
            count_gone(outbox, bytes, step);
        else if (step == here)
            outbox->messages--;
        piece->position += step;
        length -= step;
        if (step < here) return;
        outbox->first = piece->next;
        if (!outbox->first) outbox->last = NULL;
        piece_free(pool, piece);
    }
}

void outbox_clear(struct outbox *outbox, struct outbox_pool *pool) {
    while (outbox->first) {
        struct piece *piece = outbox->first;
        outbox->first = piece->next;
        piece_free(pool, piece);
    }
    *outbox = (struct outbox){0};
}
