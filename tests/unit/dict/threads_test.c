/* threads_test.c - many threads in one dictionary: sums are exact, no value is half of one and half of another. */
#include <pthread.h>

#include "dict_kit.h"

enum { THREADS = 4, ROUNDS = 20000 };

struct user {
    pthread_t thread;
    struct dict *dict;
    uint64_t dice;
    uint32_t pushed, popped;
    struct buffer bytes;
    bool forcible;
};

static uint32_t dice(struct user *user, uint32_t sides) {
    user->dice ^= user->dice << 13, user->dice ^= user->dice >> 7, user->dice ^= user->dice << 17;
    return (uint32_t)(user->dice >> 20) % sides;
}

static void store_string(struct user *user, struct dict_key key) {
    char text[400];
    struct dict_value value = {.type = DICT_STRING, .bytes = text, .length = dice(user, sizeof text)};
    memset(text, 'a' + (int)dice(user, 26), sizeof text);
    struct dict_storing how = {.condition = (enum dict_condition)dice(user, 3), .lifetime = dice(user, 3)};
    dict_store(user->dict, key, &value, &how, 10 + dice(user, 3), &user->forcible);
}

static void load_string(struct user *user, struct dict_key key) {
    struct dict_value value;
    if (dict_get(user->dict, key, 10, &value, &user->bytes, NULL) != DICT_OK) return;
    CHECK_INT(value.type, DICT_STRING);
    for (size_t i = 1; i < value.length; i++) CHECK(value.bytes[i] == value.bytes[0]);
}

static void *use(void *context) {
    struct user *user = context;
    struct dict_value one = number_of(1), zero = number_of(0), value;
    uint32_t count;
    for (int round = 0; round < ROUNDS; round++) {
        char name[16];
        snprintf(name, sizeof name, "key %u", dice(user, 300));
        CHECK_INT(dict_add(user->dict, key_of("sum"), &one, &zero, 0, 10, &value, &user->forcible), DICT_OK);
        switch (dice(user, 6)) {
        case 0: case 1: store_string(user, key_of(name)); break;
        case 2: load_string(user, key_of(name)); break;
        case 3: user->pushed += dict_push(user->dict, key_of("list"), &one, true, 10, &count) == DICT_OK; break;
        case 4: user->popped += dict_pop(user->dict, key_of("list"), false, 10, &value, &user->bytes) == DICT_OK; break;
        default:
            if (dice(user, 50) == 0) dict_keys(user->dict, 1000, 10, &user->bytes);
            else if (dice(user, 50) == 0) dict_remove_expired(user->dict, 100, 12);
            else dict_delete(user->dict, key_of(name));
        }
    }
    dict_unref(&user->dict);
    return NULL;
}

static void many_threads_use_one_dictionary(void) {
    struct dict *dict = open_dict(1 << 20); /* nothing has to go: the sum least of all */
    struct user users[THREADS] = {0};
    struct dict_value value;
    struct buffer bytes = {0};
    uint32_t pushed = 0, popped = 0, left;
    for (uint64_t i = 0; i < THREADS; i++) {
        users[i].dict = dict_ref(dict);
        users[i].dice = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        CHECK(!pthread_create(&users[i].thread, NULL, use, &users[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(!pthread_join(users[i].thread, NULL));
        pushed += users[i].pushed;
        popped += users[i].popped;
        buffer_free(&users[i].bytes);
    }
    CHECK_INT(dict_get(dict, key_of("sum"), 10, &value, &bytes, NULL), DICT_OK);
    CHECK_INT(value.number, THREADS * ROUNDS);
    CHECK_INT(dict_count(dict, key_of("list"), 10, &left), DICT_OK);
    CHECK(pushed > 1000 && popped > 1000);
    CHECK_INT(left, pushed - popped);
    check_sound(dict);
    buffer_free(&bytes);
    dict_unref(&dict);
}

/* So small that they take each other's room all the time. */
static void many_threads_use_one_that_is_full(void) {
    struct dict *dict = open_dict(DICT_LEAST_SIZE);
    struct user users[THREADS] = {0};
    for (uint64_t i = 0; i < THREADS; i++) {
        users[i].dict = dict_ref(dict);
        users[i].dice = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        CHECK(!pthread_create(&users[i].thread, NULL, use, &users[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(!pthread_join(users[i].thread, NULL));
        buffer_free(&users[i].bytes);
    }
    check_sound(dict);
    dict_unref(&dict);
}

int main(void) {
    RUN(many_threads_use_one_dictionary);
    RUN(many_threads_use_one_that_is_full);
    return 0;
}
