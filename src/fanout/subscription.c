/* fanout/subscription.c - see subscription.h */
#include "fanout/subscription.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "fanout/topic_private.h"
#include "rpc/call.h"

enum { FUNCTION_BATCH = 256 }; /* messages a function is given in one turn before others have theirs */

static void queue_push(struct subscription *subscription, struct message *message) {
    if (subscription->queued == subscription->capacity) {
        uint32_t capacity = subscription->capacity ? subscription->capacity * 2 : 8;
        struct message **queue = memory_new(capacity * sizeof(struct message *));
        for (uint32_t i = 0; i < subscription->queued; i++)
            queue[i] = subscription->queue[(subscription->head + i) % subscription->capacity];
        free(subscription->queue);
        subscription->queue = queue;
        subscription->capacity = capacity;
        subscription->head = 0;
    }
    subscription->queue[(subscription->head + subscription->queued++) % subscription->capacity] = message_ref(message);
}

static struct message *queue_take(struct subscription *subscription) {
    struct message *message = subscription->queue[subscription->head];
    subscription->head = (subscription->head + 1) % subscription->capacity;
    subscription->queued--;
    return message;
}

static void queue_clear(struct subscription *subscription) {
    while (subscription->queued) {
        struct message *message = queue_take(subscription);
        message_unref(&message);
    }
    free(subscription->queue);
    subscription->queue = NULL;
    subscription->head = subscription->capacity = 0;
}

static void free_subscription(struct subscription *subscription) {
    list_remove(&subscription->of_call);
    queue_clear(subscription);
    if (subscription->options.on_end) subscription->options.on_end(subscription->options.context);
    topic_unref(&subscription->topic);
    free(subscription);
}

static void tell_full(struct subscription *subscription) {
    struct call *call = subscription->call;
    char text[160];
    size_t length;
    const char *name = topic_name(subscription->topic, &length);
    int shown = length > 100 ? 100 : (int)length;
    snprintf(text, sizeof text, "the subscriber of topic \"%.*s\" fell behind by %u messages", shown, name,
             (unsigned)subscription->options.queue);
    if (subscription->options.on_full)
        subscription->options.on_full(subscription->options.context, call, text);
    else if (call)
        call_finish(call, STATUS_RESOURCE_EXHAUSTED, text, NULL, 0);
}

static void run_function(struct subscription *subscription) {
    for (int i = 0; i < FUNCTION_BATCH && subscription->queued && !subscription->is_over; i++) {
        struct message *message = queue_take(subscription);
        subscription->options.on_message(subscription->options.context, message);
        message_unref(&message);
    }
    if (subscription->queued && !subscription->is_over) topics_defer(subscription->topics, &subscription->task);
}

/* Whatever may not happen inside a publish or a cancel happens here. */
static void run_later(struct task *task) {
    struct subscription *subscription = container_of(task, struct subscription, task);
    if (subscription->is_full) {
        subscription->is_full = false;
        tell_full(subscription);
    }
    if (subscription->is_over)
        free_subscription(subscription);
    else
        run_function(subscription);
}

struct subscription *subscription_new(struct topic *topic, struct call *call,
                                      const struct subscription_options *options) {
    struct subscription *subscription = memory_new(sizeof *subscription);
    list_init(&subscription->of_topic);
    list_init(&subscription->of_call);
    task_init(&subscription->task, run_later);
    subscription->topic = topic_ref(topic);
    subscription->topics = topic_side(topic);
    subscription->call = call;
    subscription->options = *options;
    if (!subscription->options.queue) subscription->options.queue = 1;
    return subscription;
}

void subscription_set_options(struct subscription *subscription, const struct subscription_options *options) {
    struct subscription_options before = subscription->options;
    subscription->options = *options;
    if (!subscription->options.queue) subscription->options.queue = 1;
    if (before.on_end) before.on_end(before.context);
}

/* No message finds it any more; the memory goes with its task. Its call, which it may have to tell something until
 * then, still finds it, to say that it has closed. */
static void end(struct subscription *subscription) {
    if (subscription->is_over) return;
    subscription->is_over = true;
    topic_left(subscription->topic, subscription);
    topics_defer(subscription->topics, &subscription->task);
}

static void overflow(struct subscription *subscription, struct message *message) {
    struct topic_counters *counters = topics_counting(subscription->topics);
    if (subscription->options.policy == TOPIC_DROP_OLD) {
        if (subscription->queued) {
            struct message *oldest = queue_take(subscription);
            message_unref(&oldest);
        }
        counters->dropped_old++;
        if (message) queue_push(subscription, message);
        return;
    }
    counters->closed++;
    queue_clear(subscription);
    subscription->is_full = true;
    end(subscription);
}

void subscription_offer(struct subscription *subscription, struct message *message, const struct call *publisher) {
    if (subscription->is_flushing || subscription->is_over) return;
    struct call *call = subscription->call;
    if (subscription->options.no_echo && publisher && publisher == call) return;
    if (subscription->options.filter && !subscription->options.filter(subscription->options.context, message)) return;
    if (call && !subscription->queued && !call_is_full(call)) {
        if (call_send(call, message)) topics_counting(subscription->topics)->delivered++;
        return;
    }
    if (subscription->queued >= subscription->options.queue) {
        overflow(subscription, message);
    } else {
        queue_push(subscription, message);
    }
    if (!call && !subscription->is_over) {
        topics_counting(subscription->topics)->delivered++;
        topics_defer(subscription->topics, &subscription->task);
    }
}

bool subscription_drain(struct subscription *subscription) {
    while (subscription->queued && !call_is_full(subscription->call)) {
        struct message *message = queue_take(subscription);
        if (call_send(subscription->call, message)) topics_counting(subscription->topics)->delivered++;
        message_unref(&message);
    }
    if (!subscription->queued && subscription->capacity) queue_clear(subscription);
    return subscription->queued == 0;
}

void subscription_overrun(struct subscription *subscription) {
    if (subscription->options.policy == TOPIC_CLOSE)
        overflow(subscription, NULL);
    else
        topics_counting(subscription->topics)->dropped_old++;
}

void subscription_cancel(struct subscription **subscription) {
    if (*subscription) {
        (*subscription)->is_full = false; /* nobody is left to be told */
        (*subscription)->call = NULL;
        list_remove(&(*subscription)->of_call);
        queue_clear(*subscription);
        end(*subscription);
    }
    *subscription = NULL;
}
