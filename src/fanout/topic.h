/* fanout/topic.h - publish one message to every subscriber of a name, over all workers of the process.
 *
 * Topics belong to the process: they outlive generations, and streams of old and new scripts meet in one. Each
 * worker keeps its own side (struct topics) with its own subscribers; publish hands a copy of the encoded bytes to
 * every worker that has subscribers. Messages of one publisher arrive in order. All functions belong to the worker's
 * thread unless they say otherwise. */
#ifndef TIDEWIRE_FANOUT_TOPIC_H
#define TIDEWIRE_FANOUT_TOPIC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/message.h"
#include "schema/schema.h"

struct call;
struct field;
struct field_filter; /* fanout/fields.h */
struct loop;
struct mailbox;
struct topic_registry; /* the process's */
struct topics;         /* one worker's side */
struct topic;          /* one worker's handle on a name; counted */
struct subscription;

/* What a message does that finds a subscriber's queue full. */
enum topic_policy {
    TOPIC_CLOSE,    /* ends the subscriber's call with RESOURCE_EXHAUSTED: no silent loss */
    TOPIC_DROP_OLD, /* the oldest queued message goes */
    TOPIC_DROP_NEW, /* the message itself goes */
    TOPIC_COALESCE, /* as TOPIC_DROP_OLD; but before, it takes the place of one that waits with the same key */
    TOPIC_BLOCK,    /* it is not published yet: its publisher waits. Who cannot wait closes the subscriber */
};

/* Of one topic, over all workers. What filters let through is one of delivered, dropped_old, dropped_new, coalesced and
 * discarded, or still queued. */
enum topic_counter {
    TOPIC_PUBLISHED,   /* messages */
    TOPIC_ENCODED,     /* of them, those that had to be encoded, and did not come as bytes */
    TOPIC_DELIVERED,   /* from here on once for each subscriber: handed to its call or function */
    TOPIC_DROPPED_OLD,
    TOPIC_DROPPED_NEW,
    TOPIC_COALESCED,   /* a newer one has taken the place */
    TOPIC_DISCARDED,   /* were queued for a subscriber that has ended; or ended it */
    TOPIC_CLOSED,      /* subscribers that fell behind and were closed for it */
    TOPIC_WAITED,      /* messages whose publisher had to wait */
    TOPIC_REPLAYED,    /* out of history, to those who asked: in no other counter */
    TOPIC_REFUSED,     /* messages that another worker's full mailbox did not take, once for each worker */
    TOPIC_RECEIVED,    /* messages that came from other hosts */
    TOPIC_COUNTERS
};
extern const char *const topic_counter_names[TOPIC_COUNTERS];

/* Of all topics together, those that are no more included. */
struct topic_figures {
    uint64_t topics, subscribers;
    uint64_t counters[TOPIC_COUNTERS];
};
void topic_registry_figures(struct topic_registry *registry, struct topic_figures *figures); /* any thread */

struct topic_registry *topic_registry_new(uint32_t workers, uint64_t most_topics);
void topic_registry_free(struct topic_registry **registry);
void topic_registry_set_most(struct topic_registry *registry, uint64_t most_topics); /* any thread */
/* The side of worker `index`. Every worker's side must exist before the first publish. */
struct topics *topics_new(struct topic_registry *registry, uint32_t index, struct loop *loop);
void topics_free(struct topics **topics); /* all subscriptions must be gone */

/* NULL when limits.topics is reached. One reference for the caller. */
struct topic *topic_open(struct topics *topics, const char *name, size_t length);
struct topic *topic_ref(struct topic *topic);
void topic_unref(struct topic **topic);
const char *topic_name(const struct topic *topic, size_t *length);
/* Fixes the message type by its full name; false when the topic has another (which `has` then names). The type is
 * forgotten with the topic. */
bool topic_set_type(struct topic *topic, const char *full_name, const char **has);
const char *topic_type(const struct topic *topic); /* NULL: not fixed yet */

/* Keeps the last `messages` of all workers, each for `ttl` ns (0: as long as there is the topic), from now on. A topic
 * that has neither subscribers nor references lives on until its newest message is too old. `position`, a singular int64
 * or uint64 field or NULL, gets each message's position. The last one to say so is right. */
void topic_keep(struct topic *topic, uint32_t messages, uint64_t ttl, const struct field *position);
bool topic_is_kept(const struct topic *topic);
/* Of the newest message; 0: nothing is kept, and no message has a position. */
uint64_t topic_position(const struct topic *topic);
/* What all topics may keep; any thread. 0: no bound. */
void topic_registry_set_most_history(struct topic_registry *registry, size_t bytes);

/* Where a subscription begins. */
enum topic_since {
    TOPIC_LIVE,  /* with the next message */
    TOPIC_ALL,   /* with the oldest that is kept */
    TOPIC_LAST,  /* with the last `position` ones */
    TOPIC_AFTER, /* behind `position` */
};

struct subscription_options {
    uint32_t queue; /* messages that may wait for this subscriber; at least 1 */
    enum topic_policy policy;
    uint64_t timeout; /* of TOPIC_BLOCK: it is closed after having held up publishers for so long, ns */
    const char *show; /* what topic_members() tells of it; NULL: nothing. Copied */
    size_t show_length;
    bool no_echo;   /* skips what `call` itself published */
    /* Replays first what is kept, then what has come meanwhile: no gap, nothing twice. Filters hold for it, the queue is
     * for what comes meanwhile. Of no meaning for a call that is subscribed already. */
    enum topic_since since;
    uint64_t position;
    /* The filters, first the one in C; NULL: everything passes. They decide before queueing, inside topic_publish(); the
     * function may not publish, subscribe or cancel. */
    const struct field_filter *fields;
    bool (*filter)(void *context, const struct message *message);
    /* Of TOPIC_COALESCE: a plain field of `type`. Both outlive the options, as `fields` does. */
    const struct message_type *type;
    const struct field *key;
    /* For function subscribers (call NULL). Called later in the same turn, never inside topic_publish(); may do
     * anything. False: it is busy with this one; the rest waits in the queue for subscription_go_on(). */
    bool (*on_message)(void *context, struct message *message);
    /* TOPIC_CLOSE and the queue was full: end the call (or the function). Called later in the same turn; the
     * subscription is over, on_end follows. NULL: call_finish(RESOURCE_EXHAUSTED). */
    void (*on_full)(void *context, struct call *call, const char *text);
    /* The subscription is over: cancelled, replaced, full, or its call has closed. Frees the context. */
    void (*on_end)(void *context);
    void *context;
};
/* `call` NULL for a function. Subscribing a call again to a topic replaces the options (on_end is called with the
 * old context), keeps the queue and returns the same subscription. The pointer is valid until on_end. */
struct subscription *topic_subscribe(struct topic *topic, struct call *call, const struct subscription_options *options);
/* TOPIC_AFTER: some of those messages are no longer kept. */
bool subscription_has_gap(const struct subscription *subscription);
/* What is kept has not come from its store yet: the subscription begins when it has. */
bool subscription_is_waiting(const struct subscription *subscription);
/* The function is no longer busy. */
void subscription_go_on(struct subscription *subscription);
/* Drops what is queued; calls on_end. Sets the pointer to NULL. */
void subscription_cancel(struct subscription **subscription);
/* The call of these subscriptions is closing: stop accepting, but hand over what is queued first (false: some still
 * waits for room; ask again in on_writable). */
bool topics_flush_call(struct topics *topics, struct call *call);
/* The call has room again (from its on_writable). */
void topics_call_writable(struct topics *topics, struct call *call);
/* The call is gone: its subscriptions end. */
void topics_call_closed(struct topics *topics, struct call *call);
bool topics_has_call(const struct topics *topics, const struct call *call);

/* Encoded bytes, whose type the caller has checked. `publisher` may be NULL; it is looked at now, and not later. Takes its own references. Never waits: a TOPIC_BLOCK subscriber
 * whose queue is full is closed. */
struct topic_receipt {
    size_t reached;    /* subscribers of the process that it was handed to or queued for, before filters and drops */
    uint64_t position; /* 0: it is not kept, or a carrier stores it: then it is not known yet */
};
struct topic_receipt topic_publish(struct topic *topic, struct message *message, const struct call *publisher);

/* The same for publishers that can wait. First the room: false when some TOPIC_BLOCK subscriber is full, or others wait
 * already. Then the message, at once or, after false, when there is room: then `on_published`, later and not from
 * inside. */
bool topic_reserve(struct topic *topic);
struct topic_receipt topic_publish_reserved(struct topic *topic, struct message *message, const struct call *publisher);
struct topic_wait {
    struct list node;
    struct topic *topic;
    struct message *message;
    uint64_t publisher; /* fanout/'s own name for its subscription */
    void (*on_published)(struct topic_wait *wait, const struct topic_receipt *receipt);
};
void topic_publish_later(struct topic *topic, struct topic_wait *wait, struct message *message,
                         const struct call *publisher);
/* It will not be published. Nothing after on_published. */
void topic_wait_cancel(struct topic_wait *wait);
/* Subscribers in the process; and with those of other hosts, as far as they are known. */
size_t topic_count(const struct topic *topic);
size_t topic_count_everywhere(const struct topic *topic);

/* Presence: appends what the subscribers of all workers and hosts show, each a line; how many there are. */
size_t topic_members(const struct topic *topic, struct buffer *out);
enum topic_event {
    TOPIC_JOIN,
    TOPIC_LEAVE,
    TOPIC_MISSED, /* there were more events than could be told: look at the members */
};
/* Who hears of them, in this worker; never from inside of the function that made the change. */
struct topic_watch {
    struct list node;
    struct topic *topic; /* a reference while it watches */
    void (*on_event)(struct topic_watch *watch, enum topic_event event, const char *text, size_t length);
};
void topic_watch(struct topic *topic, struct topic_watch *watch);
void topic_unwatch(struct topic_watch *watch);

void topic_note_encoded(struct topic *topic);
uint64_t topic_counter(const struct topic *topic, enum topic_counter counter);
#endif
