#include "base/pool.h"

#include <stdint.h>
#include <string.h>

#include "check.h"

enum { OBJECTS = 1000 };

struct object {
    uint32_t number;
    char more[300];
};

static void give_all(struct pool *pool, struct object **objects) {
    for (size_t i = 0; i < OBJECTS; i++) pool_give(pool, objects[i * 7 % OBJECTS]); /* in no order */
}

static void objects_come_zeroed_and_do_not_overlap(void) {
    struct pool pool;
    struct object *objects[OBJECTS];
    static const struct object zero;
    pool_init(&pool, sizeof(struct object), OBJECTS);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < OBJECTS; i++) {
            objects[i] = pool_take(&pool);
            CHECK_INT((uintptr_t)objects[i] % 16, 0);
            CHECK(memcmp(objects[i], &zero, sizeof zero) == 0);
            memset(objects[i], (int)i | 1, sizeof zero);
        }
        for (size_t i = 0; i < OBJECTS; i++) {
            const uint8_t *bytes = (const uint8_t *)objects[i];
            for (size_t at = 0; at < sizeof zero; at++) CHECK_INT(bytes[at], (uint8_t)((int)i | 1));
        }
        give_all(&pool, objects);
    }
    pool_give(&pool, NULL);
    pool_clear(&pool);
}

#ifndef TIDEWIRE_SANITIZED

static void take_all(struct pool *pool, struct object **objects) {
    for (uint32_t i = 0; i < OBJECTS; i++) {
        objects[i] = pool_take(pool);
        objects[i]->number = i;
    }
}

/* How often the next one does not lie right behind. */
static size_t jumps(struct object **objects) {
    size_t count = 0;
    for (size_t i = 1; i < OBJECTS; i++) {
        ptrdiff_t distance = (char *)objects[i] - (char *)objects[i - 1];
        count += distance <= 0 || distance > (ptrdiff_t)sizeof(struct object) + 16;
    }
    return count;
}

static void what_is_made_in_a_row_lies_in_a_row_whatever_was_before(void) {
    struct pool pool;
    struct object *objects[OBJECTS];
    pool_init(&pool, sizeof(struct object), OBJECTS);
    for (int round = 0; round < 3; round++) {
        take_all(&pool, objects);
        CHECK(jumps(objects) <= OBJECTS / 40); /* from slab to slab */
        give_all(&pool, objects);
    }
    pool_clear(&pool);
}

static void the_first_free_place_is_taken(void) {
    struct pool pool;
    struct object *objects[OBJECTS];
    pool_init(&pool, sizeof(struct object), OBJECTS);
    take_all(&pool, objects);
    struct object *low = objects[3], *high = objects[7]; /* of the first slab, which is full */
    pool_give(&pool, high);
    pool_give(&pool, low);
    CHECK(pool_take(&pool) == low);
    CHECK(pool_take(&pool) == high);
    CHECK_INT(low->number, 0);
    give_all(&pool, objects);
    pool_clear(&pool);
}

static void what_is_kept_is_bounded(void) {
    struct pool pool;
    struct object *objects[OBJECTS];
    pool_init(&pool, sizeof(struct object), 100);
    take_all(&pool, objects);
    CHECK(pool.kept <= 100);
    give_all(&pool, objects);
    CHECK(pool.kept >= 100 && pool.kept <= 200);
    pool_clear(&pool);
    CHECK_INT(pool.kept, 0);
}

static void clearing_leaves_what_is_in_use(void) {
    struct pool pool;
    struct object *objects[OBJECTS];
    pool_init(&pool, sizeof(struct object), OBJECTS);
    take_all(&pool, objects);
    pool_clear(&pool);
    for (uint32_t i = 0; i < OBJECTS; i++) CHECK_INT(objects[i]->number, i);
    give_all(&pool, objects);
    pool_clear(&pool);
    CHECK_INT(pool.kept, 0);
}

#endif

int main(void) {
    RUN(objects_come_zeroed_and_do_not_overlap);
#ifndef TIDEWIRE_SANITIZED
    RUN(what_is_made_in_a_row_lies_in_a_row_whatever_was_before);
    RUN(the_first_free_place_is_taken);
    RUN(what_is_kept_is_bounded);
    RUN(clearing_leaves_what_is_in_use);
#endif
    return 0;
}
