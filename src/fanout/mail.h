/* fanout/mail.h - mail from one worker's topic to another worker's. Private to fanout/. */
#ifndef TIDEWIRE_FANOUT_MAIL_H
#define TIDEWIRE_FANOUT_MAIL_H
#include <stdint.h>

#include "net/mailbox.h"

struct share;
struct shared_topic;
struct topic;
struct topic_registry;

/* The first member of what is sent. `deliver` runs in the receiving worker, whose share and handle (or NULL: nobody there
 * uses the topic; or all is going) it is given; it frees what the mail owns, the mail is freed behind it. */
struct topic_mail {
    struct mail mail;
    struct topic_registry *registry;
    struct shared_topic *shared; /* a reference */
    void (*deliver)(struct topic_mail *mail, struct share *share, struct topic *topic);
};

/* The weight is that of a bare mail. */
void topic_mail_init(struct topic_mail *mail, struct topic_registry *registry, struct shared_topic *shared,
                     void (*deliver)(struct topic_mail *mail, struct share *share, struct topic *topic));
void topic_mail_free(struct topic_mail *mail);
/* A bare mail that is not refused: for what is sent once at a time. */
void topic_mail_send(struct topic_registry *registry, struct shared_topic *shared, uint32_t worker,
                     void (*deliver)(struct topic_mail *mail, struct share *share, struct topic *topic));
#endif
