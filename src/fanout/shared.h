/* fanout/shared.h - what the workers of a process share: the names of topics, and of each topic how many subscribers
 * each worker has. Private to fanout/.
 *
 *   registry (process) ── name → shared topic ── a share for each worker
 *      │                                              │
 *   topics (worker 0, 1, …) ── name → topic: this worker's handle, with its list of subscriptions
 *
 * The registry's lock is taken when a worker meets a name for the first time or lets go of it, never by a publish. */
#ifndef TIDEWIRE_FANOUT_SHARED_H
#define TIDEWIRE_FANOUT_SHARED_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/counter.h"
#include "base/map.h"
#include "fanout/carrier.h"
#include "fanout/history.h"
#include "fanout/topic.h"

/* What one worker has counted in all topics. A row of the registry's figures. */
struct topic_totals {
    atomic_uint_least64_t counters[TOPIC_COUNTERS];
    atomic_uint_least64_t subscribers;
};

/* What one worker has of a shared topic, in cache lines of its own: publishers of other workers read the first. */
struct share {
    _Alignas(64) atomic_uint subscribers;
    atomic_uint blockers;    /* of the subscribers: those with TOPIC_BLOCK */
    atomic_int credits;      /* what may still be published to them: see credit.h */
    atomic_bool has_waiting; /* publishers of this worker wait for credits */
    atomic_bool is_pressed;  /* a mail is on its way that tells that somebody waits for this worker's credits */
    atomic_bool is_overrun;  /* mail for this worker was refused, and a mail that tells so is on its way */
    atomic_uint watchers;    /* of its members */
    atomic_bool has_missed;  /* a mail that tells its watchers so is on its way */
    atomic_uint in_flight;   /* mails with kept messages; grows under the topic's lock */
    struct topic *topic;     /* the worker's handle, or NULL; from here on only that worker's thread looks */
    int granted;             /* credits, and those that publishers and mails hold */
    struct topic_totals *totals; /* that worker's */
    _Alignas(64) atomic_uint_least64_t counters[TOPIC_COUNTERS]; /* written by that worker alone */
};

struct shared_topic {
    char *name;
    size_t name_length;
    atomic_uint references; /* handles of workers, mails under way */
    _Atomic(char *) type;
    struct list lingering;  /* in the registry's, while nothing but its history keeps it */
    pthread_mutex_t lock;   /* for history and members, and for the order in which mail about them is posted */
    struct list members;    /* of struct member */
    atomic_uint handles;    /* of workers */
    atomic_bool is_noted;   /* a note is on its way to the carrier, or it has not looked yet */
    atomic_bool is_stored;  /* the carrier gives kept messages their positions; changes under the lock */
    void *carried;          /* the carrier's, of its thread */
    bool is_loading;        /* it has not brought yet what was stored before; under the lock */
    atomic_size_t elsewhere; /* subscribers of other hosts */
    struct history *history; /* NULL: none */
    atomic_bool is_kept;     /* it has one: never false again */
    struct share shares[]; /* registry->workers, and one of the carrier */
};

struct topic_registry {
    pthread_mutex_t lock; /* for the names */
    struct map by_name;   /* of struct shared_topic */
    uint64_t most_topics;
    struct list lingering; /* of struct shared_topic, without references; more or less by age */
    struct history_account history;
    uint64_t seed; /* of keys' hashes */
    _Atomic(struct topic_carrier *) carrier;
    struct topic_carrier *store; /* the last carrier that there was: for topics that it stores */
    atomic_uint_least64_t last_member; /* its number */
    uint32_t workers;
    struct topics **sides;
    struct figures *figures;     /* struct topic_totals, of the workers and of the carrier */
    struct topic_totals **totals;
};

/* With a reference, until shared_unref(); NULL when there are too many. */
struct shared_topic *shared_open(struct topic_registry *registry, const char *name, size_t length);
struct shared_topic *shared_ref(struct shared_topic *shared);
void shared_unref(struct topic_registry *registry, struct shared_topic *shared);
/* Frees the topics that only their history has kept, where it is over now. False: no other one waits for that. */
bool shared_sweep(struct topic_registry *registry);

size_t shared_count(const struct topic_registry *registry, const struct shared_topic *shared);
/* Something about it has changed: the carrier will look. */
void shared_note(struct topic_registry *registry, struct shared_topic *shared);
void shared_note_to(struct topic_carrier *carrier, struct shared_topic *shared); /* NULL: none */

/* In the share's own worker. */
static inline void share_add(struct share *share, enum topic_counter counter, uint64_t count) {
    counter_add(&share->counters[counter], count);
    counter_add(&share->totals->counters[counter], count);
}
#endif
