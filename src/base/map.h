/* base/map.h - a hash table from short byte strings to pointers. Keys are copied; values are the caller's. */
#ifndef TIDEWIRE_BASE_MAP_H
#define TIDEWIRE_BASE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry;
struct map {
    struct map_entry **buckets;
    size_t bucket_count, count;
    uint64_t seed; /* chosen at the first insertion, so that keys from the wire cannot be made to collide */
};

/* NULL when the key is absent. */
void *map_get(const struct map *map, const void *key, size_t length);
/* Returns the value that was there before, or NULL. */
void *map_put(struct map *map, const void *key, size_t length, void *value);
/* Returns the value that was removed, or NULL. */
void *map_remove(struct map *map, const void *key, size_t length);
/* Frees the table; `free_value` may be NULL. */
void map_free(struct map *map, void (*free_value)(void *value));
/* Calls `visit` for every entry, in no order; `visit` may not change the map. */
void map_each(const struct map *map, void (*visit)(void *context, const char *key, size_t length, void *value),
              void *context);
#endif
