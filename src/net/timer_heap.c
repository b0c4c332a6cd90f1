/* net/timer_heap.c - see timer_heap.h */
#include "net/timer_heap.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/loop.h"

enum { LEAST_CAPACITY = 64 };

static bool is_sooner(const struct timer *a, const struct timer *b) {
    if (a->due != b->due) return a->due < b->due;
    return (int32_t)(a->order - b->order) < 0; /* the counter may wrap */
}

static void put(struct timer_heap *heap, uint32_t place, struct timer *timer) {
    heap->timers[place] = timer;
    timer->place = place;
}

static void move_up(struct timer_heap *heap, uint32_t place, struct timer *timer) {
    while (place > 1 && is_sooner(timer, heap->timers[place / 2])) {
        put(heap, place, heap->timers[place / 2]);
        place /= 2;
    }
    put(heap, place, timer);
}

static void move_down(struct timer_heap *heap, uint32_t place, struct timer *timer) {
    while (place <= heap->count / 2) {
        uint32_t child = place * 2;
        if (child < heap->count && is_sooner(heap->timers[child + 1], heap->timers[child])) child++;
        if (!is_sooner(heap->timers[child], timer)) break;
        put(heap, place, heap->timers[child]);
        place = child;
    }
    put(heap, place, timer);
}

static void set_capacity(struct timer_heap *heap, uint32_t capacity) {
    heap->timers = memory_resize(heap->timers, (capacity + (size_t)1) * sizeof *heap->timers);
    heap->capacity = capacity;
}

void timer_heap_add(struct timer_heap *heap, struct timer *timer) {
    if (heap->count == heap->capacity)
        set_capacity(heap, heap->capacity ? heap->capacity * 2 : LEAST_CAPACITY);
    timer->order = heap->next_order++;
    move_up(heap, ++heap->count, timer);
}

void timer_heap_remove(struct timer_heap *heap, struct timer *timer) {
    uint32_t place = timer->place;
    struct timer *last = heap->timers[heap->count--];
    timer->place = 0;
    if (last != timer) {
        if (place > 1 && is_sooner(last, heap->timers[place / 2])) move_up(heap, place, last);
        else move_down(heap, place, last);
    }
    if (heap->capacity > LEAST_CAPACITY && heap->count < heap->capacity / 4)
        set_capacity(heap, heap->capacity / 2);
}

struct timer *timer_heap_first(const struct timer_heap *heap) {
    return heap->count ? heap->timers[1] : NULL;
}

void timer_heap_free(struct timer_heap *heap) {
    free(heap->timers);
    *heap = (struct timer_heap){0};
}
