/* bus/presence.h - how many subscribers a topic has on each host, and what they show. Private to bus/.
 *
 * A host tells of each topic what has changed, a moment later and so of many changes at once; each telling has a version
 * and names the one before it. Who has missed one, or is new, asks, and is told everything again. All of that goes over
 * one subject of the topic, in lines of text:
 *
 *   ?                          tell me everything
 *   d VERSION BEFORE COUNT     what has changed since BEFORE (0: since there was nothing): so many subscribers, and
 *   s VERSION PART LAST COUNT  everything, in parts from 0 on; LAST is 1 in the last one
 *   +NUMBER JSON               a subscriber who shows this has come (is there)
 *   -NUMBER                    this one has gone */
#ifndef TIDEWIRE_BUS_PRESENCE_H
#define TIDEWIRE_BUS_PRESENCE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct bus;
struct bus_topic;
struct host;
struct member;
struct wire_message;

/* What we have told of a topic. */
struct told {
    struct list node; /* in the bus's, while there is something to tell or to ask */
    uint64_t version, count;
    uint64_t *numbers; /* of those who show something, growing */
    size_t shown;
    bool must_tell_all, must_ask;
    uint64_t leaves_at; /* nobody uses it any more; 0: they do, or that has not been told yet */
};

/* What a host has told of a topic. */
struct there {
    struct list of_topic, of_host;
    struct bus_topic *topic;
    struct host *host;
    uint64_t version, count;
    struct shown {
        uint64_t number;
        size_t length;
        struct member *member;
        bool is_stale; /* not in what is being told */
    } *shown; /* growing numbers */
    size_t shown_count, shown_room;
    uint64_t coming, next_part; /* of everything: the version, 0: none; and the part */
};

void presence_init(struct bus_topic *topic);
void presence_free(struct bus_topic *topic);
static inline bool presence_is_told(const struct told *told) { return told->count || told->shown; }
/* Topics that nobody has used for a while go. Until then others may ask, or, when we were lost, be told again, that
 * nobody is there: else those who have not heard it would believe in the last subscribers for ever. */
void presence_clear(struct bus *bus);
/* Nobody has been told anything, nor has told us. */
void presence_restart(struct bus_topic *topic);
/* Its subscribers are others. */
void presence_note(struct bus_topic *topic);
/* We hear of it from now on. */
void presence_begin(struct bus_topic *topic);
/* Somebody is there of whom we know nothing. */
void presence_ask_all(struct bus *bus);
/* Others may have forgotten us, and we have not heard them. */
void presence_tell_all(struct bus *bus);
void presence_receive(struct bus_topic *topic, const struct wire_message *message);
void presence_forget(struct bus *bus, struct host *host);
void presence_drop_all(struct bus_topic *topic);
/* Fires when it is time to tell. */
struct timer;
void presence_settle(struct timer *timer);
#endif
