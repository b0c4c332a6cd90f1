/* Rates: what a bucket lets through over time, keys that are forgotten, names, and many threads at once. */
#include "fanout/rate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"

#define START (1000 * NS_PER_S)

static struct rate_settings per_second(double rate, double burst, size_t keys) {
    return (struct rate_settings){.interval = (double)NS_PER_S / rate, .burst = burst, .keys = keys};
}

static uint64_t take(struct rate *rate, const struct rate_settings *settings, const char *key, double tokens, uint64_t now) {
    return rate_take(rate, settings, key, strlen(key), tokens, now);
}

static void a_bucket_lets_its_burst_through_and_then_its_rate(void) {
    struct rate_registry *registry = rate_registry_new();
    struct rate *rate = rate_open(registry, "a", 1);
    const struct rate_settings settings = per_second(10, 5, 100);
    for (int i = 0; i < 5; i++) CHECK_INT(take(rate, &settings, "k", 1, START), 0);
    CHECK_INT(take(rate, &settings, "k", 1, START), 100 * NS_PER_MS);
    CHECK_INT(take(rate, &settings, "k", 2, START), 200 * NS_PER_MS);
    CHECK_INT(take(rate, &settings, "other", 5, START), 0);
    CHECK_INT(take(rate, &settings, "k", 1, START + 99 * NS_PER_MS), NS_PER_MS);
    int passed = 0;
    for (uint64_t ms = 100; ms < 10100; ms++) passed += !take(rate, &settings, "k", 1, START + ms * NS_PER_MS);
    CHECK_INT(passed, 100);
    CHECK_INT(take(rate, &settings, "k", 6, START), RATE_NEVER);
    CHECK_INT(take(rate, &settings, "k", 5, START + 60 * NS_PER_S), 0); /* no more than a bucket is saved up */
    CHECK(take(rate, &settings, "k", 1, START + 60 * NS_PER_S) > 0);
    rate_unref(&rate);
    rate_registry_free(&registry);
}

static void the_key_that_was_used_longest_ago_is_forgotten(void) {
    struct rate_registry *registry = rate_registry_new();
    struct rate *rate = rate_open(registry, "a", 1);
    const struct rate_settings settings = per_second(1, 1, 3), fewer = per_second(1, 1, 1);
    static const char *const keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) CHECK_INT(take(rate, &settings, keys[i], 1, START), 0);
    CHECK(take(rate, &settings, "a", 1, START) > 0);
    CHECK_INT(take(rate, &settings, "d", 1, START), 0); /* in the place of b */
    CHECK_INT(rate_keys(rate), 3);
    CHECK(take(rate, &settings, "a", 1, START) > 0);
    CHECK(take(rate, &settings, "c", 1, START) > 0);
    CHECK_INT(take(rate, &settings, "b", 1, START), 0);
    CHECK_INT(take(rate, &fewer, "e", 1, START), 0);
    CHECK_INT(rate_keys(rate), 1);
    rate_unref(&rate);
    rate_registry_free(&registry);
}

static void one_name_is_one_rate_for_as_long_as_anybody_holds_it(void) {
    struct rate_registry *registry = rate_registry_new();
    struct rate *one = rate_open(registry, "same", 4), *two = rate_open(registry, "same", 4);
    const struct rate_settings settings = per_second(1, 1, 10);
    CHECK_INT(take(one, &settings, "k", 1, START), 0);
    rate_unref(&one);
    CHECK(take(two, &settings, "k", 1, START) > 0);
    rate_unref(&two);
    one = rate_open(registry, "same", 4);
    CHECK_INT(take(one, &settings, "k", 1, START), 0);
    rate_unref(&one);
    rate_registry_free(&registry);
}

struct taker {
    struct rate_registry *registry;
    pthread_t thread;
    unsigned taken;
};

static void *take_many(void *context) {
    struct taker *taker = context;
    const struct rate_settings settings = per_second(1, 5000, 64);
    for (int i = 0; i < 20000; i++) {
        struct rate *rate = rate_open(taker->registry, "all", 3);
        char key[16];
        snprintf(key, sizeof key, "key%d", i % 50);
        taker->taken += !take(rate, &settings, "one", 1, START);
        take(rate, &settings, key, 1, START);
        rate_unref(&rate);
    }
    return NULL;
}

static void threads_together_take_no_more_than_there_is(void) {
    struct rate_registry *registry = rate_registry_new();
    struct rate *kept = rate_open(registry, "all", 3);
    struct taker takers[4] = {0};
    unsigned taken = 0;
    for (int i = 0; i < 4; i++) {
        takers[i].registry = registry;
        CHECK_INT(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(takers[i].thread, NULL);
        taken += takers[i].taken;
    }
    CHECK_INT(taken, 5000);
    rate_unref(&kept);
    rate_registry_free(&registry);
}

int main(void) {
    RUN(a_bucket_lets_its_burst_through_and_then_its_rate);
    RUN(the_key_that_was_used_longest_ago_is_forgotten);
    RUN(one_name_is_one_rate_for_as_long_as_anybody_holds_it);
    RUN(threads_together_take_no_more_than_there_is);
    return 0;
}
