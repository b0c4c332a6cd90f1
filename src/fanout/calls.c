/* fanout/calls.c - the subscriptions of a call: they hang on the call itself, so that its end finds them without a
 * search. */
#include "fanout/calls.h"

#include <stdlib.h>

#include "base/memory.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"
#include "rpc/call.h"

struct call_subscriptions {
    struct call_source source;
    struct list list;
};

static struct call_subscriptions *of(const struct call *call) {
    return call->source ? container_of(call->source, struct call_subscriptions, source) : NULL;
}

struct subscription *call_find_subscription(const struct call *call, const struct topic *topic) {
    struct call_subscriptions *of_call = of(call);
    if (!of_call) return NULL;
    for (struct list *node = of_call->list.next; node != &of_call->list; node = node->next) {
        struct subscription *subscription = container_of(node, struct subscription, of_call);
        if (subscription->topic == topic && !subscription->is_over) return subscription;
    }
    return NULL;
}

/* What was published until now goes before what the call's handler sends. */
static void give(struct call_source *source) {
    struct list *list = &container_of(source, struct call_subscriptions, source)->list;
    for (struct list *node = list->next, *next; node != list; node = next) {
        struct subscription *subscription = container_of(node, struct subscription, of_call);
        struct bundle *bundle = &subscription->topic->topics->bundle;
        next = node->next;
        if (!bundle->topic || bundle->is_busy) return;
        if (!subscription->is_over) bundle_give(bundle, subscription);
    }
}

void call_add_subscription(struct call *call, struct subscription *subscription) {
    if (!call->source) {
        struct call_subscriptions *of_call = memory_new(sizeof *of_call);
        of_call->source.give = give;
        list_init(&of_call->list);
        call->source = &of_call->source;
    }
    list_append(&of(call)->list, &subscription->of_call);
}

/* Calls `f` for each of the call's subscriptions; false when some `f` said so. */
static bool each_of_call(struct call *call, bool (*f)(struct subscription *subscription)) {
    struct call_subscriptions *of_call = of(call);
    bool all = true;
    if (!of_call) return true;
    for (struct list *node = of_call->list.next, *next; node != &of_call->list; node = next) {
        next = node->next;
        if (!f(container_of(node, struct subscription, of_call))) all = false;
    }
    return all;
}

static bool cancel(struct subscription *subscription) {
    subscription_cancel(&subscription);
    return true;
}

bool topics_flush_call(struct topics *topics, struct call *call) {
    (void)topics;
    return each_of_call(call, subscription_flush);
}

void topics_call_writable(struct topics *topics, struct call *call) {
    (void)topics;
    each_of_call(call, subscription_drain);
}

void topics_call_closed(struct topics *topics, struct call *call) {
    (void)topics;
    each_of_call(call, cancel);
    free(of(call));
    call->source = NULL;
}

bool topics_has_call(const struct topics *topics, const struct call *call) {
    (void)topics;
    const struct call_subscriptions *of_call = of(call);
    return of_call && !list_is_empty(&of_call->list);
}
