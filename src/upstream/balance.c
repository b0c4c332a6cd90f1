/* upstream/balance.c - see balance.h */
#include "upstream/balance.h"

int balance_in_turn(const struct candidate *candidates, size_t count, size_t *next) {
    for (size_t i = 0; i < count; i++) {
        size_t at = (*next + i) % count;
        if (!candidates[at].is_usable) continue;
        *next = (at + 1) % count;
        return (int)at;
    }
    return BALANCE_NOBODY;
}

int balance_least(const struct candidate *candidates, size_t count, size_t *next) {
    int best = BALANCE_NOBODY;
    for (size_t i = 0; i < count; i++) {
        size_t at = (*next + i) % count;
        if (!candidates[at].is_usable) continue;
        if (best == BALANCE_NOBODY || candidates[at].load < candidates[best].load) best = (int)at;
    }
    if (best != BALANCE_NOBODY) *next = ((size_t)best + 1) % count;
    return best;
}

/* Spreads the bits: MurmurHash3's finalizer. */
static uint64_t mix(uint64_t x) {
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

int balance_by_hash(const struct candidate *candidates, size_t count, uint64_t key) {
    int best = BALANCE_NOBODY;
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        if (!candidates[i].is_usable) continue;
        uint64_t score = mix(candidates[i].hash ^ mix(key));
        if (best != BALANCE_NOBODY && score <= most) continue;
        best = (int)i;
        most = score;
    }
    return best;
}

/* FNV-1a, with its bits spread. */
uint64_t balance_hash(const void *bytes, size_t length) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const uint8_t *at = bytes, *end = at + length; at < end; at++) hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    return mix(hash);
}
