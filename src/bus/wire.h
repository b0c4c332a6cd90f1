/* bus/wire.h - the connection to NATS: the one place that sees its client library.
 *
 * A thread of its own connects, again and again while there is a config, subscribes, and sends; every call that may block
 * is made there. What the library's threads bring is handed to the events at once. Nothing here knows topics.
 *
 * Who sends bounds how much waits here: wire_waiting(). */
#ifndef TIDEWIRE_BUS_WIRE_H
#define TIDEWIRE_BUS_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "config/config.h"
#include "net/mailbox.h"

#define STREAM_HEARTBEAT (2 * NS_PER_S) /* of what is followed */

struct parcel; /* fanout/history.h */
struct wire;

enum { WIRE_HEADERS = 4 };
struct wire_header {
    const char *name; /* outlives the message */
    const char *value;
};

/* What has come, in one piece of memory: of the headers those that were asked for, unless they are longer than any of
 * ours, and nothing else of what its sender has put beside it. */
struct wire_message {
    struct mail mail; /* for whom it is handed to */
    size_t size;      /* bytes of all of it */
    const char *subject, *reply; /* reply NULL: none */
    struct wire_header headers[WIRE_HEADERS];
    const uint8_t *data;
    size_t length;
};
/* Copies everything. A header whose value is NULL is not there. Freed by free(). */
struct wire_message *wire_message_new(const char *subject, const char *reply, const struct wire_header headers[WIRE_HEADERS],
                                      const void *data, size_t length);
/* NULL when there is none. */
const char *wire_header(const struct wire_message *message, const char *name);

/* What is to go. Texts and bytes are copied; of a parcel the first `length` bytes are sent. */
struct wire_out {
    struct list node;
    size_t weight;
    struct parcel *parcel;
    const uint8_t *bytes;
    size_t length;
    const char *subject, *reply; /* reply NULL: none */
    struct wire_header headers[WIRE_HEADERS]; /* up to the first without a name */
    bool is_droppable; /* the oldest of these goes when too many wait */
    bool is_counted;   /* among those that were sent */
    uint64_t connection; /* only by this one, else not at all; 0: by whichever there is */
};
struct wire_out *wire_out_new(const char *subject, const char *reply, const struct wire_header *headers, size_t count,
                              const void *bytes, size_t length, struct parcel *parcel);
void wire_out_free(struct wire_out *out);

struct wire_server {
    uint64_t connection; /* counted from 1 */
    uint64_t config;     /* which wire_configure() it is by */
    char name[256];
    size_t most_payload;  /* bytes of a message */
    uint64_t stream_last; /* number of the last message in the stream, if the config has one, which is there then */
    uint64_t stream_born; /* ns since 1970: it is known again by that */
    int64_t clock;        /* ns that the clock of who keeps the stream says more than our monotonic one */
};

/* In the wire's thread or one of the library's. */
struct wire_events {
    const char *headers[WIRE_HEADERS]; /* names of those that messages are asked for */
    /* The consumer is there, `pending` messages of its subject come at once. */
    void (*on_followed)(void *context, const char *consumer, uint64_t pending);
    /* The server refuses it, and nothing will come. Who wants it follows again, later. */
    void (*on_refused)(void *context, const char *consumer);
    void (*on_message)(void *context, struct wire_message *message); /* takes it over */
    /* All subscriptions are in force at the server. */
    void (*on_up)(void *context, const struct wire_server *server);
    void (*on_down)(void *context, const char *why, bool was_up);
    void (*on_room)(void *context); /* after wire_wants_room() */
    void (*on_lost)(void *context, size_t length, const char *why); /* this one cannot be sent, ever */
    void (*on_dropped)(void *context, uint64_t count); /* messages came faster than on_message took them */
    void (*on_fault)(void *context, const char *what); /* something that an operator should know */
};

struct wire *wire_new(const struct wire_events *events, void *context, struct error *error);
/* Connects by this config from now on, in place of another, which sends what waits, if there is a connection; NULL: not
 * at all. Returns which config it is, counted from 1. */
uint64_t wire_configure(struct wire *wire, struct config_bus *config);
void wire_subscribe(struct wire *wire, const char *subject);
void wire_unsubscribe(struct wire *wire, const char *subject);
/* What the config's stream has and gets of a subject, behind number `after`: with the subjects that they were sent to, and
 * the consumer's name in the reply (stream_place_read()). Signs of its life come to the subject `deliver` without one. It
 * ends with the connection. `consumer`: a name that was never used before, as `deliver`. */
void wire_follow(struct wire *wire, const char *subject, const char *deliver, const char *consumer, uint64_t after);
/* wire_unsubscribe(deliver) ends it. */

/* Takes it over. Sent in order, while connected. */
void wire_send(struct wire *wire, struct wire_out *out);
/* Messages that have not been handed to the library. */
size_t wire_waiting(struct wire *wire);
void wire_wants_room(struct wire *wire);
/* Sends what waits, if that can be done within `most` ns, and ends the thread and all of the library's. */
void wire_free(struct wire **wire, uint64_t most);
const char *wire_versions(void);
#endif
