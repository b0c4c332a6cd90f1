/* bus/presence.c - see presence.h: what we tell. What others tell is in presence_in.c. */
#include "bus/presence.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "bus/bus_private.h"
#include "bus/topic.h"

#define MOMENT (50 * NS_PER_MS)
enum {
    PART = 48 * 1024, /* bytes of a message, more or less */
    HEAD = BUS_HEADERS + 80, /* of what stands before the lines of one */
    LEAVES = 3,       /* heartbeats: until then a connection that is lost is known to be */
};

/* What our subscribers show now: texts behind each other, and where each begins. */
struct own {
    struct buffer texts;
    struct {
        uint64_t number;
        size_t at, length;
    } *members;
    size_t count, room;
};

static void add_own(void *context, uint64_t number, const char *text, size_t length) {
    struct own *own = context;
    if (own->count == own->room) {
        own->room = own->room ? own->room * 2 : 64;
        own->members = memory_resize(own->members, own->room * sizeof *own->members);
    }
    own->members[own->count].number = number;
    own->members[own->count].at = buffer_length(&own->texts);
    own->members[own->count++].length = length;
    buffer_append(&own->texts, text, length);
}

static void free_own(struct own *own) {
    buffer_free(&own->texts);
    free(own->members);
}

static size_t part_size(const struct bus *bus) {
    size_t most = bus->most_payload > HEAD ? bus->most_payload - HEAD : PART;
    return most < PART ? most : PART;
}

static void write_come(struct buffer *out, const struct own *own, size_t i) {
    buffer_format(out, "+%llu ", (unsigned long long)own->members[i].number);
    buffer_append(out, buffer_bytes(&own->texts) + own->members[i].at, own->members[i].length);
    buffer_append_byte(out, '\n');
}

/* Everything was told when nothing was there: what comes then stands for itself. */
static uint64_t version_before(const struct told *told) { return presence_is_told(told) ? told->version : 0; }

/* Both lists grow in their numbers. */
static void write_changes(struct buffer *out, const struct told *told, const struct own *own) {
    size_t i = 0, j = 0;
    while (i < told->shown || j < own->count) {
        if (j == own->count || (i < told->shown && told->numbers[i] < own->members[j].number))
            buffer_format(out, "-%llu\n", (unsigned long long)told->numbers[i++]);
        else if (i == told->shown || own->members[j].number < told->numbers[i])
            write_come(out, own, j++);
        else
            i++, j++;
    }
}

static void send(struct bus_topic *topic, struct buffer *head, const struct buffer *lines) {
    char subject[SUBJECT_SIZE];
    subject_write(subject, topic->bus->config->subject, SUBJECT_PRESENCE, topic->word);
    buffer_append(head, buffer_bytes(lines), buffer_length(lines));
    bus_tell(topic->bus, subject, buffer_bytes(head), buffer_length(head));
    buffer_clear(head);
}

static void send_part(struct bus_topic *topic, struct buffer *head, struct buffer *lines, int part, bool is_last) {
    buffer_format(head, "s %llu %d %d %llu\n", (unsigned long long)topic->told.version, part, is_last,
                  (unsigned long long)topic->told.count);
    send(topic, head, lines);
    buffer_clear(lines);
}

/* Who shows more than a message may hold is counted, and not shown. */
static void tell_all(struct bus_topic *topic, const struct own *own) {
    struct buffer head = {0}, lines = {0}, line = {0};
    size_t most = part_size(topic->bus);
    int part = 0;
    for (size_t i = 0; i < own->count; i++) {
        buffer_clear(&line);
        write_come(&line, own, i);
        if (buffer_length(&line) > most) continue;
        if (buffer_length(&lines) + buffer_length(&line) > most) send_part(topic, &head, &lines, part++, false);
        buffer_append(&lines, buffer_bytes(&line), buffer_length(&line));
    }
    send_part(topic, &head, &lines, part, true);
    buffer_free(&head);
    buffer_free(&lines);
    buffer_free(&line);
}

static void keep(struct told *told, const struct own *own, uint64_t count) {
    free(told->numbers);
    told->numbers = own->count ? memory_new(own->count * sizeof *told->numbers) : NULL;
    for (size_t i = 0; i < own->count; i++) told->numbers[i] = own->members[i].number;
    told->shown = own->count;
    told->count = count;
}

static void ask(struct bus_topic *topic) {
    struct buffer head = {0}, lines = {0};
    buffer_append_text(&head, "?\n");
    send(topic, &head, &lines);
    buffer_free(&head);
}

static void tell(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    struct told *told = &topic->told;
    struct own own = {0};
    struct buffer head = {0}, lines = {0};
    uint64_t before = version_before(told), count = topic->state.subscribers;
    carrier_each_member(topic->shared, add_own, &own);
    write_changes(&lines, told, &own);
    bool has_changed = count != told->count || buffer_length(&lines);
    if (has_changed) {
        told->version = ++bus->last_version;
        keep(told, &own, count);
    }
    if (!topic->state.is_used) told->must_tell_all = true; /* nobody can miss what is before it */
    if (told->must_tell_all ? told->version != 0 : buffer_length(&lines) > part_size(bus)) {
        tell_all(topic, &own);
    } else if (has_changed) {
        buffer_format(&head, "d %llu %llu %llu\n", (unsigned long long)told->version, (unsigned long long)before,
                      (unsigned long long)count);
        send(topic, &head, &lines);
    }
    told->must_tell_all = false;
    buffer_free(&head);
    buffer_free(&lines);
    free_own(&own);
}

void presence_settle(struct timer *timer) {
    struct bus *bus = container_of(timer, struct bus, settle);
    struct list *node;
    if (!bus->config || !atomic_load(&bus->is_up)) return; /* when it is, all are told, and asked */
    while ((node = list_take(&bus->unsettled))) {
        struct bus_topic *topic = container_of(node, struct bus_topic, told.node);
        if (topic->told.must_ask) ask(topic);
        topic->told.must_ask = false;
        tell(topic);
        if (topic->state.is_used || store_is_busy(&topic->store)) continue;
        if (!topic->told.version) bus_topic_free(topic);
        else if (!topic->told.leaves_at) topic->told.leaves_at = loop_now(bus->loop) + LEAVES * bus->config->heartbeat;
    }
}

void presence_clear(struct bus *bus) {
    uint64_t now = loop_now(bus->loop);
    bool is_up = atomic_load(&bus->is_up);
    if (!is_up && now < bus->down_since + LEAVES * bus->config->heartbeat) return; /* else others have forgotten us */
    for (struct list *node = bus->topics.next, *next; node != &bus->topics; node = next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, node);
        uint64_t leaves_at = topic->told.leaves_at;
        next = node->next;
        bool has_left = is_up ? leaves_at && now >= leaves_at : !topic->state.is_used;
        if (has_left && !store_is_busy(&topic->store)) bus_topic_free(topic);
    }
}

void presence_note(struct bus_topic *topic) {
    struct bus *bus = topic->bus;
    list_remove(&topic->told.node);
    list_append(&bus->unsettled, &topic->told.node);
    if (!timer_is_running(&bus->settle)) timer_start(bus->loop, &bus->settle, loop_now(bus->loop) + MOMENT);
}

void presence_begin(struct bus_topic *topic) {
    topic->told.must_ask = true;
    presence_note(topic);
}

void presence_ask_all(struct bus *bus) {
    for (struct list *node = bus->topics.next; node != &bus->topics; node = node->next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, node);
        if (topic->presence) presence_begin(topic);
    }
}

void presence_tell_all(struct bus *bus) {
    for (struct list *node = bus->topics.next; node != &bus->topics; node = node->next) {
        struct bus_topic *topic = container_of(node, struct bus_topic, node);
        if (!topic->presence) continue;
        topic->told.must_tell_all = true;
        topic->told.leaves_at = 0;
        presence_begin(topic);
    }
}

void presence_init(struct bus_topic *topic) {
    list_init(&topic->told.node);
    list_init(&topic->elsewhere);
}

void presence_restart(struct bus_topic *topic) {
    list_remove(&topic->told.node);
    free(topic->told.numbers);
    topic->told = (struct told){0};
    list_init(&topic->told.node);
    presence_drop_all(topic);
}

void presence_free(struct bus_topic *topic) { presence_restart(topic); }
