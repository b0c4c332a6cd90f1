/* gateway/revision.h - one reading of the config and its schemas, and the dictionaries that it names, shared by all workers.
 *
 * A worker's generation of scripts holds a reference; when the last is gone, all of it is freed, and the
 * gateway's count of living generations goes down. */
#ifndef TIDEWIRE_GATEWAY_REVISION_H
#define TIDEWIRE_GATEWAY_REVISION_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "dict/set.h"
#include "limit/book.h"
#include "rpc/pages.h"
#include "schema/schema.h"

struct revision {
    atomic_uint references;
    uint32_t number; /* the generation's, from 1 */
    struct config *config;
    struct schema *schema;
    struct pages *pages; /* or NULL */
    struct dict_set *dicts; /* NULL before revision_open_dicts() */
    struct limit_book *limits; /* so too */
    atomic_uint *alive; /* counts living revisions */
};

/* One reference; NULL and an error text on any fault. One thread at a time. */
struct revision *revision_read(const char *file, uint32_t number, atomic_uint *alive, struct error *error);
/* Its dictionaries and what its limits have counted: those of the revision in force (NULL: there is none) that are the
 * same, and new ones. False and an error text when the system has no memory for one. */
bool revision_open_dicts(struct revision *revision, const struct revision *in_force, struct error *error);
struct revision *revision_ref(struct revision *revision);
void revision_unref(struct revision **revision);
#endif
