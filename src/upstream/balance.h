/* upstream/balance.h - which of several targets a call goes to. Knows only numbers. Private to upstream/. */
#ifndef TIDEWIRE_UPSTREAM_BALANCE_H
#define TIDEWIRE_UPSTREAM_BALANCE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct candidate {
    uint64_t hash; /* of its address */
    uint32_t load; /* calls on it, or waiting for it */
    bool is_usable;
};

enum { BALANCE_NOBODY = -1 };

/* All return an index, or BALANCE_NOBODY. */

/* The first usable one at or behind *next, which moves behind it. */
int balance_in_turn(const struct candidate *candidates, size_t count, size_t *next);
/* The one with the least load; among equals in turn. */
int balance_least(const struct candidate *candidates, size_t count, size_t *next);
/* Rendezvous hashing: the one that scores highest with the key. When a target comes or goes, only the keys that go
 * to it, or went to it, move. */
int balance_by_hash(const struct candidate *candidates, size_t count, uint64_t key);

/* The same for the same bytes, in every worker and process. */
uint64_t balance_hash(const void *bytes, size_t length);
#endif
