/* fanout/mail.c - see mail.h */
#include "fanout/mail.h"

#include <stdlib.h>

#include "base/memory.h"
#include "fanout/topic_private.h"

static void deliver(struct mail *base, void *receiver, bool is_dropped) {
    struct topic_mail *mail = container_of(base, struct topic_mail, mail);
    const struct topics *topics = receiver;
    struct share *share = &mail->shared->shares[topics->index];
    struct topic *topic = is_dropped || !share->topic ? NULL : topic_ref(share->topic);
    mail->deliver(mail, share, topic);
    topic_unref(&topic);
    topic_mail_free(mail);
}

void topic_mail_init(struct topic_mail *mail, struct topic_registry *registry, struct shared_topic *shared,
                     void (*on_delivery)(struct topic_mail *mail, struct share *share, struct topic *topic)) {
    mail->mail.deliver = deliver;
    mail->mail.weight = sizeof *mail;
    mail->registry = registry;
    mail->shared = shared_ref(shared);
    mail->deliver = on_delivery;
}

void topic_mail_free(struct topic_mail *mail) {
    shared_unref(mail->registry, mail->shared);
    free(mail);
}

void topic_mail_send(struct topic_registry *registry, struct shared_topic *shared, uint32_t worker,
                     void (*on_delivery)(struct topic_mail *mail, struct share *share, struct topic *topic)) {
    struct topic_mail *mail = memory_new(sizeof *mail);
    topic_mail_init(mail, registry, shared, on_delivery);
    mailbox_post_always(registry->sides[worker]->mailbox, &mail->mail);
}
