/* base/map.c - see map.h. Separate chaining; the load stays below one entry a bucket. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/memory.h"

struct map_entry {
    struct map_entry *next;
    void *value;
    uint32_t hash, length;
    char key[];
};

static struct map_entry **find(const struct map *map, uint32_t hash, const void *key, size_t length) {
    struct map_entry **entry = &map->buckets[hash & (map->bucket_count - 1)];
    while (*entry && ((*entry)->hash != hash || (*entry)->length != length || memcmp((*entry)->key, key, length)))
        entry = &(*entry)->next;
    return entry;
}

static void grow(struct map *map) {
    size_t count = map->bucket_count ? map->bucket_count * 2 : 16;
    struct map_entry **buckets = memory_new(count * sizeof(struct map_entry *));
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (struct map_entry *entry = map->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            struct map_entry **bucket = &buckets[entry->hash & (count - 1)];
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
}

void *map_get(const struct map *map, const void *key, size_t length) {
    if (!map->count) return NULL;
    struct map_entry *entry = *find(map, hash_bytes(map->seed, key, length), key, length);
    return entry ? entry->value : NULL;
}

void *map_put(struct map *map, const void *key, size_t length, void *value) {
    if (!map->bucket_count && getrandom(&map->seed, sizeof map->seed, 0) < 0) map->seed = (uint64_t)(uintptr_t)map;
    if (map->count >= map->bucket_count) grow(map);
    uint32_t hash = hash_bytes(map->seed, key, length);
    struct map_entry **place = find(map, hash, key, length);
    if (*place) {
        void *before = (*place)->value;
        (*place)->value = value;
        return before;
    }
    struct map_entry *entry = memory_new(sizeof *entry + length + 1);
    entry->hash = hash;
    entry->length = (uint32_t)length;
    entry->value = value;
    memcpy(entry->key, key, length);
    *place = entry;
    map->count++;
    return NULL;
}

void *map_remove(struct map *map, const void *key, size_t length) {
    if (!map->count) return NULL;
    struct map_entry **place = find(map, hash_bytes(map->seed, key, length), key, length), *entry = *place;
    if (!entry) return NULL;
    void *value = entry->value;
    *place = entry->next;
    free(entry);
    map->count--;
    return value;
}

void map_free(struct map *map, void (*free_value)(void *value)) {
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (struct map_entry *entry = map->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            if (free_value) free_value(entry->value);
            free(entry);
        }
    }
    free(map->buckets);
    *map = (struct map){0};
}

void map_each(const struct map *map, void (*visit)(void *context, const char *key, size_t length, void *value),
              void *context) {
    for (size_t i = 0; i < map->bucket_count; i++)
        for (struct map_entry *entry = map->buckets[i]; entry; entry = entry->next)
            visit(context, entry->key, entry->length, entry->value);
}
