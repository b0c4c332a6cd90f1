/* base/memory.h - allocation that ends the process when memory is out, so that no caller handles it.
 *
 * Sizes that a peer or a file chooses are bounded before they get here. */
#ifndef TIDEWIRE_BASE_MEMORY_H
#define TIDEWIRE_BASE_MEMORY_H
#include <stddef.h>

void *memory_new(size_t size);                 /* zeroed */
void *memory_resize(void *memory, size_t size); /* as realloc; memory may be NULL */
char *memory_copy_string(const char *text);
char *memory_copy(const void *bytes, size_t length); /* NUL-terminated copy */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Once, before there are threads: what is freed stays with the process for the next use, up to some MiB a thread, as
 * the kernel charges more for a fresh page than it costs to fill it. */
void memory_keep_freed(void);

/* A free list of equal objects for one thread. Objects come zeroed from pool_take(). A sanitizer build hands out
 * plain allocations, so that use after free is seen. */
struct pool {
    size_t object_size;
    size_t kept, most_kept; /* free objects beyond most_kept go back to the allocator */
    void *free;
};
void pool_init(struct pool *pool, size_t object_size, size_t most_kept);
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *object);
void pool_clear(struct pool *pool); /* frees what is kept */
#endif
