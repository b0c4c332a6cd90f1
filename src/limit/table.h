/* limit/table.h - what a limit has counted, for each key: a peer, a user, a service. All workers share it.
 *
 * An entry is looked up once for each call, under the table's lock, and held as long as the call is open; what is
 * counted in it are atomic numbers. An entry that nobody holds, and whose buckets are full, is as good as none. It goes when
 * others come; one that still remembers something never does. So a table holds at most as many keys as its limit says,
 * and nobody gets a fresh bucket by pushing an old one out: while there is no room, further keys are one entry. */
#ifndef TIDEWIRE_LIMIT_TABLE_H
#define TIDEWIRE_LIMIT_TABLE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "limit/pace.h"

enum limit_way { WAY_IN, WAY_OUT, WAYS }; /* requests, responses */

struct limit_counts {
    struct bucket messages[WAYS], bytes[WAYS], streams;
    _Atomic uint64_t total[WAYS];                /* messages in all */
    _Atomic uint64_t open;                       /* streams */
};

struct limit_table;
struct limit_entry {
    struct limit_counts counts;
    struct limit_table *table;
    struct list unused; /* in table->unused while nobody holds it */
    uint32_t holders;
    uint32_t length;
    bool is_alone;
    char key[];
};

/* How often a limit did something. */
struct limit_figures {
    uint64_t delayed; /* messages that waited */
    uint64_t refused; /* streams that did not begin */
    uint64_t ended;   /* streams that it has ended */
    uint64_t crowded; /* streams whose key had no entry of its own */
};
enum limit_event { LIMIT_DELAYED, LIMIT_REFUSED, LIMIT_ENDED, LIMIT_CROWDED, LIMIT_EVENTS };

/* Of a limit's name and scope; one reference. */
struct limit_table *limit_table_new(const char *name, const char *scope);
struct limit_table *limit_table_ref(struct limit_table *table);
void limit_table_unref(struct limit_table **table);
const char *limit_table_name(const struct limit_table *table);
const char *limit_table_scope(const struct limit_table *table);

/* The key's entry, which the caller holds now. `keys`: how many the table may have. Long ones are told apart by a hash. */
struct limit_entry *limit_table_open(struct limit_table *table, size_t keys, const void *key, size_t length,
                                     uint64_t now);
/* One that only the caller knows of; it keeps the table. */
struct limit_entry *limit_table_open_alone(struct limit_table *table);
void limit_entry_close(struct limit_entry **entry);

void limit_table_count(struct limit_table *table, enum limit_event event);
struct limit_figures limit_table_figures(const struct limit_table *table);
/* Entries that there are, for tests. */
size_t limit_table_keys(struct limit_table *table);
#endif
