/* upstream/backoff.c - see backoff.h */
#include "upstream/backoff.h"

/* xorshift64*: Marsaglia's shifts, with a multiplication behind them. */
double dice_roll(struct dice *dice) {
    uint64_t x = dice->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    dice->state = x;
    return (double)((x * UINT64_C(0x2545F4914F6CDD1D)) >> 11) / 9007199254740992.0; /* 2^53 */
}

uint64_t dice_spread(struct dice *dice, uint64_t ns, double part) {
    return (uint64_t)((double)ns * (1 - part + 2 * part * dice_roll(dice)));
}

uint64_t backoff_after(uint32_t failures, uint64_t first, double factor, uint64_t most, struct dice *dice) {
    double wait = (double)first;
    for (uint32_t i = 1; i < failures && wait < (double)most; i++) wait *= factor;
    if (wait > (double)most) wait = (double)most;
    return dice_spread(dice, (uint64_t)wait, 0.2);
}
