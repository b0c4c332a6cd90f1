/* fanout/carrier.h - the seam to whatever carries topics to other hosts and back. Fan-out does not know what that is.
 *
 * A carrier has a thread of its own. Workers tell it two things, from their threads and without waiting: a message that
 * was published, and that something about a topic has changed, once however much changes until it looks. Everything that
 * it brings back goes through the carrier_…() functions below, which are its thread's alone: it is one more sender of
 * mails, with a share of its own to count in.
 *
 * A carrier may store what is kept (`stores`): then it gives the messages their order and their positions. They go to it
 * instead of to the subscribers, and it hands them back: carrier_store() once they have a position, carrier_hold()
 * when they cannot be stored now. So only it decides about their order in this process. */
#ifndef TIDEWIRE_FANOUT_CARRIER_H
#define TIDEWIRE_FANOUT_CARRIER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fanout/history.h"

struct member;
struct shared_topic; /* of the process; counted */
struct topic_registry;
struct topics;

/* What it has done, for scripts and metrics; numbers since the process began. */
struct carrier_figures {
    bool is_configured, is_connected, is_stored;
    uint64_t hosts; /* others that are heard of */
    uint64_t sent, received, sent_bytes, received_bytes;
    uint64_t waiting;      /* messages that are to be sent, or stored */
    uint64_t dropped_out;  /* not sent: too many waited, or too large */
    uint64_t dropped_in;   /* came faster than they could be taken */
    uint64_t rejected;     /* came and were no message of ours: foreign, of another type, malformed */
    uint64_t missed;       /* that other hosts have sent and that never came */
    uint64_t connects, losses;
    char server[256];      /* whom it is connected to */
    char error[256];       /* why it is not */
};

/* A kept message on its way to the carrier's store. Freed with carrier_message_free(). */
enum { CARRIER_WORKERS = 256 };
struct carrier_message {
    struct shared_topic *topic; /* a reference */
    struct parcel *parcel;
    uint32_t worker;            /* of the publisher, and its own name for the publisher's subscription */
    uint64_t publisher;
    uint64_t held[CARRIER_WORKERS / 64]; /* bits: the workers whose credit it has */
};

/* All of it from the workers' threads. */
struct topic_carrier {
    atomic_bool stores;
    /* Has been handed to this process's subscribers already. Takes what it needs. */
    void (*publish)(struct topic_carrier *carrier, struct shared_topic *topic, const void *bytes, size_t length);
    /* Takes the message over; false when too many wait: then it is the caller's. Never false for one with credits. */
    bool (*store)(struct topic_carrier *carrier, struct carrier_message *message);
    /* Takes a reference over. It calls carrier_look(), later, before it reads anything. */
    void (*note)(struct topic_carrier *carrier, struct shared_topic *topic);
    void (*describe)(struct topic_carrier *carrier, struct carrier_figures *figures); /* any thread */
};

/* From now on; NULL: none. The carrier outlives the registry's workers. Tells it of every topic that there is. */
void topic_registry_set_carrier(struct topic_registry *registry, struct topic_carrier *carrier);
struct topic_carrier *topic_registry_carrier(struct topic_registry *registry);
struct topic_carrier *topics_carrier(const struct topics *topics);

/* ---- the carrier's thread ---- */

struct carrier_topic {
    const char *name;
    size_t name_length;
    const char *type;     /* full name; NULL: not known yet. Stays as long as the topic */
    bool is_used;         /* some worker has a handle */
    bool is_kept;
    bool is_loading;      /* subscribers wait for carrier_loaded() */
    uint64_t subscribers; /* of this process */
};
void carrier_look(struct topic_registry *registry, struct shared_topic *topic, struct carrier_topic *state);
/* The carrier's own, NULL at first. */
void **carrier_slot(struct shared_topic *topic);
struct shared_topic *carrier_ref(struct shared_topic *topic);
void carrier_unref(struct topic_registry *registry, struct shared_topic *topic);
void carrier_message_free(struct topic_registry *registry, struct carrier_message *message);

/* A checked message of another host, to all subscribers of this one. */
void carrier_deliver(struct topic_registry *registry, struct shared_topic *topic, const void *bytes, size_t length);

/* Whether the topic's messages are stored from now on, in place of being given positions here. */
void carrier_set_stored(struct topic_registry *registry, struct shared_topic *topic, bool is_stored);
/* Positions begin behind this one; what is kept goes. */
void carrier_restart(struct topic_registry *registry, struct shared_topic *topic, uint64_t position);
/* Of the newest that it has brought; 0: nothing is kept. */
uint64_t carrier_position(struct shared_topic *topic);
/* Everything that was stored before is there: who asked for the past gets it now. `floor`: up to there something may be
 * missing. */
void carrier_loaded(struct topic_registry *registry, struct shared_topic *topic, uint64_t floor);
/* The next message of the store, made `age` ns ago. `own` (or NULL) is who published it here, whose credits it gives back.
 * With `is_quiet` it is kept but handed to nobody: they have it, or it is older than they are. */
void carrier_store(struct topic_registry *registry, struct shared_topic *topic, const void *bytes, size_t length,
                   uint64_t position, uint64_t age, const struct carrier_message *own, bool is_quiet);
/* A message of this process cannot be stored now: it goes to the subscribers without a position, and to those who come
 * later behind everything that has one. Returns its ticket. */
uint64_t carrier_hold(struct topic_registry *registry, struct shared_topic *topic, const struct carrier_message *message);
/* It has been stored meanwhile, or never will be. */
void carrier_release(struct shared_topic *topic, uint64_t ticket);

/* Subscribers of other hosts, all together. */
void carrier_set_elsewhere(struct shared_topic *topic, uint64_t subscribers);
/* What a subscriber of another host shows: JSON, in one line. The member is the carrier's until it goes. */
struct member *carrier_member_join(struct topic_registry *registry, struct shared_topic *topic, const char *text,
                                   size_t length);
size_t carrier_member_size(size_t length); /* bytes that it takes here */
void carrier_member_leave(struct topic_registry *registry, struct shared_topic *topic, struct member **member);
/* Those of this process, in the order in which they came; each has a number of its own, which grows. */
void carrier_each_member(struct shared_topic *topic,
                         void (*visit)(void *context, uint64_t number, const char *text, size_t length), void *context);
#endif
