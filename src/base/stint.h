/* base/stint.h - how much one of many does in a row, before the others have their turn.
 *
 * It is counted in pieces (messages, calls) and in time. The clock is asked only when the count has doubled: a stint of
 * one piece asks for none, and slow pieces are found out after a few. After a stint of slow pieces the next one asks
 * before each, so that one piece may be all of it. */
#ifndef TIDEWIRE_BASE_STINT_H
#define TIDEWIRE_BASE_STINT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define STINT_UNCOUNTED UINT32_MAX

struct stint {
    uint64_t began; /* before the second piece; when it is slow, before the first */
    uint32_t used;
    bool is_over; /* until it begins anew */
    bool is_slow; /* the one before was over after few pieces */
};

static inline void stint_begin(struct stint *stint) {
    stint->used = 0;
    stint->is_slow = stint->is_slow && stint->is_over;
    stint->is_over = false;
}
/* For stint_note() and stint_is_over(). */
void stint_look(struct stint *stint, uint32_t most, uint64_t time);
bool stint_has_taken(struct stint *stint, uint64_t time);
/* One more piece is begun. The stint is over with `most` of them (a power of two, or STINT_UNCOUNTED), or after `time`
 * ns. */
static inline void stint_note(struct stint *stint, uint32_t most, uint64_t time) {
    uint32_t used = ++stint->used;
    if ((used & (used - 1)) == 0) stint_look(stint, most, time);
}
/* No further piece. `time` as for stint_note(). */
static inline bool stint_is_over(struct stint *stint, uint64_t time) {
    return stint->is_over || (stint->is_slow && stint_has_taken(stint, time));
}
#endif
