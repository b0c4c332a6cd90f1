/* fanout/carrier.c - see carrier.h */
#include "fanout/carrier.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "fanout/members.h"
#include "fanout/post.h"
#include "fanout/shared.h"

static struct sender sender_of(struct topic_registry *registry, struct shared_topic *topic) {
    return (struct sender){
        .registry = registry, .shared = topic, .counts = &topic->shares[registry->workers], .is_carrier = true};
}

/* ---- what there is ---- */

void carrier_look(struct topic_registry *registry, struct shared_topic *topic, struct carrier_topic *state) {
    atomic_store(&topic->is_noted, false); /* first: what changes from here on is noted again */
    *state = (struct carrier_topic){
        .name = topic->name,
        .name_length = topic->name_length,
        .type = atomic_load(&topic->type),
        .is_used = atomic_load(&topic->handles) != 0,
        .is_kept = atomic_load(&topic->is_kept),
        .subscribers = shared_count(registry, topic),
    };
    if (!state->is_kept) return;
    pthread_mutex_lock(&topic->lock);
    state->is_loading = topic->is_loading;
    pthread_mutex_unlock(&topic->lock);
}

void **carrier_slot(struct shared_topic *topic) { return &topic->carried; }

struct shared_topic *carrier_ref(struct shared_topic *topic) { return shared_ref(topic); }

void carrier_unref(struct topic_registry *registry, struct shared_topic *topic) { shared_unref(registry, topic); }

void carrier_message_free(struct topic_registry *registry, struct carrier_message *message) {
    shared_unref(registry, message->topic);
    parcel_unref(&message->parcel);
    free(message);
}

/* ---- messages ---- */

static bool has_credit(const struct carrier_message *own, uint32_t worker) {
    return own && own->held[worker / 64] >> worker % 64 & 1;
}

/* Under the lock. */
static void post_all(const struct sender *sender, struct parcel *parcel, const struct carrier_message *own) {
    struct sender mine = *sender;
    mine.is_carrier = !own;
    for (uint32_t i = 0; i < sender->registry->workers; i++)
        if (post_is_wanted(sender, i, has_credit(own, i)))
            post_parcel(&mine, i, parcel, own && own->worker == i ? own->publisher : 0, has_credit(own, i));
}

void carrier_deliver(struct topic_registry *registry, struct shared_topic *topic, const void *bytes, size_t length) {
    struct sender sender = sender_of(registry, topic);
    share_add(sender.counts, TOPIC_RECEIVED, 1);
    pthread_mutex_lock(&topic->lock);
    bool is_kept_here = topic->history && !atomic_load(&topic->is_stored);
    if (is_kept_here) {
        struct parcel *parcel = parcel_new(bytes, length);
        history_append(topic->history, &registry->history, parcel, clock_monotonic());
        post_all(&sender, parcel, NULL);
        parcel_unref(&parcel);
    }
    pthread_mutex_unlock(&topic->lock);
    for (uint32_t i = 0; !is_kept_here && i < registry->workers; i++)
        if (post_is_wanted(&sender, i, false)) post_copy(&sender, i, bytes, length, false);
}

/* ---- a store ---- */

void carrier_set_stored(struct topic_registry *registry, struct shared_topic *topic, bool is_stored) {
    bool was_loading = false;
    pthread_mutex_lock(&topic->lock);
    if (topic->history && atomic_load(&topic->is_stored) != is_stored) {
        was_loading = topic->is_loading && !is_stored;
        topic->is_loading = is_stored;
        atomic_store(&topic->is_stored, is_stored);
    }
    pthread_mutex_unlock(&topic->lock);
    if (was_loading) carrier_loaded(registry, topic, 0);
}

void carrier_restart(struct topic_registry *registry, struct shared_topic *topic, uint64_t position) {
    pthread_mutex_lock(&topic->lock);
    if (topic->history) history_restart(topic->history, &registry->history, position);
    pthread_mutex_unlock(&topic->lock);
}

uint64_t carrier_position(struct shared_topic *topic) {
    pthread_mutex_lock(&topic->lock);
    uint64_t position = topic->history ? topic->history->last : 0;
    pthread_mutex_unlock(&topic->lock);
    return position;
}

void carrier_loaded(struct topic_registry *registry, struct shared_topic *topic, uint64_t floor) {
    struct sender sender = sender_of(registry, topic);
    pthread_mutex_lock(&topic->lock);
    topic->is_loading = false;
    if (topic->history && floor > topic->history->floor) topic->history->floor = floor;
    pthread_mutex_unlock(&topic->lock);
    for (uint32_t i = 0; i < registry->workers; i++)
        if (post_is_wanted(&sender, i, false)) post_loaded(&sender, i);
}

void carrier_store(struct topic_registry *registry, struct shared_topic *topic, const void *bytes, size_t length,
                   uint64_t position, uint64_t age, const struct carrier_message *own, bool is_quiet) {
    struct sender sender = sender_of(registry, topic);
    uint64_t now = clock_monotonic();
    struct parcel *parcel = parcel_new(bytes, length);
    if (!own && !is_quiet) share_add(sender.counts, TOPIC_RECEIVED, 1);
    pthread_mutex_lock(&topic->lock);
    if (topic->history && position > topic->history->last) {
        history_store(topic->history, &registry->history, parcel, position, age, now);
        if (!is_quiet) post_all(&sender, parcel, own);
    }
    pthread_mutex_unlock(&topic->lock);
    parcel_unref(&parcel);
}

uint64_t carrier_hold(struct topic_registry *registry, struct shared_topic *topic,
                      const struct carrier_message *message) {
    struct sender sender = sender_of(registry, topic);
    uint64_t now = clock_monotonic();
    struct parcel *parcel = message->parcel;
    pthread_mutex_lock(&topic->lock);
    if (atomic_load(&topic->is_stored)) history_hold(topic->history, parcel, now);
    else history_append(topic->history, &registry->history, parcel, now);
    post_all(&sender, parcel, message);
    pthread_mutex_unlock(&topic->lock);
    return parcel->order;
}

void carrier_release(struct shared_topic *topic, uint64_t ticket) {
    pthread_mutex_lock(&topic->lock);
    if (topic->history) history_release(topic->history, ticket);
    pthread_mutex_unlock(&topic->lock);
}

/* ---- who is elsewhere ---- */

void carrier_set_elsewhere(struct shared_topic *topic, uint64_t subscribers) {
    atomic_store_explicit(&topic->elsewhere, subscribers, memory_order_relaxed);
}

struct member *carrier_member_join(struct topic_registry *registry, struct shared_topic *topic, const char *text,
                                   size_t length) {
    struct member *member = NULL;
    pthread_mutex_lock(&topic->lock);
    member_join(registry, topic, &member, text, length, true);
    pthread_mutex_unlock(&topic->lock);
    return member;
}

size_t carrier_member_size(size_t length) { return sizeof(struct member) + length; }

void carrier_member_leave(struct topic_registry *registry, struct shared_topic *topic, struct member **member) {
    pthread_mutex_lock(&topic->lock);
    member_leave(registry, topic, member);
    pthread_mutex_unlock(&topic->lock);
}

void carrier_each_member(struct shared_topic *topic,
                         void (*visit)(void *context, uint64_t number, const char *text, size_t length), void *context) {
    pthread_mutex_lock(&topic->lock);
    for (struct list *node = topic->members.next; node != &topic->members; node = node->next) {
        const struct member *member = container_of(node, struct member, node);
        if (!member->is_elsewhere) visit(context, member->number, member->text, member->length);
    }
    pthread_mutex_unlock(&topic->lock);
}
