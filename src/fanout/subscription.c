/* fanout/subscription.c - see subscription.h */
#include "fanout/subscription.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "fanout/credit.h"
#include "fanout/topic_private.h"
#include "rpc/call.h"

enum { FUNCTION_BATCH = 256 }; /* messages a function is given in one turn before others have theirs */

static void add(const struct subscription *subscription, enum topic_counter counter, uint64_t count) {
    topic_add(subscription->topic, counter, count);
}

/* Messages have left the queue. */
static void note_room(struct subscription *subscription) {
    if (subscription_blocks(subscription)) credit_note_room(subscription->topic);
}

/* ---- the end ---- */

static void discard_queue(struct subscription *subscription) {
    add(subscription, TOPIC_DISCARDED, queue_clear(&subscription->queue));
}

static void free_subscription(struct subscription *subscription) {
    list_remove(&subscription->of_call);
    discard_queue(subscription);
    queue_free(&subscription->queue);
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

/* No message finds it any more; the memory goes with its task. Its call, which it may have to tell something until
 * then, still finds it, to say that it has closed. */
static void end(struct subscription *subscription) {
    if (subscription->is_over) return;
    subscription->is_over = true;
    topic_left(subscription->topic, subscription);
    topic_defer(subscription->topic, &subscription->task);
}

void subscription_close_slow(struct subscription *subscription) {
    add(subscription, TOPIC_CLOSED, 1);
    discard_queue(subscription);
    subscription->is_full = true;
    end(subscription);
}

void subscription_cancel(struct subscription **handle) {
    struct subscription *subscription = *handle;
    *handle = NULL;
    if (!subscription) return;
    subscription->is_full = false; /* nobody is left to be told */
    subscription->call = NULL;
    list_remove(&subscription->of_call);
    discard_queue(subscription);
    end(subscription);
}

void subscription_overrun(struct subscription *subscription) {
    enum topic_policy policy = subscription->options.policy;
    if ((policy == TOPIC_CLOSE || policy == TOPIC_BLOCK) && !subscription->is_flushing)
        subscription_close_slow(subscription);
}

/* ---- functions ---- */

static void run_function(struct subscription *subscription) {
    for (int i = 0; i < FUNCTION_BATCH && subscription->queue.count && !subscription->is_busy; i++) {
        struct message *message = queue_take(&subscription->queue);
        add(subscription, TOPIC_DELIVERED, 1);
        subscription->is_busy = true;
        if (subscription->options.on_message(subscription->options.context, message)) subscription->is_busy = false;
        message_unref(&message);
        if (subscription->is_over) return;
    }
    note_room(subscription);
    if (subscription->queue.count && !subscription->is_busy)
        topic_defer(subscription->topic, &subscription->task);
}

void subscription_go_on(struct subscription *subscription) {
    subscription->is_busy = false;
    if (subscription->queue.count) topic_defer(subscription->topic, &subscription->task);
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

/* ---- the beginning ---- */

static void take_options(struct subscription *subscription, const struct subscription_options *options) {
    bool has_key = options->policy == TOPIC_COALESCE;
    subscription->options = *options;
    if (!options->queue) subscription->options.queue = 1;
    queue_set_key(&subscription->queue, options->type, has_key ? options->key : NULL,
                  subscription->topic->topics->registry->seed);
}

struct subscription *subscription_new(struct topic *topic, struct call *call,
                                      const struct subscription_options *options) {
    struct subscription *subscription = memory_new(sizeof *subscription);
    list_init(&subscription->of_topic);
    list_init(&subscription->of_call);
    task_init(&subscription->task, run_later);
    subscription->topic = topic_ref(topic);
    subscription->call = call;
    take_options(subscription, options);
    return subscription;
}

void subscription_set_options(struct subscription *subscription, const struct subscription_options *options) {
    struct subscription_options before = subscription->options;
    bool has_blocked = before.policy == TOPIC_BLOCK, blocks = options->policy == TOPIC_BLOCK;
    take_options(subscription, options);
    if (blocks && !has_blocked) credit_blocker_joined(subscription->topic);
    else if (has_blocked && !blocks) credit_blocker_left(subscription->topic);
    else note_room(subscription);
    if (before.on_end) before.on_end(before.context);
}

/* ---- messages ---- */

static bool passes(const struct subscription *subscription, const struct message *message, struct fields *fields) {
    const struct subscription_options *options = &subscription->options;
    if (options->fields && !field_filter_passes(options->fields, fields)) return false;
    return !options->filter || options->filter(options->context, message);
}

/* There is no room for the message. */
static void overflow(struct subscription *subscription, struct delivery *delivery) {
    struct message *oldest;
    switch (subscription->options.policy) {
    case TOPIC_DROP_OLD:
    case TOPIC_COALESCE:
        oldest = queue_take(&subscription->queue);
        message_unref(&oldest);
        add(subscription, TOPIC_DROPPED_OLD, 1);
        queue_push(&subscription->queue, delivery->message, &delivery->fields);
        return;
    case TOPIC_DROP_NEW: add(subscription, TOPIC_DROPPED_NEW, 1); return;
    case TOPIC_CLOSE:
    case TOPIC_BLOCK:
        add(subscription, TOPIC_DISCARDED, 1);
        subscription_close_slow(subscription);
        return;
    }
}

/* A credit is a place in every blocking queue. Those of before the last change of the options may be more than there are
 * places: they are kept, too. */
static bool has_place(const struct subscription *subscription, const struct delivery *delivery) {
    return subscription->queue.count < subscription->options.queue ||
           (delivery->has_credit && subscription->options.policy == TOPIC_BLOCK);
}

static void enqueue(struct subscription *subscription, struct delivery *delivery) {
    struct queue *queue = &subscription->queue;
    if (queue_replace(queue, delivery->message, &delivery->fields)) add(subscription, TOPIC_COALESCED, 1);
    else if (has_place(subscription, delivery)) queue_push(queue, delivery->message, &delivery->fields);
    else overflow(subscription, delivery);
}

static void hand_over(struct subscription *subscription, struct message *message) {
    bool is_sent = call_send(subscription->call, message);
    add(subscription, is_sent ? TOPIC_DELIVERED : TOPIC_DISCARDED, 1);
}

void subscription_offer(struct subscription *subscription, struct delivery *delivery) {
    struct call *call = subscription->call;
    if (subscription->is_flushing || subscription->is_over) return;
    if (subscription->options.no_echo && delivery->publisher && delivery->publisher == call) return;
    if (!passes(subscription, delivery->message, &delivery->fields)) return;
    if (call && !subscription->queue.count && !call_is_full(call)) {
        hand_over(subscription, delivery->message);
        return;
    }
    enqueue(subscription, delivery);
    if (!call && !subscription->is_over) topic_defer(subscription->topic, &subscription->task);
}

bool subscription_flush(struct subscription *subscription) {
    note_room(subscription);
    subscription->is_flushing = true;
    return subscription_drain(subscription);
}

bool subscription_drain(struct subscription *subscription) {
    struct queue *queue = &subscription->queue;
    if (queue->count) note_room(subscription);
    while (queue->count && !call_is_full(subscription->call)) {
        struct message *message = queue_take(queue);
        hand_over(subscription, message);
        message_unref(&message);
    }
    if (!queue->count && queue->capacity) queue_clear(queue);
    return queue->count == 0;
}
