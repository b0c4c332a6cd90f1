/* rpc/header_block.h - a list of headers being put together, for one response, request or trailers block.
 *
 * Names and values are pointed at, not copied, but for what has to be encoded: that goes to `text`, whose room is
 * reserved at the beginning, so that nothing moves. */
#ifndef TIDEWIRE_RPC_HEADER_BLOCK_H
#define TIDEWIRE_RPC_HEADER_BLOCK_H
#include "base/buffer.h"
#include "http/stream.h"
#include "rpc/metadata.h"

struct header_block {
    struct http_header *headers;
    size_t count, capacity;
    struct buffer text;
};

void header_block_free(struct header_block *block);
/* Empties it, and makes room for `text` bytes of encoded values besides those of the metadata (may be NULL). */
void header_block_begin(struct header_block *block, size_t text, const struct metadata *one,
                        const struct metadata *other);
void header_block_add(struct header_block *block, const char *name, size_t name_length, const char *value,
                      size_t value_length);
#define HEADER_BLOCK_ADD(block, name, value) header_block_add(block, name, sizeof(name) - 1, value, sizeof(value) - 1)
void header_block_add_binary(struct header_block *block, const char *name, size_t name_length, const void *value,
                             size_t value_length);
/* grpc-message: percent-encoded and cut to STATUS_TEXT_MOST. */
void header_block_add_message(struct header_block *block, const char *text);
void header_block_add_metadata(struct header_block *block, const struct metadata *metadata);
#endif
