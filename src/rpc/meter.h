/* rpc/meter.h - what the named limits (config: `limit`) make of a server call: when its next message may move, and when
 * it must end. A call without limits has no meter, and every question here costs it one branch.
 *
 * Soft limits reserve: a message that finds no token gets the time at which its own will be there, and waits for that
 * once, however many others wait for the same bucket. What a call sends is known in size only afterwards; so a message
 * may leave as long as a byte is left, and those behind it wait for what it took. Hard limits take what is there, or end
 * the call. */
#ifndef TIDEWIRE_RPC_METER_H
#define TIDEWIRE_RPC_METER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/stream.h"
#include "limit/book.h"
#include "net/loop.h"

struct rpc_call;
struct rpc_connection;

#define RETRY_NEVER UINT64_MAX

/* Why a limit refuses or ends a call. */
struct meter_verdict {
    bool is_passed;            /* there is one */
    const struct limit *limit; /* NULL: a message is larger than its service takes */
    uint64_t retry; /* ns after which another try makes sense; RETRY_NEVER */
    char text[256];
};

/* As the config names the limit; or NULL. */
static inline const char *meter_verdict_name(const struct meter_verdict *verdict) {
    return verdict->limit ? verdict->limit->config->name : NULL;
}

enum { METER_DETAILS_MOST = 512 };
/* The verdict as a serialized google.rpc.Status with a RetryInfo. Returns its length; 0 where no retry makes sense. */
size_t meter_write_details(const struct meter_verdict *verdict, uint8_t details[METER_DETAILS_MOST]);
/* For grpc-retry-pushback-ms. */
uint32_t meter_pushback_ms(const struct meter_verdict *verdict);

/* One direction of the call. */
struct meter_lane {
    uint64_t due;        /* of the next message, when is_reserved */
    uint64_t bytes;      /* that are reserved for it */
    bool is_limited;     /* some limit counts its messages */
    bool is_paid;        /* hard limits have let the next message pass */
    bool is_reserved;    /* soft limits have its tokens, at `due` */
    bool is_waiting;     /* somebody is to be told at `due` */
    struct walk *walk;   /* of a raw call: rpc/walk.h */
};

struct meter_part {
    const struct limit *limit;
    struct limit_entry *entry;   /* NULL: it counts for this call alone */
    struct limit_counts *counts; /* the entry's, or `own` */
    struct limit_counts own;
};

struct meter {
    struct rpc_call *call;
    struct timer timer; /* runs while a message waits, and where a limit is one of time */
    struct meter_lane lanes[WAYS];
    uint64_t moved;     /* when the last message did */
    uint64_t idle, age; /* the shortest ones, or 0 */
    const struct limit *of_idle, *of_age;
    bool is_ending; /* as soon as the message that is on its way to the client has passed */
    uint64_t delayed; /* messages */
    struct meter_verdict verdict; /* that ends the call */
    uint64_t most;                /* bytes of one message of a raw call; 0: any number */
    size_t count;
    struct meter_part parts[];
};

struct meter_request {
    struct rpc_connection *connection;
    const struct limit_set *sets[2]; /* of the route, of the listener; or NULL */
    uint64_t most; /* as in struct meter */
    const struct http_header *headers;
    size_t header_count;
    const struct metadata *metadata; /* of a call that is open, instead of its headers; else NULL */
};

/* For a call that is about to be accepted. False: a limit refuses it, as `verdict` says. */
bool meter_open(const struct meter_request *request, struct meter **meter, struct meter_verdict *verdict);
/* The call is there. */
void meter_begin(struct rpc_call *call, struct meter *meter);
/* For an open call that is not raw: from now on it has these limits. What those with the same name and scope have counted
 * stays; a message that waits asks again. Whatever limited it before must still be there. */
void meter_move(struct rpc_call *call, const struct meter_request *request);
/* The call is over: nothing is timed any more. */
void meter_stop(struct rpc_call *call);
/* Lets go of what it holds. The generation of the call's route is still there. */
void meter_close(struct rpc_call *call);

enum admission {
    ADMITTED,
    WAITS, /* the call is told when it may: by NEWS_READABLE or walk_release() */
    ENDED, /* it may never: meter_end() is due */
};
/* Whether the next message, of so many bytes with its prefix, may move now. */
enum admission meter_admits(struct rpc_call *call, enum limit_way way, uint64_t bytes);
/* Ends the call, behind what is queued on it, as the limit has said. */
void meter_end(struct rpc_call *call);
/* A message that was asked for waits. */
static inline bool meter_is_waiting(const struct meter *meter, enum limit_way way) {
    return meter && meter->lanes[way].is_waiting;
}
/* Messages that way cannot move but one by one. */
static inline bool meter_counts(const struct meter *meter, enum limit_way way) {
    return meter && meter->lanes[way].is_limited;
}
/* What was asked for begins to move; a message has moved; both. */
void meter_passes(struct meter *meter, enum limit_way way);
void meter_touch(struct meter *meter);
static inline void meter_moved(struct meter *meter, enum limit_way way) {
    meter_passes(meter, way);
    meter_touch(meter);
}

/* For what the handler sends: nobody knows yet how large it is. */
bool meter_is_full(struct rpc_call *call);
bool meter_may_send(struct rpc_call *call); /* false: a limit has ended the call */
void meter_sent(struct rpc_call *call, uint64_t bytes);
/* The handler was told that it may send, and had nothing to. */
void meter_give_back(struct rpc_call *call, enum limit_way way);
#endif
