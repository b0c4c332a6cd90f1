/* bus/topic.c - see topic.h */
#include "bus/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "bus/bus_private.h"
#include "schema/codec.h"

/* ---- hearing ---- */

static void set_heard(struct bus_topic *topic, struct hearing **hearing, enum subject_kind kind, bool is_heard) {
    struct bus *bus = topic->bus;
    char subject[SUBJECT_SIZE];
    if (!is_heard) bus_unhear(bus, hearing);
    if (!is_heard || *hearing) return;
    subject_write(subject, bus->config->subject, kind, topic->word);
    *hearing = bus_hear(bus, topic, kind, subject);
    if (kind == SUBJECT_PRESENCE) presence_begin(topic);
}

/* What others keep comes by the stream where we keep it too, and else as it is on its way there. */
static void set_heard_kept(struct bus_topic *topic, bool is_heard) {
    char subject[SUBJECT_SIZE];
    if (topic->kept && topic->is_kept_stored != topic->state.is_kept) bus_unhear(topic->bus, &topic->kept);
    topic->is_kept_stored = topic->state.is_kept;
    if (!topic->state.is_kept || !is_heard) {
        set_heard(topic, &topic->kept, SUBJECT_KEPT, is_heard);
    } else if (!topic->kept) {
        subject_write(subject, topic->bus->config->subject, SUBJECT_KEPT, topic->word);
        topic->kept = bus_listen(topic->bus, topic, SUBJECT_KEPT, subject);
    }
}

static void refresh(struct bus_topic *topic) {
    const struct carrier_topic *state = &topic->state;
    bool is_carried = topic->is_carried && topic->bus->config;
    bool is_heard = is_carried && state->type && (state->subscribers || state->is_kept);
    bool has_stream = is_carried && topic->bus->config->stream;
    store_refresh(topic);
    set_heard(topic, &topic->messages, SUBJECT_MESSAGES, is_heard);
    set_heard_kept(topic, is_heard && has_stream);
    set_heard(topic, &topic->presence, SUBJECT_PRESENCE, is_carried && (state->is_used || topic->told.version));
    if (state->is_used) topic->told.leaves_at = 0;
    if (is_carried) presence_note(topic);
}

static void silence(struct bus_topic *topic) {
    bus_unhear(topic->bus, &topic->messages);
    bus_unhear(topic->bus, &topic->kept);
    bus_unhear(topic->bus, &topic->presence);
}

/* ---- topics come and go ---- */

static struct bus_topic *topic_new(struct bus *bus, struct shared_topic *shared, const struct carrier_topic *state) {
    struct bus_topic *topic = memory_new(sizeof *topic);
    topic->bus = bus;
    topic->shared = carrier_ref(shared);
    presence_init(topic);
    store_init(topic);
    topic->is_carried = subject_encode(state->name, state->name_length, topic->word);
    if (!topic->is_carried)
        log_warn(NULL, "bus: a topic whose name has %zu bytes stays in this process: %d is the most", state->name_length,
                 SUBJECT_LONGEST_NAME);
    *carrier_slot(shared) = topic;
    list_append(&bus->topics, &topic->node);
    return topic;
}

void bus_topic_free(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    store_end(topic);
    silence(topic);
    presence_free(topic);
    list_remove(&topic->node);
    *carrier_slot(topic->shared) = NULL;
    carrier_unref(bus->registry, topic->shared);
    free(topic);
}

struct bus_topic *bus_topic_find(struct bus *bus, struct shared_topic *shared) {
    struct bus_topic *topic = *carrier_slot(shared);
    struct carrier_topic state;
    carrier_look(bus->registry, shared, &state);
    if (!bus->config) carrier_set_stored(bus->registry, shared, false); /* it was made when there was one */
    if (!bus->config || (!topic && !state.is_used)) return topic;
    if (!topic) topic = topic_new(bus, shared, &state);
    topic->state = state;
    refresh(topic);
    return topic;
}

/* One that others have heard of goes when they are told (presence_clear()); one with messages that are not stored yet, when they are. */
void bus_topic_look(struct bus *bus, struct shared_topic *shared) {
    struct bus_topic *topic = bus_topic_find(bus, shared);
    if (topic && !topic->state.is_used && !topic->told.version && !store_is_busy(&topic->store)) bus_topic_free(topic);
    carrier_unref(bus->registry, shared);
}

void bus_topics_configure(struct bus *bus, bool is_new) {
    for (struct list *node = bus->topics.next, *next; node != &bus->topics; node = next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, node);
        next = node->next;
        topic->type = NULL;
        if (!is_new) continue;
        store_end(topic);
        silence(topic);
        presence_restart(topic);
        if (bus->config && topic->state.is_used) refresh(topic);
        else bus_topic_free(topic);
    }
}

void bus_topics_free(struct bus *bus) {
    struct list *node;
    while ((node = bus->topics.next) != &bus->topics) bus_topic_free(container_of(node, struct bus_topic, node));
}

/* ---- out ---- */

void bus_topic_publish(struct bus *bus, struct shared_topic *shared, const void *bytes, size_t length) {
    struct bus_topic *topic = *carrier_slot(shared);
    char subject[SUBJECT_SIZE], sequence[24];
    if (!topic || !topic->state.type) topic = bus_topic_find(bus, shared);
    if (!topic || !topic->is_carried || !topic->state.type) return;
    if (bus_is_too_large(bus, topic, length)) {
        bus_drop_large(bus, topic, length);
        return;
    }
    subject_write(subject, bus->config->subject, SUBJECT_MESSAGES, topic->word);
    snprintf(sequence, sizeof sequence, "%llu", (unsigned long long)++topic->sequence);
    const struct wire_header headers[] = {{BUS_TYPE, topic->state.type}, {BUS_FROM, bus->origin_text}, {BUS_SEQUENCE, sequence}};
    struct wire_out *out = wire_out_new(subject, NULL, headers, 3, bytes, length, NULL);
    out->is_droppable = out->is_counted = true;
    bus_send(bus, out);
}

/* ---- in ---- */

/* Counts what of this publisher has not come. Nothing is held against it: whoever may write to the subject may write
 * anything. */
static void note_sequence(struct bus_topic *topic, uint64_t origin, uint64_t sequence) {
    uint64_t now = loop_now(topic->bus->loop);
    struct seen *seen = topic->seen;
    for (int i = 0; i < SEEN; i++) {
        if (topic->seen[i].origin == origin) {
            seen = &topic->seen[i];
            break;
        }
        if (topic->seen[i].at < seen->at) seen = &topic->seen[i];
    }
    if (seen->origin == origin && sequence > seen->sequence + 1)
        bus_count(topic->bus, BUS_MISSED, sequence - seen->sequence - 1);
    *seen = (struct seen){origin, sequence, now};
}

static const struct message_type *type_of(struct bus_topic *topic) {
    if (!topic->type && topic->state.type) topic->type = schema_message(topic->bus->schema, topic->state.type);
    return topic->type;
}

bool bus_topic_check(struct bus_topic *topic, const struct wire_message *message, uint64_t *origin, uint64_t *sequence) {
    const char *type = wire_header(message, BUS_TYPE), *why = NULL;
    char text[200];
    if (!bus_read_origin(message, origin) ||
        !number_read(wire_header(message, BUS_SEQUENCE), UINT64_MAX / 16, sequence) || !type)
        why = "a message without our headers";
    else if (!topic->state.type || strcmp(type, topic->state.type) != 0)
        why = (snprintf(text, sizeof text, "it carries %.60s, not %.60s", topic->state.type ? topic->state.type : "nothing", type), text);
    else if (message->length > topic->bus->most_message)
        why = "a message that is larger than limits.message";
    else if (!type_of(topic))
        why = "no .proto file has its type any more";
    else
        why = codec_check(topic->type, message->data, message->length);
    if (why) bus_reject(topic->bus, topic, why);
    return !why;
}

void bus_topic_receive(struct bus_topic *topic, const struct wire_message *message) {
    struct bus *bus = topic->bus;
    uint64_t origin, sequence;
    if (!bus_topic_check(topic, message, &origin, &sequence) || origin == bus->origin) return;
    note_sequence(topic, origin, sequence);
    bus_count(bus, BUS_RECEIVED, 1);
    bus_count(bus, BUS_RECEIVED_BYTES, message->length);
    carrier_deliver(bus->registry, topic->shared, message->data, message->length);
}
