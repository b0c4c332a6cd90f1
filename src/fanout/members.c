/* fanout/members.c - see members.h */
#include "fanout/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fanout/mail.h"
#include "fanout/topic_private.h"

/* ---- who watches is told ---- */

struct event_mail {
    struct topic_mail to;
    enum topic_event event;
    size_t length;
    char text[];
};

/* A watcher may end itself and others, and begin new ones. */
static void tell_watchers(struct topic *topic, const struct event_mail *mail) {
    struct list now, *node;
    list_init(&now);
    list_splice(&now, &topic->watches);
    while ((node = list_take(&now))) {
        list_append(&topic->watches, node);
        struct topic_watch *watch = container_of(node, struct topic_watch, node);
        watch->on_event(watch, mail->event, mail->text, mail->length);
    }
}

static void deliver_event(struct topic_mail *to, struct share *share, struct topic *topic) {
    const struct event_mail *mail = container_of(to, struct event_mail, to);
    if (mail->event == TOPIC_MISSED) atomic_store(&share->has_missed, false);
    if (topic) tell_watchers(topic, mail);
}

static struct event_mail *event_new(struct topic_registry *registry, struct shared_topic *shared, enum topic_event event,
                                    const char *text, size_t length) {
    struct event_mail *mail = memory_new(sizeof *mail + length);
    topic_mail_init(&mail->to, registry, shared, deliver_event);
    mail->to.mail.weight = sizeof *mail + length;
    mail->event = event;
    mail->length = length;
    if (length) memcpy(mail->text, text, length);
    return mail;
}

/* This worker too: nobody is told from inside of a subscribe or cancel. */
static void tell_all(struct topic_registry *registry, struct shared_topic *shared, enum topic_event event,
                     const char *text, size_t length) {
    for (uint32_t i = 0; i < registry->workers; i++) {
        struct share *share = &shared->shares[i];
        if (!atomic_load(&share->watchers)) continue;
        struct mailbox *mailbox = registry->sides[i]->mailbox;
        struct event_mail *mail = event_new(registry, shared, event, text, length);
        if (mailbox_post(mailbox, &mail->to.mail)) continue;
        topic_mail_free(&mail->to);
        if (!atomic_exchange(&share->has_missed, true))
            mailbox_post_always(mailbox, &event_new(registry, shared, TOPIC_MISSED, NULL, 0)->to.mail);
    }
}

/* ---- the list ---- */

void member_leave(struct topic_registry *registry, struct shared_topic *shared, struct member **member) {
    if (!*member) return;
    list_remove(&(*member)->node);
    tell_all(registry, shared, TOPIC_LEAVE, (*member)->text, (*member)->length);
    free(*member);
    *member = NULL;
}

void member_join(struct topic_registry *registry, struct shared_topic *shared, struct member **handle, const char *text,
                 size_t length, bool is_elsewhere) {
    struct member *member = memory_new(sizeof *member + length);
    member->length = length;
    memcpy(member->text, text, length);
    member->number = atomic_fetch_add(&registry->last_member, 1) + 1;
    member->is_elsewhere = is_elsewhere;
    list_append(&shared->members, &member->node);
    tell_all(registry, shared, TOPIC_JOIN, text, length);
    *handle = member;
}

static bool shows(const struct member *member, const char *text, size_t length) {
    return member && text && member->length == length && memcmp(member->text, text, length) == 0;
}

void member_set(struct topic *topic, struct member **member, const char *text, size_t length) {
    if ((!*member && !text) || shows(*member, text, length)) return;
    struct topic_registry *registry = topic->topics->registry;
    struct shared_topic *shared = topic->shared;
    pthread_mutex_lock(&shared->lock);
    member_leave(registry, shared, member);
    if (text) member_join(registry, shared, member, text, length, false);
    pthread_mutex_unlock(&shared->lock);
    shared_note(registry, shared);
}

size_t topic_members(const struct topic *topic, struct buffer *out) {
    struct shared_topic *shared = topic->shared;
    size_t count = 0;
    pthread_mutex_lock(&shared->lock);
    for (struct list *node = shared->members.next; node != &shared->members; node = node->next) {
        const struct member *member = container_of(node, struct member, node);
        buffer_append(out, member->text, member->length);
        buffer_append_byte(out, '\n');
        count++;
    }
    pthread_mutex_unlock(&shared->lock);
    return count;
}

void topic_watch(struct topic *topic, struct topic_watch *watch) {
    watch->topic = topic_ref(topic);
    list_append(&topic->watches, &watch->node);
    atomic_fetch_add(&topic->share->watchers, 1);
}

void topic_unwatch(struct topic_watch *watch) {
    if (!watch->topic) return;
    list_remove(&watch->node);
    atomic_fetch_sub(&watch->topic->share->watchers, 1);
    topic_unref(&watch->topic);
}
