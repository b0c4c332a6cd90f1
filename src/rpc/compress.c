/* rpc/compress.c - see compress.h */
#include "rpc/compress.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/message.h"

/* zlib clears its hash table for every message: a small one (memory level 6) costs small messages little and
 * large ones hardly anything. */
enum { GZIP = 15 + 16, LEVEL = 4, MEMORY_LEVEL = 6 };

struct compressor {
    z_stream deflate, inflate;
    bool can_deflate, can_inflate; /* set up: at the first use, most workers never need them */
};

const char *compressor_version(void) { return zlibVersion(); }

struct compressor *compressor_new(void) {
    return memory_new(sizeof(struct compressor));
}

void compressor_free(struct compressor **compressor) {
    struct compressor *c = *compressor;
    *compressor = NULL;
    if (!c) return;
    if (c->can_deflate) deflateEnd(&c->deflate);
    if (c->can_inflate) inflateEnd(&c->inflate);
    free(c);
}

static z_stream *deflater(struct compressor *c) {
    if (c->can_deflate) {
        deflateReset(&c->deflate);
    } else {
        if (deflateInit2(&c->deflate, LEVEL, Z_DEFLATED, GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
            abort();
        c->can_deflate = true;
    }
    return &c->deflate;
}

static z_stream *inflater(struct compressor *c) {
    if (c->can_inflate) {
        inflateReset(&c->inflate);
    } else {
        if (inflateInit2(&c->inflate, GZIP) != Z_OK) abort();
        c->can_inflate = true;
    }
    return &c->inflate;
}

void compressor_deflate(struct compressor *compressor, const void *data, size_t length, struct buffer *out) {
    z_stream *z = deflater(compressor);
    size_t bound = deflateBound(z, length);
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)length;
    z->next_out = buffer_reserve(out, bound);
    z->avail_out = (uInt)bound;
    /* With deflateBound() bytes of room one call always ends the stream. */
    if (deflate(z, Z_FINISH) != Z_STREAM_END) abort();
    buffer_commit(out, bound - z->avail_out);
}

enum inflate_result compressor_inflate(struct compressor *compressor, const uint8_t *data, size_t length,
                                       size_t limit, struct message **out) {
    z_stream *z = inflater(compressor);
    if (limit > UINT32_MAX - 1) limit = UINT32_MAX - 1;
    size_t first = length < 64 ? 256 : length * 4;
    struct message *message = message_new(first > limit + 1 ? limit + 1 : first);
    enum inflate_result result = INFLATE_BROKEN;
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)length;
    for (;;) {
        if (message->length == message->capacity) message = message_grow(message, limit);
        z->next_out = message->data + message->length;
        z->avail_out = message->capacity - message->length;
        int state = inflate(z, Z_NO_FLUSH);
        message->length = message->capacity - z->avail_out;
        if (message->length > limit)
            result = INFLATE_TOO_LARGE;
        else if (state == Z_STREAM_END && z->avail_in == 0)
            result = INFLATE_OK;
        else if (state == Z_STREAM_END && inflateReset(z) == Z_OK)
            continue; /* RFC 1952 section 2.2: members */
        else if (state == Z_OK)
            continue; /* with nothing left to read the next call has Z_BUF_ERROR */
        break;
    }
    if (result != INFLATE_OK) {
        message_unref(&message);
        return result;
    }
    message_set_prefix(message, 0);
    *out = message;
    return INFLATE_OK;
}
