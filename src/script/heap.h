/* script/heap.h - the memory of one Lua state.
 *
 * Messages make and drop a few small Lua objects each. Their memory comes from free lists, one for each size, which
 * cost a tenth of a general allocator, as Lua tells the size of what it frees. Large objects come from malloc(), which
 * keeps what was freed instead of giving each one back to the kernel at once.
 *
 * Memory that was cut into small pieces stays the state's until its end. */
#ifndef TIDEWIRE_SCRIPT_HEAP_H
#define TIDEWIRE_SCRIPT_HEAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEAP_STEP = 16,                        /* sizes are multiples of it */
    HEAP_SMALL = 512,                      /* the largest size with a list */
    HEAP_SIZES = HEAP_SMALL / HEAP_STEP
};

struct heap;

/* What one handler may add to the state's memory. Looked at when memory comes from the system, not for each object. */
struct heap_guard {
    const volatile bool *is_watching; /* a handler runs, and an error of Lua's would be caught */
    size_t limit;                     /* bytes */
    size_t (*used)(void *context);    /* bytes that the state uses now, what its objects hold elsewhere included */
    void (*on_excess)(void *context); /* the limit is passed: the handler has to be stopped soon */
    void *context;
};

struct heap {
    struct heap_guard guard;
    size_t taken; /* bytes from the system */
    void *free[HEAP_SIZES];
    uint8_t *rest; /* of the newest block: not yet cut */
    size_t left;
    void *blocks;  /* each begins with the address of the one before */
};

/* A lua_Alloc; `heap` is a zeroed struct heap. Ends the process when memory is out; but a handler that asks for very
 * much at once beyond the limit gets NULL, of which Lua makes an error. */
void *heap_allocate(void *heap, void *memory, size_t old_size, size_t new_size);
/* Objects hold more memory outside of the heap: looks at the limit. */
void heap_has_grown(struct heap *heap);
/* After the state was closed. */
void heap_clear(struct heap *heap);
#endif
