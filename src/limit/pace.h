/* limit/pace.h - the arithmetic of a token bucket, as pure functions of the time.
 *
 * A bucket is one number: the moment at which it will be full. Each token that is taken puts that off by an interval. It
 * may lie a whole bucket ahead of now; where somebody has reserved what is not there yet, further. How fast a bucket
 * fills says each who takes, so that a reload changes it under open streams. */
#ifndef TIDEWIRE_LIMIT_PACE_H
#define TIDEWIRE_LIMIT_PACE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
    double interval; /* ns in which one token comes; 0: there is no limit */
    uint64_t whole;  /* ns in which an empty bucket fills */
};

/* No time or cost is further away: 146 years. */
#define PACE_FAR (UINT64_C(1) << 62)

struct bucket {
    _Atomic uint64_t full_at; /* monotonic ns */
};

/* `rate` tokens a second, not 0; `burst` of them at once, at least 1. */
static inline struct pace pace_make(double rate, double burst) {
    double interval = 1e9 / rate, whole = interval * burst;
    return (struct pace){interval, whole < (double)PACE_FAR ? (uint64_t)whole : PACE_FAR};
}

/* Never nothing, however fast. */
static inline uint64_t pace_cost(const struct pace *pace, uint64_t tokens) {
    double cost = (double)tokens * pace->interval;
    if (!(cost < (double)PACE_FAR)) return PACE_FAR;
    return tokens && cost < 1 ? 1 : (uint64_t)cost;
}

/* How long a bucket that is full at `full_at` lacks so many ns; one that asks for more than it holds wants it full. */
static inline uint64_t pace_lack(const struct pace *pace, uint64_t full_at, uint64_t cost, uint64_t now) {
    uint64_t used = full_at > now ? full_at - now : 0, room = pace->whole > cost ? pace->whole - cost : 0;
    return used > room ? used - room : 0;
}

static inline uint64_t pace_put_off(uint64_t full_at, uint64_t cost, uint64_t now) {
    uint64_t from = full_at > now ? full_at : now, most = now < UINT64_MAX - PACE_FAR ? now + PACE_FAR : UINT64_MAX;
    return from < most && cost < most - from ? from + cost : from > most ? from : most;
}

/* Takes the tokens, at once or in advance: returns after how many ns they are there. Whoever reserves later waits
 * longer. `wanted` of them have to be there, the rest are owed by those who come later. `is_shared`: by threads. */
uint64_t pace_reserve(const struct pace *pace, struct bucket *bucket, bool is_shared, uint64_t wanted, uint64_t tokens,
                      uint64_t now);
/* Takes the tokens if they are there, and returns 0; else nothing, and returns after how many ns they could be. */
uint64_t pace_take(const struct pace *pace, struct bucket *bucket, bool is_shared, uint64_t wanted, uint64_t tokens,
                   uint64_t now);
/* After how many ns the tokens could be there. */
uint64_t pace_wait(const struct pace *pace, const struct bucket *bucket, uint64_t tokens, uint64_t now);
/* They were taken, and not needed. */
void pace_give_back(const struct pace *pace, struct bucket *bucket, uint64_t tokens);
#endif
