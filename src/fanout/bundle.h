/* fanout/bundle.h - messages of one topic on their way to one worker's subscribers, together. Private to fanout/.
 *
 * What is published in one turn is given to each subscriber at once, at the turn's end: so that what a subscriber's call
 * is made of comes into the cache once for all of it, and the calls of one connection behind each other. Nobody can tell
 * that from a walk at each publish: a bundle is of one topic, and goes out before a message of another one; and a call
 * gets what there is for it before its handler sends anything else, ends it, or changes its subscription. */
#ifndef TIDEWIRE_FANOUT_BUNDLE_H
#define TIDEWIRE_FANOUT_BUNDLE_H
#include "fanout/fields.h"
#include "net/loop.h"

enum { BUNDLE_MOST = 64, BUNDLE_MOST_BYTES = 64 * 1024 };

struct subscription;
struct topic;

/* A message on its way through a worker's subscriptions. */
struct delivery {
    struct message *message;
    uint64_t publisher; /* serial of the publisher's own subscription in this worker; 0: none */
    uint64_t order;     /* of kept ones, its parcel's; 0: it is not kept */
    bool has_credit;    /* no TOPIC_BLOCK subscriber is too full for it */
    bool is_carried;    /* its publisher, on another host, cannot wait: TOPIC_BLOCK is TOPIC_DROP_OLD */
    struct fields fields;
};

/* One a worker. */
struct bundle {
    struct topic *topic; /* a reference; NULL: there is none */
    uint64_t first;      /* the number of its first message; all messages of the worker's bundles are numbered */
    uint32_t count;
    size_t bytes;
    struct message *run;            /* the messages as they leave, with prefixes; NULL: one is too large */
    uint32_t ends[BUNDLE_MOST + 1]; /* of the messages in it: number i lies between ends[i] and ends[i + 1] */
    struct delivery *deliveries;
    bool is_busy; /* subscribers are being given something: none may be given more in between */
    struct loop *loop;
    struct task task;
};

void bundle_init(struct bundle *bundle, struct loop *loop);
void bundle_free(struct bundle *bundle);
/* Another one of the topic, with a reference of its own. */
void bundle_add(struct bundle *bundle, struct topic *topic, const struct delivery *delivery);
/* Now, and not at the end of the turn. */
void bundle_go_out(struct bundle *bundle);
/* What this one has not been given of it. */
void bundle_give(struct bundle *bundle, struct subscription *subscription);
static inline uint64_t bundle_next(const struct bundle *bundle) { return bundle->first + bundle->count; }
#endif
