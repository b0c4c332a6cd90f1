/* fanout/shared.c - see shared.h */
#include "fanout/shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

struct topic_registry *topic_registry_new(uint32_t workers, uint64_t most_topics) {
    struct topic_registry *registry = memory_new(sizeof *registry);
    pthread_mutex_init(&registry->lock, NULL);
    registry->most_topics = most_topics;
    registry->workers = workers;
    registry->sides = memory_new(workers * sizeof(struct topics *));
    if (getrandom(&registry->seed, sizeof registry->seed, 0) < 0) registry->seed = (uint64_t)(uintptr_t)registry;
    return registry;
}

void topic_registry_free(struct topic_registry **registry) {
    if (!*registry) return;
    map_free(&(*registry)->by_name, NULL);
    pthread_mutex_destroy(&(*registry)->lock);
    free((*registry)->sides);
    free(*registry);
    *registry = NULL;
}

void topic_registry_set_most(struct topic_registry *registry, uint64_t most_topics) {
    pthread_mutex_lock(&registry->lock);
    registry->most_topics = most_topics;
    pthread_mutex_unlock(&registry->lock);
}

static struct shared_topic *shared_new(uint32_t workers, const char *name, size_t length) {
    size_t size = sizeof(struct shared_topic) + workers * sizeof(struct share);
    struct shared_topic *shared = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!shared) abort();
    memset(shared, 0, size);
    shared->name = memory_copy(name, length);
    shared->name_length = length;
    return shared;
}

static void shared_free(struct shared_topic *shared) {
    free(atomic_load(&shared->type));
    free(shared->name);
    free(shared);
}

struct shared_topic *shared_open(struct topic_registry *registry, const char *name, size_t length) {
    pthread_mutex_lock(&registry->lock);
    struct shared_topic *shared = map_get(&registry->by_name, name, length);
    if (!shared && (!registry->most_topics || registry->by_name.count < registry->most_topics)) {
        shared = shared_new(registry->workers, name, length);
        map_put(&registry->by_name, name, length, shared);
    }
    if (shared) shared_ref(shared);
    pthread_mutex_unlock(&registry->lock);
    return shared;
}

struct shared_topic *shared_ref(struct shared_topic *shared) {
    atomic_fetch_add(&shared->references, 1);
    return shared;
}

void shared_unref(struct topic_registry *registry, struct shared_topic *shared) {
    unsigned references = atomic_load(&shared->references);
    while (references > 1)
        if (atomic_compare_exchange_weak(&shared->references, &references, references - 1)) return;
    /* Perhaps the last one: only under the lock, since whoever opens the name takes a reference under it. */
    pthread_mutex_lock(&registry->lock);
    bool is_last = atomic_fetch_sub(&shared->references, 1) == 1;
    if (is_last) map_remove(&registry->by_name, shared->name, shared->name_length);
    pthread_mutex_unlock(&registry->lock);
    if (is_last) shared_free(shared);
}
