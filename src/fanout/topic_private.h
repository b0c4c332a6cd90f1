/* fanout/topic_private.h - what topic.c gives to the rest of the room. */
#ifndef TIDEWIRE_FANOUT_TOPIC_PRIVATE_H
#define TIDEWIRE_FANOUT_TOPIC_PRIVATE_H
#include "base/list.h"
#include "fanout/shared.h"
#include "fanout/topic.h"

struct mailbox;
struct task;

/* One worker's side. */
struct topics {
    struct topic_registry *registry;
    uint32_t index;
    struct loop *loop;
    struct mailbox *mailbox;
    struct map by_name; /* of struct topic */
};

/* One worker's handle. */
struct topic {
    uint32_t references;
    struct topics *topics;
    struct shared_topic *shared;
    struct share *share; /* this worker's of it */
    struct list subscriptions;
};

static inline void topic_add(struct topic *topic, enum topic_counter counter, uint64_t count) {
    share_add(topic->share, counter, count);
}
/* Later in this turn. */
void topic_defer(struct topic *topic, struct task *task);
/* The subscription is over: out of the topic's list and count. */
void topic_left(struct topic *topic, struct subscription *subscription);
#endif
