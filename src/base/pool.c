/* base/pool.c - see pool.h
 *
 * A slab is aligned to its size, so that an object leads to it. Which of its places are free is in bits at its
 * beginning, and not in the places themselves: what is free is not touched. */
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    SLAB = 16 * 1024,
    USED = SLAB - 16, /* of it: the allocator has what stands before the next one there, so that slabs lie close */
    ALIGNMENT = 16,
    LINE = 64,
    WORD = 64,
};

struct slab {
    struct list node;   /* in pool->open while it has a free place */
    uint32_t free;      /* places */
    uint32_t lowest;    /* word of `bits`: none before it has a free place */
    uint64_t bits[];    /* set: free */
};

static size_t round_up(size_t size, size_t to) { return (size + to - 1) / to * to; }
static size_t words_of(size_t places) { return (places + WORD - 1) / WORD; }

void pool_init(struct pool *pool, size_t object_size, size_t most_kept) {
    size_t stride = round_up(object_size ? object_size : 1, ALIGNMENT);
    size_t most = (USED - sizeof(struct slab)) / stride;
    size_t first = round_up(sizeof(struct slab) + words_of(most) * sizeof(uint64_t), LINE);
    *pool = (struct pool){.object_size = stride,
                          .most_kept = most_kept,
                          .first = (uint32_t)first,
                          .places = (uint32_t)((USED - first) / stride)};
    assert(pool->places);
    list_init(&pool->open);
}

#ifdef TIDEWIRE_SANITIZED

void *pool_take(struct pool *pool) { return memory_new(pool->object_size); }
void *pool_take_uncleared(struct pool *pool) { return memory_resize(NULL, pool->object_size); }
void pool_give(struct pool *pool, void *object) {
    (void)pool;
    free(object);
}
void pool_clear(struct pool *pool) { (void)pool; }

#else

static struct slab *slab_of(void *object) { return (struct slab *)((uintptr_t)object & ~(uintptr_t)(SLAB - 1)); }
static void *place_at(const struct pool *pool, struct slab *slab, size_t i) {
    return (char *)slab + pool->first + i * pool->object_size;
}

static struct slab *slab_new(struct pool *pool) {
    struct slab *slab = memory_aligned(SLAB, USED);
    size_t words = words_of(pool->places);
    slab->free = pool->places;
    slab->lowest = 0;
    memset(slab->bits, 0xff, words * sizeof *slab->bits);
    if (pool->places % WORD) slab->bits[words - 1] = (UINT64_C(1) << pool->places % WORD) - 1;
    pool->kept += pool->places;
    list_append(&pool->open, &slab->node);
    return slab;
}

static void slab_free(struct pool *pool, struct slab *slab) {
    pool->kept -= pool->places;
    list_remove(&slab->node);
    free(slab);
}

void *pool_take_uncleared(struct pool *pool) {
    struct slab *slab =
        list_is_empty(&pool->open) ? slab_new(pool) : container_of(pool->open.next, struct slab, node);
    uint64_t *word = &slab->bits[slab->lowest];
    while (!*word) word++;
    slab->lowest = (uint32_t)(word - slab->bits);
    void *object = place_at(pool, slab, slab->lowest * WORD + (size_t)__builtin_ctzll(*word));
    *word &= *word - 1;
    pool->kept--;
    if (--slab->free == 0) list_remove(&slab->node);
    return object;
}

void *pool_take(struct pool *pool) { return memset(pool_take_uncleared(pool), 0, pool->object_size); }

void pool_give(struct pool *pool, void *object) {
    if (!object) return;
    struct slab *slab = slab_of(object);
    size_t i = (size_t)((char *)object - (char *)place_at(pool, slab, 0)) / pool->object_size;
    slab->bits[i / WORD] |= UINT64_C(1) << i % WORD;
    if (i / WORD < slab->lowest) slab->lowest = (uint32_t)(i / WORD);
    if (slab->free++ == 0) list_prepend(&pool->open, &slab->node);
    pool->kept++;
    if (slab->free == pool->places && pool->kept - pool->places >= pool->most_kept) slab_free(pool, slab);
}

void pool_clear(struct pool *pool) {
    for (struct list *node = pool->open.next, *next; node != &pool->open; node = next) {
        struct slab *slab = container_of(node, struct slab, node);
        next = node->next;
        if (slab->free == pool->places) slab_free(pool, slab);
    }
}

#endif
