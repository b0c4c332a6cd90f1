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
#include "fanout/credit.h"
#include "fanout/mail.h"
#include "fanout/members.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"
#include "net/loop.h"
#include "rpc/call.h"

enum { MOST_MAIL = 1 << 16, MOST_MAIL_BYTES = 64 << 20 };

const char *const topic_counter_names[TOPIC_COUNTERS] = {
    [TOPIC_PUBLISHED] = "published",     [TOPIC_ENCODED] = "encoded",         [TOPIC_DELIVERED] = "delivered",
    [TOPIC_DROPPED_OLD] = "dropped_old", [TOPIC_DROPPED_NEW] = "dropped_new", [TOPIC_COALESCED] = "coalesced",
    [TOPIC_DISCARDED] = "discarded",     [TOPIC_CLOSED] = "closed",           [TOPIC_WAITED] = "waited",
    [TOPIC_REPLAYED] = "replayed",       [TOPIC_REFUSED] = "refused",
};

struct topics *topics_new(struct topic_registry *registry, uint32_t index, struct loop *loop) {
    struct topics *topics = memory_new(sizeof *topics);
    topics->registry = registry;
    topics->index = index;
    topics->loop = loop;
    topics->mailbox = mailbox_new(loop, topics, MOST_MAIL, MOST_MAIL_BYTES);
    topics->held = memory_new(registry->workers * sizeof *topics->held);
    bundle_init(&topics->bundle, loop);
    registry->sides[index] = topics;
    return topics;
}

void topics_free(struct topics **topics) {
    if (!*topics) return;
    mailbox_free(&(*topics)->mailbox);
    bundle_free(&(*topics)->bundle);
    map_free(&(*topics)->by_name, NULL);
    free((*topics)->held);
    free(*topics);
    *topics = NULL;
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
    shared_unref(topics->registry, shared);
    free(topic);
}

const char *topic_name(const struct topic *topic, size_t *length) {
    *length = topic->shared->name_length;
    return topic->shared->name;
}

bool topic_set_type(struct topic *topic, const char *full_name, const char **has) {
    char *type = atomic_load(&topic->shared->type);
    if (!type) {
        char *mine = memory_copy_string(full_name);
        if (atomic_compare_exchange_strong(&topic->shared->type, &type, mine)) return true;
        free(mine); /* another worker was first; `type` is now its choice */
    }
    if (strcmp(type, full_name) == 0) return true;
    *has = type;
    return false;
}

const char *topic_type(const struct topic *topic) { return atomic_load(&topic->shared->type); }

size_t topic_count(const struct topic *topic) {
    size_t count = 0;
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++)
        count += atomic_load_explicit(&topic->shared->shares[i].subscribers, memory_order_relaxed);
    return count;
}

uint64_t topic_counter(const struct topic *topic, enum topic_counter counter) {
    uint64_t sum = 0;
    bundle_go_out(&topic->topics->bundle);
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++)
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
    if (subscription->options.policy == TOPIC_BLOCK) credit_blocker_joined(topic);
    member_set(topic, &subscription->member, subscription->options.show, subscription->options.show_length);
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
    if (subscription->options.policy == TOPIC_BLOCK) credit_blocker_left(topic);
    member_set(topic, &subscription->member, NULL, 0);
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

static void deliver_here(struct topic *topic, struct delivery *delivery) {
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

static void overrun_here(struct topic *topic) {
    bundle_go_out(&topic->topics->bundle);
    overrun(&topic->prompt);
    overrun(&topic->subscriptions);
}

/* A message on its way to another worker; without a message it tells that some were refused. */
struct message_mail {
    struct topic_mail to;
    struct message *message; /* that worker's own copy */
    struct parcel *parcel;   /* or what it is to be copied from: a kept one */
    uint64_t publisher; /* as in struct delivery: of mail that comes back */
    bool has_credit;
};

static void free_contents(struct message_mail *mail) {
    message_unref(&mail->message);
    parcel_unref(&mail->parcel);
}

static void deliver_mail(struct topic_mail *to, struct share *share, struct topic *topic) {
    struct message_mail *mail = container_of(to, struct message_mail, to);
    if (!mail->message && !mail->parcel) atomic_store(&share->is_overrun, false);
    if (mail->has_credit) share->granted--;
    if (topic && mail->parcel) mail->message = message_copy(mail->parcel->data, mail->parcel->length);
    if (topic && mail->message) {
        struct delivery delivery = {.message = mail->message,
                                    .position = mail->parcel ? mail->parcel->position : 0,
                                    .publisher = mail->publisher,
                                    .has_credit = mail->has_credit};
        deliver_here(topic, &delivery);
    } else if (topic) {
        overrun_here(topic);
    }
    if (mail->parcel) atomic_fetch_sub(&share->in_flight, 1);
    free_contents(mail);
}

static struct message_mail *mail_new(struct topic *topic) {
    struct message_mail *mail = memory_new(sizeof *mail);
    topic_mail_init(&mail->to, topic, deliver_mail);
    mail->to.mail.weight = sizeof *mail;
    return mail;
}

static void post(struct topic *topic, uint32_t worker, struct message_mail *mail) {
    struct mailbox *mailbox = topic->topics->registry->sides[worker]->mailbox;
    struct share *share = &topic->shared->shares[worker];
    bool is_kept = mail->parcel != NULL;
    mail->has_credit = topic->topics->held[worker];
    if (is_kept) atomic_fetch_add(&share->in_flight, 1);
    if (mail->has_credit) { /* of which there are not many */
        mailbox_post_always(mailbox, &mail->to.mail);
        return;
    }
    if (mailbox_post(mailbox, &mail->to.mail)) return;
    if (is_kept) atomic_fetch_sub(&share->in_flight, 1);
    free_contents(mail);
    topic_mail_free(&mail->to);
    topic_add(topic, TOPIC_REFUSED, 1);
    /* That worker's subscribers have missed something. One notice is under way at a time. */
    if (!atomic_exchange(&share->is_overrun, true)) mailbox_post_always(mailbox, &mail_new(topic)->to.mail);
}

static void post_copy(struct topic *topic, uint32_t worker, const struct message *message) {
    struct message_mail *mail = mail_new(topic);
    mail->message = message_copy(message->data, message->length);
    mail->to.mail.weight += sizeof *message + message->length;
    post(topic, worker, mail);
}

static void post_parcel(struct topic *topic, uint32_t worker, struct parcel *parcel, uint64_t publisher) {
    struct message_mail *mail = mail_new(topic);
    mail->parcel = parcel_ref(parcel);
    mail->publisher = publisher;
    mail->to.mail.weight += sizeof *parcel + parcel->length;
    post(topic, worker, mail);
}

/* Whether worker `i` gets mail of what is published now. */
static bool wants_mail(const struct topic *topic, uint32_t i) {
    return atomic_load_explicit(&topic->shared->shares[i].subscribers, memory_order_relaxed) || topic->topics->held[i];
}

static void deliver_own(struct topic *topic, struct message *message, uint64_t publisher, uint64_t position) {
    struct delivery delivery = {.message = message_ref(message),
                                .publisher = publisher,
                                .position = position,
                                .has_credit = topic->topics->held[topic->topics->index]};
    if (delivery.has_credit) topic->share->granted--;
    topic_ref(topic);
    deliver_here(topic, &delivery);
    topic_unref(&topic);
    message_unref(&delivery.message);
}

/* All workers deliver kept messages in the order of their positions. So they are posted under the lock; and if an earlier
 * one is still on its way to this worker, this one takes the same way behind it. */
static uint64_t publish_kept(struct topic *topic, struct message *message, uint64_t publisher) {
    struct topics *topics = topic->topics;
    struct shared_topic *shared = topic->shared;
    struct parcel *parcel = parcel_new(message->data, message->length);
    pthread_mutex_lock(&shared->lock);
    history_append(shared->history, &topics->registry->history, parcel, clock_monotonic());
    bool is_next = atomic_load(&topic->share->in_flight) == 0, is_stamped = parcel->length != message->length;
    for (uint32_t i = 0; i < topics->registry->workers; i++)
        if (i == topics->index ? !is_next : wants_mail(topic, i)) post_parcel(topic, i, parcel, i == topics->index ? publisher : 0);
    pthread_mutex_unlock(&shared->lock);
    uint64_t position = parcel->position;
    struct message *stamped = is_stamped ? message_copy(parcel->data, parcel->length) : NULL;
    if (is_next) deliver_own(topic, stamped ? stamped : message, publisher, position);
    message_unref(&stamped);
    parcel_unref(&parcel);
    return position;
}

static void publish_passing(struct topic *topic, struct message *message, uint64_t publisher) {
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++)
        if (i != topic->topics->index && wants_mail(topic, i)) post_copy(topic, i, message);
    deliver_own(topic, message, publisher, 0);
}

struct topic_receipt topic_publish_held(struct topic *topic, struct message *message, uint64_t publisher) {
    struct topic_receipt receipt = {.reached = topic_count(topic)};
    topic_add(topic, TOPIC_PUBLISHED, 1);
    if (atomic_load(&topic->shared->is_kept)) receipt.position = publish_kept(topic, message, publisher);
    else publish_passing(topic, message, publisher);
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
    if (!shared->history) shared->history = history_new();
    shared->history->stamp = position ? position->number << 3 | position->wire_type : 0;
    history_set(shared->history, &topic->topics->registry->history, messages, ttl, clock_monotonic());
    atomic_store(&shared->is_kept, true);
    pthread_mutex_unlock(&shared->lock);
}

bool topic_is_kept(const struct topic *topic) { return atomic_load(&topic->shared->is_kept); }

uint64_t topic_position(const struct topic *topic) {
    if (!topic_is_kept(topic)) return 0;
    pthread_mutex_lock(&topic->shared->lock);
    uint64_t position = topic->shared->history->last;
    pthread_mutex_unlock(&topic->shared->lock);
    return position;
}
