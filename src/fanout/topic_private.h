/* fanout/topic_private.h - what topic.c gives to the rest of the room. */
#ifndef TIDEWIRE_FANOUT_TOPIC_PRIVATE_H
#define TIDEWIRE_FANOUT_TOPIC_PRIVATE_H
#include "base/list.h"
#include "base/pool.h"
#include "fanout/bundle.h"
#include "fanout/shared.h"
#include "fanout/subscription.h"
#include "fanout/topic.h"
#include "net/loop.h"

struct mailbox;

/* One worker's side. */
struct topics {
    struct topic_registry *registry;
    uint32_t index;
    struct loop *loop;
    struct mailbox *mailbox;
    struct map by_name; /* of struct topic */
    struct pool subscriptions;
    uint64_t last_serial; /* of subscriptions */
    bool *held;         /* for each worker: the publish that was reserved has its credit */
    uint32_t *unrung;   /* for each worker: mail that it has not been woken for */
    struct task ring;   /* wakes them */
    struct bundle bundle;
    struct timer sweeper; /* while topics linger that this worker has let go of */
};

/* One worker's handle. */
struct topic {
    uint32_t references;
    struct topics *topics;
    struct shared_topic *shared;
    struct share *share; /* this worker's of it */
    struct list subscriptions; /* that are given bundles; those of a connection stand together as far as that is cheap */
    struct list prompt;        /* the others */
    struct list watches;   /* of struct topic_watch */
    struct list waiting;   /* of struct topic_wait: this worker's publishers */
    struct task resume;    /* looks whether they can go on */
    struct task settle;    /* looks how much room its blocking subscribers have */
    struct timer patience; /* until the first of those that hold up publishers is closed */
};

static inline void topic_add(struct topic *topic, enum topic_counter counter, uint64_t count) {
    share_add(topic->share, counter, count);
}
/* Later in this turn. */
void topic_defer(struct topic *topic, struct task *task);
/* The serial of the call's own subscription; 0: none. */
uint64_t topic_find_publisher(const struct topic *topic, const struct call *call);
/* To the subscribers of this worker: a message; that some were lost; that what is kept is all there. */
void topic_deliver(struct topic *topic, struct delivery *delivery);
void topic_overrun(struct topic *topic);
void topic_loaded(struct topic *topic);
/* With the credits that topics->held says. */
struct topic_receipt topic_publish_held(struct topic *topic, struct message *message, uint64_t publisher);
/* Into the topic's list and counts, and out of them. */
void topic_joined(struct topic *topic, struct subscription *subscription);
void topic_left(struct topic *topic, struct subscription *subscription);
/* Into the list that its options say. */
void topic_place(struct topic *topic, struct subscription *subscription);
#endif
