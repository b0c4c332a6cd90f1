/* script/heap.c - see heap.h */
#include "script/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { VERY_MUCH = 16 << 20 }; /* for one object; less than that is given, and the handler stopped a little later */

static bool is_excess(const struct heap *heap, size_t size) {
    const struct heap_guard *guard = &heap->guard;
    if (heap->taken + size <= guard->limit || !guard->is_watching || !*guard->is_watching) return false;
    return guard->used(guard->context) + size > guard->limit;
}

void heap_has_grown(struct heap *heap) {
    const struct heap_guard *guard = &heap->guard;
    if (guard->is_watching && *guard->is_watching && guard->used(guard->context) > guard->limit)
        guard->on_excess(guard->context);
}

/* NULL: the handler may not have it. */
static void *resize_large(struct heap *heap, void *memory, size_t old_size, size_t size) {
    if (size > old_size && is_excess(heap, size - old_size)) {
        if (size >= VERY_MUCH) return NULL;
        heap->guard.on_excess(heap->guard.context);
    }
    heap->taken += size - old_size;
    return memory_resize(memory, size);
}

static void free_large(struct heap *heap, void *memory, size_t size) {
    heap->taken -= size;
    free(memory);
}

#ifdef TIDEWIRE_SANITIZED
/* Every object by itself, so that a sanitizer sees it. */
void *heap_allocate(void *heap, void *memory, size_t old_size, size_t new_size) {
    if (new_size) return resize_large(heap, memory, memory ? old_size : 0, new_size);
    if (memory) free_large(heap, memory, old_size);
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
    uint8_t *block = resize_large(heap, NULL, 0, BLOCK);
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
    if (size > HEAP_SMALL) return resize_large(heap, NULL, 0, size);
    void **list = &heap->free[place_of(size)], *memory = *list;
    if (!memory) return cut(heap, place_of(size));
    *list = *(void **)memory;
    __builtin_prefetch(*list, 1); /* garbage has scattered the list: who takes next would wait for its memory */
    return memory;
}

static inline void give_any(struct heap *heap, void *memory, size_t size) {
    if (size > HEAP_SMALL) free_large(heap, memory, size);
    else give(heap, memory, size);
}

void *heap_allocate(void *user, void *memory, size_t old_size, size_t new_size) {
    struct heap *heap = user;
    if (!memory) return new_size ? take(heap, new_size) : NULL;
    if (!new_size) {
        give_any(heap, memory, old_size);
        return NULL;
    }
    if (old_size > HEAP_SMALL && new_size > HEAP_SMALL) return resize_large(heap, memory, old_size, new_size);
    void *moved = take(heap, new_size);
    if (!moved) return NULL;
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
