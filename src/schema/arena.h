/* schema/arena.h - memory that is taken piece by piece and given back all at once. */
#ifndef TIDEWIRE_SCHEMA_ARENA_H
#define TIDEWIRE_SCHEMA_ARENA_H
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    size_t left;                /* bytes free at the end of the newest block */
};

/* Zeroed, aligned for any type; lives until arena_free(). */
void *arena_take(struct arena *arena, size_t size);
void *arena_take_many(struct arena *arena, size_t count, size_t size);
/* A copy that ends with a NUL beyond its length. */
char *arena_copy(struct arena *arena, const void *bytes, size_t length);
char *arena_copy_string(struct arena *arena, const char *text);
/* "scope.name"; only the name when the scope is empty. */
char *arena_join(struct arena *arena, const char *scope, char separator, const char *name);
void arena_free(struct arena *arena);
#endif
