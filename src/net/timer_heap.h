/* net/timer_heap.h - the running timers of a loop, soonest first: a binary heap in which each timer knows its
 * place, so that any of them leaves in O(log n). */
#ifndef TIDEWIRE_NET_TIMER_HEAP_H
#define TIDEWIRE_NET_TIMER_HEAP_H
#include <stdint.h>

struct timer;

struct timer_heap {
    struct timer **timers; /* from 1 to count */
    uint32_t count, capacity;
    uint32_t next_order;
};

/* `timer` has its due time and is in no heap. */
void timer_heap_add(struct timer_heap *heap, struct timer *timer);
void timer_heap_remove(struct timer_heap *heap, struct timer *timer);
/* NULL when none runs. */
struct timer *timer_heap_first(const struct timer_heap *heap);
/* Frees the heap, not the timers. */
void timer_heap_free(struct timer_heap *heap);
#endif
