/* base/memory.c - see memory.h */
#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory) {
    if (memory) return memory;
    fputs("tidewire: out of memory\n", stderr);
    abort();
}

void *memory_new(size_t size) { return must(calloc(1, size ? size : 1)); }
void *memory_resize(void *memory, size_t size) { return must(realloc(memory, size ? size : 1)); }
char *memory_copy_string(const char *text) { return must(strdup(text)); }

char *memory_copy(const void *bytes, size_t length) {
    char *copy = must(malloc(length + 1));
    if (length) memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

char *memory_format(const char *format, ...) {
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return must(length < 0 ? NULL : text);
}

void memory_keep_freed(void) {
    enum { MIB = 1 << 20 };
    mallopt(M_MMAP_THRESHOLD, 8 * MIB); /* larger ones have pages of their own */
    mallopt(M_TRIM_THRESHOLD, 16 * MIB);
}

void pool_init(struct pool *pool, size_t object_size, size_t most_kept) {
    size_t least = sizeof(void *);
    *pool = (struct pool){.object_size = object_size < least ? least : object_size, .most_kept = most_kept};
#ifdef TIDEWIRE_SANITIZED
    pool->most_kept = 0;
#endif
}

void *pool_take(struct pool *pool) {
    void *object = pool->free;
    if (!object) return memory_new(pool->object_size);
    memcpy(&pool->free, object, sizeof pool->free);
    __builtin_prefetch(pool->free, 1);
    pool->kept--;
    memset(object, 0, pool->object_size);
    return object;
}

void pool_give(struct pool *pool, void *object) {
    if (!object) return;
    if (pool->kept >= pool->most_kept) {
        free(object);
        return;
    }
    memcpy(object, &pool->free, sizeof pool->free);
    pool->free = object;
    pool->kept++;
}

void pool_clear(struct pool *pool) {
    while (pool->free) {
        void *object = pool->free;
        memcpy(&pool->free, object, sizeof pool->free);
        free(object);
    }
    pool->kept = 0;
}
