/* fanout/post.h - messages on their way to the workers that have subscribers. Private to fanout/.
 *
 * Whoever sends has a share to count in: a worker its own, a carrier the one behind the workers'. */
#ifndef TIDEWIRE_FANOUT_POST_H
#define TIDEWIRE_FANOUT_POST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;
struct parcel;
struct share;
struct shared_topic;
struct topic_registry;

struct sender {
    struct topic_registry *registry;
    struct shared_topic *shared;
    struct share *counts;
    bool is_carrier;
    uint32_t *unrung; /* for each worker, mail that it was not woken for, but is before the turn's end; NULL: at once */
};

/* Whether the worker has somebody to whom it matters; with a credit it must hear anyway. */
bool post_is_wanted(const struct sender *sender, uint32_t worker, bool has_credit);
/* A copy of its own for that worker. */
void post_copy(const struct sender *sender, uint32_t worker, const void *bytes, size_t length, bool has_credit);
/* A kept one; under the topic's lock. `publisher` is that worker's name for a subscription, or 0. */
void post_parcel(const struct sender *sender, uint32_t worker, struct parcel *parcel, uint64_t publisher, bool has_credit);
/* That worker's subscribers have missed something. One notice is under way at a time. */
void post_overrun(const struct sender *sender, uint32_t worker);
/* What is kept is all there now. */
void post_loaded(const struct sender *sender, uint32_t worker);
#endif
