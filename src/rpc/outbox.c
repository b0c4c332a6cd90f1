/* rpc/outbox.c - see outbox.h */
#include "rpc/outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "http/stream.h"

enum {
    BECOME_LEAST = 4096, /* below this a copy is cheaper than the memory that the chunk loses */
    BEGIN_LEAST = 64,    /* room that a message of unknown length begins with */
    RUN_LEAST = 256,     /* below this a copy is cheaper than a reference */
    RUN_SHARE = 4,       /* less than the fourth part of a run shall not keep all of it, since only the part is counted */
    RUN_REFERENCE_LEAST = 4096, /* for HTTP: many calls are given the same bytes, which are at hand */
    PIECES_KEPT = 1024,
    HEAD = offsetof(struct message, prefix),
};

/* A call's first chunk is small, since many calls have one small message at a time, and each one behind it is
 * larger. Chunks that have grown beyond the last size are not kept. */
static const struct {
    size_t size, kept;
} sizes[OUTBOX_SIZES] = {{256, 2048}, {1024, 1024}, {4096, 256}, {16 * 1024, 64}};

struct piece {
    struct piece *next;
    struct message *message; /* referenced; NULL: a chunk */
    size_t position;         /* place in the chunk, or in the message's prefix and data, up to which bytes were given */
    size_t end;              /* referenced: the place up to which they are to be given */
    bool is_run;             /* referenced: data is framed messages; else prefix and data are one */
    bool is_packed;          /* a chunk of packed messages: each has a prefix, which stays here */
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

void outbox_pool_clear(struct outbox_pool *pool) {
    for (int i = 0; i < OUTBOX_SIZES; i++) {
        while (pool->chunks[i].first) {
            struct piece *piece = pool->chunks[i].first;
            pool->chunks[i].first = piece->next;
            free_chunk(pool, piece);
        }
        pool->chunks[i].count = 0;
    }
    pool_clear(&pool->pieces);
}

static void append(struct outbox *outbox, struct piece *piece) {
    if (outbox->last)
        outbox->last->next = piece;
    else
        outbox->first = piece;
    outbox->last = piece;
}

static int size_of_chunk(const struct piece *piece) {
    int i = OUTBOX_SIZES - 1;
    while (i > 0 && piece->chunk.capacity < sizes[i].size) i--;
    return i;
}

static struct piece *chunk_new(struct outbox_pool *pool, int size, bool is_packed) {
    struct chunk_list *list = &pool->chunks[size];
    struct piece *piece = list->first;
    if (piece) {
        list->first = piece->next;
        list->count--;
        piece->next = NULL;
    } else {
        piece = pool_take(&pool->pieces);
        buffer_reserve(&piece->chunk, sizes[size].size);
    }
    piece->chunk.end = piece->position = HEAD;
    piece->is_packed = is_packed;
    return piece;
}

#ifdef TIDEWIRE_SANITIZED
enum { KEEPS_CHUNKS = 0 };
#else
enum { KEEPS_CHUNKS = 1 };
#endif

static void piece_free(struct outbox_pool *pool, struct piece *piece) {
    if (piece->message) {
        message_unref(&piece->message);
        pool_give(&pool->pieces, piece);
        return;
    }
    int size = size_of_chunk(piece);
    struct chunk_list *list = &pool->chunks[size];
    if (KEEPS_CHUNKS && list->count < sizes[size].kept &&
        piece->chunk.capacity <= sizes[OUTBOX_SIZES - 1].size) {
        piece->next = list->first;
        list->first = piece;
        list->count++;
    } else {
        free_chunk(pool, piece);
    }
}

static struct buffer *chunk_for(struct outbox *outbox, struct outbox_pool *pool, size_t need, bool is_packed) {
    struct piece *last = outbox->last;
    int size = 0;
    if (last && !last->message && last->is_packed == is_packed) {
        if (last->chunk.capacity - last->chunk.end >= need) return &last->chunk;
        size = size_of_chunk(last) + 1;
    }
    while (size < OUTBOX_SIZES - 1 && sizes[size].size < HEAD + need) size++;
    if (size > OUTBOX_SIZES - 1) size = OUTBOX_SIZES - 1;
    last = chunk_new(pool, size, is_packed);
    append(outbox, last);
    return &last->chunk;
}

static struct buffer *chunk_with_room(struct outbox *outbox, struct outbox_pool *pool, size_t need) {
    return chunk_for(outbox, pool, need, false);
}

static void write_prefix(uint8_t *at, size_t length, uint8_t flags) {
    at[0] = flags;
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

static void append_framed(struct buffer *chunk, const void *data, size_t length, uint8_t flags) {
    uint8_t *at = buffer_reserve(chunk, MESSAGE_PREFIX + length);
    write_prefix(at, length, flags);
    if (length) memcpy(at + MESSAGE_PREFIX, data, length);
    buffer_commit(chunk, MESSAGE_PREFIX + length);
}

size_t outbox_add_copy(struct outbox *outbox, struct outbox_pool *pool, const void *data, size_t length,
                       uint8_t flags) {
    append_framed(chunk_with_room(outbox, pool, MESSAGE_PREFIX + length), data, length, flags);
    return added(outbox, length);
}

size_t outbox_add_reference(struct outbox *outbox, struct outbox_pool *pool, struct message *message) {
    struct piece *piece = pool_take(&pool->pieces);
    message_set_prefix(message, 0);
    piece->message = message_ref(message);
    piece->end = MESSAGE_PREFIX + (size_t)message->length;
    append(outbox, piece);
    return added(outbox, message->length);
}

static void add_packed_piece(struct outbox *outbox, struct outbox_pool *pool, struct message *message) {
    struct piece *piece = pool_take(&pool->pieces);
    piece->message = message;
    piece->position = MESSAGE_PREFIX;
    piece->end = MESSAGE_PREFIX + (size_t)message->length;
    append(outbox, piece);
}

/* Small ones that wait behind others stand in chunks: with memory of its own each would take many times its bytes, which
 * are all that is counted. */
size_t outbox_add_packed(struct outbox *outbox, struct outbox_pool *pool, struct message *message) {
    size_t length = message->length;
    if (outbox->last && length && length < OUTBOX_REFERENCE_LEAST) {
        append_framed(chunk_for(outbox, pool, MESSAGE_PREFIX + length, true), message->data, length, 0);
        message_unref(&message);
    } else {
        add_packed_piece(outbox, pool, message);
    }
    outbox->bytes += length;
    outbox->messages++;
    return length;
}

void outbox_add_run(struct outbox *outbox, struct outbox_pool *pool, struct message *run, size_t from, size_t to,
                    uint32_t count) {
    if (to - from < RUN_LEAST || to - from < run->capacity / RUN_SHARE) {
        buffer_append(chunk_with_room(outbox, pool, to - from), run->data + from, to - from);
    } else {
        struct piece *piece = pool_take(&pool->pieces);
        piece->message = message_ref(run);
        piece->is_run = true;
        piece->position = MESSAGE_PREFIX + from;
        piece->end = MESSAGE_PREFIX + to;
        append(outbox, piece);
    }
    outbox->bytes += to - from;
    outbox->messages += count;
}

/* Large pieces become what HTTP sends without a copy; small ones fill up the last chunk. */
void outbox_add_raw(struct outbox *outbox, struct outbox_pool *pool, const void *bytes, size_t length) {
    if (length >= OUTBOX_REFERENCE_LEAST) {
        struct piece *piece = pool_take(&pool->pieces);
        piece->message = message_new(length);
        piece->message->length = (uint32_t)length;
        memcpy(piece->message->data, bytes, length);
        piece->position = MESSAGE_PREFIX;
        piece->end = MESSAGE_PREFIX + length;
        append(outbox, piece);
    } else {
        buffer_append(chunk_with_room(outbox, pool, length), bytes, length);
    }
    outbox->bytes += length;
}

struct buffer *outbox_begin(struct outbox *outbox, struct outbox_pool *pool) {
    assert(!outbox->begun);
    struct buffer *chunk = chunk_with_room(outbox, pool, BEGIN_LEAST);
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
    piece->end = MESSAGE_PREFIX + length;
}

size_t outbox_end(struct outbox *outbox) {
    struct piece *piece = outbox->last;
    size_t begun = outbox->begun, length = piece->chunk.end - begun - MESSAGE_PREFIX;
    outbox->begun = 0;
    write_prefix(piece->chunk.data + begun, length, 0);
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

static void count_message_gone(struct outbox *outbox, const struct piece *piece, const uint8_t *bytes, size_t length,
                               size_t here) {
    if (!piece->message || piece->is_run) {
        count_gone(outbox, bytes, length);
        return;
    }
    outbox->left = (uint32_t)(here - length);
    if (!outbox->left) outbox->messages--;
}

/* The next bytes of a chunk of packed messages: at most to the end of one. */
static size_t give_packed(struct outbox *outbox, struct piece *piece, size_t length, struct http_output *output) {
    if (!outbox->left) {
        outbox->left = framed_length(piece->chunk.data + piece->position) - MESSAGE_PREFIX;
        piece->position += MESSAGE_PREFIX;
    }
    size_t step = length < outbox->left ? length : outbox->left;
    http_output_copy(output, piece->chunk.data + piece->position, step);
    piece->position += step;
    outbox->left -= (uint32_t)step;
    if (!outbox->left) outbox->messages--;
    return step;
}

static const uint8_t *piece_bytes(const struct piece *piece, size_t *length) {
    if (!piece->message) {
        *length = piece->chunk.end - piece->position;
        return piece->chunk.data + piece->position;
    }
    *length = piece->end - piece->position;
    return piece->message->prefix + piece->position;
}

/* How many bytes of it have gone, of at most `length`. */
static size_t give_piece(struct outbox *outbox, struct piece *piece, size_t length, struct http_output *output) {
    size_t here;
    const uint8_t *bytes = piece_bytes(piece, &here);
    size_t step = length < here ? length : here;
    if (piece->message && step >= (piece->is_run ? RUN_REFERENCE_LEAST : OUTBOX_REFERENCE_LEAST))
        http_output_reference(output, bytes, step, piece->message);
    else
        http_output_copy(output, bytes, step);
    if (!outbox->is_raw) count_message_gone(outbox, piece, bytes, step, here);
    piece->position += step;
    return step;
}

void outbox_give(struct outbox *outbox, struct outbox_pool *pool, size_t length, struct http_output *output) {
    outbox->bytes -= length;
    while (length) {
        struct piece *piece = outbox->first;
        length -= piece->is_packed ? give_packed(outbox, piece, length, output)
                                   : give_piece(outbox, piece, length, output);
        if (piece->position < (piece->message ? piece->end : piece->chunk.end)) continue;
        outbox->first = piece->next;
        if (!outbox->first) outbox->last = NULL;
        piece_free(pool, piece);
    }
}

void outbox_peek(const struct outbox *outbox, size_t length, struct buffer *into) {
    for (const struct piece *piece = outbox->first; length; piece = piece->next) {
        size_t here;
        const uint8_t *bytes = piece_bytes(piece, &here);
        size_t step = length < here ? length : here;
        buffer_append(into, bytes, step);
        length -= step;
    }
}

void outbox_clear(struct outbox *outbox, struct outbox_pool *pool) {
    while (outbox->first) {
        struct piece *piece = outbox->first;
        outbox->first = piece->next;
        piece_free(pool, piece);
    }
    *outbox = (struct outbox){.is_raw = outbox->is_raw, .is_cut = outbox->is_cut || outbox->left,
                              .dropped = outbox->dropped + outbox->messages};
}
