/* Tables of keys: what is remembered, what goes, what a stranger with many keys can do, and what threads share. */
#include "limit/table.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "check.h"

#define START (1000 * NS_PER_S)

static const struct pace pace = {.interval = NS_PER_S, .whole = NS_PER_S};

static uint64_t use(struct limit_table *table, size_t keys, const char *key, uint64_t now) {
    struct limit_entry *entry = limit_table_open(table, keys, key, strlen(key), now);
    uint64_t wait = pace_take(&pace, &entry->counts.streams, true, 1, 1, now);
    limit_entry_close(&entry);
    return wait;
}

static void each_key_has_counts_of_its_own(void) {
    struct limit_table *table = limit_table_new("t", "peer");
    CHECK_INT(use(table, 10, "ann", START), 0);
    CHECK_INT(use(table, 10, "bob", START), 0);
    CHECK_INT(use(table, 10, "", START), 0);
    CHECK(use(table, 10, "ann", START) > 0);
    CHECK(use(table, 10, "", START) > 0);
    CHECK_INT(limit_table_keys(table), 3);
    limit_table_unref(&table);
}

static void long_keys_are_told_apart(void) {
    struct limit_table *table = limit_table_new("t", "peer");
    char one[5000], other[5000];
    memset(one, 'k', sizeof one);
    memcpy(other, one, sizeof one);
    one[sizeof one - 1] = other[sizeof other - 1] = '\0';
    other[4000] = 'l';
    CHECK_INT(use(table, 10, one, START), 0);
    CHECK_INT(use(table, 10, other, START), 0);
    CHECK(use(table, 10, one, START) > 0);
    limit_table_unref(&table);
}

static void what_is_full_again_goes(void) {
    struct limit_table *table = limit_table_new("t", "peer");
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        CHECK_INT(use(table, 1000, key, START), 0);
    }
    CHECK_INT(limit_table_keys(table), 1000);
    for (int i = 0; i < 1000; i++) { /* a few for each that comes, well before there is no room */
        snprintf(key, sizeof key, "l%d", i);
        CHECK_INT(use(table, 100000, key, START + (2 + 2 * (uint64_t)i) * NS_PER_S), 0);
    }
    CHECK(limit_table_keys(table) <= 2);
    limit_table_unref(&table);
}

static void many_keys_push_nobody_out(void) {
    struct limit_table *table = limit_table_new("t", "peer");
    char key[16];
    CHECK_INT(use(table, 100, "mallory", START), 0);
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        use(table, 100, key, START);
        CHECK(limit_table_keys(table) <= 100);
    }
    CHECK(use(table, 100, "mallory", START) > 0);
    CHECK(use(table, 100, "new", START) > 0); /* it shares what those without room have used */
    CHECK(limit_table_figures(table).crowded > 99000);
    CHECK_INT(use(table, 100, "later", START + 2 * NS_PER_S), 0);
    limit_table_unref(&table);
}

static void what_is_held_stays(void) {
    struct limit_table *table = limit_table_new("t", "peer");
    struct limit_entry *held = limit_table_open(table, 1, "ann", 3, START);
    struct limit_entry *crowded = limit_table_open(table, 1, "bob", 3, START);
    CHECK(crowded != held);
    struct limit_entry *again = limit_table_open(table, 1, "ann", 3, START + 100 * NS_PER_S);
    CHECK(again == held);
    limit_entry_close(&again);
    limit_entry_close(&crowded);
    limit_entry_close(&held);
    struct limit_entry *next = limit_table_open(table, 1, "bob", 3, START + 100 * NS_PER_S);
    CHECK_INT(limit_table_keys(table), 1);
    CHECK_INT(limit_table_figures(table).crowded, 1);
    limit_entry_close(&next);
    limit_table_unref(&table);
}

/* One that remembers is looked past: those behind it may go. */
static void there_is_room_behind_those_that_remember(void) {
    const struct pace slow = pace_make(0.001, 1);
    struct limit_table *table = limit_table_new("t", "peer");
    for (char key = 'a'; key <= 'h'; key++) {
        struct limit_entry *entry = limit_table_open(table, 8, &key, 1, START);
        if (key < 'f') CHECK_INT(pace_take(&slow, &entry->counts.streams, true, 1, 1, START), 0);
        limit_entry_close(&entry);
    }
    struct limit_entry *new = limit_table_open(table, 8, "z", 1, START);
    CHECK_INT(limit_table_figures(table).crowded, 0);
    CHECK_INT(limit_table_keys(table), 8);
    limit_entry_close(&new);
    limit_table_unref(&table);
}

static void one_alone_keeps_its_table(void) {
    struct limit_table *table = limit_table_new("t", "connection");
    struct limit_entry *alone = limit_table_open_alone(table);
    CHECK_INT(limit_table_keys(table), 0);
    limit_table_unref(&table);
    CHECK_STR(limit_table_name(alone->table), "t");
    limit_entry_close(&alone);
}

enum { THREADS = 4, TURNS = 3000 };
static struct limit_table *common;

static void *come_and_go(void *context) {
    unsigned seed = (unsigned)(uintptr_t)context;
    for (int i = 0; i < TURNS; i++) {
        char key[16];
        seed = seed * 1103515245 + 12345;
        int length = snprintf(key, sizeof key, "k%u", (seed >> 16) % 40);
        struct limit_entry *entry = limit_table_open(common, 20, key, (size_t)length, START + (uint64_t)i * NS_PER_S);
        atomic_fetch_add(&entry->counts.open, 1);
        atomic_fetch_sub(&entry->counts.open, 1);
        limit_entry_close(&entry);
    }
    return NULL;
}

static void threads_come_and_go(void) {
    pthread_t threads[THREADS];
    common = limit_table_new("t", "peer");
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(limit_table_keys(common) <= 20);
    limit_table_unref(&common);
}

int main(void) {
    RUN(each_key_has_counts_of_its_own);
    RUN(long_keys_are_told_apart);
    RUN(what_is_full_again_goes);
    RUN(many_keys_push_nobody_out);
    RUN(what_is_held_stays);
    RUN(there_is_room_behind_those_that_remember);
    RUN(one_alone_keeps_its_table);
    RUN(threads_come_and_go);
    return 0;
}
