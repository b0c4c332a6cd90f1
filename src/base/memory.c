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
void *memory_aligned(size_t alignment, size_t size) {
    void *memory;
    return must(posix_memalign(&memory, alignment, size) == 0 ? memory : NULL);
}

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
