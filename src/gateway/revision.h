/* gateway/revision.h - one reading of the config and its schemas, shared by all workers.
 *
 * A worker's generation of scripts holds a reference; when the last is gone, config and schema are freed, and the
 * gateway's count of living generations goes down. */
#ifndef TIDEWIRE_GATEWAY_REVISION_H
#define TIDEWIRE_GATEWAY_REVISION_H
#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "schema/schema.h"

struct revision {
    atomic_uint references;
    uint32_t number; /* the generation's, from 1 */
    struct config *config;
    struct schema *schema;
    atomic_uint *alive; /* counts living revisions */
};

/* One reference; NULL and an error text on any fault. One thread at a time. */
struct revision *revision_read(const char *file, uint32_t number, atomic_uint *alive, struct error *error);
struct revision *revision_ref(struct revision *revision);
void revision_unref(struct revision **revision);
#endif
