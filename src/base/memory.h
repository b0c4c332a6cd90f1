/* base/memory.h - allocation that ends the process when memory is out, so that no caller handles it.
 *
 * Sizes that a peer or a file chooses are bounded before they get here. */
#ifndef TIDEWIRE_BASE_MEMORY_H
#define TIDEWIRE_BASE_MEMORY_H
#include <stddef.h>

void *memory_new(size_t size);                 /* zeroed */
void *memory_resize(void *memory, size_t size); /* as realloc; memory may be NULL */
void *memory_aligned(size_t alignment, size_t size); /* a power of two */
char *memory_copy_string(const char *text);
char *memory_copy(const void *bytes, size_t length); /* NUL-terminated copy */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Brings these bytes, which are needed soon, nearer. A hint: the address need not be valid. */
static inline void memory_prefetch(const void *bytes, size_t size) {
    enum { LINE = 64 };
    const char *end = (const char *)bytes + size;
    for (const char *line = bytes; line < end; line += LINE) __builtin_prefetch(line, 1);
    __builtin_prefetch(end - 1, 1);
}

/* Once, before there are threads: what is freed stays with the process for the next use, up to some MiB a thread, as
 * the kernel charges more for a fresh page than it costs to fill it. */
void memory_keep_freed(void);
#endif
