/* base/figures.c - see figures.h */
#include "base/figures.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/memory.h"

enum { CACHE_LINE = 64 };

struct entry {
    struct figures_name name;
    char *rows; /* of all threads, each at the beginning of a cache line */
};

struct figures {
    pthread_mutex_t lock;
    uint32_t threads;
    size_t counters, row; /* bytes of a row, up to the next thread's */
    size_t most;
    struct map by_name;     /* → struct entry */
    struct entry **entries; /* as they came */
    size_t count, capacity;
    struct entry *others; /* NULL: nobody has needed it yet */
    struct figures_name others_name;
};

static struct figures_name copy_name(const struct figures_name *name) {
    struct figures_name copy = {{NULL}};
    for (int i = 0; i < FIGURES_PARTS; i++)
        if (name->parts[i]) copy.parts[i] = memory_copy_string(name->parts[i]);
    return copy;
}

static void free_name(const struct figures_name *name) {
    for (int i = 0; i < FIGURES_PARTS; i++) free((char *)(uintptr_t)name->parts[i]);
}

struct figures *figures_new(uint32_t threads, size_t counters, size_t most, const struct figures_name *others) {
    assert(counters <= FIGURES_COUNTERS);
    struct figures *figures = memory_new(sizeof *figures);
    pthread_mutex_init(&figures->lock, NULL);
    figures->threads = threads;
    figures->counters = counters;
    figures->row = (counters * sizeof(atomic_uint_least64_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    figures->most = most;
    figures->others_name = copy_name(others);
    return figures;
}

static void entry_free(struct entry *entry) {
    free_name(&entry->name);
    free(entry->rows);
    free(entry);
}

void figures_free(struct figures **handle) {
    struct figures *figures = *handle;
    *handle = NULL;
    if (!figures) return;
    for (size_t i = 0; i < figures->count; i++) entry_free(figures->entries[i]);
    free(figures->entries);
    map_free(&figures->by_name, NULL);
    free_name(&figures->others_name);
    pthread_mutex_destroy(&figures->lock);
    free(figures);
}

static struct entry *add(struct figures *figures, const struct figures_name *name) {
    struct entry *entry = memory_new(sizeof *entry);
    entry->name = copy_name(name);
    entry->rows = aligned_alloc(CACHE_LINE, figures->threads * figures->row);
    if (!entry->rows) abort();
    memset(entry->rows, 0, figures->threads * figures->row);
    if (figures->count == figures->capacity) {
        figures->capacity = figures->capacity ? 2 * figures->capacity : 16;
        figures->entries = memory_resize(figures->entries, figures->capacity * sizeof(struct entry *));
    }
    figures->entries[figures->count++] = entry;
    return entry;
}

/* No part contains a NUL. */
static void write_key(struct buffer *key, const struct figures_name *name) {
    for (int i = 0; i < FIGURES_PARTS && name->parts[i]; i++) buffer_append(key, name->parts[i], strlen(name->parts[i]) + 1);
}

/* One that was opened by that name is the same: no name stands twice. */
static struct entry *others_of(struct figures *figures) {
    struct buffer key = {0};
    write_key(&key, &figures->others_name);
    if (!figures->others) figures->others = map_get(&figures->by_name, buffer_bytes(&key), buffer_length(&key));
    if (!figures->others) {
        figures->others = add(figures, &figures->others_name);
        map_put(&figures->by_name, buffer_bytes(&key), buffer_length(&key), figures->others);
    }
    buffer_free(&key);
    return figures->others;
}

static struct entry *find_or_add(struct figures *figures, const struct figures_name *name, const struct buffer *key) {
    struct entry *entry = map_get(&figures->by_name, buffer_bytes(key), buffer_length(key));
    if (entry) return entry;
    if (figures->count < figures->most) {
        entry = add(figures, name);
        map_put(&figures->by_name, buffer_bytes(key), buffer_length(key), entry);
        return entry;
    }
    return others_of(figures);
}

void *figures_open(struct figures *figures, uint32_t thread, const struct figures_name *name) {
    struct buffer key = {0};
    write_key(&key, name);
    pthread_mutex_lock(&figures->lock);
    struct entry *entry = find_or_add(figures, name, &key);
    pthread_mutex_unlock(&figures->lock);
    buffer_free(&key);
    return entry->rows + thread * figures->row;
}

static void sum_up(const struct figures *figures, const struct entry *entry, uint64_t *sums) {
    memset(sums, 0, figures->counters * sizeof *sums);
    for (uint32_t thread = 0; thread < figures->threads; thread++) {
        const atomic_uint_least64_t *row = (const void *)(entry->rows + thread * figures->row);
        for (size_t i = 0; i < figures->counters; i++) sums[i] += counter_read(&row[i]);
    }
}

void figures_each(struct figures *figures,
                  void (*visit)(void *context, const struct figures_name *name, const uint64_t *sums), void *context) {
    uint64_t sums[FIGURES_COUNTERS];
    pthread_mutex_lock(&figures->lock);
    for (size_t i = 0; i < figures->count; i++) {
        sum_up(figures, figures->entries[i], sums);
        visit(context, &figures->entries[i]->name, sums);
    }
    pthread_mutex_unlock(&figures->lock);
}
