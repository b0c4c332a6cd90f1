/* fanout/rate.c - see rate.h
 *
 * A bucket is one number: the moment at which it will be full. Each token that is taken puts that off by an interval, and
 * it may lie at most a whole bucket ahead. */
#include "fanout/rate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

enum { MOST_RATES = 100000 };

struct bucket {
    struct list node; /* in rate->used */
    uint64_t full_at;
    size_t length;
    char key[];
};

struct rate {
    struct rate_registry *registry;
    uint32_t references; /* the registry's lock */
    pthread_mutex_t lock; /* of what follows */
    struct map buckets;
    struct list used; /* the buckets; the one that was used last is the last */
    size_t length;
    char name[];
};

struct rate_registry {
    pthread_mutex_t lock;
    struct map rates;
};

struct rate_registry *rate_registry_new(void) {
    struct rate_registry *registry = memory_new(sizeof *registry);
    pthread_mutex_init(&registry->lock, NULL);
    return registry;
}

void rate_registry_free(struct rate_registry **handle) {
    struct rate_registry *registry = *handle;
    *handle = NULL;
    if (!registry) return;
    map_free(&registry->rates, NULL);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

static struct rate *rate_new(struct rate_registry *registry, const char *name, size_t length) {
    struct rate *rate = memory_new(sizeof *rate + length);
    rate->registry = registry;
    pthread_mutex_init(&rate->lock, NULL);
    list_init(&rate->used);
    rate->length = length;
    memcpy(rate->name, name, length);
    return rate;
}

static void rate_free(struct rate *rate) {
    map_free(&rate->buckets, free);
    pthread_mutex_destroy(&rate->lock);
    free(rate);
}

struct rate *rate_open(struct rate_registry *registry, const char *name, size_t length) {
    pthread_mutex_lock(&registry->lock);
    struct rate *rate = map_get(&registry->rates, name, length);
    if (!rate && registry->rates.count < MOST_RATES) {
        rate = rate_new(registry, name, length);
        map_put(&registry->rates, name, length, rate);
    }
    if (rate) rate->references++;
    pthread_mutex_unlock(&registry->lock);
    return rate;
}

void rate_unref(struct rate **handle) {
    struct rate *rate = *handle;
    *handle = NULL;
    if (!rate) return;
    struct rate_registry *registry = rate->registry;
    pthread_mutex_lock(&registry->lock);
    bool is_last = --rate->references == 0;
    if (is_last) map_remove(&registry->rates, rate->name, rate->length);
    pthread_mutex_unlock(&registry->lock);
    if (is_last) rate_free(rate);
}

static void evict(struct rate *rate) {
    struct bucket *bucket = container_of(rate->used.next, struct bucket, node);
    list_remove(&bucket->node);
    map_remove(&rate->buckets, bucket->key, bucket->length);
    free(bucket);
}

/* The bucket of the key, which now is the one that was used last. */
static struct bucket *use_bucket(struct rate *rate, size_t most, const char *key, size_t length) {
    struct bucket *bucket = map_get(&rate->buckets, key, length);
    if (bucket) {
        list_remove(&bucket->node);
    } else {
        while (rate->buckets.count >= most) evict(rate);
        bucket = memory_new(sizeof *bucket + length);
        bucket->length = length;
        memcpy(bucket->key, key, length);
        map_put(&rate->buckets, key, length, bucket);
        list_init(&bucket->node);
    }
    list_append(&rate->used, &bucket->node);
    return bucket;
}

uint64_t rate_take(struct rate *rate, const struct rate_settings *settings, const char *key, size_t length, double tokens,
                   uint64_t now) {
    if (tokens > settings->burst) return RATE_NEVER;
    uint64_t cost = (uint64_t)(tokens * settings->interval), whole = (uint64_t)(settings->burst * settings->interval);
    pthread_mutex_lock(&rate->lock);
    struct bucket *bucket = use_bucket(rate, settings->keys, key, length);
    uint64_t full_at = (bucket->full_at > now ? bucket->full_at : now) + cost;
    uint64_t wait = full_at > now + whole ? full_at - now - whole : 0;
    if (!wait) bucket->full_at = full_at;
    pthread_mutex_unlock(&rate->lock);
    return wait;
}

size_t rate_keys(struct rate *rate) {
    pthread_mutex_lock(&rate->lock);
    size_t count = rate->buckets.count;
    pthread_mutex_unlock(&rate->lock);
    return count;
}
