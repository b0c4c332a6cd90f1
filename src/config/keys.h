/* config/keys.h - the one table of what a configuration may say. It drives parsing, units, ranges, defaults,
 * `tidewire config default` and the reference page. Private to config/. */
#ifndef TIDEWIRE_CONFIG_KEYS_H
#define TIDEWIRE_CONFIG_KEYS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum section_id {
    SECTION_FILE, /* what stands outside of all braces */
    SECTION_LISTEN,
    SECTION_TLS,
    SECTION_CORS,
    SECTION_ADMIN,
    SECTION_UPSTREAM,
    SECTION_UPSTREAM_TLS,
    SECTION_UPSTREAM_KEEPALIVE,
    SECTION_HEALTH,
    SECTION_EJECT,
    SECTION_RETRY,
    SECTION_PEER,
    SECTION_PEER_TLS,
    SECTION_PEER_KEEPALIVE,
    SECTION_SHARED_DICT,
    SECTION_BUS,
    SECTION_BUS_TLS,
    SECTION_BUS_STREAM,
    SECTION_LIMIT,
    SECTION_SERVICE,
    SECTION_METHOD,
    SECTION_ROUTE,
    SECTION_LIMITS,
    SECTION_KEEPALIVE,
    SECTION_LOG,
    SECTION_COUNT
};

struct section {
    const char *name;
    enum section_id parent;
    const char *title; /* what its title is, for the reference; NULL: it has none */
    const char *help;
    const char *example; /* of a title */
    bool is_many;        /* may stand more than once without a title */
};
extern const struct section sections[SECTION_COUNT];

enum value_type {
    VALUE_TEXT,
    VALUE_PATH, /* relative to the file that names it */
    VALUE_SIZE,
    VALUE_DURATION,
    VALUE_COUNT,
    VALUE_RATE, /* how many a second, in millionths */
    VALUE_MODE, /* octal */
    VALUE_BOOLEAN,
    VALUE_WORD
};

struct key {
    enum section_id section;
    const char *name;
    enum value_type type;
    bool is_list;
    bool is_per_call;     /* a limit that `service` and `method` may set for themselves */
    const char *standard; /* the default, as it would be written; NULL: none */
    uint64_t least, most; /* of sizes, durations and counts; where most is 0 there is no range */
    const char *const
        *words; /* of VALUE_WORD in the order of their numbers; of VALUE_COUNT: the one that means 0 */
    size_t offset, size; /* in the section's struct; size 0: config.c does it by hand */
    const char *help;
    const char *example; /* where there is no default, or it does not go with every section of this kind */
};
extern const struct key keys[];
extern const size_t key_count;

/* What later versions will serve: refused by name. */
struct later {
    enum section_id section;
    const char *name;
};
bool key_comes_later(enum section_id section, const char *name);

/* NULL when the section has no such key. Limits of calls are found in `service` and `method` too. */
const struct key *key_find(enum section_id section, const char *name);
bool key_is_in(const struct key *key, enum section_id section);
/* -1 when the section holds no such section. */
int section_find(enum section_id parent, const char *name);
/* The known name nearest to a misspelt one, or NULL. */
const char *key_nearest(enum section_id section, const char *name);
#endif
