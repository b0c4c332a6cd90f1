/* dict/dict.c - see dict.h: making dictionaries, and what is done to one key. */
#include "dict/dict.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/buffer.h"
#include "dict/entry.h"

/* ---- life ---- */

/* The first place at which blocks can begin. */
static size_t align(size_t offset) { return (offset + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE; }

/* A bucket for every other block, at most: longer chains are rare, and a table of four bytes each stays small. */
static uint32_t buckets_for(uint64_t size) {
    uint32_t count = 1;
    while ((uint64_t)count * 2 <= size / BLOCK_SIZE / 2) count *= 2;
    return count;
}

/* Who waits spins for a moment: the lock is held for less than it takes to sleep. */
static void init_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

struct dict *dict_new(const char *name, uint64_t size, struct error *error) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        error_set(error, "shared_dict \"%s\" cannot have %llu bytes: %s", name, (unsigned long long)size, strerror(errno));
        return NULL;
    }
    struct dict *dict = memory;
    dict->size = size;
    dict->references = 1;
    dict->bucket_count = buckets_for(size);
    dict->buckets = (uint32_t *)((char *)memory + sizeof *dict);
    memcpy(dict->name, name, strnlen(name, DICT_MOST_NAME));
    if (getrandom(&dict->seed, sizeof dict->seed, 0) < 0) dict->seed = (uint64_t)(uintptr_t)dict;
    init_lock(&dict->lock);
    size_t begin = align(sizeof *dict + dict->bucket_count * sizeof *dict->buckets);
    blocks_init(&dict->blocks, (char *)memory + begin, (uint32_t)((size - begin) / BLOCK_SIZE));
    return dict;
}

struct dict *dict_ref(struct dict *dict) {
    atomic_fetch_add(&dict->references, 1);
    return dict;
}

void dict_unref(struct dict **handle) {
    struct dict *dict = *handle;
    *handle = NULL;
    if (!dict || atomic_fetch_sub(&dict->references, 1) != 1) return;
    pthread_mutex_destroy(&dict->lock);
    munmap(dict, dict->size);
}

const char *dict_name(const struct dict *dict) { return dict->name; }
uint64_t dict_size(const struct dict *dict) { return dict->size; }

uint64_t dict_free_space(struct dict *dict) {
    dict_lock(dict);
    uint64_t free = (uint64_t)dict->blocks.free_count * BLOCK_SIZE;
    dict_unlock(dict);
    return free;
}

uint64_t dict_evicted(struct dict *dict) {
    dict_lock(dict);
    uint64_t evicted = dict->evicted;
    dict_unlock(dict);
    return evicted;
}

/* ---- values ---- */

static size_t string_length(const struct dict_value *value) { return value->type == DICT_STRING ? value->length : 0; }

static void take_value(const struct dict *dict, uint32_t number, struct dict_value *value, struct buffer *bytes) {
    const struct entry *entry = entry_at(dict, number);
    value->type = (enum dict_type)entry->type;
    value->flags = entry->flags;
    switch (value->type) {
    case DICT_STRING: {
        struct place place = entry_place(dict, number);
        blocks_read(&dict->blocks, &place, buffer_reserve(bytes, entry->length), entry->length);
        buffer_commit(bytes, entry->length);
        value->bytes = (const char *)buffer_bytes(bytes);
        value->length = entry->length;
        break;
    }
    case DICT_BOOLEAN: value->is_true = entry->bits != 0; break;
    case DICT_NUMBER: memcpy(&value->number, &entry->bits, sizeof value->number); break;
    default: value->integer = entry->bits; break;
    }
}

static uint64_t bits_of(const struct dict_value *value) {
    uint64_t bits;
    switch (value->type) {
    case DICT_STRING: return 0;
    case DICT_BOOLEAN: return value->is_true;
    case DICT_NUMBER: memcpy(&bits, &value->number, sizeof bits); return bits;
    default: return value->integer;
    }
}

/* Over what the entry had; its chain is as long as the value needs, or can grow so. */
static void put_value(struct dict *dict, uint32_t number, const struct dict_value *value) {
    struct entry *entry = entry_at(dict, number);
    entry->type = (uint8_t)value->type;
    entry->flags = value->flags;
    entry->bits = bits_of(value);
    entry->length = (uint32_t)string_length(value);
    if (!entry->length) return;
    struct place place = entry_place(dict, number);
    blocks_write(&dict->blocks, &place, value->bytes, value->length);
}

/* ---- get and store ---- */

static enum dict_result get(struct dict *dict, struct dict_key key, uint32_t hash, uint64_t now,
                            struct dict_value *value, struct buffer *bytes, bool *is_stale) {
    uint32_t number = entry_find(dict, key, hash);
    if (!number) return DICT_NOT_FOUND;
    bool has_expired = entry_has_expired(entry_at(dict, number), now);
    if (has_expired && !is_stale) return DICT_NOT_FOUND;
    if (is_stale) *is_stale = has_expired;
    if (entry_at(dict, number)->type == DICT_LIST) return DICT_IS_A_LIST;
    if (!has_expired) entry_touch(dict, number);
    take_value(dict, number, value, bytes);
    return DICT_OK;
}

enum dict_result dict_get(struct dict *dict, struct dict_key key, uint64_t now, struct dict_value *value,
                          struct buffer *bytes, bool *is_stale) {
    uint32_t hash = key_hash(dict, key);
    buffer_clear(bytes);
    dict_lock(dict);
    enum dict_result result = get(dict, key, hash, now, value, bytes, is_stale);
    dict_unlock(dict);
    return result;
}

static enum dict_result store(struct dict *dict, struct dict_key key, uint32_t hash, const struct dict_value *value,
                              const struct dict_storing *how, uint64_t now, bool *forcible) {
    size_t needed = entry_blocks_needed(key.length, string_length(value));
    entries_sweep(dict, needed, now);
    uint32_t number = entry_find(dict, key, hash);
    bool is_alive = number && !entry_has_expired(entry_at(dict, number), now);
    if (is_alive && how->condition == DICT_IF_ABSENT) return DICT_EXISTS;
    if (!is_alive && how->condition == DICT_IF_PRESENT) return DICT_NOT_FOUND;
    uint32_t own = number ? entry_blocks(dict, number) : 0;
    if (needed > (how->is_safe ? dict->blocks.free_count + own : dict->blocks.count)) return DICT_NO_MEMORY;
    if (number && (own != needed || entry_at(dict, number)->type == DICT_LIST)) {
        entry_remove(dict, number);
        number = 0;
    }
    if (number) {
        entry_touch(dict, number);
    } else {
        *forcible = entries_evict(dict, needed, now);
        number = entry_add(dict, key, hash);
    }
    put_value(dict, number, value);
    entry_at(dict, number)->expires = how->lifetime ? now + how->lifetime : 0;
    return DICT_OK;
}

enum dict_result dict_store(struct dict *dict, struct dict_key key, const struct dict_value *value,
                            const struct dict_storing *how, uint64_t now, bool *forcible) {
    uint32_t hash = key_hash(dict, key);
    *forcible = false;
    if (string_length(value) > dict->size) return DICT_NO_MEMORY;
    dict_lock(dict);
    enum dict_result result = store(dict, key, hash, value, how, now, forcible);
    dict_unlock(dict);
    return result;
}

/* ---- add ---- */

__extension__ typedef __int128 wide;

static bool is_numeric(enum dict_type type) { return type == DICT_NUMBER || type == DICT_INT64 || type == DICT_UINT64; }

/* False when it is not whole, or so large that no sum with it could fit. */
static bool to_wide(const struct dict_value *value, wide *result) {
    const double most = 18446744073709551616.0;
    if (value->type == DICT_INT64) *result = (int64_t)value->integer;
    else if (value->type == DICT_UINT64) *result = value->integer;
    else if (!(value->number >= -most && value->number <= most)) return false;
    else *result = (wide)value->number;
    return value->type != DICT_NUMBER || (double)*result == value->number;
}

/* An integer and something else make an integer of the same kind. */
static enum dict_result add(struct dict_value *sum, const struct dict_value *step) {
    wide one, other;
    if (sum->type == DICT_NUMBER && step->type == DICT_NUMBER) {
        sum->number += step->number;
        return DICT_OK;
    }
    enum dict_type type = sum->type == DICT_NUMBER ? step->type : sum->type;
    if (!to_wide(sum, &one) || !to_wide(step, &other)) return DICT_NOT_A_NUMBER;
    wide total = one + other;
    bool fits = type == DICT_INT64 ? total >= INT64_MIN && total <= INT64_MAX : total >= 0 && total <= UINT64_MAX;
    if (!fits) return DICT_OUT_OF_RANGE;
    sum->type = type;
    sum->integer = (uint64_t)total;
    return DICT_OK;
}

static enum dict_result increase(struct dict *dict, uint32_t number, const struct dict_value *step,
                                 struct dict_value *sum) {
    if (!is_numeric((enum dict_type)entry_at(dict, number)->type)) return DICT_NOT_A_NUMBER;
    take_value(dict, number, sum, NULL);
    enum dict_result result = add(sum, step);
    if (result != DICT_OK) return result;
    entry_touch(dict, number);
    put_value(dict, number, sum);
    return DICT_OK;
}

enum dict_result dict_add(struct dict *dict, struct dict_key key, const struct dict_value *step,
                          const struct dict_value *init, uint64_t lifetime, uint64_t now, struct dict_value *sum,
                          bool *forcible) {
    uint32_t hash = key_hash(dict, key);
    enum dict_result result = DICT_NOT_FOUND;
    *forcible = false;
    dict_lock(dict);
    uint32_t number = entry_find_alive(dict, key, hash, now);
    if (number) {
        result = increase(dict, number, step, sum);
    } else if (init) {
        *sum = *init;
        result = add(sum, step);
        if (result == DICT_OK)
            result = store(dict, key, hash, sum, &(struct dict_storing){.lifetime = lifetime}, now, forcible);
    }
    dict_unlock(dict);
    return result;
}

/* ---- the rest ---- */

void dict_delete(struct dict *dict, struct dict_key key) {
    uint32_t hash = key_hash(dict, key);
    dict_lock(dict);
    uint32_t number = entry_find(dict, key, hash);
    if (number) entry_remove(dict, number);
    dict_unlock(dict);
}

enum dict_result dict_lifetime(struct dict *dict, struct dict_key key, uint64_t now, uint64_t *left) {
    uint32_t hash = key_hash(dict, key);
    dict_lock(dict);
    uint32_t number = entry_find_alive(dict, key, hash, now);
    uint64_t expires = number ? entry_at(dict, number)->expires : 0;
    dict_unlock(dict);
    *left = expires ? expires - now : 0;
    return number ? DICT_OK : DICT_NOT_FOUND;
}

enum dict_result dict_set_lifetime(struct dict *dict, struct dict_key key, uint64_t lifetime, uint64_t now) {
    uint32_t hash = key_hash(dict, key);
    dict_lock(dict);
    uint32_t number = entry_find_alive(dict, key, hash, now);
    if (number) entry_at(dict, number)->expires = lifetime ? now + lifetime : 0;
    dict_unlock(dict);
    return number ? DICT_OK : DICT_NOT_FOUND;
}
