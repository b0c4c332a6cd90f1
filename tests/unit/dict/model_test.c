/* model_test.c - many random operations on a small dictionary, each beside a plain model of what it must do: which values are
 * there, in which order they were used, what has to go, and how much is free, to the block. */
#include "dict_kit.h"

enum { KEYS = 300, MOST = 600, MOST_ELEMENTS = 300, ROUNDS = 50000, SWEPT = 64 };

/* The bytes of a string follow from its length and seed. */
struct thing {
    enum dict_type type;
    uint64_t integer; /* or a double's bits */
    size_t length;
    uint8_t seed;
};

struct model_entry {
    int key;
    struct thing thing;
    uint32_t flags;
    uint64_t expires;
    struct thing elements[MOST_ELEMENTS];
    uint32_t count;
};

static struct model_entry *model[MOST]; /* the least recently used first */
static int model_count;
static size_t model_total;

static struct dict *dict;
static struct buffer bytes;
static uint64_t now = 1000;
static char text[8192];

static uint64_t dice_state = 88172645463325252u;
static uint32_t dice(uint32_t sides) {
    dice_state ^= dice_state << 13, dice_state ^= dice_state >> 7, dice_state ^= dice_state << 17;
    return (uint32_t)(dice_state >> 20) % sides;
}

/* ---- the model ---- */

/* Of different lengths, so that some fill a block, some need two, and many have a beginning in common. */
static char keys[KEYS][64];
static void name_keys(void) {
    for (int i = 0; i < KEYS; i++) {
        memset(keys[i], 'k', (size_t)i % 40);
        snprintf(keys[i] + i % 40, 8, "%d", i);
    }
}
static struct dict_key key_for(int key) { return key_of(keys[key]); }
static size_t chain(size_t length, size_t in_first) {
    size_t blocks = 1;
    for (size_t room = in_first; room < length; room += 60) blocks++;
    return blocks;
}
static size_t element_blocks(const struct thing *thing) { return chain(thing->type == DICT_STRING ? thing->length : 8, 47); }
static size_t own_blocks(int key, const struct thing *thing) {
    return chain(strlen(keys[key]) + (thing->type == DICT_STRING ? thing->length : 0), 16);
}
static size_t model_blocks(const struct model_entry *entry) {
    size_t blocks = own_blocks(entry->key, &entry->thing);
    for (uint32_t i = 0; i < entry->count; i++) blocks += element_blocks(&entry->elements[i]);
    return blocks;
}
static size_t model_free(void) {
    size_t used = 0;
    for (int i = 0; i < model_count; i++) used += model_blocks(model[i]);
    return model_total - used;
}
static bool is_over(const struct model_entry *entry) { return entry->expires && entry->expires <= now; }
static int model_find(int key) {
    for (int i = 0; i < model_count; i++)
        if (model[i]->key == key) return i;
    return -1;
}
static struct model_entry *take_out(int index) {
    struct model_entry *entry = model[index];
    memmove(&model[index], &model[index + 1], (size_t)(--model_count - index) * sizeof *model);
    return entry;
}
static void model_remove(int index) { free(take_out(index)); }
static void model_touch(int index) {
    struct model_entry *entry = take_out(index);
    model[model_count++] = entry;
}
static struct model_entry *model_add(int key) {
    struct model_entry *entry = calloc(1, sizeof *entry);
    entry->key = key;
    return model[model_count++] = entry;
}
static void model_sweep(size_t needed) {
    for (int seen = 0, i = 0; seen < SWEPT && i < model_count && model_free() < needed; seen++) {
        if (is_over(model[i])) model_remove(i);
        else i++;
    }
}

static enum dict_result model_store(int key, const struct thing *thing, uint32_t flags, const struct dict_storing *how,
                                    bool *forcible) {
    size_t needed = own_blocks(key, thing);
    *forcible = false;
    model_sweep(needed);
    int at = model_find(key);
    bool is_alive = at >= 0 && !is_over(model[at]);
    if (how->condition == DICT_IF_ABSENT && is_alive) return DICT_EXISTS;
    if (how->condition == DICT_IF_PRESENT && !is_alive) return DICT_NOT_FOUND;
    size_t own = at >= 0 ? model_blocks(model[at]) : 0;
    if (needed > model_total || (how->is_safe && needed > model_free() + own)) return DICT_NO_MEMORY;
    if (at >= 0) model_remove(at);
    while (model_free() < needed) {
        if (!is_over(model[0])) *forcible = true;
        model_remove(0);
    }
    struct model_entry *entry = model_add(key);
    entry->thing = *thing;
    entry->flags = flags;
    entry->expires = how->lifetime ? now + how->lifetime : 0;
    return DICT_OK;
}

static enum dict_result model_push(int key, const struct thing *thing, bool at_front, uint32_t *count) {
    const struct thing list = {.type = DICT_LIST};
    size_t own = own_blocks(key, &list), needed = element_blocks(thing);
    model_sweep(own + needed);
    int at = model_find(key);
    bool is_alive = at >= 0 && !is_over(model[at]);
    if (is_alive && model[at]->thing.type != DICT_LIST) return DICT_NOT_A_LIST;
    if (at >= 0 && !is_alive) model_remove(at);
    if (model_free() < needed + (is_alive ? 0 : own)) return DICT_NO_MEMORY;
    if (is_alive) model_touch(at);
    else model_add(key)->thing = list;
    struct model_entry *entry = model[model_count - 1];
    CHECK(entry->count < MOST_ELEMENTS);
    if (at_front) memmove(&entry->elements[1], &entry->elements[0], entry->count * sizeof *thing);
    entry->elements[at_front ? 0 : entry->count] = *thing;
    *count = ++entry->count;
    return DICT_OK;
}

/* ---- both ---- */

static struct thing some_thing(void) {
    struct thing thing = {.seed = (uint8_t)dice(256)};
    switch (dice(5)) {
    case 0: thing.type = DICT_NUMBER; break;
    case 1: thing.type = DICT_INT64, thing.integer = dice(1000) - 500ull; break;
    case 2: thing.type = DICT_BOOLEAN, thing.integer = dice(2); break;
    default: thing.type = DICT_STRING, thing.length = dice(20) ? dice(200) : dice(8192); break;
    }
    if (thing.type == DICT_NUMBER) {
        double number = dice(1000) / 4.0;
        memcpy(&thing.integer, &number, sizeof number);
    }
    return thing;
}

static struct dict_value value_of(const struct thing *thing, uint32_t flags) {
    struct dict_value value = {.type = thing->type, .flags = flags};
    if (thing->type == DICT_STRING) {
        for (size_t i = 0; i < thing->length; i++) text[i] = (char)(thing->seed + i);
        value.bytes = text;
        value.length = thing->length;
    } else if (thing->type == DICT_BOOLEAN) {
        value.is_true = thing->integer;
    } else {
        value.integer = thing->integer;
    }
    return value;
}

static void check_value(const struct dict_value *value, const struct thing *thing) {
    const struct dict_value expected = value_of(thing, 0);
    CHECK_INT(value->type, thing->type);
    if (thing->type == DICT_STRING) CHECK_MEM(value->bytes, value->length, expected.bytes, expected.length);
    else if (thing->type == DICT_BOOLEAN) CHECK(value->is_true == expected.is_true);
    else CHECK(value->integer == expected.integer);
}

static void try_store(int key) {
    struct thing thing = some_thing();
    struct dict_storing how = {(enum dict_condition)dice(3), dice(3) == 0, dice(2) ? 0 : dice(500) + 1};
    uint32_t flags = dice(3);
    bool forcible, expected;
    struct dict_value value = value_of(&thing, flags);
    enum dict_result result = dict_store(dict, key_for(key), &value, &how, now, &forcible);
    CHECK_INT(result, model_store(key, &thing, flags, &how, &expected));
    CHECK_INT(forcible, expected);
}

static void try_get(int key) {
    struct dict_value value;
    bool wants_stale = dice(2), is_stale = false;
    enum dict_result result = dict_get(dict, key_for(key), now, &value, &bytes, wants_stale ? &is_stale : NULL);
    int at = model_find(key);
    if (at < 0 || (is_over(model[at]) && !wants_stale)) {
        CHECK_INT(result, DICT_NOT_FOUND);
        return;
    }
    CHECK_INT(is_stale, wants_stale && is_over(model[at]));
    CHECK_INT(result, model[at]->thing.type == DICT_LIST ? DICT_IS_A_LIST : DICT_OK);
    if (result != DICT_OK) return;
    CHECK_INT(value.flags, model[at]->flags);
    check_value(&value, &model[at]->thing);
    if (!is_over(model[at])) model_touch(at);
}

static void try_add(int key) {
    struct dict_value step = {.type = DICT_NUMBER, .number = dice(10)}, init = step, sum;
    bool has_init = dice(2), forcible, expected = false;
    uint64_t lifetime = has_init && dice(2) ? dice(500) + 1 : 0;
    enum dict_result result =
        dict_add(dict, key_for(key), &step, has_init ? &init : NULL, lifetime, now, &sum, &forcible);
    int at = model_find(key);
    if (at < 0 || is_over(model[at])) {
        CHECK_INT(result, has_init ? DICT_OK : DICT_NOT_FOUND);
        if (!has_init) return;
        struct thing thing = {.type = DICT_NUMBER};
        double total = init.number + step.number;
        memcpy(&thing.integer, &total, sizeof total);
        CHECK(sum.number == total);
        CHECK_INT(model_store(key, &thing, 0, &(struct dict_storing){.lifetime = lifetime}, &expected), DICT_OK);
        CHECK_INT(forcible, expected);
        return;
    }
    struct thing *thing = &model[at]->thing;
    bool is_number = thing->type == DICT_NUMBER || thing->type == DICT_INT64;
    CHECK_INT(result, is_number ? DICT_OK : DICT_NOT_A_NUMBER);
    if (!is_number) return;
    double number;
    memcpy(&number, &thing->integer, sizeof number);
    number += step.number;
    if (thing->type == DICT_NUMBER) memcpy(&thing->integer, &number, sizeof number);
    else thing->integer += (uint64_t)step.number;
    check_value(&sum, thing);
    model_touch(at);
}

static void try_push(int key) {
    struct thing thing = some_thing();
    if (thing.type == DICT_BOOLEAN) return;
    uint32_t count = 0, expected = 0;
    bool at_front = dice(2);
    struct dict_value value = value_of(&thing, 0);
    enum dict_result result = dict_push(dict, key_for(key), &value, at_front, now, &count);
    CHECK_INT(result, model_push(key, &thing, at_front, &expected));
    CHECK_INT(count, expected);
}

static void try_pop(int key) {
    struct dict_value value;
    bool at_front = dice(2);
    enum dict_result result = dict_pop(dict, key_for(key), at_front, now, &value, &bytes);
    int at = model_find(key);
    if (at < 0 || is_over(model[at])) {
        CHECK_INT(result, DICT_NOT_FOUND);
        return;
    }
    struct model_entry *entry = model[at];
    CHECK_INT(result, entry->thing.type == DICT_LIST ? DICT_OK : DICT_NOT_A_LIST);
    if (result != DICT_OK) return;
    check_value(&value, &entry->elements[at_front ? 0 : entry->count - 1]);
    entry->count--;
    if (at_front) memmove(&entry->elements[0], &entry->elements[1], entry->count * sizeof *entry->elements);
    if (entry->count) model_touch(at);
    else model_remove(at);
}

static void try_lifetime(int key) {
    uint64_t left, lifetime = dice(2) * dice(300);
    int at = model_find(key);
    bool is_alive = at >= 0 && !is_over(model[at]);
    CHECK_INT(dict_lifetime(dict, key_for(key), now, &left), is_alive ? DICT_OK : DICT_NOT_FOUND);
    CHECK_INT(left, is_alive && model[at]->expires ? model[at]->expires - now : 0);
    CHECK_INT(dict_set_lifetime(dict, key_for(key), lifetime, now), is_alive ? DICT_OK : DICT_NOT_FOUND);
    if (is_alive) model[at]->expires = lifetime ? now + lifetime : 0;
}

static void try_delete(int key) {
    int at = model_find(key);
    dict_delete(dict, key_for(key));
    if (at >= 0) model_remove(at);
}

static void try_walk(void) {
    size_t alive = 0, over = 0;
    for (int i = 0; i < model_count; i++) *(is_over(model[i]) ? &over : &alive) += 1;
    CHECK_INT(dict_keys(dict, SIZE_MAX, now, &bytes), alive);
    if (dice(3) == 0) {
        dict_expire_all(dict);
        for (int i = 0; i < model_count; i++) model[i]->expires = 1;
        over += alive;
    }
    if (dice(2)) return;
    CHECK_INT(dict_remove_expired(dict, SIZE_MAX, now), over);
    for (int i = model_count - 1; i >= 0; i--)
        if (is_over(model[i])) model_remove(i);
}

static void it_does_what_the_model_does(void) {
    name_keys();
    dict = open_dict(DICT_LEAST_SIZE);
    model_total = dict_free_space(dict) / BLOCK_SIZE;
    for (int round = 0; round < ROUNDS; round++) {
        int key = (int)dice(KEYS);
        now += dice(4);
        switch (dice(16)) {
        case 0: case 1: case 2: case 3: case 4: try_store(key); break;
        case 5: case 6: case 7: try_get(key); break;
        case 8: case 9: try_add(key); break;
        case 10: case 11: case 12: try_push(key % 10); break;
        case 13: try_pop(key % 10); break;
        case 14: try_lifetime(key); break;
        default:
            if (dice(100) == 0) try_walk();
            else try_delete(key);
        }
        CHECK_INT(dict_free_space(dict), model_free() * BLOCK_SIZE);
        if (round % 64 == 0) check_sound(dict);
    }
    while (model_count) try_delete(model[0]->key);
    CHECK_INT(dict_free_space(dict), model_total * BLOCK_SIZE);
    dict_unref(&dict);
}

int main(void) {
    RUN(it_does_what_the_model_does);
    buffer_free(&bytes);
    return 0;
}
