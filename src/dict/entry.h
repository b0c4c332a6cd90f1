/* dict/entry.h - the inside of a dictionary: its entries in blocks, the table that finds them, and the order of their use.
 * Private to dict/. The lock is held by the caller of every function. */
#ifndef TIDEWIRE_DICT_ENTRY_H
#define TIDEWIRE_DICT_ENTRY_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "dict/blocks.h"
#include "dict/dict.h"

/* The first block of an entry. Its bytes are the key, and then the string. */
struct entry {
    uint32_t rest;
    uint32_t next; /* in its bucket */
    uint32_t newer, older;
    uint32_t hash, flags;
    uint64_t expires; /* 0 never */
    union {
        uint64_t bits; /* of a boolean, number or integer */
        struct {
            uint32_t front, back;
        };
    };
    uint32_t length; /* a string's bytes, a list's elements */
    uint16_t key_length;
    uint8_t type;
    uint8_t unused;
    char bytes[16];
};

/* The first block of a list's element. Its bytes are the string, or the eight of a number or integer. */
struct element {
    uint32_t rest;
    uint32_t previous, next;
    uint32_t length;
    uint8_t type;
    char bytes[47];
};

/* At the beginning of the mapping; the buckets follow, and then the blocks. */
struct dict {
    uint64_t size;
    uint64_t seed;
    atomic_uint references;
    uint32_t bucket_count; /* a power of two */
    uint32_t *buckets;
    char name[72];
    _Alignas(BLOCK_SIZE) pthread_mutex_t lock;
    struct blocks blocks;
    uint32_t newest, oldest;
    uint64_t evicted;
};
enum { DICT_MOST_NAME = 64 };

static inline struct entry *entry_at(const struct dict *dict, uint32_t number) {
    return blocks_at(&dict->blocks, number);
}
static inline bool entry_has_expired(const struct entry *entry, uint64_t now) {
    return entry->expires && entry->expires <= now;
}
static inline uint32_t key_hash(const struct dict *dict, struct dict_key key) {
    return hash_bytes(dict->seed, key.bytes, key.length);
}
static inline void dict_lock(struct dict *dict) { pthread_mutex_lock(&dict->lock); }
static inline void dict_unlock(struct dict *dict) { pthread_mutex_unlock(&dict->lock); }

/* 0: none, expired or not. */
uint32_t entry_find(const struct dict *dict, struct dict_key key, uint32_t hash);
/* The same, unless it has expired. */
uint32_t entry_find_alive(const struct dict *dict, struct dict_key key, uint32_t hash, uint64_t now);
/* A new one, the newest, with its key; there must be blocks enough. The rest of it is 0. */
uint32_t entry_add(struct dict *dict, struct dict_key key, uint32_t hash);
void entry_remove(struct dict *dict, uint32_t number);
/* It is the newest now. */
void entry_touch(struct dict *dict, uint32_t number);
/* Where the bytes behind the key are. */
struct place entry_place(const struct dict *dict, uint32_t number);
/* Of an entry with a string of so many bytes, or without one. */
size_t entry_blocks_needed(size_t key_length, size_t string_length);
/* All blocks that it has, a list's elements with it. */
uint32_t entry_blocks(const struct dict *dict, uint32_t number);

/* Where fewer than `needed` blocks are free: removes what has expired of the oldest entries. */
void entries_sweep(struct dict *dict, size_t needed, uint64_t now);
/* Removes the oldest entries until so many blocks are free; true when one had not expired. There must be so many at
 * all. */
bool entries_evict(struct dict *dict, size_t needed, uint64_t now);

/* list.c: the elements of a list. */
void list_clear(struct dict *dict, struct entry *list);
uint32_t list_blocks(const struct dict *dict, const struct entry *list);
#endif
