/* dict/entry.c - see entry.h */
#include "dict/entry.h"

#include <string.h>

_Static_assert(sizeof(struct entry) == BLOCK_SIZE && sizeof(struct element) == BLOCK_SIZE, "each begins in one block");
_Static_assert(offsetof(struct entry, rest) == 0 && offsetof(struct element, rest) == 0, "as every block");

enum { SWEPT = 64 }; /* of the oldest entries, so that a full dictionary stays quick */

static bool has_key(const struct dict *dict, uint32_t number, struct dict_key key, uint32_t hash) {
    const struct entry *entry = entry_at(dict, number);
    struct place place = {number, offsetof(struct entry, bytes)};
    return entry->hash == hash && entry->key_length == key.length &&
           blocks_equal(&dict->blocks, &place, key.bytes, key.length);
}

static uint32_t *bucket_of(const struct dict *dict, uint32_t hash) {
    return &dict->buckets[hash & (dict->bucket_count - 1)];
}

uint32_t entry_find(const struct dict *dict, struct dict_key key, uint32_t hash) {
    uint32_t number = *bucket_of(dict, hash);
    while (number && !has_key(dict, number, key, hash)) number = entry_at(dict, number)->next;
    return number;
}

uint32_t entry_find_alive(const struct dict *dict, struct dict_key key, uint32_t hash, uint64_t now) {
    uint32_t number = entry_find(dict, key, hash);
    return number && !entry_has_expired(entry_at(dict, number), now) ? number : 0;
}

/* ---- the order of use ---- */

static void line_up(struct dict *dict, uint32_t number) {
    struct entry *entry = entry_at(dict, number);
    entry->newer = 0;
    entry->older = dict->newest;
    if (dict->newest) entry_at(dict, dict->newest)->newer = number;
    else dict->oldest = number;
    dict->newest = number;
}

static void step_out(struct dict *dict, const struct entry *entry) {
    if (entry->newer) entry_at(dict, entry->newer)->older = entry->older;
    else dict->newest = entry->older;
    if (entry->older) entry_at(dict, entry->older)->newer = entry->newer;
    else dict->oldest = entry->newer;
}

void entry_touch(struct dict *dict, uint32_t number) {
    if (dict->newest == number) return;
    step_out(dict, entry_at(dict, number));
    line_up(dict, number);
}

/* ---- coming and going ---- */

uint32_t entry_add(struct dict *dict, struct dict_key key, uint32_t hash) {
    uint32_t number = blocks_take(&dict->blocks), *bucket = bucket_of(dict, hash);
    *(struct entry *)entry_at(dict, number) =
        (struct entry){.next = *bucket, .hash = hash, .key_length = (uint16_t)key.length};
    *bucket = number;
    line_up(dict, number);
    struct place place = {number, offsetof(struct entry, bytes)};
    blocks_write(&dict->blocks, &place, key.bytes, key.length);
    return number;
}

void entry_remove(struct dict *dict, uint32_t number) {
    struct entry *entry = entry_at(dict, number);
    uint32_t *link = bucket_of(dict, entry->hash);
    while (*link != number) link = &entry_at(dict, *link)->next;
    *link = entry->next;
    step_out(dict, entry);
    if (entry->type == DICT_LIST) list_clear(dict, entry);
    blocks_give(&dict->blocks, number);
}

struct place entry_place(const struct dict *dict, uint32_t number) {
    struct place place = {number, offsetof(struct entry, bytes)};
    blocks_skip(&dict->blocks, &place, entry_at(dict, number)->key_length);
    return place;
}

size_t entry_blocks_needed(size_t key_length, size_t string_length) {
    return blocks_needed(key_length + string_length, sizeof((struct entry *)0)->bytes);
}

uint32_t entry_blocks(const struct dict *dict, uint32_t number) {
    const struct entry *entry = entry_at(dict, number);
    uint32_t elements = entry->type == DICT_LIST ? list_blocks(dict, entry) : 0;
    return blocks_in_chain(&dict->blocks, number) + elements;
}

/* ---- making room ---- */

void entries_sweep(struct dict *dict, size_t needed, uint64_t now) {
    uint32_t number = dict->oldest;
    for (int i = 0; i < SWEPT && number && dict->blocks.free_count < needed; i++) {
        uint32_t newer = entry_at(dict, number)->newer;
        if (entry_has_expired(entry_at(dict, number), now)) entry_remove(dict, number);
        number = newer;
    }
}

bool entries_evict(struct dict *dict, size_t needed, uint64_t now) {
    bool forcible = false;
    while (dict->blocks.free_count < needed) {
        bool is_alive = !entry_has_expired(entry_at(dict, dict->oldest), now);
        forcible |= is_alive;
        dict->evicted += is_alive;
        entry_remove(dict, dict->oldest);
    }
    return forcible;
}
