/* fanout/subscription.c - see subscription.h */
#include "fanout/subscription.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fanout/credit.h"
#include "fanout/members.h"
#include "fanout/topic_private.h"
#include "rpc/call.h"

enum { BATCH = 256 }; /* messages that a function is given, or that are replayed, before others have their turn */

static void add(const struct subscription *subscription, enum topic_counter counter, uint64_t count) {
    topic_add(subscription->topic, counter, count);
}

/* Messages have left the queue. */
static void note_room(struct subscription *subscription) {
    if (subscription_blocks(subscription)) credit_note_room(subscription->topic);
}

/* Before anything else happens to it: what was published until now. */
static void give_bundle(struct subscription *subscription) {
    if (!subscription->is_over) bundle_give(&subscription->topic->topics->bundle, subscription);
}

/* ---- the end ---- */

static void discard_queue(struct subscription *subscription) {
    add(subscription, TOPIC_DISCARDED, queue_clear(&subscription->queue));
    replay_free(&subscription->replay);
}

static void free_subscription(struct subscription *subscription) {
    list_remove(&subscription->of_call);
    discard_queue(subscription);
    queue_free(&subscription->queue);
    replay_free(&subscription->replay);
    if (subscription->options.on_end) subscription->options.on_end(subscription->options.context);
    struct pool *pool = &subscription->topic->topics->subscriptions;
    topic_unref(&subscription->topic);
    pool_give(pool, subscription);
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
    give_bundle(subscription);
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

/* ---- history ---- */

static bool passes(const struct subscription *subscription, const struct message *message, struct fields *fields) {
    const struct subscription_options *options = &subscription->options;
    if (options->fields && !field_filter_passes(options->fields, fields)) return false;
    return !options->filter || options->filter(options->context, message);
}

/* The next one, as this worker's own copy; NULL when the filter has something against it. */
static struct message *take_replayed(struct subscription *subscription) {
    struct replay *replay = &subscription->replay;
    struct parcel **parcel = &replay->parcels[replay->at++];
    struct message *message = message_copy((*parcel)->data, (*parcel)->length);
    struct fields fields;
    parcel_unref(parcel);
    fields_init(&fields, message->data, message->length);
    if (!passes(subscription, message, &fields)) message_unref(&message);
    return message;
}

void subscription_begin_replay(struct subscription *subscription) {
    struct shared_topic *shared = subscription->topic->shared;
    const struct subscription_options *options = &subscription->options;
    if (options->since == TOPIC_LIVE || !atomic_load(&shared->is_kept)) return;
    pthread_mutex_lock(&shared->lock);
    subscription->awaits_history = shared->is_loading;
    if (subscription->awaits_history) {
        pthread_mutex_unlock(&shared->lock);
        return;
    }
    history_trim(shared->history, &subscription->topic->topics->registry->history, clock_monotonic());
    if (options->since == TOPIC_AFTER)
        subscription->has_gap = !history_after(shared->history, options->position, &subscription->replay);
    else
        history_last(shared->history, options->since == TOPIC_ALL ? UINT64_MAX : options->position,
                     &subscription->replay);
    subscription->from = shared->history->order;
    pthread_mutex_unlock(&shared->lock);
    if (!replay_is_done(&subscription->replay)) topic_defer(subscription->topic, &subscription->task);
}

void subscription_history_is_there(struct subscription *subscription) {
    if (subscription->awaits_history && !subscription->is_over) subscription_begin_replay(subscription);
}

bool subscription_has_gap(const struct subscription *subscription) { return subscription->has_gap; }

bool subscription_is_waiting(const struct subscription *subscription) { return subscription->awaits_history; }

/* ---- functions ---- */

static bool has_more(const struct subscription *subscription) {
    return subscription->queue.count || !replay_is_done(&subscription->replay);
}

static void run_function(struct subscription *subscription) {
    for (int i = 0; i < BATCH && has_more(subscription) && !subscription->is_busy; i++) {
        bool is_replayed = !replay_is_done(&subscription->replay);
        struct message *message = is_replayed ? take_replayed(subscription) : queue_take(&subscription->queue);
        if (!message) continue;
        add(subscription, is_replayed ? TOPIC_REPLAYED : TOPIC_DELIVERED, 1);
        subscription->is_busy = true;
        if (subscription->options.on_message(subscription->options.context, message)) subscription->is_busy = false;
        message_unref(&message);
        if (subscription->is_over) return;
    }
    note_room(subscription);
    if (has_more(subscription) && !subscription->is_busy)
        topic_defer(subscription->topic, &subscription->task);
}

void subscription_go_on(struct subscription *subscription) {
    subscription->is_busy = false;
    if (has_more(subscription)) topic_defer(subscription->topic, &subscription->task);
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
    else if (subscription->call)
        subscription_drain(subscription);
    else
        run_function(subscription);
}

/* ---- the beginning ---- */

static void take_options(struct subscription *subscription, const struct subscription_options *options) {
    bool has_key = options->policy == TOPIC_COALESCE;
    struct subscription_options before = subscription->options;
    subscription->options = *options;
    if (subscription->awaits_history) subscription->options.since = before.since, subscription->options.position = before.position;
    if (!options->queue) subscription->options.queue = 1;
    subscription->is_choosy = options->fields || options->no_echo || subscription->from || subscription->options.since != TOPIC_LIVE;
    queue_set_key(&subscription->queue, options->type, has_key ? options->key : NULL,
                  subscription->topic->topics->registry->seed);
}

struct subscription *subscription_new(struct topic *topic, struct call *call,
                                      const struct subscription_options *options) {
    struct subscription *subscription = pool_take(&topic->topics->subscriptions);
    list_init(&subscription->of_topic);
    list_init(&subscription->of_call);
    task_init(&subscription->task, run_later);
    subscription->topic = topic_ref(topic);
    subscription->call = call;
    subscription->serial = ++topic->topics->last_serial;
    subscription->given = bundle_next(&topic->topics->bundle);
    take_options(subscription, options);
    return subscription;
}

void subscription_set_options(struct subscription *subscription, const struct subscription_options *options) {
    struct subscription_options before = subscription->options;
    bool has_blocked = before.policy == TOPIC_BLOCK, blocks = options->policy == TOPIC_BLOCK;
    give_bundle(subscription);
    list_remove(&subscription->of_topic);
    take_options(subscription, options);
    topic_place(subscription->topic, subscription);
    if (blocks && !has_blocked) credit_blocker_joined(subscription->topic);
    else if (has_blocked && !blocks) credit_blocker_left(subscription->topic);
    else note_room(subscription);
    member_set(subscription->topic, &subscription->member, options->show, options->show_length);
    if (before.on_end) before.on_end(before.context);
}

/* ---- messages ---- */

/* There is no room for the message. */
static void overflow(struct subscription *subscription, struct delivery *delivery) {
    struct message *oldest;
    enum topic_policy policy = subscription->options.policy;
    switch (policy == TOPIC_BLOCK && delivery->is_carried ? TOPIC_DROP_OLD : policy) {
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

static void hand_over(struct subscription *subscription, struct message *message, enum topic_counter counter) {
    struct bundle *bundle = &subscription->topic->topics->bundle;
    bool was_busy = bundle->is_busy;
    bundle->is_busy = true; /* what it has for this call comes behind this one */
    bool is_sent = call_send(subscription->call, message);
    bundle->is_busy = was_busy;
    add(subscription, is_sent ? counter : TOPIC_DISCARDED, 1);
}

bool subscription_wants(const struct subscription *subscription, struct delivery *delivery) {
    if (subscription->awaits_history || (delivery->order && delivery->order <= subscription->from)) return false;
    if (subscription->options.no_echo && delivery->publisher == subscription->serial) return false;
    return passes(subscription, delivery->message, &delivery->fields);
}

bool subscription_hand_over_run(struct subscription *subscription, struct message *run, size_t from, size_t to,
                                uint32_t count) {
    if (subscription->is_flushing || subscription->is_over) return false;
    if (subscription->queue.count || !replay_is_done(&subscription->replay)) return false;
    if (!call_send_run(subscription->call, run, from, to, count)) return false;
    add(subscription, TOPIC_DELIVERED, count);
    return true;
}

void subscription_take(struct subscription *subscription, struct delivery *delivery) {
    struct call *call = subscription->call;
    if (subscription->is_flushing || subscription->is_over) return;
    if (call && !subscription->queue.count && replay_is_done(&subscription->replay) && !call_is_full(call)) {
        hand_over(subscription, delivery->message, TOPIC_DELIVERED);
        return;
    }
    enqueue(subscription, delivery);
    if (!call && !subscription->is_over) topic_defer(subscription->topic, &subscription->task);
}

/* True when nothing of it is left. A call that closes has no other turn. */
static bool drain_replay(struct subscription *subscription) {
    struct replay *replay = &subscription->replay;
    for (int i = 0; !replay_is_done(replay) && !call_is_full(subscription->call); i++) {
        if (i == BATCH && !subscription->is_flushing) {
            topic_defer(subscription->topic, &subscription->task);
            return false;
        }
        struct message *message = take_replayed(subscription);
        if (message) hand_over(subscription, message, TOPIC_REPLAYED);
        message_unref(&message);
    }
    if (!replay_is_done(replay)) return false;
    replay_free(replay);
    return true;
}

bool subscription_flush(struct subscription *subscription) {
    give_bundle(subscription);
    note_room(subscription);
    subscription->is_flushing = true;
    return subscription_drain(subscription);
}

bool subscription_drain(struct subscription *subscription) {
    struct queue *queue = &subscription->queue;
    if (!drain_replay(subscription)) return false;
    if (queue->count) note_room(subscription);
    while (queue->count && !call_is_full(subscription->call)) {
        struct message *message = queue_take(queue);
        hand_over(subscription, message, TOPIC_DELIVERED);
        message_unref(&message);
    }
    if (!queue->count && queue->capacity) queue_clear(queue);
    return queue->count == 0;
}
