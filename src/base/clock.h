/* base/clock.h - the clocks, in nanoseconds. A loop caches clock_monotonic() once a turn: ask the loop first. */
#ifndef TIDEWIRE_BASE_CLOCK_H
#define TIDEWIRE_BASE_CLOCK_H
#include <stdint.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t clock_read(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}
static inline uint64_t clock_monotonic(void) { return clock_read(CLOCK_MONOTONIC); }
static inline uint64_t clock_wall(void) { return clock_read(CLOCK_REALTIME); }
#endif
