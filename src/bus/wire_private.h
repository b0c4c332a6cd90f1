/* bus/wire_private.h - the wire's state, and what its files give each other. Private to bus/wire*.c. */
#ifndef TIDEWIRE_BUS_WIRE_PRIVATE_H
#define TIDEWIRE_BUS_WIRE_PRIVATE_H
#include <nats/nats.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/map.h"
#include "bus/wire.h"

#define WIRE_PATIENCE (2 * NS_PER_S) /* with a server's answer */

/* A subject that is wanted, or whose subscription is to go. */
struct want {
    struct list node; /* in the wire's work, while what is and what shall be differ */
    natsSubscription *subscription; /* changed by the wire's thread, while is_busy without the lock */
    int64_t dropped;                /* by the library, as far as that was told */
    bool is_wanted, is_busy;
    struct follow *follow; /* NULL: a subject by itself */
    char subject[];
};

/* Of a stream. */
struct follow {
    uint64_t after;
    char *subject, *consumer;
};

struct wire {
    struct wire_events events;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t news;
    struct map wants; /* of struct want, by subject */
    struct list work, out;
    size_t waiting;
    size_t subscriptions; /* that the library is not done with */
    bool wants_room, is_new_config, is_ending;
    uint64_t connections;      /* so far */
    bool is_lost, is_closed; /* the library says so of the connection */
    char why[256];
    uint64_t ends_at; /* monotonic ns */
    uint64_t count_at; /* when it looks how many messages the library has dropped; 0: it drops none */
    struct config_bus *config;
    uint64_t configs; /* so far */

    /* The wire's thread alone. */
    struct config_bus *using;
    uint64_t using_number;
    natsConnection *connection;
    jsCtx *stream; /* NULL: the config has none */
    uint64_t stream_last, stream_born;
    int64_t clock;
    uint64_t next_attempt;
    bool is_open; /* the library */
};

static inline int wire_milliseconds(uint64_t ns) { return (int)(ns / NS_PER_MS); }
/* Our own of what the library has: its own may be much larger than its data, by headers, and may not outlive it. */
struct wire_message *wire_take(const struct wire *wire, natsMsg *native);
/* The last call of the thread that failed says why. */
const char *wire_reason(natsStatus status);
/* Why the connection does not do, which is more than the library will say of its end. */
void wire_set_why(struct wire *wire, const char *what);
/* What the config says; who hears of events is not in it. */
natsStatus wire_set_options(natsOptions *options, const struct config_bus *config);
/* The stream is there, made by us or by whomever; true also without one in the config. */
bool wire_open_stream(struct wire *wire);
/* For what is followed; its subscription is there. */
natsStatus wire_add_consumer(struct wire *wire, const struct want *want);
#endif
