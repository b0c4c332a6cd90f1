/* bus/store.c - see store.h */
#include "bus/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/bus_private.h"
#include "bus/topic.h"

/* Positions are the stream's numbers behind this one, since small ones mean something else to subscribers. */
#define FIRST_POSITION (UINT64_C(1) << 40)
#define RETRY (2 * NS_PER_S) /* what the server has refused */
enum { MISSED = 3 /* heartbeats of a consumer */ };

struct pending {
    struct list node;
    struct carrier_message *message;
    uint64_t sequence, at, ticket;
    size_t length; /* the parcel's may grow */
    bool is_held; /* our subscribers have it */
};

static const struct config_bus_stream *config_of(const struct bus_topic *topic) {
    return topic->bus->config ? topic->bus->config->stream : NULL;
}

static bool is_stored(const struct bus_topic *topic) { return !list_is_empty(&topic->store.node); }

/* ---- following ---- */

static void unfollow(struct bus_topic *topic) {
    bus_unhear(topic->bus, &topic->store.followed);
    topic->store.is_known = topic->store.is_caught_up = false;
    topic->store.retry_at = 0;
}

/* From the last that we have. */
static void follow(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    struct store *store = &topic->store;
    char subject[SUBJECT_SIZE], deliver[SUBJECT_SIZE];
    unfollow(topic);
    snprintf(store->consumer, sizeof store->consumer, "%s-%llu", bus->origin_text, (unsigned long long)++bus->last_consumer);
    subject_write(subject, bus->config->subject, SUBJECT_KEPT, topic->word);
    subject_write(deliver, bus->config->subject, SUBJECT_FOLLOWED, store->consumer);
    store->number = 0;
    store->heard_at = store->since = loop_now(bus->loop);
    store->followed = bus_listen(bus, topic, SUBJECT_FOLLOWED, deliver);
    wire_follow(bus->wire, subject, deliver, store->consumer, carrier_position(topic->shared) - FIRST_POSITION);
}

static void be_loaded(struct bus_topic *topic) {
    struct store *store = &topic->store;
    if (store->is_loaded) return;
    store->is_loaded = true;
    carrier_loaded(topic->bus->registry, topic->shared, store->floor);
}

/* ---- pending ---- */

static void send(struct bus_topic *topic, const struct pending *pending) {
    struct bus *bus = topic->bus;
    const struct parcel *parcel = pending->message->parcel;
    char subject[SUBJECT_SIZE], sequence[24], id[48];
    subject_write(subject, bus->config->subject, SUBJECT_KEPT, topic->word);
    snprintf(sequence, sizeof sequence, "%llu", (unsigned long long)pending->sequence);
    snprintf(id, sizeof id, "%s-%s", bus->origin_text, sequence);
    const struct wire_header headers[] = {
        {BUS_TYPE, topic->state.type}, {BUS_FROM, bus->origin_text}, {BUS_SEQUENCE, sequence}, {"Nats-Msg-Id", id}};
    struct wire_out *out = wire_out_new(subject, NULL, headers, 4, parcel->data, pending->length, NULL);
    out->is_counted = true;
    out->connection = bus->connection; /* by another it would come before those that this one has lost */
    bus_send(bus, out);
}

/* Their subscribers have had it. */
static void free_pending(struct bus_topic *topic, struct pending *pending) {
    topic->store.count--;
    topic->bus->pending_bytes -= pending->length;
    atomic_fetch_sub(&topic->bus->counters[BUS_PENDING], 1);
    list_remove(&pending->node);
    if (pending->is_held) carrier_release(topic->shared, pending->ticket);
    carrier_message_free(topic->bus->registry, pending->message);
    free(pending);
}

static void hold(struct bus_topic *topic, struct pending *pending) {
    if (pending->is_held) return;
    pending->ticket = carrier_hold(topic->bus->registry, topic->shared, pending->message);
    pending->is_held = true;
}

/* All up to this one, so that they keep their order. */
static void hold_up_to(struct bus_topic *topic, uint64_t at) {
    for (struct list *node = topic->store.pending.next; node != &topic->store.pending; node = node->next) {
        struct pending *pending = container_of(node, struct pending, node);
        if (pending->at > at) return;
        hold(topic, pending);
    }
}

/* The topic's oldest goes: it has been handed over, but will not be stored. */
static void bound(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    while (!list_is_empty(&topic->store.pending) &&
           (atomic_load(&bus->counters[BUS_PENDING]) > atomic_load(&bus->most_messages) ||
            bus->pending_bytes > atomic_load(&bus->most_bytes))) {
        struct pending *oldest = container_of(topic->store.pending.next, struct pending, node);
        hold(topic, oldest);
        free_pending(topic, oldest);
        bus_count_dropped(bus);
    }
}

static void send_all(struct bus_topic *topic) {
    for (struct list *node = topic->store.pending.next, *next; node != &topic->store.pending; node = next) {
        struct pending *pending = container_of(node, struct pending, node);
        next = node->next;
        if (!bus_is_too_large(topic->bus, topic, pending->length)) {
            send(topic, pending);
            continue;
        }
        bus_drop_large(topic->bus, topic, pending->length); /* it was published before the server was known */
        hold(topic, pending);
        free_pending(topic, pending);
    }
}

static void keep_pending(struct bus_topic *topic, struct carrier_message *message) {
    struct store *store = &topic->store;
    struct pending *pending = memory_new(sizeof *pending);
    pending->message = message;
    pending->length = message->parcel->length; /* before it is stamped */
    pending->sequence = ++topic->bus->last_stored;
    pending->at = loop_now(topic->bus->loop);
    list_append(&store->pending, &pending->node);
    store->count++;
    topic->bus->pending_bytes += pending->length;
    atomic_fetch_add(&topic->bus->counters[BUS_PENDING], 1);
    if (store->is_caught_up) send(topic, pending);
    if (!atomic_load(&topic->bus->is_up)) hold_up_to(topic, pending->at);
    bound(topic);
}

/* It is handed over in its process alone, with a position where that gives them. */
static void hand_over(struct bus *bus, struct shared_topic *shared, struct carrier_message *message) {
    uint64_t ticket = carrier_hold(bus->registry, shared, message);
    if (ticket) carrier_release(shared, ticket);
    carrier_message_free(bus->registry, message);
}

void store_publish(struct bus *bus, struct carrier_message *message) {
    struct bus_topic *topic = *carrier_slot(message->topic);
    if (!topic || !is_stored(topic)) topic = bus_topic_find(bus, message->topic);
    if (!topic || !is_stored(topic)) {
        hand_over(bus, message->topic, message);
    } else if (bus_is_too_large(bus, topic, message->parcel->length)) {
        bus_drop_large(bus, topic, message->parcel->length);
        hand_over(bus, message->topic, message);
    } else {
        keep_pending(topic, message);
    }
}

/* ---- what comes ---- */

/* What we sent before it was stored before it, and has been displaced since, or was refused: it will not come. */
static struct pending *find_pending(struct bus_topic *topic, uint64_t sequence) {
    for (struct list *node = topic->store.pending.next, *next; node != &topic->store.pending; node = next) {
        struct pending *pending = container_of(node, struct pending, node);
        next = node->next;
        if (pending->sequence == sequence) return pending; /* nearly always the first */
        if (pending->sequence > sequence) return NULL;
        hold(topic, pending);
        free_pending(topic, pending);
    }
    return NULL;
}

/* By the server's clock alone. */
static uint64_t age_of(const struct bus *bus, const struct stream_place *place, uint64_t now) {
    uint64_t there = now + (uint64_t)bus->stream_clock;
    return place->time < there ? there - place->time : 0;
}

static void take(struct bus_topic *topic, const struct wire_message *message, const struct stream_place *place) {
    struct bus *bus = topic->bus;
    struct store *store = &topic->store;
    uint64_t origin, sequence, position = FIRST_POSITION + place->sequence;
    uint64_t now = clock_monotonic(), age = age_of(bus, place, now);
    if (!store->is_loaded && !store->floor) store->floor = position - 1;
    if (!bus_topic_check(topic, message, &origin, &sequence)) return;
    bool is_own = origin == bus->origin;
    struct pending *own = is_own ? find_pending(topic, sequence) : NULL;
    /* Ours that is not pending any more has been handed over when it was given up. */
    bool was_there = own ? own->is_held : is_own || age > now - store->begun || position <= store->delivered;
    if (!is_own) {
        bus_count(bus, BUS_RECEIVED, 1);
        bus_count(bus, BUS_RECEIVED_BYTES, message->length);
    }
    carrier_store(bus->registry, topic->shared, message->data, message->length, position, age,
                  own && !was_there ? own->message : NULL, was_there);
    if (position > store->delivered) store->delivered = position;
    if (own) free_pending(topic, own);
    if (!topic->state.is_used) presence_note(topic); /* which sees whether it may go */
}

static void catch_up(struct bus_topic *topic) {
    if (topic->store.is_caught_up) return;
    topic->store.is_caught_up = true;
    be_loaded(topic);
    send_all(topic);
}

void store_receive(struct bus_topic *topic, const struct wire_message *message) {
    struct store *store = &topic->store;
    struct stream_place place;
    if (!is_stored(topic)) return;
    if (!stream_place_read(message->reply, &place)) return; /* by its other way, to those who keep nothing */
    if (place.consumer_length != strlen(store->consumer) || memcmp(place.consumer, store->consumer, place.consumer_length) != 0)
        return; /* one of before */
    store->heard_at = loop_now(topic->bus->loop);
    if (place.number != store->number + 1) {
        follow(topic);
        return;
    }
    store->number = place.number;
    take(topic, message, &place);
    if (!place.pending) catch_up(topic);
}

/* It shows itself when it has nothing to send: what it has sent and has not come behind the last was lost. */
void store_hear_life(struct bus_topic *topic, const struct wire_message *message) {
    struct store *store = &topic->store;
    uint64_t number;
    store->heard_at = loop_now(topic->bus->loop);
    if (!number_read(wire_header(message, BUS_LAST), UINT64_MAX / 16, &number)) return;
    if (number > store->number) follow(topic);
    else if (number == store->number) catch_up(topic);
}

static struct bus_topic *find_follower(struct bus *bus, const char *consumer) {
    for (struct list *node = bus->stored.next; node != &bus->stored; node = node->next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, store.node);
        if (strcmp(topic->store.consumer, consumer) == 0) return topic;
    }
    return NULL;
}

void store_answered(struct bus *bus, const char *consumer, uint64_t pending) {
    struct bus_topic *topic = find_follower(bus, consumer);
    if (!topic) return;
    topic->store.is_known = true;
    topic->store.heard_at = loop_now(bus->loop);
    if (!pending) catch_up(topic);
}

void store_refused(struct bus *bus, const char *consumer) {
    struct bus_topic *topic = find_follower(bus, consumer);
    if (topic && topic->store.followed) topic->store.retry_at = loop_now(bus->loop) + RETRY;
}

/* ---- beginnings and ends ---- */

void store_init(struct bus_topic *topic) {
    list_init(&topic->store.node);
    list_init(&topic->store.pending);
}

/* Until the next look: often enough for what is held, and for consumers. */
static uint64_t look_interval(const struct config_bus_stream *config) {
    return config->patience / 4 < RETRY / 2 ? config->patience / 4 : RETRY / 2;
}

static void begin(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    list_append(&bus->stored, &topic->store.node);
    topic->store.is_loaded = false;
    topic->store.floor = 0;
    if (!topic->store.begun) topic->store.begun = clock_monotonic();
    topic->store.since = loop_now(bus->loop);
    carrier_set_stored(bus->registry, topic->shared, true);
    carrier_restart(bus->registry, topic->shared, FIRST_POSITION);
    if (atomic_load(&bus->is_up)) follow(topic);
    if (!timer_is_running(&bus->look)) timer_start(bus->loop, &bus->look, loop_now(bus->loop) + look_interval(config_of(topic)));
}

void store_end(struct bus_topic *topic) {
    struct store *store = &topic->store;
    if (!is_stored(topic)) return;
    unfollow(topic);
    while (!list_is_empty(&store->pending)) {
        struct pending *oldest = container_of(store->pending.next, struct pending, node);
        hold(topic, oldest);
        free_pending(topic, oldest);
    }
    be_loaded(topic);
    list_remove(&store->node);
    carrier_set_stored(topic->bus->registry, topic->shared, false);
}

/* A topic that was left and is used again waits for what it has missed, although we never ceased to follow it. */
static void tell_again(struct bus_topic *topic) {
    if (topic->state.is_loading && topic->store.is_loaded) carrier_loaded(topic->bus->registry, topic->shared, 0);
}

void store_refresh(struct bus_topic *topic) {
    const struct carrier_topic *state = &topic->state;
    if (!config_of(topic) || !topic->is_carried || !state->is_kept) {
        if (is_stored(topic)) store_end(topic);
        else carrier_set_stored(topic->bus->registry, topic->shared, false); /* it may have thought so */
        topic->store.begun = topic->store.delivered = 0; /* what others keep from now on comes by its other way */
    } else if (is_stored(topic)) {
        tell_again(topic);
    } else if (state->is_used && state->type) {
        begin(topic);
    }
}

/* Its positions are no longer those of the stream. Where the config names another stream now, that one's past is none
 * of our subscribers'; one that has taken the place of a lost one has no other past than they have. */
static void begin_anew(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    carrier_restart(bus->registry, topic->shared, FIRST_POSITION);
    topic->store.delivered = 0;
    if (bus->is_reconfigured) topic->store.begun = clock_monotonic();
    else log_warn(NULL, "bus: the stream is not the one that it was: positions begin anew");
}

void store_come_up(struct bus *bus, const struct wire_server *server) {
    bool is_other = bus->stream_born && server->stream_born && bus->stream_born != server->stream_born;
    for (struct list *node = bus->stored.next; node != &bus->stored; node = node->next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, store.node);
        if (is_other || topic->store.delivered > FIRST_POSITION + server->stream_last) begin_anew(topic);
        follow(topic);
    }
    if (server->stream_born) bus->stream_born = server->stream_born;
    bus->stream_clock = server->clock;
    bus->is_reconfigured = false;
}

void store_go_down(struct bus *bus) {
    for (struct list *node = bus->stored.next; node != &bus->stored; node = node->next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, store.node);
        unfollow(topic);
        hold_up_to(topic, UINT64_MAX);
    }
}

static void look_at(struct bus_topic *topic, uint64_t now) {
    struct store *store = &topic->store;
    uint64_t patience = config_of(topic)->patience;
    if (now >= patience) hold_up_to(topic, now - patience);
    if (now >= store->since + patience) be_loaded(topic);
    if (store->retry_at && now >= store->retry_at) follow(topic);
    if (store->followed && store->is_known && now >= store->heard_at + MISSED * STREAM_HEARTBEAT) follow(topic);
}

void store_look(struct timer *timer) {
    struct bus *bus = container_of(timer, struct bus, look);
    uint64_t now = loop_now(bus->loop);
    if (!bus->config || !bus->config->stream || list_is_empty(&bus->stored)) return;
    for (struct list *node = bus->stored.next; node != &bus->stored; node = node->next)
        look_at(container_of(node, struct bus_topic, store.node), now);
    timer_start(bus->loop, timer, now + look_interval(bus->config->stream));
}
