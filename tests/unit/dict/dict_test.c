/* dict_test.c - one dictionary, used by one thread. */
#include "dict_kit.h"

static struct buffer bytes;
static bool forcible;
static const struct dict_storing always = {DICT_ALWAYS, false, 0}, safely = {DICT_ALWAYS, true, 0};

static enum dict_result set(struct dict *dict, const char *key, struct dict_value value, uint64_t lifetime, uint64_t now) {
    return dict_store(dict, key_of(key), &value, &(struct dict_storing){.lifetime = lifetime}, now, &forcible);
}

static double number_at(struct dict *dict, const char *key, uint64_t now) {
    struct dict_value value;
    CHECK_INT(dict_get(dict, key_of(key), now, &value, &bytes, NULL), DICT_OK);
    CHECK_INT(value.type, DICT_NUMBER);
    return value.number;
}

static bool has(struct dict *dict, const char *key, uint64_t now) {
    struct dict_value value;
    return dict_get(dict, key_of(key), now, &value, &bytes, NULL) == DICT_OK;
}

static void values_come_back_as_they_were(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    static char large[5000];
    memset(large, 'x', sizeof large);
    large[0] = '\0', large[4999] = 'y';
    const struct dict_value values[] = {
        number_of(0.1), number_of(-9007199254740993.0), {.type = DICT_BOOLEAN, .is_true = true},
        {.type = DICT_BOOLEAN}, string_of(""), string_of("text"),
        {.type = DICT_STRING, .bytes = large, .length = sizeof large, .flags = UINT32_MAX},
        {.type = DICT_INT64, .integer = (uint64_t)INT64_MIN}, {.type = DICT_UINT64, .integer = UINT64_MAX, .flags = 7}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct dict_value value;
        CHECK_INT(dict_store(dict, key_of("key"), &values[i], &always, 1, &forcible), DICT_OK);
        CHECK(!forcible);
        CHECK_INT(dict_get(dict, key_of("key"), 1, &value, &bytes, NULL), DICT_OK);
        CHECK_INT(value.type, values[i].type);
        CHECK_INT(value.flags, values[i].flags);
        if (value.type == DICT_STRING) CHECK_MEM(value.bytes, value.length, values[i].bytes, values[i].length);
        else if (value.type == DICT_BOOLEAN) CHECK(value.is_true == values[i].is_true);
        else CHECK(value.integer == values[i].integer);
        check_sound(dict);
    }
    dict_unref(&dict);
}

static void keys_may_be_long_and_alike(void) {
    struct dict *dict = open_dict(1 << 20);
    static char key[DICT_MOST_KEY];
    memset(key, 'k', sizeof key);
    for (size_t length = sizeof key; length > sizeof key - 5; length--) {
        struct dict_value value = number_of((double)length);
        CHECK_INT(dict_store(dict, (struct dict_key){key, length}, &value, &always, 1, &forcible), DICT_OK);
    }
    for (size_t length = sizeof key; length > sizeof key - 5; length--) {
        struct dict_value value;
        CHECK_INT(dict_get(dict, (struct dict_key){key, length}, 1, &value, &bytes, NULL), DICT_OK);
        CHECK(value.number == (double)length);
    }
    check_sound(dict);
    dict_unref(&dict);
}

static void add_and_replace_look_first(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    const struct dict_storing if_absent = {DICT_IF_ABSENT, false, 10}, if_present = {DICT_IF_PRESENT, false, 10};
    struct dict_value one = number_of(1), two = number_of(2);
    CHECK_INT(dict_store(dict, key_of("a"), &one, &if_present, 100, &forcible), DICT_NOT_FOUND);
    CHECK_INT(dict_store(dict, key_of("a"), &one, &if_absent, 100, &forcible), DICT_OK);
    CHECK_INT(dict_store(dict, key_of("a"), &two, &if_absent, 109, &forcible), DICT_EXISTS);
    CHECK(number_at(dict, "a", 109) == 1);
    CHECK_INT(dict_store(dict, key_of("a"), &two, &if_present, 110, &forcible), DICT_NOT_FOUND);
    CHECK_INT(dict_store(dict, key_of("a"), &two, &if_absent, 110, &forcible), DICT_OK);
    CHECK_INT(dict_store(dict, key_of("a"), &one, &if_present, 119, &forcible), DICT_OK);
    CHECK(number_at(dict, "a", 128) == 1);
    CHECK(!has(dict, "a", 129));
    dict_unref(&dict);
}

static void what_has_expired_is_stale_until_its_room_is_needed(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    struct dict_value value;
    bool is_stale;
    uint64_t left;
    set(dict, "a", string_of("old"), 10, 100);
    CHECK_INT(dict_lifetime(dict, key_of("a"), 103, &left), DICT_OK);
    CHECK_INT(left, 7);
    CHECK_INT(dict_get(dict, key_of("a"), 105, &value, &bytes, &is_stale), DICT_OK);
    CHECK(!is_stale);
    CHECK_INT(dict_get(dict, key_of("a"), 110, &value, &bytes, NULL), DICT_NOT_FOUND);
    CHECK_INT(dict_get(dict, key_of("a"), 110, &value, &bytes, &is_stale), DICT_OK);
    CHECK(is_stale);
    CHECK_MEM(value.bytes, value.length, "old", 3);
    CHECK_INT(dict_lifetime(dict, key_of("a"), 110, &left), DICT_NOT_FOUND);
    CHECK_INT(dict_set_lifetime(dict, key_of("a"), 5, 110), DICT_NOT_FOUND);
    CHECK_INT(dict_remove_expired(dict, SIZE_MAX, 110), 1);
    CHECK_INT(dict_get(dict, key_of("a"), 110, &value, &bytes, &is_stale), DICT_NOT_FOUND);
    set(dict, "a", string_of("new"), 10, 200);
    CHECK_INT(dict_set_lifetime(dict, key_of("a"), 0, 205), DICT_OK);
    CHECK_INT(dict_lifetime(dict, key_of("a"), 1000, &left), DICT_OK);
    CHECK_INT(left, 0);
    dict_expire_all(dict);
    CHECK(!has(dict, "a", 205));
    CHECK_INT(dict_get(dict, key_of("a"), 205, &value, &bytes, &is_stale), DICT_OK);
    check_sound(dict);
    dict_unref(&dict);
}

static void a_sum_keeps_lifetime_and_flags(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    struct dict_value step = number_of(2.5), init = number_of(10), sum;
    uint64_t left;
    CHECK_INT(dict_add(dict, key_of("n"), &step, NULL, 0, 100, &sum, &forcible), DICT_NOT_FOUND);
    CHECK_INT(dict_add(dict, key_of("n"), &step, &init, 50, 100, &sum, &forcible), DICT_OK);
    CHECK(sum.number == 12.5);
    CHECK_INT(dict_add(dict, key_of("n"), &step, &init, 500, 120, &sum, &forcible), DICT_OK);
    CHECK(sum.number == 15);
    CHECK_INT(dict_lifetime(dict, key_of("n"), 120, &left), DICT_OK);
    CHECK_INT(left, 30);
    CHECK_INT(dict_add(dict, key_of("n"), &step, &init, 0, 150, &sum, &forcible), DICT_OK);
    CHECK(sum.number == 12.5);
    struct dict_value flagged = {.type = DICT_NUMBER, .number = 1, .flags = 9};
    set(dict, "n", flagged, 0, 150);
    CHECK_INT(dict_add(dict, key_of("n"), &step, NULL, 0, 150, &sum, &forcible), DICT_OK);
    CHECK_INT(sum.flags, 9);
    set(dict, "s", string_of("5"), 0, 150);
    CHECK_INT(dict_add(dict, key_of("s"), &step, &init, 0, 150, &sum, &forcible), DICT_NOT_A_NUMBER);
    dict_unref(&dict);
}

static void integers_stay_exact(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    struct dict_value one = number_of(1), half = number_of(0.5), sum;
    struct dict_value big = {.type = DICT_INT64, .integer = INT64_MAX - 1}, minus = number_of(-1);
    set(dict, "i", big, 0, 1);
    CHECK_INT(dict_add(dict, key_of("i"), &one, NULL, 0, 1, &sum, &forcible), DICT_OK);
    CHECK(sum.type == DICT_INT64 && sum.integer == INT64_MAX);
    CHECK_INT(dict_add(dict, key_of("i"), &one, NULL, 0, 1, &sum, &forcible), DICT_OUT_OF_RANGE);
    CHECK_INT(dict_add(dict, key_of("i"), &half, NULL, 0, 1, &sum, &forcible), DICT_NOT_A_NUMBER);
    struct dict_value unsigned_most = {.type = DICT_UINT64, .integer = UINT64_MAX};
    set(dict, "u", unsigned_most, 0, 1);
    CHECK_INT(dict_add(dict, key_of("u"), &one, NULL, 0, 1, &sum, &forcible), DICT_OUT_OF_RANGE);
    CHECK_INT(dict_add(dict, key_of("u"), &minus, NULL, 0, 1, &sum, &forcible), DICT_OK);
    CHECK(sum.type == DICT_UINT64 && sum.integer == UINT64_MAX - 1);
    CHECK_INT(dict_add(dict, key_of("new"), &one, &big, 0, 1, &sum, &forcible), DICT_OK);
    CHECK(sum.type == DICT_INT64 && sum.integer == INT64_MAX);
    dict_unref(&dict);
}

static void what_was_used_least_recently_goes_first(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    char key[16];
    int count = (int)(dict_free_space(dict) / BLOCK_SIZE);
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%d", i);
        CHECK_INT(set(dict, key, number_of(i), 0, 1), DICT_OK);
        CHECK(!forcible);
    }
    CHECK_INT(dict_free_space(dict), 0);
    CHECK(has(dict, "0", 1)); /* used: "1" is the oldest now */
    CHECK_INT(set(dict, "more", number_of(1), 0, 1), DICT_OK);
    CHECK(forcible);
    CHECK(has(dict, "0", 1) && !has(dict, "1", 1) && has(dict, "2", 1) && has(dict, "more", 1));
    struct dict_value value = number_of(1);
    CHECK_INT(dict_store(dict, key_of("safe"), &value, &safely, 1, &forcible), DICT_NO_MEMORY);
    CHECK_INT(dict_store(dict, key_of("more"), &value, &safely, 1, &forcible), DICT_OK);
    CHECK_INT(dict_set_lifetime(dict, key_of("3"), 1, 1), DICT_OK);
    CHECK_INT(dict_store(dict, key_of("safe"), &value, &safely, 2, &forcible), DICT_OK); /* what has expired is no loss */
    CHECK(!forcible);
    check_sound(dict);
    dict_unref(&dict);
}

static void what_is_larger_than_all_leaves_everything(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    static char large[1 << 16];
    struct dict_value value = {.type = DICT_STRING, .bytes = large, .length = sizeof large};
    set(dict, "a", number_of(1), 0, 1);
    CHECK_INT(dict_store(dict, key_of("a"), &value, &always, 1, &forcible), DICT_NO_MEMORY);
    CHECK_INT(dict_store(dict, key_of("b"), &value, &always, 1, &forcible), DICT_NO_MEMORY);
    CHECK(number_at(dict, "a", 1) == 1);
    value.length = dict->blocks.count * 60 - 60 + 16 - 1; /* with a key of one byte: every block there is */
    CHECK_INT(dict_store(dict, key_of("b"), &value, &always, 1, &forcible), DICT_OK);
    CHECK(forcible && !has(dict, "a", 1));
    CHECK_INT(dict_free_space(dict), 0);
    value.length++;
    CHECK_INT(dict_store(dict, key_of("b"), &value, &always, 1, &forcible), DICT_NO_MEMORY);
    check_sound(dict);
    dict_unref(&dict);
}

static void lists_have_two_ends(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    struct dict_value a = string_of("a"), b = number_of(2), value;
    uint32_t count;
    CHECK_INT(dict_count(dict, key_of("l"), 1, &count), DICT_OK);
    CHECK_INT(count, 0);
    CHECK_INT(dict_push(dict, key_of("l"), &a, true, 1, &count), DICT_OK);
    CHECK_INT(dict_push(dict, key_of("l"), &b, true, 1, &count), DICT_OK);
    CHECK_INT(dict_push(dict, key_of("l"), &a, false, 1, &count), DICT_OK);
    CHECK_INT(count, 3);
    CHECK_INT(dict_get(dict, key_of("l"), 1, &value, &bytes, NULL), DICT_IS_A_LIST);
    CHECK_INT(dict_add(dict, key_of("l"), &b, &b, 0, 1, &value, &forcible), DICT_NOT_A_NUMBER);
    check_sound(dict);
    CHECK_INT(dict_pop(dict, key_of("l"), true, 1, &value, &bytes), DICT_OK);
    CHECK(value.type == DICT_NUMBER && value.number == 2);
    CHECK_INT(dict_pop(dict, key_of("l"), false, 1, &value, &bytes), DICT_OK);
    CHECK_MEM(value.bytes, value.length, "a", 1);
    CHECK_INT(dict_pop(dict, key_of("l"), true, 1, &value, &bytes), DICT_OK);
    CHECK_INT(dict_pop(dict, key_of("l"), true, 1, &value, &bytes), DICT_NOT_FOUND);
    CHECK_INT(dict_free_space(dict), (uint64_t)dict->blocks.count * BLOCK_SIZE);
    set(dict, "n", b, 0, 1);
    CHECK_INT(dict_push(dict, key_of("n"), &a, true, 1, &count), DICT_NOT_A_LIST);
    CHECK_INT(dict_pop(dict, key_of("n"), true, 1, &value, &bytes), DICT_NOT_A_LIST);
    CHECK_INT(dict_count(dict, key_of("n"), 1, &count), DICT_NOT_A_LIST);
    dict_unref(&dict);
}

static void a_push_takes_nobodys_room(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    struct dict_value element = number_of(1);
    uint32_t count, pushed = 0;
    set(dict, "a", number_of(1), 0, 1);
    while (dict_push(dict, key_of("l"), &element, true, 1, &count) == DICT_OK) pushed++;
    CHECK_INT(pushed, dict->blocks.count - 2);
    CHECK(has(dict, "a", 1));
    CHECK_INT(dict_push(dict, key_of("m"), &element, true, 1, &count), DICT_NO_MEMORY);
    CHECK_INT(set(dict, "l", number_of(2), 0, 1), DICT_OK); /* takes the place of the list */
    CHECK_INT(dict_free_space(dict), (uint64_t)(dict->blocks.count - 2) * BLOCK_SIZE);
    check_sound(dict);
    dict_unref(&dict);
}

static void all_keys_are_listed_once(void) {
    struct dict *dict = open_dict(1 << 20);
    char key[16];
    static bool is_listed[3000];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "%d", i);
        set(dict, key, number_of(i), i % 3 ? 0 : 5, 1);
    }
    CHECK_INT(dict_keys(dict, 10, 6, &bytes), 10);
    CHECK_INT(dict_keys(dict, SIZE_MAX, 6, &bytes), 2000);
    while (buffer_length(&bytes)) {
        uint16_t length;
        memcpy(&length, buffer_bytes(&bytes), sizeof length);
        int i = atoi(memcpy(memset(key, 0, sizeof key), buffer_bytes(&bytes) + sizeof length, length));
        CHECK(i % 3 && !is_listed[i]);
        is_listed[i] = true;
        buffer_take(&bytes, sizeof length + length);
    }
    CHECK_INT(dict_remove_expired(dict, 300, 6), 300);
    CHECK_INT(dict_remove_expired(dict, SIZE_MAX, 6), 700);
    check_sound(dict);
    dict_unref(&dict);
}

static void sizes_mean_what_they_say(void) {
    const uint64_t sizes[] = {DICT_LEAST_SIZE, 20001, 1 << 20, 1 << 24};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct dict *dict = open_dict(sizes[i]);
        const char *end = (const char *)&dict->blocks.all[dict->blocks.count + 1];
        CHECK(end <= (const char *)dict + sizes[i] && end + BLOCK_SIZE > (const char *)dict + sizes[i]);
        CHECK_INT(dict_size(dict), sizes[i]);
        CHECK(dict_free_space(dict) >= sizes[i] / 100 * 94);
        dict_unref(&dict);
    }
    struct error error;
    CHECK(!dict_new("too_large", UINT64_C(1) << 60, &error));
    CHECK(strstr(error.text, "too_large"));
}

int main(void) {
    RUN(values_come_back_as_they_were);
    RUN(keys_may_be_long_and_alike);
    RUN(add_and_replace_look_first);
    RUN(what_has_expired_is_stale_until_its_room_is_needed);
    RUN(a_sum_keeps_lifetime_and_flags);
    RUN(integers_stay_exact);
    RUN(what_was_used_least_recently_goes_first);
    RUN(what_is_larger_than_all_leaves_everything);
    RUN(lists_have_two_ends);
    RUN(a_push_takes_nobodys_room);
    RUN(all_keys_are_listed_once);
    RUN(sizes_mean_what_they_say);
    buffer_free(&bytes);
    return 0;
}
