/* http/memory.c - see memory.h
 *
 * Every piece is malloc()'s own, which knows its size: nothing is stored beside it, and any of them may be freed. */
#include "http/memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#ifdef TIDEWIRE_SANITIZED
enum { MOST_KEPT = 0 }; /* every object by itself, so that a sanitizer sees it */
#else
enum { MOST_KEPT = 1 << 20 }; /* bytes */
#endif

/* glibc's pieces have room for 16 * n + 8 bytes: lists by n. */
enum { STEP = 16, ODD = 8, SIZES = 33 };

struct http_memory {
    unsigned references;
    size_t kept;
    void *free[SIZES]; /* each piece begins with the address of the next */
};

struct http_memory *http_memory_new(void) {
    struct http_memory *memory = memory_new(sizeof *memory);
    memory->references = 1;
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
    for (size_t i = 0; i < SIZES; i++) {
        while (memory->free[i]) {
            void *piece = memory->free[i];
            memory->free[i] = *(void **)piece;
            free(piece);
        }
    }
    free(memory);
}

static inline size_t list_that_holds(size_t size) { return size <= ODD ? 1 : (size - ODD + STEP - 1) / STEP; }
static inline size_t list_of(void *piece) { return (malloc_usable_size(piece) - ODD) / STEP; }

void *http_memory_take(struct http_memory *memory, size_t size) {
    size_t list = list_that_holds(size);
    if (list >= SIZES) return memory_resize(NULL, size);
    void *piece = memory->free[list];
    if (!piece) return memory_resize(NULL, list * STEP + ODD);
    memory->free[list] = *(void **)piece;
    memory->kept -= list * STEP;
    return piece;
}

void http_memory_give(struct http_memory *memory, void *piece) {
    if (!piece) return;
    size_t list = list_of(piece);
    if (list >= SIZES || memory->kept + list * STEP > MOST_KEPT) {
        free(piece);
        return;
    }
    *(void **)piece = memory->free[list];
    memory->free[list] = piece;
    memory->kept += list * STEP;
}

static void *take(size_t size, void *memory) { return http_memory_take(memory, size); }
static void give(void *piece, void *memory) { http_memory_give(memory, piece); }

static void *take_zeroed(size_t count, size_t size, void *memory) {
    return memset(http_memory_take(memory, count * size), 0, count * size); /* of nghttp2's structs: can't overflow */
}

static void *resize(void *piece, size_t size, void *memory) {
    (void)memory;
    return memory_resize(piece, size);
}

nghttp2_mem http_memory_functions(struct http_memory *memory) {
    return (nghttp2_mem){.mem_user_data = memory, .malloc = take, .free = give, .calloc = take_zeroed, .realloc = resize};
}
