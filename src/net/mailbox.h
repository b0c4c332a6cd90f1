/* net/mailbox.h - the one way into another worker's thread: a bounded queue and an eventfd.
 *
 * Mail of one sender arrives in the order in which it was posted. A full mailbox refuses: the sender decides
 * what that means (each use documents it). */
#ifndef TIDEWIRE_NET_MAILBOX_H
#define TIDEWIRE_NET_MAILBOX_H
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct mailbox;

/* Embed it in what you send. */
struct mail {
    struct mail *next;
    size_t weight; /* bytes that it keeps alive, for the bound */
    /* In the receiver's thread; takes over the object. With is_dropped the mailbox is going: only free. */
    void (*deliver)(struct mail *mail, void *receiver, bool is_dropped);
};

struct mailbox *mailbox_new(struct loop *loop, void *receiver, size_t most_mail, size_t most_weight);
/* Other bounds; any thread. */
void mailbox_set_most(struct mailbox *mailbox, size_t most_mail, size_t most_weight);
/* In the loop's thread, when no other thread can post any more; drops what is queued. */
void mailbox_free(struct mailbox **mailbox);
/* Any thread. False when full: the mail is still the caller's. An empty mailbox takes any mail, however
 * heavy. */
bool mailbox_post(struct mailbox *mailbox, struct mail *mail);
/* As mailbox_post(), without waking the receiver: whoever posts so rings before the end of the turn. Of many mails the
 * receiver then does not find some in one turn and some in the next. */
bool mailbox_post_quietly(struct mailbox *mailbox, struct mail *mail);
void mailbox_ring(struct mailbox *mailbox);
/* As mailbox_post(), but never refuses: for the few mails of control (reload, drain, an accepted socket). */
void mailbox_post_always(struct mailbox *mailbox, struct mail *mail);
#endif
