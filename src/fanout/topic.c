/* fanout/topic.c - see topic.h: a worker's handles on topics, and the way of a message to their subscribers.
 *
 * A publish walks over this worker's subscriptions, and posts one mail to every other worker that has some. A worker
 * touches only its own list. */
#include "fanout/topic.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fanout/calls.h"
#include "fanout/fields.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "rpc/call.h"

enum { MOST_MAIL = 1 << 16, MOST_MAIL_BYTES = 64 << 20 };

const char *const topic_counter_names[TOPIC_COUNTERS] = {
    [TOPIC_PUBLISHED] = "published",     [TOPIC_ENCODED] = "encoded",         [TOPIC_DELIVERED] = "delivered",
    [TOPIC_DROPPED_OLD] = "dropped_old", [TOPIC_DROPPED_NEW] = "dropped_new", [TOPIC_COALESCED] = "coalesced",
    [TOPIC_DISCARDED] = "discarded",     [TOPIC_CLOSED] = "closed",           [TOPIC_REFUSED] = "refused",
};

struct topics *topics_new(struct topic_registry *registry, uint32_t index, struct loop *loop) {
    struct topics *topics = memory_new(sizeof *topics);
    topics->registry = registry;
    topics->index = index;
    topics->loop = loop;
    topics->mailbox = mailbox_new(loop, topics, MOST_MAIL, MOST_MAIL_BYTES);
    registry->sides[index] = topics;
    return topics;
}

void topics_free(struct topics **topics) {
    if (!*topics) return;
    mailbox_free(&(*topics)->mailbox);
    map_free(&(*topics)->by_name, NULL);
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
    list_append(&topic->subscriptions, &subscription->of_topic);
    atomic_fetch_add_explicit(&topic->share->subscribers, 1, memory_order_relaxed);
    return subscription;
}

void topic_left(struct topic *topic, struct subscription *subscription) {
    list_remove(&subscription->of_topic);
    atomic_fetch_sub_explicit(&topic->share->subscribers, 1, memory_order_relaxed);
}

/* ---- messages ---- */

static void deliver_here(struct topic *topic, struct message *message, const struct call *publisher) {
    struct fields fields;
    fields_init(&fields, message->data, message->length);
    for (struct list *node = topic->subscriptions.next, *next; node != &topic->subscriptions; node = next) {
        next = node->next;
        subscription_offer(container_of(node, struct subscription, of_topic), message, &fields, publisher);
    }
}

static void overrun_here(struct topic *topic) {
    for (struct list *node = topic->subscriptions.next, *next; node != &topic->subscriptions; node = next) {
        next = node->next;
        subscription_overrun(container_of(node, struct subscription, of_topic));
    }
}

/* A message on its way to another worker; without a message it tells that some were refused. */
struct topic_mail {
    struct mail mail;
    struct topic_registry *registry;
    struct shared_topic *shared; /* a reference */
    struct message *message;     /* that worker's own copy */
};

static void mail_free(struct topic_mail *mail) {
    message_unref(&mail->message);
    shared_unref(mail->registry, mail->shared);
    free(mail);
}

static void mail_deliver(struct mail *base, void *receiver, bool is_dropped) {
    struct topic_mail *mail = container_of(base, struct topic_mail, mail);
    struct topics *topics = receiver;
    struct share *share = &mail->shared->shares[topics->index];
    if (!mail->message) atomic_store(&share->is_overrun, false);
    struct topic *topic = is_dropped || !share->topic ? NULL : topic_ref(share->topic);
    if (topic && mail->message) deliver_here(topic, mail->message, NULL);
    else if (topic) overrun_here(topic);
    topic_unref(&topic);
    mail_free(mail);
}

static struct topic_mail *mail_new(struct topic *topic, struct message *message) {
    struct topic_mail *mail = memory_new(sizeof *mail);
    mail->registry = topic->topics->registry;
    mail->shared = shared_ref(topic->shared);
    mail->mail.deliver = mail_deliver;
    if (message) mail->message = message_copy(message->data, message->length);
    mail->mail.weight = sizeof *mail + (message ? sizeof *message + message->length : 0);
    return mail;
}

static void send_to_worker(struct topic *topic, uint32_t worker, struct message *message) {
    struct mailbox *mailbox = topic->topics->registry->sides[worker]->mailbox;
    struct topic_mail *mail = mail_new(topic, message);
    if (mailbox_post(mailbox, &mail->mail)) return;
    mail_free(mail);
    topic_add(topic, TOPIC_REFUSED, 1);
    /* Refused: that worker's subscribers have missed something. One notice is under way at a time. */
    if (!atomic_exchange(&topic->shared->shares[worker].is_overrun, true))
        mailbox_post_always(mailbox, &mail_new(topic, NULL)->mail);
}

size_t topic_publish(struct topic *topic, struct message *message, const struct call *publisher) {
    struct topics *topics = topic->topics;
    size_t reached = 0;
    topic_add(topic, TOPIC_PUBLISHED, 1);
    message_ref(message);
    topic_ref(topic);
    for (uint32_t i = 0; i < topics->registry->workers; i++) {
        uint32_t count = atomic_load_explicit(&topic->shared->shares[i].subscribers, memory_order_relaxed);
        reached += count;
        if (i == topics->index) deliver_here(topic, message, publisher);
        else if (count) send_to_worker(topic, i, message);
    }
    topic_unref(&topic);
    message_unref(&message);
    return reached;
}
