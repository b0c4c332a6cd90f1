/* The arithmetic of token buckets, on a clock that the test turns: bursts, refills, reservations, and numbers at the edge. */
#include "limit/pace.h"

#include <pthread.h>

#include "base/clock.h"
#include "check.h"

#define START (1000 * NS_PER_S)

static uint64_t take(const struct pace *pace, struct bucket *bucket, uint64_t tokens, uint64_t now) {
    return pace_take(pace, bucket, false, tokens, tokens, now);
}
static uint64_t reserve(const struct pace *pace, struct bucket *bucket, uint64_t tokens, uint64_t now) {
    return pace_reserve(pace, bucket, false, tokens, tokens, now);
}

static void a_bucket_lets_its_burst_through_and_then_its_rate(void) {
    const struct pace pace = pace_make(10, 5);
    struct bucket bucket = {0};
    for (int i = 0; i < 5; i++) CHECK_INT(take(&pace, &bucket, 1, START), 0);
    CHECK_INT(take(&pace, &bucket, 1, START), 100 * NS_PER_MS);
    CHECK_INT(take(&pace, &bucket, 1, START), 100 * NS_PER_MS); /* nothing was taken */
    CHECK_INT(take(&pace, &bucket, 2, START), 200 * NS_PER_MS);
    CHECK_INT(take(&pace, &bucket, 1, START + 99 * NS_PER_MS), NS_PER_MS);
    int passed = 0;
    for (uint64_t ms = 100; ms < 10100; ms++) passed += !take(&pace, &bucket, 1, START + ms * NS_PER_MS);
    CHECK_INT(passed, 100);
    CHECK_INT(take(&pace, &bucket, 5, START + 60 * NS_PER_S), 0); /* no more than a bucket is saved up */
    CHECK_INT(take(&pace, &bucket, 1, START + 60 * NS_PER_S), 100 * NS_PER_MS);
}

static void who_reserves_waits_behind_those_who_did_before(void) {
    const struct pace pace = pace_make(10, 2);
    struct bucket bucket = {0};
    CHECK_INT(reserve(&pace, &bucket, 1, START), 0);
    CHECK_INT(reserve(&pace, &bucket, 1, START), 0);
    for (uint64_t i = 1; i <= 50; i++) CHECK_INT(reserve(&pace, &bucket, 1, START), i * 100 * NS_PER_MS);
    CHECK_INT(pace_wait(&pace, &bucket, 1, START), 5100 * NS_PER_MS);
    CHECK(take(&pace, &bucket, 1, START + 5099 * NS_PER_MS) > 0);
    CHECK_INT(take(&pace, &bucket, 1, START + 5100 * NS_PER_MS), 0);
}

static void what_is_given_back_is_there_for_others(void) {
    const struct pace pace = pace_make(10, 1);
    struct bucket bucket = {0};
    CHECK_INT(take(&pace, &bucket, 1, START), 0);
    CHECK_INT(reserve(&pace, &bucket, 1, START), 100 * NS_PER_MS);
    pace_give_back(&pace, &bucket, 1);
    CHECK_INT(reserve(&pace, &bucket, 1, START), 100 * NS_PER_MS);
    struct bucket empty = {0};
    pace_give_back(&pace, &empty, UINT64_MAX); /* never below nothing */
    CHECK_INT(take(&pace, &empty, 1, START), 0);
    CHECK(take(&pace, &empty, 1, START) > 0);
}

static void more_than_a_bucket_holds_takes_all_of_it_and_owes_the_rest(void) {
    const struct pace pace = pace_make(1000, 1000);
    struct bucket bucket = {0};
    CHECK_INT(take(&pace, &bucket, 1, START), 0);
    CHECK_INT(take(&pace, &bucket, 5000, START), NS_PER_MS); /* until it is full */
    CHECK_INT(take(&pace, &bucket, 5000, START + NS_PER_MS), 0);
    CHECK_INT(take(&pace, &bucket, 1000, START + NS_PER_MS), 5 * NS_PER_S);
    CHECK_INT(take(&pace, &bucket, 1, START + NS_PER_MS), 4 * NS_PER_S + NS_PER_MS);
}

static void a_few_that_are_wanted_may_be_owed_as_many(void) {
    const struct pace pace = pace_make(1000, 1000);
    struct bucket bucket = {0};
    CHECK_INT(pace_reserve(&pace, &bucket, false, 1, 3000, START), 0);
    CHECK_INT(pace_wait(&pace, &bucket, 1, START), 2 * NS_PER_S + NS_PER_MS);
}

static void a_clock_that_stands_or_steps_back_fills_nothing(void) {
    const struct pace pace = pace_make(10, 1);
    struct bucket bucket = {0};
    CHECK_INT(take(&pace, &bucket, 1, START), 0);
    for (int i = 0; i < 1000; i++) CHECK_INT(take(&pace, &bucket, 1, START), 100 * NS_PER_MS);
    CHECK_INT(take(&pace, &bucket, 1, START - NS_PER_S), 1100 * NS_PER_MS);
    CHECK_INT(take(&pace, &bucket, 1, 0), START + 100 * NS_PER_MS);
}

static void nothing_costs_nothing_and_something_never_does(void) {
    const struct pace fast = pace_make(1e12, 1), slow = pace_make(1e-6, 1);
    struct bucket bucket = {0};
    CHECK_INT(pace_cost(&fast, 0), 0);
    CHECK_INT(pace_cost(&fast, 1), 1);
    CHECK_INT(pace_cost(&slow, 1), 1000000 * NS_PER_S);
    for (int i = 0; i < 10; i++) CHECK_INT(take(&slow, &bucket, 0, START), 0);
    CHECK_INT(take(&slow, &bucket, 1, START), 0);
}

static void no_number_is_so_large_that_it_comes_out_small(void) {
    const struct pace paces[] = {pace_make(1e-6, 1e6), pace_make(1, 1e9), pace_make(1e9, 1), pace_make(1, 1e300)};
    const uint64_t many[] = {UINT64_MAX, UINT64_MAX - 1, PACE_FAR, UINT32_MAX};
    const uint64_t times[] = {0, START, PACE_FAR, UINT64_MAX - PACE_FAR, UINT64_MAX};
    for (size_t p = 0; p < 4; p++)
        for (size_t t = 0; t < 5; t++) {
            struct bucket bucket = {0};
            uint64_t before = 0;
            for (int i = 0; i < 20; i++) {
                CHECK(pace_cost(&paces[p], many[i % 4]) <= PACE_FAR);
                uint64_t wait = reserve(&paces[p], &bucket, many[i % 4], times[t]);
                CHECK(wait <= PACE_FAR);
                CHECK(bucket.full_at >= before && bucket.full_at >= times[t]);
                before = bucket.full_at;
            }
        }
}

enum { THREADS = 4, TRIES = 20000 };
static struct bucket common;
static const struct pace common_pace = {.interval = 1000, .whole = 1000 * (uint64_t)TRIES};

static void *take_many(void *context) {
    uint64_t *taken = context;
    for (int i = 0; i < TRIES; i++) *taken += !pace_take(&common_pace, &common, true, 1, 1, START);
    return NULL;
}

static void threads_together_take_exactly_what_there_is(void) {
    pthread_t threads[THREADS];
    uint64_t taken[THREADS] = {0}, all = 0;
    for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, take_many, &taken[i]));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += taken[i];
    }
    CHECK_INT(all, TRIES);
}

int main(void) {
    RUN(a_bucket_lets_its_burst_through_and_then_its_rate);
    RUN(who_reserves_waits_behind_those_who_did_before);
    RUN(what_is_given_back_is_there_for_others);
    RUN(more_than_a_bucket_holds_takes_all_of_it_and_owes_the_rest);
    RUN(a_few_that_are_wanted_may_be_owed_as_many);
    RUN(a_clock_that_stands_or_steps_back_fills_nothing);
    RUN(nothing_costs_nothing_and_something_never_does);
    RUN(no_number_is_so_large_that_it_comes_out_small);
    RUN(threads_together_take_exactly_what_there_is);
    return 0;
}
