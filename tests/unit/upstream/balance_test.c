/* upstream/balance.c: who gets a call. */
#include "upstream/balance.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

enum { TARGETS = 5, KEYS = 10000 };

static struct candidate candidates[TARGETS];

static void reset(void) {
    for (int i = 0; i < TARGETS; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, "10.0.0.%d:50051", i);
        candidates[i] = (struct candidate){.hash = balance_hash(name, (size_t)length), .is_usable = true};
    }
}

static uint64_t key(int i) {
    char text[32];
    return balance_hash(text, (size_t)snprintf(text, sizeof text, "user-%d", i));
}

static void round_robin_takes_each_in_turn_and_skips_the_unusable(void) {
    size_t next = 0;
    reset();
    candidates[2].is_usable = false;
    const int expected[] = {0, 1, 3, 4, 0, 1, 3, 4};
    for (int i = 0; i < 8; i++) CHECK_INT(balance_in_turn(candidates, TARGETS, &next), expected[i]);
    next = 17; /* there were more once */
    CHECK(balance_in_turn(candidates, TARGETS, &next) >= 0);
    for (int i = 0; i < TARGETS; i++) candidates[i].is_usable = false;
    CHECK_INT(balance_in_turn(candidates, TARGETS, &next), BALANCE_NOBODY);
    CHECK_INT(balance_in_turn(candidates, 0, &next), BALANCE_NOBODY);
}

static void the_least_loaded_is_taken_and_equals_in_turn(void) {
    size_t next = 0;
    int seen[TARGETS] = {0};
    reset();
    candidates[0].load = 3;
    candidates[3].load = 1;
    candidates[1].load = candidates[2].load = candidates[4].load = 2;
    CHECK_INT(balance_least(candidates, TARGETS, &next), 3);
    candidates[3].is_usable = false;
    for (int i = 0; i < 30; i++) seen[balance_least(candidates, TARGETS, &next)]++;
    CHECK(seen[1] == 10 && seen[2] == 10 && seen[4] == 10);
}

static void hashing_spreads_keys_evenly_and_keeps_them(void) {
    int seen[TARGETS] = {0};
    reset();
    for (int i = 0; i < KEYS; i++) {
        int target = balance_by_hash(candidates, TARGETS, key(i));
        CHECK_INT(balance_by_hash(candidates, TARGETS, key(i)), target);
        seen[target]++;
    }
    for (int i = 0; i < TARGETS; i++)
        CHECK(seen[i] > KEYS / TARGETS * 85 / 100 && seen[i] < KEYS / TARGETS * 115 / 100);
}

static void a_target_that_goes_moves_only_its_own_keys(void) {
    reset();
    for (int i = 0; i < KEYS; i++) {
        candidates[1].is_usable = true;
        int before = balance_by_hash(candidates, TARGETS, key(i));
        candidates[1].is_usable = false;
        int after = balance_by_hash(candidates, TARGETS, key(i));
        CHECK(after != 1);
        if (before != 1) CHECK_INT(after, before);
    }
}

static void the_order_of_targets_does_not_matter(void) {
    struct candidate reversed[TARGETS];
    reset();
    for (int i = 0; i < TARGETS; i++) reversed[i] = candidates[TARGETS - 1 - i];
    for (int i = 0; i < 1000; i++)
        CHECK_INT(balance_by_hash(reversed, TARGETS, key(i)),
                  TARGETS - 1 - balance_by_hash(candidates, TARGETS, key(i)));
}

int main(void) {
    RUN(round_robin_takes_each_in_turn_and_skips_the_unusable);
    RUN(the_least_loaded_is_taken_and_equals_in_turn);
    RUN(hashing_spreads_keys_evenly_and_keeps_them);
    RUN(a_target_that_goes_moves_only_its_own_keys);
    RUN(the_order_of_targets_does_not_matter);
    return 0;
}
