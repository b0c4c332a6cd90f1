/* fanout/members.h - presence: what subscribers show of themselves, over all workers. Private to fanout/; the rest of
 * members.c is in topic.h.
 *
 * The list belongs to the shared topic and is changed under its lock; the mails that tell of a change are posted under it
 * too, so that each worker hears of all changes in the order in which they happened. */
#ifndef TIDEWIRE_FANOUT_MEMBERS_H
#define TIDEWIRE_FANOUT_MEMBERS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct shared_topic;
struct topic;
struct topic_registry;

struct member {
    struct list node; /* in the shared topic's members */
    uint64_t number;  /* of this process, in the order in which they came */
    bool is_elsewhere; /* it is a subscriber of another host: the carrier's */
    size_t length;
    char text[];
};

/* Both under the topic's lock. */
void member_join(struct topic_registry *registry, struct shared_topic *shared, struct member **member, const char *text,
                 size_t length, bool is_elsewhere);
void member_leave(struct topic_registry *registry, struct shared_topic *shared, struct member **member);
/* Makes `member` show the text instead of what it showed; NULL: nothing (no longer). */
void member_set(struct topic *topic, struct member **member, const char *text, size_t length);
#endif
