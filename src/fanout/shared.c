/* fanout/shared.c - see shared.h */
#include "fanout/shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/figures.h"
#include "base/memory.h"

static const struct figures_name all_topics = {{""}};

static void open_totals(struct topic_registry *registry) {
    uint32_t count = registry->workers + 1;
    registry->figures = figures_new(count, sizeof(struct topic_totals) / sizeof(atomic_uint_least64_t), 1, &all_topics);
    registry->totals = memory_new(count * sizeof(struct topic_totals *));
    for (uint32_t i = 0; i < count; i++) registry->totals[i] = figures_open(registry->figures, i, &all_topics);
}

static void visit_totals(void *context, const struct figures_name *name, const uint64_t *sums) {
    struct topic_figures *figures = context;
    (void)name;
    memcpy(figures->counters, sums, sizeof figures->counters);
    figures->subscribers = sums[offsetof(struct topic_totals, subscribers) / sizeof *sums];
}

void topic_registry_figures(struct topic_registry *registry, struct topic_figures *figures) {
    pthread_mutex_lock(&registry->lock);
    figures->topics = registry->by_name.count;
    pthread_mutex_unlock(&registry->lock);
    figures_each(registry->figures, visit_totals, figures);
}

struct topic_registry *topic_registry_new(uint32_t workers, uint64_t most_topics) {
    struct topic_registry *registry = memory_new(sizeof *registry);
    pthread_mutex_init(&registry->lock, NULL);
    registry->most_topics = most_topics;
    registry->workers = workers;
    list_init(&registry->lingering);
    registry->sides = memory_new(workers * sizeof(struct topics *));
    open_totals(registry);
    if (getrandom(&registry->seed, sizeof registry->seed, 0) < 0) registry->seed = (uint64_t)(uintptr_t)registry;
    return registry;
}

static void shared_free(struct topic_registry *registry, struct shared_topic *shared) {
    history_free(&shared->history, &registry->history);
    pthread_mutex_destroy(&shared->lock);
    free(atomic_load(&shared->type));
    free(shared->name);
    free(shared);
}

static void free_lingering(struct topic_registry *registry, struct shared_topic *shared) {
    list_remove(&shared->lingering);
    map_remove(&registry->by_name, shared->name, shared->name_length);
    shared_free(registry, shared);
}

void topic_registry_free(struct topic_registry **registry) {
    if (!*registry) return;
    while (!list_is_empty(&(*registry)->lingering))
        free_lingering(*registry, container_of((*registry)->lingering.next, struct shared_topic, lingering));
    map_free(&(*registry)->by_name, NULL);
    pthread_mutex_destroy(&(*registry)->lock);
    free((*registry)->sides);
    figures_free(&(*registry)->figures);
    free((*registry)->totals);
    free(*registry);
    *registry = NULL;
}

void topic_registry_set_most(struct topic_registry *registry, uint64_t most_topics) {
    pthread_mutex_lock(&registry->lock);
    registry->most_topics = most_topics;
    pthread_mutex_unlock(&registry->lock);
}

static struct shared_topic *shared_new(const struct topic_registry *registry, const char *name, size_t length) {
    size_t count = registry->workers + 1, size = sizeof(struct shared_topic) + count * sizeof(struct share);
    struct shared_topic *shared = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!shared) abort();
    memset(shared, 0, size);
    shared->name = memory_copy(name, length);
    shared->name_length = length;
    list_init(&shared->lingering);
    list_init(&shared->members);
    pthread_mutex_init(&shared->lock, NULL);
    for (size_t i = 0; i < count; i++) shared->shares[i].totals = registry->totals[i];
    return shared;
}

/* Those that have nothing to live for; with `is_thorough` also behind younger ones. */
static void sweep(struct topic_registry *registry, bool is_thorough) {
    uint64_t now = clock_monotonic();
    for (struct list *node = registry->lingering.next, *next; node != &registry->lingering; node = next) {
        struct shared_topic *shared = container_of(node, struct shared_topic, lingering);
        next = node->next;
        if (history_end(shared->history) <= now) free_lingering(registry, shared);
        else if (!is_thorough) return;
    }
}

static bool has_place(struct topic_registry *registry) {
    if (!registry->most_topics || registry->by_name.count < registry->most_topics) return true;
    sweep(registry, true);
    return registry->by_name.count < registry->most_topics;
}

struct shared_topic *shared_open(struct topic_registry *registry, const char *name, size_t length) {
    pthread_mutex_lock(&registry->lock);
    struct shared_topic *shared = map_get(&registry->by_name, name, length);
    if (shared) list_remove(&shared->lingering);
    else sweep(registry, false);
    if (!shared && has_place(registry)) {
        shared = shared_new(registry, name, length);
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
    if (atomic_fetch_sub(&shared->references, 1) == 1) {
        list_append(&registry->lingering, &shared->lingering);
        if (!shared->history || history_end(shared->history) <= clock_monotonic()) free_lingering(registry, shared);
        sweep(registry, false);
    }
    pthread_mutex_unlock(&registry->lock);
}

bool shared_sweep(struct topic_registry *registry) {
    pthread_mutex_lock(&registry->lock);
    sweep(registry, true);
    bool has_more = !list_is_empty(&registry->lingering);
    pthread_mutex_unlock(&registry->lock);
    return has_more;
}

size_t shared_count(const struct topic_registry *registry, const struct shared_topic *shared) {
    size_t count = 0;
    for (uint32_t i = 0; i < registry->workers; i++)
        count += atomic_load_explicit(&shared->shares[i].subscribers, memory_order_relaxed);
    return count;
}

void shared_note_to(struct topic_carrier *carrier, struct shared_topic *shared) {
    if (carrier && !atomic_exchange(&shared->is_noted, true)) carrier->note(carrier, shared_ref(shared));
}

void shared_note(struct topic_registry *registry, struct shared_topic *shared) {
    shared_note_to(topic_registry_carrier(registry), shared);
}

struct topic_carrier *topic_registry_carrier(struct topic_registry *registry) {
    return atomic_load_explicit(&registry->carrier, memory_order_acquire);
}

static void note_one(void *context, const char *key, size_t length, void *value) {
    (void)key, (void)length;
    struct shared_topic *shared = value;
    if (atomic_load(&shared->references)) shared_note(context, shared);
}

void topic_registry_set_carrier(struct topic_registry *registry, struct topic_carrier *carrier) {
    if (carrier) registry->store = carrier;
    atomic_store_explicit(&registry->carrier, carrier, memory_order_release);
    if (!carrier) return;
    pthread_mutex_lock(&registry->lock);
    map_each(&registry->by_name, note_one, registry);
    pthread_mutex_unlock(&registry->lock);
}

void topic_registry_set_most_history(struct topic_registry *registry, size_t bytes) {
    atomic_store(&registry->history.most, bytes);
}
