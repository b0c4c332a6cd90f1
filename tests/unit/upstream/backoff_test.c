/* upstream/backoff.c: the waits grow as gRPC wants them to. */
#include "upstream/backoff.h"

#include "base/clock.h"
#include "check.h"

static void waits_grow_up_to_the_bound_a_fifth_more_or_less(void) {
    struct dice dice = {.state = 42};
    const double expected[] = {1, 1.6, 2.56, 4.096, 6.5536};
    for (uint32_t failures = 1; failures <= 200; failures++) {
        double middle = failures <= 5 ? expected[failures - 1] : 0;
        for (int i = 0; i < 50; i++) {
            double wait = (double)backoff_after(failures, NS_PER_S, 1.6, 120 * NS_PER_S, &dice) / (double)NS_PER_S;
            if (middle > 0) CHECK(wait >= middle * 0.8 - 1e-6 && wait <= middle * 1.2 + 1e-6);
            if (failures > 11) CHECK(wait >= 96 && wait <= 144);
        }
    }
}

static void the_spread_is_even(void) {
    struct dice dice = {.state = 7};
    double sum = 0;
    int low = 0;
    for (int i = 0; i < 10000; i++) {
        double wait = (double)dice_spread(&dice, 1000000, 0.2);
        CHECK(wait >= 800000 && wait <= 1200000);
        sum += wait;
        low += wait < 900000;
    }
    CHECK(sum / 10000 > 990000 && sum / 10000 < 1010000);
    CHECK(low > 2200 && low < 2800);
}

int main(void) {
    RUN(waits_grow_up_to_the_bound_a_fifth_more_or_less);
    RUN(the_spread_is_even);
    return 0;
}
