/* dict/dict.h - a dictionary of bounded size that all threads share: what scripts see as tidewire.shared.NAME.
 *
 * Everything that a dictionary has, its own struct included, lies in one mapping of exactly its size. An entry that finds
 * no room takes that of those which were used least recently. One lock, which is held for the copy of one key and value:
 * whole tables are walked in short pieces.
 *
 * All functions may be called by any thread. Times are monotonic ns; `now` is the caller's, so that a worker asks its loop
 * and not the system. Keys have 1 to DICT_MOST_KEY bytes. */
#ifndef TIDEWIRE_DICT_DICT_H
#define TIDEWIRE_DICT_DICT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buffer;
struct dict;

enum { DICT_MOST_KEY = 65535 };
/* Of a dictionary. Blocks are counted in 32 bits, which would allow for some more. */
#define DICT_LEAST_SIZE (UINT64_C(16) << 10)
#define DICT_MOST_SIZE (UINT64_C(64) << 30)

enum dict_type {
    DICT_BOOLEAN,
    DICT_NUMBER,
    DICT_INT64, /* integers of 64 bits that are no doubles */
    DICT_UINT64,
    DICT_STRING,
    DICT_LIST, /* of numbers, integers and strings; no function gives or takes one as a value */
};

struct dict_value {
    enum dict_type type;
    uint32_t flags; /* the script's own */
    union {
        bool is_true;
        double number;
        uint64_t integer; /* of DICT_INT64, too */
        struct {
            const char *bytes; /* borrowed */
            size_t length;
        };
    };
};

enum dict_result {
    DICT_OK,
    DICT_EXISTS,
    DICT_NOT_FOUND,
    DICT_NO_MEMORY,
    DICT_NOT_A_NUMBER,
    DICT_OUT_OF_RANGE, /* the sum of integers is none of 64 bits */
    DICT_IS_A_LIST,
    DICT_NOT_A_LIST,
};

struct dict_key {
    const char *bytes;
    size_t length;
};

/* One reference; NULL and an error text when the system has no memory for it. */
struct dict *dict_new(const char *name, uint64_t size, struct error *error);
struct dict *dict_ref(struct dict *dict);
void dict_unref(struct dict **dict);
const char *dict_name(const struct dict *dict);
uint64_t dict_size(const struct dict *dict);
/* Of the size, what is neither used nor spent on the table itself. */
uint64_t dict_free_space(struct dict *dict);
/* Entries, so far, that had not expired and made room for others. */
uint64_t dict_evicted(struct dict *dict);

/* A string's bytes are put into `bytes`, which is cleared before. `is_stale` NULL: what has expired is DICT_NOT_FOUND; else
 * it is given as long as it is there. DICT_IS_A_LIST. */
enum dict_result dict_get(struct dict *dict, struct dict_key key, uint64_t now, struct dict_value *value,
                          struct buffer *bytes, bool *is_stale);

enum dict_condition { DICT_ALWAYS, DICT_IF_ABSENT, DICT_IF_PRESENT };
struct dict_storing {
    enum dict_condition condition;
    bool is_safe;      /* DICT_NO_MEMORY instead of taking the room of entries that have not expired */
    uint64_t lifetime; /* ns; 0: for ever */
};
/* DICT_EXISTS, DICT_NOT_FOUND, or DICT_NO_MEMORY, which leaves everything as it was: without is_safe only for what is
 * larger than the whole. `forcible`: entries that had not expired had to go. */
enum dict_result dict_store(struct dict *dict, struct dict_key key, const struct dict_value *value,
                            const struct dict_storing *how, uint64_t now, bool *forcible);
/* Adds `step` to the number, whose lifetime and flags stay, and gives the sum. Without one it begins as `init` (NULL:
 * DICT_NOT_FOUND), with a lifetime. An integer stays one: then the other must be whole (DICT_NOT_A_NUMBER) and the sum must fit
 * (DICT_OUT_OF_RANGE). */
enum dict_result dict_add(struct dict *dict, struct dict_key key, const struct dict_value *step,
                          const struct dict_value *init, uint64_t lifetime, uint64_t now, struct dict_value *sum,
                          bool *forcible);
void dict_delete(struct dict *dict, struct dict_key key);
/* What is left of its lifetime, 0 for ever; DICT_NOT_FOUND when it has expired, too. */
enum dict_result dict_lifetime(struct dict *dict, struct dict_key key, uint64_t now, uint64_t *left);
enum dict_result dict_set_lifetime(struct dict *dict, struct dict_key key, uint64_t lifetime, uint64_t now);

/* Lists, which a push begins and the last pop ends. DICT_NO_MEMORY rather than taking the room of others; DICT_NOT_A_LIST. */
enum dict_result dict_push(struct dict *dict, struct dict_key key, const struct dict_value *value, bool at_front,
                           uint64_t now, uint32_t *count);
enum dict_result dict_pop(struct dict *dict, struct dict_key key, bool at_front, uint64_t now, struct dict_value *value,
                          struct buffer *bytes);
enum dict_result dict_count(struct dict *dict, struct dict_key key, uint64_t now, uint32_t *count);

/* At most so many keys, in no order, each behind its length as a uint16_t; returns how many. Those that come and go
 * meanwhile may be among them or not. */
size_t dict_keys(struct dict *dict, size_t most, uint64_t now, struct buffer *out);
/* Everything has expired, but is there until its room is needed. What is stored meanwhile may have, too. */
void dict_expire_all(struct dict *dict);
/* Removes at most so many entries that have expired, and returns how many. */
size_t dict_remove_expired(struct dict *dict, size_t most, uint64_t now);
#endif
