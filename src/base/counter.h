/* base/counter.h - a number that one thread changes and any thread reads: it costs that one what a plain number does, and
 * whoever reads it sees a whole one, perhaps a moment old. */
#ifndef TIDEWIRE_BASE_COUNTER_H
#define TIDEWIRE_BASE_COUNTER_H
#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t counter_read(const atomic_uint_least64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}
static inline void counter_set(atomic_uint_least64_t *counter, uint64_t number) {
    atomic_store_explicit(counter, number, memory_order_relaxed);
}
static inline void counter_add(atomic_uint_least64_t *counter, uint64_t count) {
    counter_set(counter, counter_read(counter) + count);
}
static inline void counter_take(atomic_uint_least64_t *counter, uint64_t count) {
    counter_set(counter, counter_read(counter) - count);
}
#endif
