/* bus/workers.c - see bus_private.h: what workers tell the hub, from their threads, as a carrier is told. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/bus_private.h"
#include "bus/topic.h"

struct note {
    struct mail mail;
    struct shared_topic *topic;
};

static void deliver_note(struct mail *mail, void *receiver, bool is_dropped) {
    struct note *note = container_of(mail, struct note, mail);
    struct bus *bus = receiver;
    if (is_dropped) carrier_unref(bus->registry, note->topic);
    else bus_topic_look(bus, note->topic);
    free(note);
}

static void note(struct topic_carrier *carrier, struct shared_topic *topic) {
    struct bus *bus = container_of(carrier, struct bus, carrier);
    struct note *note = memory_new(sizeof *note);
    note->mail.deliver = deliver_note;
    note->topic = topic;
    mailbox_post_always(bus->control, &note->mail);
}

struct outgoing {
    struct mail mail;
    struct shared_topic *topic;
    size_t length;
    uint8_t bytes[];
};

static void deliver_outgoing(struct mail *mail, void *receiver, bool is_dropped) {
    struct outgoing *outgoing = container_of(mail, struct outgoing, mail);
    struct bus *bus = receiver;
    if (!is_dropped) bus_topic_publish(bus, outgoing->topic, outgoing->bytes, outgoing->length);
    carrier_unref(bus->registry, outgoing->topic);
    free(outgoing);
}

static void publish(struct topic_carrier *carrier, struct shared_topic *topic, const void *bytes, size_t length) {
    struct bus *bus = container_of(carrier, struct bus, carrier);
    struct outgoing *outgoing = memory_new(sizeof *outgoing + length);
    outgoing->mail.deliver = deliver_outgoing;
    outgoing->mail.weight = sizeof *outgoing + length;
    outgoing->topic = carrier_ref(topic);
    outgoing->length = length;
    memcpy(outgoing->bytes, bytes, length);
    if (mailbox_post(bus->outbox, &outgoing->mail)) return;
    carrier_unref(bus->registry, topic);
    free(outgoing);
    bus_count(bus, BUS_DROPPED_OUT, 1);
}

struct storing {
    struct mail mail;
    struct carrier_message *message;
};

static void deliver_storing(struct mail *mail, void *receiver, bool is_dropped) {
    struct storing *storing = container_of(mail, struct storing, mail);
    struct bus *bus = receiver;
    if (is_dropped) carrier_message_free(bus->registry, storing->message);
    else store_publish(bus, storing->message);
    free(storing);
}

static bool has_credits(const struct carrier_message *message) {
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof message->held / sizeof *message->held; i++) all |= message->held[i];
    return all != 0;
}

static bool store(struct topic_carrier *carrier, struct carrier_message *message) {
    struct bus *bus = container_of(carrier, struct bus, carrier);
    struct storing *storing = memory_new(sizeof *storing);
    storing->mail.deliver = deliver_storing;
    storing->mail.weight = sizeof *storing + message->parcel->length;
    storing->message = message;
    if (has_credits(message)) mailbox_post_always(bus->outbox, &storing->mail);
    else if (!mailbox_post(bus->outbox, &storing->mail)) {
        free(storing);
        return false;
    }
    return true;
}

static void describe(struct topic_carrier *carrier, struct carrier_figures *figures) {
    struct bus *bus = container_of(carrier, struct bus, carrier);
    uint64_t counters[BUS_COUNTERS];
    for (int i = 0; i < BUS_COUNTERS; i++) counters[i] = atomic_load_explicit(&bus->counters[i], memory_order_relaxed);
    *figures = (struct carrier_figures){
        .is_configured = atomic_load(&bus->is_configured),
        .is_connected = atomic_load(&bus->is_up),
        .is_stored = atomic_load(&carrier->stores),
        .hosts = counters[BUS_HOSTS],
        .sent = counters[BUS_SENT],
        .received = counters[BUS_RECEIVED],
        .sent_bytes = counters[BUS_SENT_BYTES],
        .received_bytes = counters[BUS_RECEIVED_BYTES],
        .waiting = counters[BUS_WAITING] > counters[BUS_PENDING] ? counters[BUS_WAITING] : counters[BUS_PENDING],
        .dropped_out = counters[BUS_DROPPED_OUT],
        .dropped_in = counters[BUS_DROPPED_IN],
        .rejected = counters[BUS_REJECTED],
        .missed = counters[BUS_MISSED],
        .connects = counters[BUS_CONNECTS],
        .losses = counters[BUS_LOSSES],
    };
    pthread_mutex_lock(&bus->lock);
    memcpy(figures->server, bus->server, sizeof figures->server);
    memcpy(figures->error, bus->error, sizeof figures->error);
    pthread_mutex_unlock(&bus->lock);
}

void bus_workers_init(struct bus *bus) {
    bus->carrier.publish = publish;
    bus->carrier.store = store;
    bus->carrier.note = note;
    bus->carrier.describe = describe;
}
