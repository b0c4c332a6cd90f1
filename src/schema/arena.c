/* schema/arena.c - see arena.h */
#include "schema/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { BLOCK_SIZE = 16 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(max_align_t) uint8_t bytes[];
};

void *arena_take(struct arena *arena, size_t size) {
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!arena->blocks || size > arena->left) {
        size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct arena_block *block = memory_new(sizeof *block + block_size);
        *block = (struct arena_block){.next = arena->blocks, .size = block_size};
        arena->blocks = block;
        arena->left = block_size;
    }
    void *piece = arena->blocks->bytes + (arena->blocks->size - arena->left);
    arena->left -= size;
    return piece;
}

void *arena_take_many(struct arena *arena, size_t count, size_t size) {
    return arena_take(arena, count * size);
}

char *arena_copy(struct arena *arena, const void *bytes, size_t length) {
    char *copy = arena_take(arena, length + 1);
    if (length) memcpy(copy, bytes, length);
    return copy;
}

char *arena_copy_string(struct arena *arena, const char *text) {
    return arena_copy(arena, text, strlen(text));
}

char *arena_join(struct arena *arena, const char *scope, char separator, const char *name) {
    if (!*scope) return arena_copy_string(arena, name);
    size_t scope_length = strlen(scope), name_length = strlen(name);
    char *joined = arena_take(arena, scope_length + name_length + 2);
    memcpy(joined, scope, scope_length);
    joined[scope_length] = separator;
    memcpy(joined + scope_length + 1, name, name_length);
    return joined;
}

void arena_free(struct arena *arena) {
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    arena->left = 0;
}
