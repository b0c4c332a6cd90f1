/* base/stint.c - see stint.h */
#include "base/stint.h"

void stint_look(struct stint *stint, uint32_t most, uint64_t time) {
    if (stint->used >= most) {
        stint->is_over = true;
    } else if (stint->used == 2) {
        stint->began = clock_monotonic();
    } else if (stint->used > 2) {
        stint->is_over = clock_monotonic() - stint->began >= time;
    }
}
