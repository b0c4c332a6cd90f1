/* fanout/topic.c - see topic.h: a worker's handles on topics, and the way of a message to their subscribers.
 *
 * A publish walks over this worker's subscriptions, and posts one mail to every other worker that has some. A worker
 * touches only its own list. */
#include "fanout/topic.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fanout/calls.h"
#include "fanout/carrier.h"
#include "fanout/credit.h"
#include "fanout/members.h"
#include "fanout/post.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "rpc/call.h"

enum { MOST_MAIL = 1 << 16, MOST_MAIL_BYTES = 64 << 20, SUBSCRIPTIONS_KEPT = 1024 };
static const uint64_t sweep_interval = 10 * NS_PER_S; /* so much longer histories may stay than their age says */

const char *const topic_counter_names[TOPIC_COUNTERS] = {
    [TOPIC_PUBLISHED] = "published",     [TOPIC_ENCODED] = "encoded",         [TOPIC_DELIVERED] = "delivered",
    [TOPIC_DROPPED_OLD] = "dropped_old", [TOPIC_DROPPED_NEW] = "dropped_new", [TOPIC_COALESCED] = "coalesced",
    [TOPIC_DISCARDED] = "discarded",     [TOPIC_CLOSED] = "closed",           [TOPIC_WAITED] = "waited",
    [TOPIC_REPLAYED] = "replayed",       [TOPIC_REFUSED] = "refused",         [TOPIC_RECEIVED] = "received",
};

static void ring(struct task *task) {
    struct topics *topics = container_of(task, struct topics, ring);
    for (uint32_t i = 0; i < topics->registry->workers; i++) {
        if (topics->unrung[i]) mailbox_ring(topics->registry->sides[i]->mailbox);
        topics->unrung[i] = 0;
    }
}

static void sweep_later(struct topics *topics) {
    if (!timer_is_running(&topics->sweeper))
        timer_start(topics->loop, &topics->sweeper, loop_now(topics->loop) + sweep_interval);
}

static void sweep(struct timer *timer) {
    struct topics *topics = container_of(timer, struct topics, sweeper);
    if (shared_sweep(topics->registry)) sweep_later(topics);
}

struct topics *topics_new(struct topic_registry *registry, uint32_t index, struct loop *loop) {
    struct topics *topics = memory_new(sizeof *topics);
    topics->registry = registry;
    topics->index = index;
    topics->loop = loop;
    topics->mailbox = mailbox_new(loop, topics, MOST_MAIL, MOST_MAIL_BYTES);
    topics->held = memory_new(registry->workers * sizeof *topics->held);
    topics->unrung = memory_new(registry->workers * sizeof *topics->unrung);
    task_init(&topics->ring, ring);
    bundle_init(&topics->bundle, loop);
    pool_init(&topics->subscriptions, sizeof(struct subscription), SUBSCRIPTIONS_KEPT);
    timer_init(&topics->sweeper, sweep);
    registry->sides[index] = topics;
    return topics;
}

void topics_free(struct topics **topics) {
    if (!*topics) return;
    timer_stop((*topics)->loop, &(*topics)->sweeper);
    mailbox_free(&(*topics)->mailbox);
    bundle_free(&(*topics)->bundle);
    pool_clear(&(*topics)->subscriptions);
    map_free(&(*topics)->by_name, NULL);
    task_cancel(&(*topics)->ring);
    free((*topics)->held);
    free((*topics)->unrung);
    free(*topics);
    *topics = NULL;
}

/* By this carrier, also when a reload takes it away meanwhile: then it is who ends the waiting. */
static void note_to(struct topics *topics, struct topic_carrier *carrier, struct shared_topic *shared) {
    shared_note_to(carrier ? carrier : topic_registry_carrier(topics->registry), shared);
}

/* A history that nobody has looked after for a while may lack what was stored since. */
static void await_history(struct topic_carrier *carrier, struct shared_topic *shared) {
    if (!carrier || !atomic_load(&carrier->stores) || !atomic_load(&shared->is_kept)) return;
    pthread_mutex_lock(&shared->lock);
    atomic_store(&shared->is_stored, shared->is_loading = true);
    pthread_mutex_unlock(&shared->lock);
}

struct topic *topic_open(struct topics *topics, const char *name, size_t length) {
    struct topic *topic = map_get(&topics->by_name, name, length);
    if (topic) return topic_ref(topic);
    struct shared_topic *shared = shared_open(topics->registry, name, length);
    if (!shared) return NULL;
    topic = memory_new(sizeof *topic);
    topic->references = 1;
    topic->topics = topics;
    topic->shared = shared;
    topic->share = &shared->shares[topics->index];
    list_init(&topic->subscriptions);
    list_init(&topic->prompt);
    list_init(&topic->watches);
    credit_open(topic);
    topic->share->topic = topic;
    map_put(&topics->by_name, name, length, topic);
    if (atomic_fetch_add(&shared->handles, 1) == 0) {
        struct topic_carrier *carrier = topic_registry_carrier(topics->registry);
        await_history(carrier, shared);
        note_to(topics, carrier, shared);
    }
    return topic;
}

struct topic *topic_ref(struct topic *topic) {
    topic->references++;
    return topic;
}

void topic_unref(struct topic **handle) {
    struct topic *topic = *handle;
    *handle = NULL;
    if (!topic || --topic->references) return;
    struct topics *topics = topic->topics;
    struct shared_topic *shared = topic->shared;
    map_remove(&topics->by_name, shared->name, shared->name_length);
    credit_close(topic);
    topic->share->topic = NULL;
    if (atomic_fetch_sub(&shared->handles, 1) == 1) shared_note(topics->registry, shared);
    if (atomic_load(&shared->is_kept)) sweep_later(topics);
    shared_unref(topics->registry, shared);
    free(topic);
}

struct topic_carrier *topics_carrier(const struct topics *topics) { return topic_registry_carrier(topics->registry); }

const char *topic_name(const struct topic *topic, size_t *length) {
    *length = topic->shared->name_length;
    return topic->shared->name;
}

bool topic_set_type(struct topic *topic, const char *full_name, const char **has) {
    char *type = atomic_load(&topic->shared->type);
    if (!type) {
        char *mine = memory_copy_string(full_name);
        if (atomic_compare_exchange_strong(&topic->shared->type, &type, mine)) {
            shared_note(topic->topics->registry, topic->shared);
            return true;
        }
        free(mine); /* another worker was first; `type` is now its choice */
    }
    if (strcmp(type, full_name) == 0) return true;
    *has = type;
    return false;
}

const char *topic_type(const struct topic *topic) { return atomic_load(&topic->shared->type); }

size_t topic_count(const struct topic *topic) { return shared_count(topic->topics->registry, topic->shared); }

size_t topic_count_everywhere(const struct topic *topic) {
    return topic_count(topic) + atomic_load_explicit(&topic->shared->elsewhere, memory_order_relaxed);
}

uint64_t topic_counter(const struct topic *topic, enum topic_counter counter) {
    uint64_t sum = 0;
    bundle_go_out(&topic->topics->bundle);
    for (uint32_t i = 0; i <= topic->topics->registry->workers; i++) /* the carrier's share too */
        sum += atomic_load_explicit(&topic->shared->shares[i].counters[counter], memory_order_relaxed);
    return sum;
}

void topic_note_encoded(struct topic *topic) { topic_add(topic, TOPIC_ENCODED, 1); }

void topic_defer(struct topic *topic, struct task *task) { loop_defer(topic->topics->loop, LOOP_RUN, task); }

struct subscription *topic_subscribe(struct topic *topic, struct call *call, const struct subscription_options *options) {
    struct subscription *subscription = call ? call_find_subscription(call, topic) : NULL;
    if (subscription) {
        subscription_set_options(subscription, options);
        return subscription;
    }
    subscription = subscription_new(topic, call, options);
    if (call) call_add_subscription(call, subscription);
    topic_joined(topic, subscription); /* first: what is posted from now on is for it too */
    subscription_begin_replay(subscription);
    return subscription;
}

void topic_joined(struct topic *topic, struct subscription *subscription) {
    topic_place(topic, subscription);
    atomic_fetch_add_explicit(&topic->share->subscribers, 1, memory_order_relaxed);
    counter_add(&topic->share->totals->subscribers, 1);
    if (subscription->options.policy == TOPIC_BLOCK) credit_blocker_joined(topic);
    member_set(topic, &subscription->member, subscription->options.show, subscription->options.show_length);
    shared_note(topic->topics->registry, topic->shared);
}

/* Whose own code runs inside of a publish, or whom credits count on; and of calls of which each message takes a form of
 * their own, those that get the same message behind each other share it. */
static bool is_prompt(const struct subscription *subscription) {
    const struct subscription_options *options = &subscription->options;
    return !subscription->call || options->filter || options->policy == TOPIC_BLOCK ||
           !call_takes_runs(subscription->call);
}

void topic_place(struct topic *topic, struct subscription *subscription) {
    subscription->is_prompt = is_prompt(subscription);
    list_append(subscription->is_prompt ? &topic->prompt : &topic->subscriptions, &subscription->of_topic);
}

void topic_left(struct topic *topic, struct subscription *subscription) {
    list_remove(&subscription->of_topic);
    atomic_fetch_sub_explicit(&topic->share->subscribers, 1, memory_order_relaxed);
    counter_take(&topic->share->totals->subscribers, 1);
    if (subscription->options.policy == TOPIC_BLOCK) credit_blocker_left(topic);
    member_set(topic, &subscription->member, NULL, 0);
    shared_note(topic->topics->registry, topic->shared);
}

/* ---- messages ---- */

static void deliver_promptly(struct topic *topic, struct delivery *delivery) {
    fields_init(&delivery->fields, delivery->message->data, delivery->message->length);
    for (struct list *node = topic->prompt.next, *next; node != &topic->prompt; node = next) {
        struct subscription *subscription = container_of(node, struct subscription, of_topic);
        next = node->next;
        if (subscription_wants(subscription, delivery)) subscription_take(subscription, delivery);
    }
}

void topic_deliver(struct topic *topic, struct delivery *delivery) {
    struct bundle *bundle = &topic->topics->bundle;
    if (bundle->topic != topic) bundle_go_out(bundle);
    if (!list_is_empty(&topic->prompt)) deliver_promptly(topic, delivery);
    if (!list_is_empty(&topic->subscriptions)) bundle_add(bundle, topic, delivery);
    if (delivery->has_credit) credit_note_room(topic);
}

static void overrun(struct list *subscriptions) {
    for (struct list *node = subscriptions->next, *next; node != subscriptions; node = next) {
        next = node->next;
        subscription_overrun(container_of(node, struct subscription, of_topic));
    }
}

void topic_overrun(struct topic *topic) {
    bundle_go_out(&topic->topics->bundle);
    overrun(&topic->prompt);
    overrun(&topic->subscriptions);
}

static struct sender sender_of(struct topic *topic) {
    return (struct sender){.registry = topic->topics->registry,
                           .shared = topic->shared,
                           .counts = topic->share,
                           .unrung = topic->topics->unrung};
}

static void tell_loaded(struct list *subscriptions) {
    for (struct list *node = subscriptions->next, *next; node != subscriptions; node = next) {
        next = node->next;
        subscription_history_is_there(container_of(node, struct subscription, of_topic));
    }
}

void topic_loaded(struct topic *topic) {
    tell_loaded(&topic->prompt);
    tell_loaded(&topic->subscriptions);
}

static void deliver_own(struct topic *topic, struct message *message, uint64_t publisher, uint64_t order) {
    struct delivery delivery = {.message = message_ref(message),
                                .publisher = publisher,
                                .order = order,
                                .has_credit = topic->topics->held[topic->topics->index]};
    if (delivery.has_credit) topic->share->granted--;
    topic_ref(topic);
    topic_deliver(topic, &delivery);
    topic_unref(&topic);
    message_unref(&delivery.message);
}

/* All workers deliver kept messages in the order of their positions. So they are posted under the lock; and if an earlier
 * one is still on its way to this worker, this one takes the same way behind it. */
static bool publish_kept(struct topic *topic, struct message *message, uint64_t publisher, uint64_t *position) {
    struct topics *topics = topic->topics;
    struct shared_topic *shared = topic->shared;
    struct sender sender = sender_of(topic);
    if (atomic_load(&shared->is_stored)) return false;
    struct parcel *parcel = parcel_new(message->data, message->length);
    pthread_mutex_lock(&shared->lock);
    if (atomic_load(&shared->is_stored)) { /* since a moment ago */
        pthread_mutex_unlock(&shared->lock);
        parcel_unref(&parcel);
        return false;
    }
    history_append(shared->history, &topics->registry->history, parcel, clock_monotonic());
    bool is_next = atomic_load(&topic->share->in_flight) == 0, is_stamped = parcel->length != message->length;
    for (uint32_t i = 0; i < topics->registry->workers; i++)
        if (i == topics->index ? !is_next : post_is_wanted(&sender, i, topics->held[i]))
            post_parcel(&sender, i, parcel, i == topics->index ? publisher : 0, topics->held[i]);
    pthread_mutex_unlock(&shared->lock);
    *position = parcel->position;
    struct message *stamped = is_stamped ? message_copy(parcel->data, parcel->length) : NULL;
    if (is_next) deliver_own(topic, stamped ? stamped : message, publisher, parcel->order);
    message_unref(&stamped);
    parcel_unref(&parcel);
    return true;
}

static void publish_passing(struct topic *topic, struct message *message, uint64_t publisher) {
    struct sender sender = sender_of(topic);
    const bool *held = topic->topics->held;
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++)
        if (i != topic->topics->index && post_is_wanted(&sender, i, held[i]))
            post_copy(&sender, i, message->data, message->length, held[i]);
    deliver_own(topic, message, publisher, 0);
}

/* To the carrier, which gives it back when it has its place among those of all hosts. */
static void publish_stored(struct topic *topic, const struct message *message, uint64_t publisher) {
    struct topics *topics = topic->topics;
    struct topic_carrier *carrier = topics->registry->store;
    struct sender sender = sender_of(topic);
    struct carrier_message *stored = memory_new(sizeof *stored);
    stored->topic = shared_ref(topic->shared);
    stored->parcel = parcel_new(message->data, message->length);
    stored->worker = topics->index;
    stored->publisher = publisher;
    for (uint32_t i = 0; i < topics->registry->workers; i++)
        if (topics->held[i]) stored->held[i / 64] |= UINT64_C(1) << i % 64;
    if (carrier->store(carrier, stored)) return;
    carrier_message_free(topics->registry, stored);
    topic_add(topic, TOPIC_REFUSED, 1);
    for (uint32_t i = 0; i < topics->registry->workers; i++)
        if (post_is_wanted(&sender, i, false)) post_overrun(&sender, i);
}

struct topic_receipt topic_publish_held(struct topic *topic, struct message *message, uint64_t publisher) {
    struct topic_receipt receipt = {.reached = topic_count(topic)};
    struct topic_carrier *carrier = topic_registry_carrier(topic->topics->registry);
    topic_add(topic, TOPIC_PUBLISHED, 1);
    topic_defer(topic, &topic->topics->ring);
    if (!atomic_load(&topic->shared->is_kept)) publish_passing(topic, message, publisher);
    else if (!publish_kept(topic, message, publisher, &receipt.position)) {
        publish_stored(topic, message, publisher);
        return receipt;
    }
    if (carrier) carrier->publish(carrier, topic->shared, message->data, message->length);
    return receipt;
}

uint64_t topic_find_publisher(const struct topic *topic, const struct call *call) {
    const struct subscription *subscription = call ? call_find_subscription(call, topic) : NULL;
    return subscription ? subscription->serial : 0;
}

struct topic_receipt topic_publish_reserved(struct topic *topic, struct message *message,
                                            const struct call *publisher) {
    return topic_publish_held(topic, message, topic_find_publisher(topic, publisher));
}

struct topic_receipt topic_publish(struct topic *topic, struct message *message, const struct call *publisher) {
    memset(topic->topics->held, 0, topic->topics->registry->workers * sizeof *topic->topics->held);
    return topic_publish_reserved(topic, message, publisher);
}

/* ---- history ---- */

void topic_keep(struct topic *topic, uint32_t messages, uint64_t ttl, const struct field *position) {
    struct shared_topic *shared = topic->shared;
    pthread_mutex_lock(&shared->lock);
    struct topic_carrier *carrier = topic_registry_carrier(topic->topics->registry);
    if (!shared->history) {
        shared->history = history_new();
        if (carrier && atomic_load(&carrier->stores)) atomic_store(&shared->is_stored, shared->is_loading = true);
    }
    shared->history->stamp = position ? position->number << 3 | position->wire_type : 0;
    history_set(shared->history, &topic->topics->registry->history, messages, ttl, clock_monotonic());
    bool is_news = !atomic_exchange(&shared->is_kept, true);
    pthread_mutex_unlock(&shared->lock);
    if (is_news) note_to(topic->topics, carrier, shared);
}

bool topic_is_kept(const struct topic *topic) { return atomic_load(&topic->shared->is_kept); }

uint64_t topic_position(const struct topic *topic) {
    if (!topic_is_kept(topic)) return 0;
    pthread_mutex_lock(&topic->shared->lock);
    uint64_t position = topic->shared->history->last;
    pthread_mutex_unlock(&topic->shared->lock);
    return position;
}
