/* net_kit.h - what the tests of this room share: a loop that may not run for ever. */
#ifndef TIDEWIRE_TESTS_NET_KIT_H
#define TIDEWIRE_TESTS_NET_KIT_H
#include "base/clock.h"
#include "check.h"
#include "net/loop.h"

static inline void kit_fail_late(struct timer *timer) {
    (void)timer;
    fprintf(stderr, "the loop was not stopped within its time\n");
    exit(1);
}

/* Until somebody calls loop_stop(); half a minute without that fails the test. */
static inline void kit_run(struct loop *loop) {
    struct timer deadline;
    timer_init(&deadline, kit_fail_late);
    timer_start(loop, &deadline, clock_monotonic() + 30 * NS_PER_S);
    loop_run(loop);
    timer_stop(loop, &deadline);
}
#endif
