/* fanout/post.c - see post.h */
#include "fanout/post.h"

#include "base/memory.h"
#include "fanout/history.h"
#include "fanout/mail.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"

/* Without a message it tells that some were refused. */
struct message_mail {
    struct topic_mail to;
    struct message *message; /* that worker's own copy */
    struct parcel *parcel;   /* or what it is to be copied from: a kept one */
    uint64_t publisher;      /* as in struct delivery: of mail that comes back */
    bool has_credit, is_carried;
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
                                    .order = mail->parcel ? mail->parcel->order : 0,
                                    .publisher = mail->publisher,
                                    .has_credit = mail->has_credit,
                                    .is_carried = mail->is_carried};
        topic_deliver(topic, &delivery);
    } else if (topic) {
        topic_overrun(topic);
    }
    if (mail->parcel) atomic_fetch_sub(&share->in_flight, 1);
    free_contents(mail);
}

static struct message_mail *mail_new(const struct sender *sender) {
    struct message_mail *mail = memory_new(sizeof *mail);
    topic_mail_init(&mail->to, sender->registry, sender->shared, deliver_mail);
    mail->to.mail.weight = sizeof *mail;
    mail->is_carried = sender->is_carrier;
    return mail;
}

bool post_is_wanted(const struct sender *sender, uint32_t worker, bool has_credit) {
    return has_credit || atomic_load_explicit(&sender->shared->shares[worker].subscribers, memory_order_relaxed);
}

void post_overrun(const struct sender *sender, uint32_t worker) {
    if (!atomic_exchange(&sender->shared->shares[worker].is_overrun, true))
        mailbox_post_always(sender->registry->sides[worker]->mailbox, &mail_new(sender)->to.mail);
}

/* Woken for the first of many it would deliver few at a time, at a walk each. For a bundle of them it may begin. */
static bool post_quietly(const struct sender *sender, uint32_t worker, struct message_mail *mail) {
    struct mailbox *mailbox = sender->registry->sides[worker]->mailbox;
    if (!mailbox_post_quietly(mailbox, &mail->to.mail)) return false;
    if (++sender->unrung[worker] < BUNDLE_MOST) return true;
    sender->unrung[worker] = 0;
    mailbox_ring(mailbox);
    return true;
}

static void post(const struct sender *sender, uint32_t worker, struct message_mail *mail, bool has_credit) {
    struct mailbox *mailbox = sender->registry->sides[worker]->mailbox;
    struct share *share = &sender->shared->shares[worker];
    bool is_kept = mail->parcel != NULL;
    mail->has_credit = has_credit;
    if (is_kept) atomic_fetch_add(&share->in_flight, 1);
    if (has_credit) { /* of which there are not many */
        mailbox_post_always(mailbox, &mail->to.mail);
        return;
    }
    if (sender->unrung ? post_quietly(sender, worker, mail) : mailbox_post(mailbox, &mail->to.mail)) return;
    if (is_kept) atomic_fetch_sub(&share->in_flight, 1);
    free_contents(mail);
    topic_mail_free(&mail->to);
    share_add(sender->counts, TOPIC_REFUSED, 1);
    post_overrun(sender, worker);
}

void post_copy(const struct sender *sender, uint32_t worker, const void *bytes, size_t length, bool has_credit) {
    struct message_mail *mail = mail_new(sender);
    mail->message = message_copy(bytes, length);
    mail->to.mail.weight += sizeof *mail->message + length;
    post(sender, worker, mail, has_credit);
}

void post_parcel(const struct sender *sender, uint32_t worker, struct parcel *parcel, uint64_t publisher,
                 bool has_credit) {
    struct message_mail *mail = mail_new(sender);
    mail->parcel = parcel_ref(parcel);
    mail->publisher = publisher;
    mail->to.mail.weight += sizeof *parcel + parcel->length;
    post(sender, worker, mail, has_credit);
}

static void deliver_loaded(struct topic_mail *mail, struct share *share, struct topic *topic) {
    (void)mail, (void)share;
    if (topic) topic_loaded(topic);
}

void post_loaded(const struct sender *sender, uint32_t worker) {
    topic_mail_send(sender->registry, sender->shared, worker, deliver_loaded);
}
