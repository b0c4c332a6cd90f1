/* fanout/queue.h - messages that wait for one subscriber, in order; with a key, at most one for each key.
 *
 * A ring that grows as it fills; whoever bounds it asks ->count first. An empty queue without a key owns nothing
 * after queue_clear(). */
#ifndef TIDEWIRE_FANOUT_QUEUE_H
#define TIDEWIRE_FANOUT_QUEUE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/message.h"

struct field;
struct fields;
struct message_type;
struct queue_keys;

struct queue {
    uint32_t count, head, capacity; /* a power of two */
    struct message **ring;
    struct queue_keys *keys;        /* NULL: no key */
};

/* Messages are told apart by this field of theirs from now on, those that wait too; NULL: no more. Type and field must
 * outlive the queue. `seed` is secret, so that nobody can make keys that meet in one place. */
void queue_set_key(struct queue *queue, const struct message_type *type, const struct field *key, uint64_t seed);
/* Behind the others, with a reference of its own. `fields` are the message's; they may be NULL without a key. */
void queue_push(struct queue *queue, struct message *message, struct fields *fields);
/* Into the place of the one that waits with the same key; false: none does. */
bool queue_replace(struct queue *queue, struct message *message, struct fields *fields);
/* The oldest, with its reference; the queue must have one. */
struct message *queue_take(struct queue *queue);
/* Drops all; returns how many. */
uint32_t queue_clear(struct queue *queue);
void queue_free(struct queue *queue);
#endif
