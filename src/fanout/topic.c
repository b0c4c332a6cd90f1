/* fanout/topic.c - see topic.h
 *
 *   registry (process) ── name → shared topic: its type, how many subscribers each worker has
 *      │                                   │
 *   topics (worker 0, 1, …) ── name → topic: this worker's list of subscriptions
 *
 * A worker touches only its own topics; the registry's lock is taken when a worker meets a name for the first time
 * or lets go of it, never by a publish. */
#include "fanout/topic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "rpc/call.h"

enum { MOST_MAIL = 1 << 16, MOST_MAIL_BYTES = 64 << 20 };

/* What one worker has of a shared topic. Its own cache line: publishers of other workers read it. */
struct share {
    _Alignas(64) atomic_uint subscribers;
    atomic_bool is_overrun; /* mail for this worker was refused, and a mail that tells so is on its way */
    struct topic *topic;    /* the worker's handle, or NULL; only that worker's thread looks */
};

struct shared_topic {
    char *name;
    size_t name_length;
    atomic_uint references; /* handles of workers, mails under way */
    _Atomic(char *) type;
    struct share shares[];
};

struct topic_registry {
    pthread_mutex_t lock;
    struct map by_name; /* of struct shared_topic */
    uint64_t most_topics;
    uint32_t workers;
    struct topics **sides;
};

struct topics {
    struct topic_registry *registry;
    uint32_t index;
    struct loop *loop;
    struct mailbox *mailbox;
    struct map by_name; /* of struct topic */
    struct topic_counters counters;
};

struct topic {
    uint32_t references;
    struct topics *topics;
    struct shared_topic *shared;
    struct list subscriptions;
};

struct topic_registry *topic_registry_new(uint32_t workers, uint64_t most_topics) {
    struct topic_registry *registry = memory_new(sizeof *registry);
    pthread_mutex_init(&registry->lock, NULL);
    registry->most_topics = most_topics;
    registry->workers = workers;
    registry->sides = memory_new(workers * sizeof(struct topics *));
    return registry;
}

void topic_registry_free(struct topic_registry **registry) {
    if (!*registry) return;
    map_free(&(*registry)->by_name, NULL);
    pthread_mutex_destroy(&(*registry)->lock);
    free((*registry)->sides);
    free(*registry);
    *registry = NULL;
}

void topic_registry_set_most(struct topic_registry *registry, uint64_t most_topics) {
    pthread_mutex_lock(&registry->lock);
    registry->most_topics = most_topics;
    pthread_mutex_unlock(&registry->lock);
}

static void shared_free(struct shared_topic *shared) {
    free(atomic_load(&shared->type));
    free(shared->name);
    free(shared);
}

static void shared_unref(struct topic_registry *registry, struct shared_topic *shared) {
    unsigned references = atomic_load(&shared->references);
    while (references > 1)
        if (atomic_compare_exchange_weak(&shared->references, &references, references - 1)) return;
    /* Perhaps the last one: only under the lock, since whoever opens the name takes a reference under it. */
    pthread_mutex_lock(&registry->lock);
    bool is_last = atomic_fetch_sub(&shared->references, 1) == 1;
    if (is_last) map_remove(&registry->by_name, shared->name, shared->name_length);
    pthread_mutex_unlock(&registry->lock);
    if (is_last) shared_free(shared);
}

static struct shared_topic *shared_open(struct topic_registry *registry, const char *name, size_t length) {
    pthread_mutex_lock(&registry->lock);
    struct shared_topic *shared = map_get(&registry->by_name, name, length);
    if (!shared && (!registry->most_topics || registry->by_name.count < registry->most_topics)) {
        size_t size = sizeof *shared + registry->workers * sizeof(struct share);
        shared = aligned_alloc(64, (size + 63) / 64 * 64);
        if (!shared) abort();
        memset(shared, 0, size);
        shared->name = memory_copy(name, length);
        shared->name_length = length;
        map_put(&registry->by_name, name, length, shared);
    }
    if (shared) atomic_fetch_add(&shared->references, 1);
    pthread_mutex_unlock(&registry->lock);
    return shared;
}

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
    list_init(&topic->subscriptions);
    shared->shares[topics->index].topic = topic;
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
    shared->shares[topics->index].topic = NULL;
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

struct topics *topic_side(const struct topic *topic) { return topic->topics; }
struct topic_counters *topics_counting(struct topics *topics) { return &topics->counters; }
const struct topic_counters *topics_counters(const struct topics *topics) { return &topics->counters; }
void topics_defer(struct topics *topics, struct task *task) { loop_defer(topics->loop, LOOP_RUN, task); }

static struct share *own_share(const struct topic *topic) { return &topic->shared->shares[topic->topics->index]; }

void topic_left(struct topic *topic, struct subscription *subscription) {
    list_remove(&subscription->of_topic);
    atomic_fetch_sub_explicit(&own_share(topic)->subscribers, 1, memory_order_relaxed);
}

/* A call's subscriptions hang on the call itself, so that its end finds them without a search. */
struct call_subscriptions {
    struct list list;
};

static struct subscription *find_of_call(const struct topic *topic, const struct call *call) {
    struct call_subscriptions *of_call = call->subscriptions;
    if (!of_call) return NULL;
    for (struct list *node = of_call->list.next; node != &of_call->list; node = node->next) {
        struct subscription *subscription = container_of(node, struct subscription, of_call);
        if (subscription->topic == topic && !subscription->is_over) return subscription;
    }
    return NULL;
}

static void hang_on_call(struct subscription *subscription, struct call *call) {
    if (!call->subscriptions) {
        struct call_subscriptions *of_call = memory_new(sizeof *of_call);
        list_init(&of_call->list);
        call->subscriptions = of_call;
    }
    list_append(&((struct call_subscriptions *)call->subscriptions)->list, &subscription->of_call);
}

struct subscription *topic_subscribe(struct topic *topic, struct call *call, const struct subscription_options *options) {
    struct subscription *subscription = call ? find_of_call(topic, call) : NULL;
    if (subscription) {
        subscription_set_options(subscription, options);
        return subscription;
    }
    subscription = subscription_new(topic, call, options);
    if (call) hang_on_call(subscription, call);
    list_append(&topic->subscriptions, &subscription->of_topic);
    atomic_fetch_add_explicit(&own_share(topic)->subscribers, 1, memory_order_relaxed);
    return subscription;
}

/* Calls `f` for each of the call's subscriptions; false when some `f` said so. */
static bool each_of_call(struct call *call, bool (*f)(struct subscription *subscription)) {
    struct call_subscriptions *of_call = call->subscriptions;
    bool all = true;
    if (!of_call) return true;
    for (struct list *node = of_call->list.next, *next; node != &of_call->list; node = next) {
        next = node->next;
        if (!f(container_of(node, struct subscription, of_call))) all = false;
    }
    return all;
}

static bool flush(struct subscription *subscription) {
    subscription->is_flushing = true;
    return subscription_drain(subscription);
}

static bool cancel(struct subscription *subscription) {
    subscription_cancel(&subscription);
    return true;
}

bool topics_flush_call(struct topics *topics, struct call *call) {
    (void)topics;
    return each_of_call(call, flush);
}

void topics_call_writable(struct topics *topics, struct call *call) {
    (void)topics;
    each_of_call(call, subscription_drain);
}

void topics_call_closed(struct topics *topics, struct call *call) {
    (void)topics;
    each_of_call(call, cancel);
    free(call->subscriptions);
    call->subscriptions = NULL;
}

bool topics_has_call(const struct topics *topics, const struct call *call) {
    (void)topics;
    struct call_subscriptions *of_call = call->subscriptions;
    return of_call && !list_is_empty(&of_call->list);
}

static void deliver_here(struct topic *topic, struct message *message, const struct call *publisher) {
    for (struct list *node = topic->subscriptions.next, *next; node != &topic->subscriptions; node = next) {
        next = node->next;
        subscription_offer(container_of(node, struct subscription, of_topic), message, publisher);
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
    mail->shared = topic->shared;
    atomic_fetch_add(&topic->shared->references, 1);
    mail->mail.deliver = mail_deliver;
    if (message) mail->message = message_copy(message->data, message->length);
    mail->mail.weight = sizeof *mail + (message ? sizeof *message + message->length : 0);
    return mail;
}

static void send_to_worker(struct topic *topic, uint32_t worker, struct message *message) {
    struct mailbox *mailbox = topic->topics->registry->sides[worker]->mailbox;
    struct topic_mail *mail = mail_new(topic, message);
    topic->topics->counters.encoded_for_workers++;
    if (mailbox_post(mailbox, &mail->mail)) return;
    mail_free(mail);
    /* Refused: that worker's subscribers have missed something. One notice is under way at a time. */
    if (!atomic_exchange(&topic->shared->shares[worker].is_overrun, true))
        mailbox_post_always(mailbox, &mail_new(topic, NULL)->mail);
}

size_t topic_publish(struct topic *topic, struct message *message, const struct call *publisher) {
    struct topics *topics = topic->topics;
    size_t reached = 0;
    topics->counters.published++;
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
