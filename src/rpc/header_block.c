/* rpc/header_block.c - see header_block.h */
#include "rpc/header_block.h"

#include <assert.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/memory.h"
#include "rpc/status_text.h"

void header_block_free(struct header_block *block) {
    free(block->headers);
    buffer_free(&block->text);
    *block = (struct header_block){0};
}

static size_t encoded_length(const struct metadata *metadata) {
    size_t length = 0;
    for (size_t i = 0; metadata && i < metadata->count; i++)
        if (metadata_is_binary(metadata->entries[i].name, metadata->entries[i].name_length))
            length += base64_length(metadata->entries[i].value_length);
    return length;
}

void header_block_begin(struct header_block *block, size_t text, const struct metadata *one,
                        const struct metadata *other) {
    block->count = 0;
    buffer_clear(&block->text);
    buffer_reserve(&block->text, text + encoded_length(one) + encoded_length(other) + 1);
}

void header_block_add(struct header_block *block, const char *name, size_t name_length, const char *value,
                      size_t value_length) {
    if (block->count == block->capacity) {
        block->capacity = block->capacity ? block->capacity * 2 : 16;
        block->headers = memory_resize(block->headers, block->capacity * sizeof *block->headers);
    }
    block->headers[block->count++] = (struct http_header){
        .name = name, .value = value, .name_length = name_length, .value_length = value_length};
}

/* The place of the next encoded value, for which header_block_begin() has made room. */
static char *text_end(struct header_block *block, size_t need) {
    assert(block->text.capacity - block->text.end >= need);
    (void)need;
    return (char *)block->text.data + block->text.end;
}

void header_block_add_binary(struct header_block *block, const char *name, size_t name_length,
                             const void *value, size_t value_length) {
    char *at = text_end(block, base64_length(value_length));
    base64_write(&block->text, value, value_length, false);
    header_block_add(block, name, name_length, at, base64_length(value_length));
}

void header_block_add_message(struct header_block *block, const char *text) {
    char *at = text_end(block, STATUS_TEXT_MOST);
    size_t length = status_text_encode(at, STATUS_TEXT_MOST, text, strlen(text));
    buffer_commit(&block->text, length);
    header_block_add(block, "grpc-message", 12, at, length);
}

void header_block_add_metadata(struct header_block *block, const struct metadata *metadata) {
    for (size_t i = 0; metadata && i < metadata->count; i++) {
        const struct metadata_entry *e = &metadata->entries[i];
        if (metadata_is_binary(e->name, e->name_length))
            header_block_add_binary(block, e->name, e->name_length, e->value, e->value_length);
        else
            header_block_add(block, e->name, e->name_length, e->value, e->value_length);
    }
}
