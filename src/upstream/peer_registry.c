/* upstream/peer_registry.c - what all workers of the process know about its peers. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "upstream/peer_private.h"

struct peer_record {
    struct peer_record *next;
    pthread_mutex_t lock;
    struct peer_numbers numbers;
    char error[sizeof((struct peer_counts *)0)->error];
    char id[];
};

/* Records stay: there are as many as ids that configs have named. */
struct peer_registry {
    uint64_t instance;
    pthread_mutex_t lock;
    struct peer_record *records;
};

struct peer_registry *peer_registry_new(void) {
    struct peer_registry *registry = memory_new(sizeof *registry);
    pthread_mutex_init(&registry->lock, NULL);
    while (!registry->instance)
        if (getrandom(&registry->instance, sizeof registry->instance, 0) != sizeof registry->instance)
            registry->instance = clock_monotonic();
    return registry;
}

void peer_registry_free(struct peer_registry **handle) {
    struct peer_registry *registry = *handle;
    *handle = NULL;
    if (!registry) return;
    for (struct peer_record *record = registry->records, *next; record; record = next) {
        next = record->next;
        pthread_mutex_destroy(&record->lock);
        free(record);
    }
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

uint64_t peer_registry_instance(const struct peer_registry *registry) { return registry->instance; }

struct peer_record *peer_record_of(struct peer_registry *registry, const char *id) {
    pthread_mutex_lock(&registry->lock);
    struct peer_record *record = registry->records;
    while (record && strcmp(record->id, id) != 0) record = record->next;
    if (!record) {
        record = memory_new(sizeof *record + strlen(id) + 1);
        strcpy(record->id, id);
        pthread_mutex_init(&record->lock, NULL);
        record->next = registry->records;
        registry->records = record;
    }
    pthread_mutex_unlock(&registry->lock);
    return record;
}

uint64_t peer_record_dials(struct peer_record *record) {
    pthread_mutex_lock(&record->lock);
    uint64_t dials = record->numbers.dials;
    pthread_mutex_unlock(&record->lock);
    return dials;
}

void peer_record_add(struct peer_record *record, const struct peer_numbers *before, const struct peer_numbers *now) {
    struct peer_numbers *sum = &record->numbers;
    pthread_mutex_lock(&record->lock);
    sum->links += now->links - before->links;
    sum->dialled_links += now->dialled_links - before->dialled_links;
    sum->connections += now->connections - before->connections;
    sum->streams += now->streams - before->streams;
    sum->waiting += now->waiting - before->waiting;
    sum->dials += now->dials - before->dials;
    sum->dial_failures += now->dial_failures - before->dial_failures;
    sum->accepted += now->accepted - before->accepted;
    sum->refused += now->refused - before->refused;
    sum->simultaneous += now->simultaneous - before->simultaneous;
    pthread_mutex_unlock(&record->lock);
}

void peer_record_set_error(struct peer_record *record, const char *error) {
    pthread_mutex_lock(&record->lock);
    snprintf(record->error, sizeof record->error, "%s", error ? error : "");
    pthread_mutex_unlock(&record->lock);
}

void peer_record_read(struct peer_record *record, struct peer_counts *counts) {
    pthread_mutex_lock(&record->lock);
    const struct peer_numbers *numbers = &record->numbers;
    counts->is_connected = numbers->links > 0;
    counts->is_dialled_by_us = numbers->dialled_links > 0;
    counts->connections = (uint32_t)numbers->connections;
    counts->streams = (uint32_t)numbers->streams;
    counts->waiting = (uint32_t)numbers->waiting;
    counts->dials = numbers->dials;
    counts->dial_failures = numbers->dial_failures;
    counts->accepted = numbers->accepted;
    counts->refused = numbers->refused;
    counts->simultaneous = numbers->simultaneous;
    memcpy(counts->error, record->error, sizeof counts->error);
    pthread_mutex_unlock(&record->lock);
}
