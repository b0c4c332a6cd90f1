/* upstream/backoff.h - how long to wait before the next attempt (gRPC: connection-backoff.md, A6). */
#ifndef TIDEWIRE_UPSTREAM_BACKOFF_H
#define TIDEWIRE_UPSTREAM_BACKOFF_H
#include <stdint.h>

/* A small generator; what it draws need not be secret. Zero is no good seed. */
struct dice {
    uint64_t state;
};
/* In [0, 1). */
double dice_roll(struct dice *dice);
/* `ns`, `part` more or less by chance: 0.2 is a fifth. */
uint64_t dice_spread(struct dice *dice, uint64_t ns, double part);

/* After `failures` (1 is the first) in a row: first * factor^(failures - 1), at most `most`, a fifth more or less. */
uint64_t backoff_after(uint32_t failures, uint64_t first, double factor, uint64_t most, struct dice *dice);
#endif
