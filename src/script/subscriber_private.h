/* script/subscriber_private.h - what subscriber.c (the life of a subscription) and bind_topic.c (its making)
 * share. */
#ifndef TIDEWIRE_SCRIPT_SUBSCRIBER_PRIVATE_H
#define TIDEWIRE_SCRIPT_SUBSCRIBER_PRIVATE_H
#include "base/list.h"
#include "fanout/topic.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/watchdog.h"

#define SUBSCRIBE_SIGNATURE \
    "topic:subscribe(stream or f[, { filter = …, key = …, echo = …, queue = …, policy = …, timeout = …, since = …, show = … }])"

enum { MOST_HISTORY = 1 << 20 };

/* What the script holds: it may outlive the subscriber, and the subscriber it. */
struct subscriber_handle {
    struct subscriber *subscriber; /* NULL: over */
};

struct subscriber {
    struct list node; /* in its owner's subscribers */
    struct script *script;
    struct generation *generation;
    struct stream *stream; /* NULL: a function's, or closed */
    struct topic *topic;
    const struct message_type *type;
    struct subscription *subscription; /* NULL: not begun, or over */
    struct subscriber_handle *handle;
    struct subscription_options options;
    int function, filter;
    struct projection *projection; /* the filter's */
    struct field_filter *equals;   /* the filter { field = value } */
    struct origin origin;
    struct fiber *fiber; /* runs the function */
    bool is_given;       /* it is being given a message */
    char *show; /* what it shows of itself, as JSON */
    bool is_loads, is_over;
    struct watching *watching; /* not a subscriber, but one who hears of them: watch.c */
    bool filter_has_failed;
};

/* In no list yet, of no topic yet; its handle is the userdata that the caller has made. */
struct subscriber *subscriber_new(struct script *script, struct generation *generation, struct stream *stream,
                                  struct subscriber_handle *handle);
/* From the table (or nil) at `index`. What it raises leaves the subscriber to its handle's finalizer. */
void subscriber_take_options(lua_State *L, struct subscriber *subscriber, int index);
/* Makes the options' callbacks its own: a filter if it has one, a function if it has one. */
void subscriber_set_callbacks(struct subscriber *subscriber);
/* Into its owner's list; it begins now, or, for load code, when its generation starts. */
void subscriber_add(struct subscriber *subscriber);
/* What a fiber of its function says when it fails. */
void subscriber_log_failure(struct fiber *fiber, enum fiber_outcome outcome, const char *what);
/* A watcher of topic:watch(): the same life with events in the place of messages. */
void watching_new(struct subscriber *subscriber);
void watching_begin(struct subscriber *subscriber);
void watching_free(struct subscriber *subscriber);
/* Over: out of its owner's list at once; the memory goes when fanout/ has let go of it. */
void subscriber_end(struct subscriber *subscriber);
/* The handle was collected: a subscription that stands goes on; one that was never added goes with it. */
void subscriber_forget_handle(struct subscriber *subscriber);
#endif
