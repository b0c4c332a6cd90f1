/* bus/store.h - topics whose history a stream of NATS keeps for all hosts. Private to bus/.
 *
 * What is published here goes to the stream, and to our subscribers when it comes back: with its place among those of all
 * hosts, which is its position. One that does not come back within the config's `patience`, since the server is away or
 * slow, goes to our subscribers without one; it stays with us, in order, until it has been stored.
 *
 * Our subscribers get what was stored since the topic began here (by the server's clock), once, however late it comes:
 * what is older, and what they have had before a reload, is kept for those who ask for it.
 *
 * A topic is followed from the last message that we have of it. Whatever is lost on the way shows as a hole in the
 * consumer's numbers, at their end by its next sign of life, and then it is followed anew, from before the hole. */
#ifndef TIDEWIRE_BUS_STORE_H
#define TIDEWIRE_BUS_STORE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct bus;
struct bus_topic;
struct carrier_message;
struct hearing;
struct timer;
struct wire_message;
struct wire_server;

enum { CONSUMER_SIZE = 48 };

struct store {
    struct list node;          /* in the bus's, while it is stored */
    struct hearing *followed;  /* NULL: not now */
    char consumer[CONSUMER_SIZE];
    uint64_t number;           /* of its last message */
    uint64_t heard_at, since;  /* the last word of the consumer; when it was asked for */
    uint64_t retry_at;         /* the consumer has been refused; 0: no */
    bool is_known;             /* the consumer has answered */
    bool is_caught_up;         /* what was stored before has come */
    bool is_loaded;            /* once, or nobody waits for that any more */
    uint64_t floor;            /* position; nothing before it is there */
    uint64_t begun;            /* monotonic: what was stored before is older than our subscribers; 0: not stored */
    uint64_t delivered;        /* position: up to there our subscribers have had what came */
    struct list pending;       /* of struct pending: ours, in order, that have not come back */
    uint64_t count;            /* of these */
};

void store_init(struct bus_topic *topic);
/* Whether it is to be stored has perhaps changed. */
void store_refresh(struct bus_topic *topic);
/* A worker's message. Takes it over. */
void store_publish(struct bus *bus, struct carrier_message *message);
void store_receive(struct bus_topic *topic, const struct wire_message *message);
/* A sign of the consumer's life, which says how many it has sent. */
void store_hear_life(struct bus_topic *topic, const struct wire_message *message);
void store_answered(struct bus *bus, const char *consumer, uint64_t pending);
/* It is followed anew after a while. */
void store_refused(struct bus *bus, const char *consumer);
void store_come_up(struct bus *bus, const struct wire_server *server);
void store_go_down(struct bus *bus);
/* Nothing is stored any more; those that are pending are handed to our subscribers. Where it begins again with the next
 * store_refresh(), as when the config has changed, these do not get again what they had. */
void store_end(struct bus_topic *topic);
static inline bool store_is_busy(const struct store *store) { return store->count != 0; }
/* Fires while something is stored. */
void store_look(struct timer *timer);
#endif
