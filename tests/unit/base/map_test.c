#include "base/map.h"

#include "check.h"

static void finds_what_was_put_and_forgets_what_was_removed(void) {
    struct map map = {0};
    char key[16];
    static int values[1000];
    for (int i = 0; i < 1000; i++) {
        int length = snprintf(key, sizeof key, "key %d", i);
        CHECK(map_put(&map, key, (size_t)length, &values[i]) == NULL);
    }
    for (int i = 0; i < 1000; i += 2) {
        int length = snprintf(key, sizeof key, "key %d", i);
        CHECK(map_remove(&map, key, (size_t)length) == &values[i]);
    }
    for (int i = 0; i < 1000; i++) {
        int length = snprintf(key, sizeof key, "key %d", i);
        CHECK(map_get(&map, key, (size_t)length) == (i % 2 ? &values[i] : NULL));
    }
    CHECK_INT(map.count, 500);
    map_free(&map, NULL);
}

static void keys_may_contain_any_byte(void) {
    struct map map = {0};
    int one, two;
    map_put(&map, "a\0b", 3, &one);
    map_put(&map, "a\0c", 3, &two);
    CHECK(map_get(&map, "a\0b", 3) == &one);
    CHECK(map_put(&map, "a\0c", 3, &one) == &two);
    map_free(&map, NULL);
}

int main(void) {
    RUN(finds_what_was_put_and_forgets_what_was_removed);
    RUN(keys_may_contain_any_byte);
    return 0;
}
