/* http/memory.c - see memory.h
 *
 * nghttp2 gives pieces back without their size, so each has a word before it: its row. */
#include "http/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/pool.h"

/* Row i has pieces for 16 * (i + 1) bytes with that word; the last one is for all that are larger, and malloc()'s. */
enum { HEAD = sizeof(uint64_t), STEP = 16, ROWS = 33, LARGE = ROWS - 1, ROW_KEPT = 256 * 1024 /* bytes */ };

struct http_memory {
    unsigned references;
    struct pool rows[LARGE];
};

struct http_memory *http_memory_new(void) {
    struct http_memory *memory = memory_new(sizeof *memory);
    memory->references = 1;
    for (size_t i = 0; i < LARGE; i++) pool_init(&memory->rows[i], STEP * (i + 1), ROW_KEPT / (STEP * (i + 1)));
    return memory;
}

struct http_memory *http_memory_ref(struct http_memory *memory) {
    memory->references++;
    return memory;
}

void http_memory_unref(struct http_memory **handle) {
    struct http_memory *memory = *handle;
    *handle = NULL;
    if (--memory->references) return;
    for (size_t i = 0; i < LARGE; i++) pool_clear(&memory->rows[i]);
    free(memory);
}

static void *behind_row(uint64_t *head, size_t row) {
    *head = row;
    return head + 1;
}
static uint64_t *head_of(void *piece) { return (uint64_t *)piece - 1; }

void *http_memory_take(struct http_memory *memory, size_t size) {
    size_t row = (size + HEAD - 1) / STEP;
    if (row >= LARGE) return behind_row(memory_resize(NULL, HEAD + size), LARGE);
    return behind_row(pool_take_uncleared(&memory->rows[row]), row);
}

void http_memory_give(struct http_memory *memory, void *piece) {
    if (!piece) return;
    uint64_t *head = head_of(piece);
    if (*head == LARGE) free(head);
    else pool_give(&memory->rows[*head], head);
}

static void *take(size_t size, void *memory) { return http_memory_take(memory, size); }
static void give(void *piece, void *memory) { http_memory_give(memory, piece); }

static void *take_zeroed(size_t count, size_t size, void *memory) {
    return memset(http_memory_take(memory, count * size), 0, count * size); /* of nghttp2's structs: can't overflow */
}

static void *resize(void *piece, size_t size, void *memory) {
    if (piece && *head_of(piece) == LARGE) return behind_row(memory_resize(head_of(piece), HEAD + size), LARGE);
    void *resized = http_memory_take(memory, size);
    if (!piece) return resized;
    size_t before = STEP * (*head_of(piece) + 1) - HEAD;
    memcpy(resized, piece, before < size ? before : size);
    http_memory_give(memory, piece);
    return resized;
}

nghttp2_mem http_memory_functions(struct http_memory *memory) {
    return (nghttp2_mem){.mem_user_data = memory, .malloc = take, .free = give, .calloc = take_zeroed, .realloc = resize};
}
