/* base/stint.c - see stint.h */
#include "base/stint.h"

enum { FEW = 16 };

void stint_look(struct stint *stint, uint32_t most, uint64_t time) {
    if (stint->used >= most) {
        stint->is_over = true;
    } else if (stint->used <= 2) {
        if (stint->used == (stint->is_slow ? 1 : 2)) stint->began = clock_monotonic();
    } else {
        stint->is_over = clock_monotonic() - stint->began >= time;
        stint->is_slow = stint->used < FEW && (stint->is_slow || stint->is_over);
    }
}

bool stint_has_taken(struct stint *stint, uint64_t time) {
    if (stint->used && clock_monotonic() - stint->began >= time) stint->is_over = true;
    return stint->is_over;
}
