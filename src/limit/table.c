/* limit/table.c - see table.h */
#include "limit/table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"

enum {
    LONGEST_KEY = 128, /* kept as it is */
    HASHES = 4,
    SWEEP = 2,  /* entries without a use that go for each that comes */
    TRIES = 16, /* that still remember something, before a table counts as full */
};

struct limit_table {
    char *name, *scope;
    atomic_uint references;
    _Atomic uint64_t events[LIMIT_EVENTS];
    uint64_t seeds[HASHES];
    pthread_mutex_t lock; /* of what follows */
    struct map entries;
    struct list unused;        /* limit_entry.unused; what was let go of first is the first */
    struct limit_entry *crowd; /* of all keys that have no room */
};

static struct limit_entry *entry_new(struct limit_table *table, const void *key, size_t length) {
    struct limit_entry *entry = memory_new(sizeof *entry + length);
    entry->table = table;
    list_init(&entry->unused);
    entry->length = (uint32_t)length;
    if (length) memcpy(entry->key, key, length);
    return entry;
}

struct limit_table *limit_table_new(const char *name, const char *scope) {
    struct limit_table *table = memory_new(sizeof *table);
    table->name = memory_copy_string(name);
    table->scope = memory_copy_string(scope);
    table->references = 1;
    if (getrandom(table->seeds, sizeof table->seeds, 0) < 0) table->seeds[0] = (uintptr_t)table;
    pthread_mutex_init(&table->lock, NULL);
    list_init(&table->unused);
    table->crowd = entry_new(table, NULL, 0);
    return table;
}

struct limit_table *limit_table_ref(struct limit_table *table) {
    atomic_fetch_add(&table->references, 1);
    return table;
}

void limit_table_unref(struct limit_table **handle) {
    struct limit_table *table = *handle;
    *handle = NULL;
    if (!table || atomic_fetch_sub(&table->references, 1) != 1) return;
    map_free(&table->entries, free);
    free(table->crowd);
    pthread_mutex_destroy(&table->lock);
    free(table->name);
    free(table->scope);
    free(table);
}

const char *limit_table_name(const struct limit_table *table) { return table->name; }
const char *limit_table_scope(const struct limit_table *table) { return table->scope; }

/* ---- entries ---- */

struct limit_entry *limit_table_open_alone(struct limit_table *table) {
    struct limit_entry *entry = entry_new(table, NULL, 0);
    entry->is_alone = true;
    limit_table_ref(table);
    return entry;
}

/* Nobody holds it, so nobody changes it. */
static bool remembers(const struct limit_entry *entry, uint64_t now) {
    const struct limit_counts *counts = &entry->counts;
    bool does = counts->streams.full_at > now;
    for (int way = 0; way < WAYS; way++)
        does |= counts->messages[way].full_at > now || counts->bytes[way].full_at > now;
    return does;
}

static bool let_first_go(struct limit_table *table, uint64_t now) {
    if (list_is_empty(&table->unused)) return false;
    struct limit_entry *entry = container_of(table->unused.next, struct limit_entry, unused);
    if (remembers(entry, now)) {
        list_remove(&entry->unused); /* not before the others again */
        list_append(&table->unused, &entry->unused);
        return false;
    }
    list_remove(&entry->unused);
    map_remove(&table->entries, entry->key, entry->length);
    free(entry);
    return true;
}

/* Some more than comes, so that a table is as large as what is in use. */
static bool make_room(struct limit_table *table, size_t keys, uint64_t now) {
    for (int i = 0; i < SWEEP; i++) let_first_go(table, now);
    for (int tries = 0; table->entries.count >= keys && tries < TRIES;) tries += !let_first_go(table, now);
    return table->entries.count < keys;
}

static struct limit_entry *find_or_make(struct limit_table *table, size_t keys, const void *key, size_t length,
                                        uint64_t now) {
    struct limit_entry *entry = map_get(&table->entries, key, length);
    if (entry) {
        list_remove(&entry->unused);
    } else if (make_room(table, keys, now)) {
        entry = entry_new(table, key, length);
        map_put(&table->entries, key, length, entry);
    } else {
        entry = table->crowd;
        limit_table_count(table, LIMIT_CROWDED);
    }
    entry->holders++;
    return entry;
}

struct limit_entry *limit_table_open(struct limit_table *table, size_t keys, const void *key, size_t length,
                                     uint64_t now) {
    uint32_t hashes[HASHES];
    if (length > LONGEST_KEY) {
        for (int i = 0; i < HASHES; i++) hashes[i] = hash_bytes(table->seeds[i], key, length);
        key = hashes;
        length = sizeof hashes;
    }
    pthread_mutex_lock(&table->lock);
    struct limit_entry *entry = find_or_make(table, keys, key, length, now);
    pthread_mutex_unlock(&table->lock);
    return entry;
}

void limit_entry_close(struct limit_entry **handle) {
    struct limit_entry *entry = *handle;
    *handle = NULL;
    if (!entry) return;
    struct limit_table *table = entry->table;
    if (entry->is_alone) {
        free(entry);
        limit_table_unref(&table);
        return;
    }
    pthread_mutex_lock(&table->lock);
    if (!--entry->holders && entry != table->crowd) list_append(&table->unused, &entry->unused);
    pthread_mutex_unlock(&table->lock);
}

/* ---- figures ---- */

void limit_table_count(struct limit_table *table, enum limit_event event) {
    atomic_fetch_add_explicit(&table->events[event], 1, memory_order_relaxed);
}

struct limit_figures limit_table_figures(const struct limit_table *table) {
    return (struct limit_figures){.delayed = table->events[LIMIT_DELAYED],
                                  .refused = table->events[LIMIT_REFUSED],
                                  .ended = table->events[LIMIT_ENDED],
                                  .crowded = table->events[LIMIT_CROWDED]};
}

size_t limit_table_keys(struct limit_table *table) {
    pthread_mutex_lock(&table->lock);
    size_t count = table->entries.count;
    pthread_mutex_unlock(&table->lock);
    return count;
}
