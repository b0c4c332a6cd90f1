/* fanout/topic_private.h - what topic.c gives to subscription.c. */
#ifndef TIDEWIRE_FANOUT_TOPIC_PRIVATE_H
#define TIDEWIRE_FANOUT_TOPIC_PRIVATE_H
#include "fanout/topic.h"

struct task;

struct topics *topic_side(const struct topic *topic);
struct topic_counters *topics_counting(struct topics *topics);
void topics_defer(struct topics *topics, struct task *task);
/* The subscription is over: out of the topic's list and count. */
void topic_left(struct topic *topic, struct subscription *subscription);
#endif
