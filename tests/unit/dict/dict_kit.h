/* dict_kit.h - values in a line, and whether a dictionary is sound inside. */
#ifndef TIDEWIRE_TESTS_DICT_KIT_H
#define TIDEWIRE_TESTS_DICT_KIT_H
#include "base/buffer.h"
#include "check.h"
#include "dict/entry.h"

static inline struct dict_key key_of(const char *text) { return (struct dict_key){text, strlen(text)}; }
static inline struct dict_value number_of(double number) {
    return (struct dict_value){.type = DICT_NUMBER, .number = number};
}
static inline struct dict_value string_of(const char *text) {
    return (struct dict_value){.type = DICT_STRING, .bytes = text, .length = strlen(text)};
}
static inline struct dict *open_dict(uint64_t size) {
    struct error error;
    struct dict *dict = dict_new("test", size, &error);
    CHECK(dict);
    return dict;
}

/* Every block is in one entry or free; the order of use and the buckets have the same entries. */
static inline void check_sound(struct dict *dict) {
    uint32_t used = 0, entries = 0, in_buckets = 0, before = 0;
    for (uint32_t number = dict->oldest; number; number = entry_at(dict, number)->newer) {
        CHECK_INT(entry_at(dict, number)->older, before);
        before = number;
        used += entry_blocks(dict, number);
        entries++;
    }
    CHECK_INT(dict->newest, before);
    for (uint32_t i = 0; i < dict->bucket_count; i++)
        for (uint32_t number = dict->buckets[i]; number; number = entry_at(dict, number)->next) in_buckets++;
    CHECK_INT(in_buckets, entries);
    CHECK_INT(used + dict->blocks.free_count, dict->blocks.count);
    uint32_t given_back = dict->blocks.given_back ? blocks_in_chain(&dict->blocks, dict->blocks.given_back) : 0;
    CHECK_INT(given_back + (dict->blocks.count - (dict->blocks.fresh - 1)), dict->blocks.free_count);
}
#endif
