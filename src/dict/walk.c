/* dict/walk.c - what is done to all entries, some buckets at a time: others wait for one piece, not for the whole. The
 * number of buckets never changes, so that a walk meets every entry that stays. */
#include "base/buffer.h"
#include "dict/entry.h"

enum { PIECE = 256 }; /* buckets under one lock */

/* Returns whether the entry counts. */
typedef bool visit_fn(struct dict *dict, uint32_t number, uint64_t now, struct buffer *out);

static size_t visit_bucket(struct dict *dict, uint32_t bucket, size_t most, uint64_t now, visit_fn *visit,
                           struct buffer *out) {
    size_t count = 0;
    for (uint32_t number = dict->buckets[bucket], next; number && count < most; number = next) {
        next = entry_at(dict, number)->next;
        count += visit(dict, number, now, out);
    }
    return count;
}

static size_t walk(struct dict *dict, size_t most, uint64_t now, visit_fn *visit, struct buffer *out) {
    size_t count = 0;
    for (uint32_t bucket = 0; bucket < dict->bucket_count && count < most; bucket += PIECE) {
        dict_lock(dict);
        for (uint32_t i = bucket; i < bucket + PIECE && i < dict->bucket_count && count < most; i++)
            count += visit_bucket(dict, i, most - count, now, visit, out);
        dict_unlock(dict);
    }
    return count;
}

static bool append_key(struct dict *dict, uint32_t number, uint64_t now, struct buffer *out) {
    const struct entry *entry = entry_at(dict, number);
    if (entry_has_expired(entry, now)) return false;
    struct place place = {number, offsetof(struct entry, bytes)};
    buffer_append(out, &entry->key_length, sizeof entry->key_length);
    blocks_read(&dict->blocks, &place, buffer_reserve(out, entry->key_length), entry->key_length);
    buffer_commit(out, entry->key_length);
    return true;
}

static bool end_life(struct dict *dict, uint32_t number, uint64_t now, struct buffer *out) {
    (void)now, (void)out;
    entry_at(dict, number)->expires = 1;
    return true;
}

static bool remove_expired(struct dict *dict, uint32_t number, uint64_t now, struct buffer *out) {
    (void)out;
    if (!entry_has_expired(entry_at(dict, number), now)) return false;
    entry_remove(dict, number);
    return true;
}

size_t dict_keys(struct dict *dict, size_t most, uint64_t now, struct buffer *out) {
    buffer_clear(out);
    return walk(dict, most, now, append_key, out);
}

void dict_expire_all(struct dict *dict) { walk(dict, SIZE_MAX, 0, end_life, NULL); }

size_t dict_remove_expired(struct dict *dict, size_t most, uint64_t now) {
    return walk(dict, most, now, remove_expired, NULL);
}
