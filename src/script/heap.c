/* script/heap.c - see heap.h */
#include "script/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#ifdef TIDEWIRE_SANITIZED
/* Every object by itself, so that a sanitizer sees it. */
void *heap_allocate(void *heap, void *memory, size_t old_size, size_t new_size) {
    (void)heap, (void)old_size;
    if (new_size) return memory_resize(memory, new_size);
    free(memory);
    return NULL;
}
#else
enum { BLOCK = 64 << 10 };

static inline size_t place_of(size_t size) { return (size - 1) / HEAP_STEP; }

static inline void give(struct heap *heap, void *memory, size_t size) {
    void **list = &heap->free[place_of(size)];
    *(void **)memory = *list;
    *list = memory;
}

static void add_block(struct heap *heap) {
    if (heap->left) give(heap, heap->rest, heap->left); /* smaller than what was asked for: some list's size */
    uint8_t *block = memory_resize(NULL, BLOCK);
    *(void **)(void *)block = heap->blocks;
    heap->blocks = block;
    heap->rest = block + HEAP_STEP;
    heap->left = BLOCK - HEAP_STEP;
}

static __attribute__((noinline)) void *cut(struct heap *heap, size_t place) {
    size_t size = (place + 1) * HEAP_STEP;
    if (heap->left < size) add_block(heap);
    void *memory = heap->rest;
    heap->rest += size;
    heap->left -= size;
    return memory;
}

static inline void *take(struct heap *heap, size_t size) {
    if (size > HEAP_SMALL) return memory_resize(NULL, size);
    void **list = &heap->free[place_of(size)], *memory = *list;
    if (!memory) return cut(heap, place_of(size));
    *list = *(void **)memory;
    return memory;
}

static inline void give_any(struct heap *heap, void *memory, size_t size) {
    if (size > HEAP_SMALL) free(memory);
    else give(heap, memory, size);
}

void *heap_allocate(void *user, void *memory, size_t old_size, size_t new_size) {
    struct heap *heap = user;
    if (!memory) return new_size ? take(heap, new_size) : NULL;
    if (!new_size) {
        give_any(heap, memory, old_size);
        return NULL;
    }
    if (old_size > HEAP_SMALL && new_size > HEAP_SMALL) return memory_resize(memory, new_size);
    void *moved = take(heap, new_size);
    memcpy(moved, memory, old_size < new_size ? old_size : new_size);
    give_any(heap, memory, old_size);
    return moved;
}
#endif

void heap_clear(struct heap *heap) {
    while (heap->blocks) {
        void *block = heap->blocks;
        heap->blocks = *(void **)block;
        free(block);
    }
    *heap = (struct heap){0};
}
