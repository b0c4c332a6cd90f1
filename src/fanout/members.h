/* fanout/members.h - presence: what subscribers show of themselves, over all workers. Private to fanout/; the rest of
 * members.c is in topic.h.
 *
 * The list belongs to the shared topic and is changed under its lock; the mails that tell of a change are posted under it
 * too, so that each worker hears of all changes in the order in which they happened. */
#ifndef TIDEWIRE_FANOUT_MEMBERS_H
#define TIDEWIRE_FANOUT_MEMBERS_H
#include <stddef.h>

#include "base/list.h"

struct topic;

struct member {
    struct list node; /* in the shared topic's members */
    size_t length;
    char text[];
};

/* Makes `member` show the text instead of what it showed; NULL: nothing (no longer). */
void member_set(struct topic *topic, struct member **member, const char *text, size_t length);
#endif
