/* base/stint.h - how much one of many does in a row, before the others have their turn.
 *
 * It is counted in pieces (messages, calls) and in time. The clock is asked only when the count has doubled: a stint of
 * one piece asks for none, and slow pieces are found out after a few. */
#ifndef TIDEWIRE_BASE_STINT_H
#define TIDEWIRE_BASE_STINT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define STINT_UNCOUNTED UINT32_MAX

struct stint {
    uint64_t began; /* before the second piece */
    uint32_t used;
    bool is_over; /* until it begins anew: no further piece */
};

static inline void stint_begin(struct stint *stint) {
    stint->used = 0;
    stint->is_over = false;
}
/* For stint_note(). */
void stint_look(struct stint *stint, uint32_t most, uint64_t time);
/* One more piece is begun. The stint is over with `most` of them (a power of two, or STINT_UNCOUNTED), or after `time`
 * ns. */
static inline void stint_note(struct stint *stint, uint32_t most, uint64_t time) {
    uint32_t used = ++stint->used;
    if ((used & (used - 1)) == 0) stint_look(stint, most, time);
}
#endif
