/* limit/pace.c - see pace.h. Nothing else is published by a bucket's number, so the order of memory is no matter. */
#include "limit/pace.h"

static uint64_t load(const struct bucket *bucket) {
    return atomic_load_explicit(&bucket->full_at, memory_order_relaxed);
}

/* A bucket of one thread needs no locked instruction. */
static bool replace(struct bucket *bucket, bool is_shared, uint64_t *before, uint64_t after) {
    if (is_shared)
        return atomic_compare_exchange_weak_explicit(&bucket->full_at, before, after, memory_order_relaxed,
                                                     memory_order_relaxed);
    atomic_store_explicit(&bucket->full_at, after, memory_order_relaxed);
    return true;
}

uint64_t pace_reserve(const struct pace *pace, struct bucket *bucket, bool is_shared, uint64_t wanted, uint64_t tokens,
                      uint64_t now) {
    uint64_t need = pace_cost(pace, wanted), cost = pace_cost(pace, tokens), before = load(bucket);
    while (!replace(bucket, is_shared, &before, pace_put_off(before, cost, now))) continue;
    return pace_lack(pace, before, need, now);
}

uint64_t pace_take(const struct pace *pace, struct bucket *bucket, bool is_shared, uint64_t wanted, uint64_t tokens,
                   uint64_t now) {
    uint64_t need = pace_cost(pace, wanted), cost = pace_cost(pace, tokens), before = load(bucket), lack;
    do {
        lack = pace_lack(pace, before, need, now);
    } while (!lack && !replace(bucket, is_shared, &before, pace_put_off(before, cost, now)));
    return lack;
}

uint64_t pace_wait(const struct pace *pace, const struct bucket *bucket, uint64_t tokens, uint64_t now) {
    return pace_lack(pace, load(bucket), pace_cost(pace, tokens), now);
}

/* A bucket that has filled meanwhile is not the fuller for it. */
void pace_give_back(const struct pace *pace, struct bucket *bucket, uint64_t tokens) {
    uint64_t cost = pace_cost(pace, tokens), before = load(bucket);
    while (!replace(bucket, true, &before, before > cost ? before - cost : 0)) continue;
}
