/* bus/bus_private.h - the hub's state: of its thread alone, save what says otherwise. Private to bus/. */
#ifndef TIDEWIRE_BUS_BUS_PRIVATE_H
#define TIDEWIRE_BUS_BUS_PRIVATE_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "bus/bus.h"
#include "bus/presence.h"
#include "bus/store.h"
#include "bus/subject.h"
#include "bus/wire.h"
#include "fanout/carrier.h"
#include "net/loop.h"
#include "net/mailbox.h"

/* The headers of a message: its type, the origin, and its number in what that sends. */
#define BUS_TYPE "Tidewire-Type"
#define BUS_FROM "Tidewire-From"
#define BUS_SEQUENCE "Tidewire-Sequence"
#define BUS_LAST "Nats-Last-Consumer" /* of the server's: how many messages a consumer has sent */

/* Bytes of all of them, at most, without the type's name. */
enum {
    BUS_HEADERS = sizeof "NATS/1.0\r\n\r\n" + sizeof BUS_TYPE + sizeof BUS_FROM + sizeof BUS_SEQUENCE + sizeof "Nats-Msg-Id" +
                  4 * sizeof ": \r\n" + 2 * 16 + 2 * 20 + 1 /* two origins, two numbers, a dash */
};

enum bus_counter {
    BUS_SENT, BUS_RECEIVED, BUS_SENT_BYTES, BUS_RECEIVED_BYTES, BUS_WAITING, BUS_DROPPED_OUT, BUS_DROPPED_IN, BUS_REJECTED,
    BUS_MISSED, BUS_PENDING, BUS_CONNECTS, BUS_LOSSES, BUS_HOSTS, BUS_COUNTERS
};

/* A line of the log that is written once in a while, however often there is a reason. */
struct rare {
    uint64_t next, count;
};

/* How far a publisher of a topic has come. */
struct seen {
    uint64_t origin, sequence, at;
};

struct bus {
    struct topic_carrier carrier; /* first */
    struct topic_registry *registry;
    pthread_t thread;
    struct loop *loop;
    struct mailbox *control, *outbox, *inbox;
    struct wire *wire;
    uint64_t origin;
    char origin_text[ORIGIN_SIZE];
    atomic_uint_least64_t counters[BUS_COUNTERS]; /* any thread */
    atomic_bool is_configured, is_up;             /* written here, read by any thread */
    atomic_size_t most_messages, most_bytes;      /* of the queue */
    pthread_mutex_t lock; /* for the texts */
    char server[256], error[256];

    struct config_bus *config; /* NULL: off */
    struct schema *schema;
    size_t most_message;  /* bytes of one */
    size_t most_payload;  /* the server's */
    uint64_t connection;  /* the wire's number of it; 0: none */
    uint64_t wired;       /* the wire's number of our config */
    struct list topics;   /* of struct bus_topic */
    struct map subjects;  /* of struct hearing */
    struct list queue;    /* of struct wire_out */
    size_t queued, queued_bytes;
    uint64_t down_since, dropped_before; /* of the connection; and how many were dropped until then */
    struct map hosts;        /* of struct host, by origin */
    struct hearing *hosts_hearing;
    struct timer beat;       /* that we are there */
    uint64_t beaten_at;
    uint64_t host_lines, host_lines_until; /* of the log, about hosts */
    struct list unsettled;   /* of struct told */
    struct timer settle;
    uint64_t last_version;   /* of what was told, of all topics */
    struct list stored;      /* of struct store */
    struct timer look;       /* after these */
    uint64_t last_consumer, last_stored; /* numbers that were given */
    uint64_t stream_born;    /* of the last that we had; 0: none */
    int64_t stream_clock;    /* its time less our monotonic one */
    bool is_reconfigured;    /* since then */
    size_t pending_bytes;    /* of what is to be stored */
    size_t kept_bytes;       /* of what others tell of their subscribers */
    struct rare told_rejected, told_dropped, told_large, told_down, told_fault;
    bool is_ending;
    uint64_t ends_at;
    struct timer end;
};

/* What a subject is of. */
struct hearing {
    struct bus_topic *topic; /* NULL: of all */
    enum subject_kind kind;
    char subject[SUBJECT_SIZE];
};

enum { SEEN = 16 }; /* publishers of a topic of which it is known how far they have come */

struct bus_topic {
    struct bus *bus;
    struct list node;            /* of all */
    struct shared_topic *shared; /* a reference */
    struct carrier_topic state;
    const struct message_type *type; /* in bus->schema; NULL: it has none of that name, or it was not looked up yet */
    bool is_carried;                 /* its name fits into a subject */
    bool is_kept_stored;             /* `kept` is what the stream brings */
    char word[SUBJECT_WORD];
    struct hearing *messages, *kept, *presence; /* NULL: not heard */
    struct store store;
    struct told told;
    struct list elsewhere; /* of struct there */
    uint64_t sequence;               /* of the last that was sent */
    struct seen seen[SEEN];
};

static inline void bus_count(struct bus *bus, enum bus_counter counter, uint64_t count) {
    atomic_fetch_add_explicit(&bus->counters[counter], count, memory_order_relaxed);
}
/* False: not this time. Else `count` tells for how many it speaks. */
bool rare_is_due(struct rare *rare, uint64_t now);
/* Something came that is no message of ours. */
void bus_reject(struct bus *bus, const struct bus_topic *topic, const char *why);
/* For the server, once there was one, or for what may wait; with the headers, which both count. */
bool bus_is_too_large(const struct bus *bus, const struct bus_topic *topic, size_t length);
/* Such a message of ours. */
void bus_drop_large(struct bus *bus, const struct bus_topic *topic, size_t length);
/* The carrier's functions. */
void bus_workers_init(struct bus *bus);
void bus_count_dropped(struct bus *bus);
/* Takes it over: sent in order. */
void bus_send(struct bus *bus, struct wire_out *out);
/* Text of our own to other hosts, with our origin. */
void bus_tell(struct bus *bus, const char *subject, const void *text, size_t length);
bool bus_read_origin(const struct wire_message *message, uint64_t *origin);
struct hearing *bus_hear(struct bus *bus, struct bus_topic *topic, enum subject_kind kind, const char *subject);
/* The same of what the wire subscribes to by itself. */
struct hearing *bus_listen(struct bus *bus, struct bus_topic *topic, enum subject_kind kind, const char *subject);
void bus_unhear(struct bus *bus, struct hearing **hearing);
#endif
