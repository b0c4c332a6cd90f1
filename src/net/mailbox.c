/* net/mailbox.c - see mailbox.h
 *
 * The eventfd is written only when nobody has done so for what is queued, and watched edge-triggered, so that nobody has
 * to read it: a burst costs the senders one system call and the receiver none beside its wait. */
#include "net/mailbox.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "net/loop.h"
#include "net/loop_private.h"

/* Mails that one turn delivers before the loop looks at its sockets again. */
enum { MOST_IN_A_TURN = 256 };

struct mailbox {
    struct loop *loop;
    void *receiver;
    int fd;
    struct event event;
    struct task more;

    pthread_mutex_t lock; /* for all below */
    size_t most_mail, most_weight;
    struct mail *first, **end;
    size_t count, weight;
    bool is_rung; /* the receiver has been woken for what is queued */
};

static void chain_init(struct mailbox *mailbox) {
    mailbox->first = NULL;
    mailbox->end = &mailbox->first;
    mailbox->count = mailbox->weight = 0;
    mailbox->is_rung = false;
}

/* Cuts off at most `most` mails from the front. */
static struct mail *take(struct mailbox *mailbox, size_t most, bool *has_more) {
    pthread_mutex_lock(&mailbox->lock);
    struct mail *first = mailbox->first;
    if (mailbox->count <= most) {
        chain_init(mailbox);
    } else {
        struct mail *last = NULL;
        for (size_t i = 0; i < most; i++) {
            last = last ? last->next : first;
            mailbox->weight -= last->weight;
        }
        mailbox->first = last->next;
        mailbox->count -= most;
        last->next = NULL;
    }
    *has_more = mailbox->first != NULL;
    pthread_mutex_unlock(&mailbox->lock);
    return first;
}

static bool deliver_some(struct mailbox *mailbox, bool is_dropped) {
    bool has_more;
    struct mail *mail = take(mailbox, MOST_IN_A_TURN, &has_more);
    while (mail) {
        struct mail *next = mail->next;
        mail->deliver(mail, mailbox->receiver, is_dropped);
        mail = next;
    }
    return has_more;
}

static void deliver_more(struct task *task) {
    struct mailbox *mailbox = container_of(task, struct mailbox, more);
    if (deliver_some(mailbox, false)) loop_defer(mailbox->loop, LOOP_RUN, &mailbox->more);
}

static void on_wake(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct mailbox *mailbox = context;
    if (deliver_some(mailbox, false)) loop_defer(mailbox->loop, LOOP_RUN, &mailbox->more);
}

struct mailbox *mailbox_new(struct loop *loop, void *receiver, size_t most_mail, size_t most_weight) {
    struct mailbox *mailbox = memory_new(sizeof *mailbox);
    mailbox->loop = loop;
    mailbox->receiver = receiver;
    mailbox->most_mail = most_mail;
    mailbox->most_weight = most_weight;
    mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->fd < 0) error_exit("a worker has no eventfd: %s", strerror(errno));
    pthread_mutex_init(&mailbox->lock, NULL);
    chain_init(mailbox);
    task_init(&mailbox->more, deliver_more);
    event_assign(&mailbox->event, loop_event_base(loop), mailbox->fd, EV_READ | EV_ET | EV_PERSIST, on_wake,
                 mailbox);
    event_add(&mailbox->event, NULL);
    return mailbox;
}

void mailbox_set_most(struct mailbox *mailbox, size_t most_mail, size_t most_weight) {
    pthread_mutex_lock(&mailbox->lock);
    mailbox->most_mail = most_mail;
    mailbox->most_weight = most_weight;
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_free(struct mailbox **mailbox) {
    struct mailbox *old = *mailbox;
    if (!old) return;
    *mailbox = NULL;
    while (deliver_some(old, true)) continue;
    task_cancel(&old->more);
    event_del(&old->event);
    close(old->fd);
    pthread_mutex_destroy(&old->lock);
    free(old);
}

enum manner { BOUNDED, ALWAYS, QUIETLY };

static bool post(struct mailbox *mailbox, struct mail *mail, enum manner manner) {
    mail->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    if (manner != ALWAYS && mailbox->first &&
        (mailbox->count >= mailbox->most_mail || mailbox->weight + mail->weight > mailbox->most_weight)) {
        pthread_mutex_unlock(&mailbox->lock);
        return false;
    }
    *mailbox->end = mail;
    mailbox->end = &mail->next;
    mailbox->count++;
    mailbox->weight += mail->weight;
    bool is_rung = mailbox->is_rung || manner == QUIETLY;
    mailbox->is_rung |= !is_rung;
    pthread_mutex_unlock(&mailbox->lock);
    if (!is_rung) eventfd_write(mailbox->fd, 1);
    return true;
}

bool mailbox_post(struct mailbox *mailbox, struct mail *mail) { return post(mailbox, mail, BOUNDED); }
void mailbox_post_always(struct mailbox *mailbox, struct mail *mail) { post(mailbox, mail, ALWAYS); }
bool mailbox_post_quietly(struct mailbox *mailbox, struct mail *mail) { return post(mailbox, mail, QUIETLY); }

void mailbox_ring(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    bool is_needed = mailbox->first && !mailbox->is_rung;
    mailbox->is_rung |= is_needed;
    pthread_mutex_unlock(&mailbox->lock);
    if (is_needed) eventfd_write(mailbox->fd, 1);
}
