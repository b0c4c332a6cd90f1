/* base/pool.h - memory for many equal objects of one thread.
 *
 * They lie behind each other in slabs, and a new one gets the first free place of its slab: so objects that are made in a
 * row are walked through in a row later, also when thousands have come and gone before. Objects come zeroed, aligned to 16
 * bytes. A sanitizer build hands out plain allocations, so that use after free is seen. */
#ifndef TIDEWIRE_BASE_POOL_H
#define TIDEWIRE_BASE_POOL_H
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct pool {
    size_t object_size, most_kept;
    size_t kept;      /* free places in all slabs; slabs of nothing else, beyond most_kept, go back to the allocator */
    struct list open; /* slabs with a free place */
    uint32_t places, first; /* of a slab: how many, and where */
};
void pool_init(struct pool *pool, size_t object_size, size_t most_kept);
void *pool_take(struct pool *pool);
/* As it is, for who fills all of it. */
void *pool_take_uncleared(struct pool *pool);
void pool_give(struct pool *pool, void *object); /* NULL is fine */
void pool_clear(struct pool *pool); /* frees what is kept */
#endif
