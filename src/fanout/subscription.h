/* fanout/subscription.h - one subscriber's queue. Private to fanout/.
 *
 * A subscriber is a call, whose queue fills only while the call itself is full, or a function, whose queue is
 * worked off by a task later in the turn. */
#ifndef TIDEWIRE_FANOUT_SUBSCRIPTION_H
#define TIDEWIRE_FANOUT_SUBSCRIPTION_H
#include "base/list.h"
#include "fanout/bundle.h"
#include "fanout/fields.h"
#include "fanout/history.h"
#include "fanout/queue.h"
#include "fanout/topic.h"
#include "net/loop.h"

/* First what every message touches. */
struct subscription {
    struct list of_topic; /* a node */
    struct call *call;    /* NULL: a function */
    uint64_t given;       /* messages of bundles with smaller numbers are not for it, or it has them */
    bool is_over;     /* cancelled or full: takes nothing more; freed by its task */
    bool is_flushing; /* its call is closing: takes nothing new, hands over what is queued */
    bool is_full;     /* TOPIC_CLOSE struck: the task tells */
    bool is_busy;     /* the function has a message that it is not done with */
    bool is_prompt;   /* is given each message inside of the publish, and no bundles */
    bool is_choosy;   /* subscription_wants() must be asked */
    bool awaits_history; /* which is still being loaded: all that comes meanwhile will be in it */
    bool has_gap;
    struct replay replay; /* goes before the queue */
    struct queue queue;
    struct topic *topic; /* a reference */
    struct subscription_options options;
    struct list of_call; /* a node */
    uint64_t full_since; /* TOPIC_BLOCK: has held up publishers from then on; 0: does not */
    uint64_t from;       /* what is kept, up to here in its order, is replayed, or was before its time */
    uint64_t serial;     /* of its worker; never used again */
    struct member *member; /* NULL: shows nothing */
    struct task task;
};

struct subscription *subscription_new(struct topic *topic, struct call *call, const struct subscription_options *options);
/* Whether the message is for this subscriber. */
bool subscription_wants(const struct subscription *subscription, struct delivery *delivery);
static inline bool subscription_wants_all(const struct subscription *subscription) { return !subscription->is_choosy; }
/* It is: handed over, queued, or treated by the policy. Never calls the subscriber's owner. */
void subscription_take(struct subscription *subscription, struct delivery *delivery);
/* Several in one, if its call has room for all of them; else false, and none was. */
bool subscription_hand_over_run(struct subscription *subscription, struct message *run, size_t from, size_t to,
                                uint32_t count);
/* Hands queued messages to the call while it has room; true when none is left. */
bool subscription_drain(struct subscription *subscription);
/* It has fallen behind: over, and its task tells. */
void subscription_close_slow(struct subscription *subscription);
/* Messages were lost on the way to this worker: who wants no silent loss is closed. */
void subscription_overrun(struct subscription *subscription);
/* It is closing: takes nothing new. True when nothing is queued any more. */
bool subscription_flush(struct subscription *subscription);
/* Before its first message: the messages that it wants of what is kept. */
void subscription_begin_replay(struct subscription *subscription);
/* What is kept was loaded: whoever waited for it begins. */
void subscription_history_is_there(struct subscription *subscription);
static inline bool subscription_blocks(const struct subscription *subscription) {
    return subscription->options.policy == TOPIC_BLOCK && !subscription->is_flushing;
}
void subscription_set_options(struct subscription *subscription, const struct subscription_options *options);
#endif
