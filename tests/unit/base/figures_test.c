/* Tests base/figures.c. */
#include "base/figures.h"

#include <pthread.h>

#include "check.h"

struct row {
    atomic_uint_least64_t calls, bytes;
};

static const struct figures_name others = {{"others", "others"}};
static struct figures *new_figures(uint32_t threads, size_t most) { return figures_new(threads, 2, most, &others); }

static struct row *open_row(struct figures *figures, uint32_t thread, const char *first, const char *second) {
    return figures_open(figures, thread, &(struct figures_name){{first, second}});
}

/* What figures_each() tells, as text. */
static void write_down(void *context, const struct figures_name *name, const uint64_t *sums) {
    char *text = context;
    size_t length = strlen(text);
    snprintf(text + length, 512 - length, "%s/%s=%llu,%llu ", name->parts[0], name->parts[1], (unsigned long long)sums[0],
             (unsigned long long)sums[1]);
}

static const char *all_of(struct figures *figures) {
    static char text[512];
    *text = '\0';
    figures_each(figures, write_down, text);
    return text;
}

static void rows_of_all_threads_are_summed_up(void) {
    struct figures *figures = new_figures(3, 10);
    for (uint32_t thread = 0; thread < 3; thread++) {
        struct row *row = open_row(figures, thread, "a", "b");
        counter_add(&row->calls, thread + 1);
        counter_add(&row->bytes, 10);
    }
    counter_add(&open_row(figures, 1, "a", "c")->calls, 7);
    CHECK_STR(all_of(figures), "a/b=6,30 a/c=7,0 ");
    figures_free(&figures);
    CHECK(!figures);
}

static void the_same_name_is_the_same_row_and_another_threads_is_not(void) {
    struct figures *figures = new_figures(2, 10);
    struct row *row = open_row(figures, 0, "a", "b");
    CHECK(open_row(figures, 0, "a", "b") == row);
    struct row *other = open_row(figures, 1, "a", "b");
    CHECK((char *)other - (char *)row >= 64 || (char *)row - (char *)other >= 64); /* no cache line is shared */
    CHECK(open_row(figures, 0, "ab", "") != row);
    CHECK(open_row(figures, 0, "a", "bc") != row);
    figures_free(&figures);
}

static void names_beyond_the_bound_are_one(void) {
    struct figures *figures = new_figures(1, 2);
    open_row(figures, 0, "a", "1");
    open_row(figures, 0, "a", "2");
    struct row *third = open_row(figures, 0, "a", "3");
    CHECK(open_row(figures, 0, "a", "4") == third);
    counter_add(&third->calls, 5);
    counter_add(&open_row(figures, 0, "a", "2")->calls, 1); /* which was there before */
    CHECK_STR(all_of(figures), "a/1=0,0 a/2=1,0 others/others=5,0 ");
    figures_free(&figures);
}

static void a_name_that_is_also_that_of_the_others_stands_once(void) {
    struct figures *figures = new_figures(1, 1);
    struct row *row = open_row(figures, 0, "others", "others");
    CHECK(open_row(figures, 0, "a", "1") == row);
    CHECK_STR(all_of(figures), "others/others=0,0 ");
    figures_free(&figures);
    figures = new_figures(1, 1);
    open_row(figures, 0, "a", "1");
    CHECK(open_row(figures, 0, "a", "2") == open_row(figures, 0, "others", "others"));
    CHECK_STR(all_of(figures), "a/1=0,0 others/others=0,0 ");
    figures_free(&figures);
}

static void gauges_may_fall(void) {
    struct figures *figures = new_figures(2, 1);
    struct row *one = open_row(figures, 0, "a", "b"), *other = open_row(figures, 1, "a", "b");
    counter_add(&one->calls, 5);
    counter_take(&other->calls, 3); /* below nothing, by itself: what comes to one thread may go in another */
    CHECK_STR(all_of(figures), "a/b=2,0 ");
    figures_free(&figures);
}

enum { TIMES = 100000, THREADS = 2 };
struct counting {
    struct figures *figures;
    uint32_t thread;
};

static void *count(void *context) {
    const struct counting *counting = context;
    struct row *row = open_row(counting->figures, counting->thread, "a", "b");
    for (int i = 0; i < TIMES; i++) counter_add(&row->calls, 1);
    return NULL;
}

static void who_reads_meanwhile_sees_sums_that_only_grow(void) {
    struct figures *figures = new_figures(THREADS, 1);
    struct counting counting[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        counting[i] = (struct counting){figures, i};
        CHECK_INT(pthread_create(&threads[i], NULL, count, &counting[i]), 0);
    }
    unsigned long long before = 0, now = 0;
    while (now < (unsigned long long)TIMES * THREADS) {
        const char *text = all_of(figures);
        now = *text ? strtoull(text + 4, NULL, 10) : 0;
        CHECK(now >= before);
        before = now;
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_STR(all_of(figures), "a/b=200000,0 ");
    figures_free(&figures);
}

int main(void) {
    RUN(rows_of_all_threads_are_summed_up);
    RUN(the_same_name_is_the_same_row_and_another_threads_is_not);
    RUN(names_beyond_the_bound_are_one);
    RUN(a_name_that_is_also_that_of_the_others_stands_once);
    RUN(gauges_may_fall);
    RUN(who_reads_meanwhile_sees_sums_that_only_grow);
    return 0;
}
