/* fanout/rate.h - how often something may happen for each key: token buckets that all workers of the process share.
 *
 * A rate has a name; who opens the same name has the same buckets. How fast they fill and how much they hold says each
 * who takes, so that code of two generations can use a rate with settings of its own. A bucket that is full is as good as
 * none, and so the one that was used longest ago makes room for a new key: only where more keys than that are in use at
 * once does one of them find its bucket full too early.
 *
 * Any thread; a lock of the rate is held for one look-up. */
#ifndef TIDEWIRE_FANOUT_RATE_H
#define TIDEWIRE_FANOUT_RATE_H
#include <stddef.h>
#include <stdint.h>

struct rate;
struct rate_registry;

#define RATE_NEVER UINT64_MAX

struct rate_settings {
    double interval; /* ns in which one token comes */
    double burst;    /* tokens that a bucket holds; burst * interval is below 2^62 */
    size_t keys;     /* buckets at once, at least 1 */
};

struct rate_registry *rate_registry_new(void);
/* After the last rate. */
void rate_registry_free(struct rate_registry **registry);

/* A reference; NULL when there are too many names. The buckets go with the last reference. */
struct rate *rate_open(struct rate_registry *registry, const char *name, size_t length);
void rate_unref(struct rate **rate);

/* Takes `tokens` at once, or nothing. Returns 0 when they were taken; else in how many ns they could be, RATE_NEVER when
 * that is more than a bucket holds. `now` is monotonic ns. */
uint64_t rate_take(struct rate *rate, const struct rate_settings *settings, const char *key, size_t length, double tokens,
                   uint64_t now);
/* Buckets that there are. */
size_t rate_keys(struct rate *rate);
#endif
