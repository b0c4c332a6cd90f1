/* Stints: how many pieces there are in one. */
#include "base/stint.h"

#include "check.h"

static uint32_t pieces(uint32_t most, uint64_t time, uint64_t each) {
    struct stint stint = {0};
    while (!stint.is_over && stint.used < 5000) {
        stint_note(&stint, most, time);
        for (uint64_t till = clock_monotonic() + each; each && clock_monotonic() < till;) continue;
    }
    return stint.used;
}

static void quick_pieces_are_counted(void) {
    CHECK_INT(pieces(256, 3600 * NS_PER_S, 0), 256);
    CHECK_INT(pieces(1, 3600 * NS_PER_S, 0), 1);
    CHECK_INT(pieces(STINT_UNCOUNTED, 3600 * NS_PER_S, 0), 5000);
}

static void slow_pieces_are_few(void) {
    CHECK_INT(pieces(256, NS_PER_MS, NS_PER_MS), 4);
    CHECK(pieces(256, 10 * NS_PER_MS, NS_PER_MS) <= 16);
}

static void one_that_begins_anew_is_whole(void) {
    struct stint stint = {0};
    stint_note(&stint, 1, 0);
    CHECK(stint.is_over);
    stint_begin(&stint);
    CHECK(!stint.is_over);
    stint_note(&stint, 2, NS_PER_S);
    CHECK(!stint.is_over);
    stint_note(&stint, 2, NS_PER_S);
    CHECK(stint.is_over);
}

/* Slow ones, then quick ones. */
static void after_slow_pieces_each_is_looked_at(void) {
    struct stint stint = {0};
    uint32_t expected[] = {4, 1, 1};
    for (int i = 0; i < 3; i++) {
        stint_begin(&stint);
        while (!stint_is_over(&stint, NS_PER_MS)) {
            stint_note(&stint, 256, NS_PER_MS);
            for (uint64_t till = clock_monotonic() + NS_PER_MS; clock_monotonic() < till;) continue;
        }
        CHECK_INT(stint.used, expected[i]);
    }
    stint_begin(&stint);
    while (!stint_is_over(&stint, 3600 * NS_PER_S)) stint_note(&stint, 256, 3600 * NS_PER_S);
    CHECK_INT(stint.used, 256);
    CHECK(!stint.is_slow);
    stint.is_slow = true;
    stint.is_over = false;
    stint_begin(&stint); /* there was no more to do in the one before */
    CHECK(!stint.is_slow);
}

int main(void) {
    RUN(quick_pieces_are_counted);
    RUN(slow_pieces_are_few);
    RUN(one_that_begins_anew_is_whole);
    RUN(after_slow_pieces_each_is_looked_at);
    return 0;
}
