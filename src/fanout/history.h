/* fanout/history.h - the last messages of a topic, for those who come later. Private to fanout/; carriers may hold parcels.
 *
 * A history belongs to the process. It is looked at and changed under its topic's lock, and gives every message its
 * position: whole numbers without holes, in the order in which all workers deliver them. The first one is taken from the
 * clock (microseconds since 1970), so that positions of an earlier process are older than all of a later one. Where a
 * carrier stores what is kept (see carrier.h), it says the positions, which then grow with holes; what it could not
 * store yet is held, without a position, behind all that has one.
 *
 * A parcel is a message's bytes, counted over threads: what is replayed stays until the last replay has read it. */
#ifndef TIDEWIRE_FANOUT_HISTORY_H
#define TIDEWIRE_FANOUT_HISTORY_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct parcel {
    atomic_uint references;
    uint32_t length;
    uint64_t position; /* 0: has none yet */
    uint64_t order;    /* in which this process has delivered it: grows by one in the topic */
    uint64_t at; /* monotonic ns */
    uint8_t data[];
};

/* One reference; with room for a position behind the bytes. */
struct parcel *parcel_new(const void *bytes, size_t length);
struct parcel *parcel_ref(struct parcel *parcel);
void parcel_unref(struct parcel **parcel);

/* A ring of references. */
struct parcels {
    struct parcel **ring;
    uint32_t head, count, capacity; /* a power of two */
};

struct history {
    uint32_t most;
    uint64_t ttl;        /* ns; 0: none */
    uint32_t stamp;      /* tag of the field that gets the position; 0: none */
    uint64_t floor, last; /* positions: up to the first nothing is kept; that of the newest */
    uint64_t order;      /* of the newest */
    struct parcels kept, held;
};

/* What a subscriber has missed. */
struct replay {
    struct parcel **parcels;
    uint32_t at, count;
};

/* The bytes that all histories hold, and may. */
struct history_account {
    atomic_size_t bytes, most; /* 0: no bound */
};

struct history *history_new(void);
void history_free(struct history **history, struct history_account *account);
/* Forgets everything; positions begin behind `position`. */
void history_restart(struct history *history, struct history_account *account, uint64_t position);
/* Another bound or age; what is beyond them goes. */
void history_set(struct history *history, struct history_account *account, uint32_t most, uint64_t ttl, uint64_t now);
/* Gives the parcel its position, the next one, and keeps a reference. */
void history_append(struct history *history, struct history_account *account, struct parcel *parcel, uint64_t now);
/* The same with a position that somebody else has given, which is greater than the last, and `age` ns ago. */
void history_store(struct history *history, struct history_account *account, struct parcel *parcel, uint64_t position,
                   uint64_t age, uint64_t now);
/* Without a position for now. Whoever holds bounds how many. */
void history_hold(struct history *history, struct parcel *parcel, uint64_t now);
/* The held one of this order goes. */
void history_release(struct history *history, uint64_t order);
void history_trim(struct history *history, struct history_account *account, uint64_t now);
/* When its newest message is too old; 0: never, or there is none. */
uint64_t history_end(const struct history *history);

/* The last `count`; those behind `position`: false when some of them are no longer there. */
void history_last(const struct history *history, uint64_t count, struct replay *replay);
bool history_after(const struct history *history, uint64_t position, struct replay *replay);

static inline bool replay_is_done(const struct replay *replay) { return replay->at == replay->count; }
void replay_free(struct replay *replay);
#endif
