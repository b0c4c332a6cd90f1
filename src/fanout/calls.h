/* fanout/calls.h - the subscriptions of a call. Private to fanout/; the rest of calls.c is in topic.h. */
#ifndef TIDEWIRE_FANOUT_CALLS_H
#define TIDEWIRE_FANOUT_CALLS_H

struct call;
struct subscription;
struct topic;

/* That of this topic, unless it is over; or NULL. */
struct subscription *call_find_subscription(const struct call *call, const struct topic *topic);
void call_add_subscription(struct call *call, struct subscription *subscription);
#endif
