/* bus/presence_in.c - see presence.h: what other hosts tell. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/bus_private.h"
#include "bus/hosts.h"
#include "bus/presence.h"
#include "schema/json_text.h"

enum {
    MOST_SHOWN = 4096, /* bytes, as for our own */
    MOST_COUNT = 1 << 30,
    LEAST_ROOM = 4,
};
static const char too_much[] = "more is told of subscribers elsewhere than `bytes` of the bus may be";

/* ---- what a host has told of a topic ---- */

/* False: too much is kept. */
static bool charge(struct bus *bus, size_t bytes) {
    if (bus->kept_bytes + bytes > atomic_load(&bus->most_bytes)) return false;
    bus->kept_bytes += bytes;
    return true;
}

/* Of a short text it is most. */
static size_t cost(size_t length) { return sizeof(struct shown) + carrier_member_size(length); }

static void leave(struct there *there, struct shown *shown) {
    struct bus *bus = there->topic->bus;
    carrier_member_leave(bus->registry, there->topic->shared, &shown->member);
    bus->kept_bytes -= cost(shown->length);
}

/* Where it stands, or should. */
static size_t place(const struct there *there, uint64_t number) {
    size_t from = 0, to = there->shown_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (there->shown[middle].number < number) from = middle + 1;
        else to = middle;
    }
    return from;
}

static bool is_there(const struct there *there, size_t at, uint64_t number) {
    return at < there->shown_count && there->shown[at].number == number;
}

static void set_room(struct there *there, size_t room) {
    there->shown_room = room;
    there->shown = memory_resize(there->shown, room * sizeof *there->shown);
}

static void make_room(struct there *there, size_t at) {
    if (there->shown_count == there->shown_room) set_room(there, there->shown_room ? there->shown_room * 2 : LEAST_ROOM);
    memmove(there->shown + at + 1, there->shown + at, (there->shown_count++ - at) * sizeof *there->shown);
}

/* What is empty has been charged to nobody: there is not much more of that than of the rest. */
static void give_room_back(struct there *there) {
    size_t room = there->shown_room;
    while (room > LEAST_ROOM && there->shown_count <= room / 4) room /= 2;
    if (room < there->shown_room) set_room(there, room);
}

/* False: too many bytes are shown. */
static bool come(struct there *there, uint64_t number, const char *text, size_t length) {
    struct bus *bus = there->topic->bus;
    size_t at = place(there, number);
    if (is_there(there, at, number)) {
        there->shown[at].is_stale = false;
        return true;
    }
    if (!charge(bus, cost(length))) return false;
    make_room(there, at);
    struct member *member = carrier_member_join(bus->registry, there->topic->shared, text, length);
    there->shown[at] = (struct shown){.number = number, .length = length, .member = member};
    return true;
}

static void go(struct there *there, uint64_t number) {
    size_t at = place(there, number);
    if (!is_there(there, at, number)) return;
    leave(there, &there->shown[at]);
    memmove(there->shown + at, there->shown + at + 1, (--there->shown_count - at) * sizeof *there->shown);
    give_room_back(there);
}

static void mark_stale(struct there *there) {
    for (size_t i = 0; i < there->shown_count; i++) there->shown[i].is_stale = true;
}

static void sweep(struct there *there) {
    size_t kept = 0;
    for (size_t i = 0; i < there->shown_count; i++) {
        if (there->shown[i].is_stale) leave(there, &there->shown[i]);
        else there->shown[kept++] = there->shown[i];
    }
    there->shown_count = kept;
    give_room_back(there);
}

static void count_elsewhere(struct bus_topic *topic) {
    uint64_t count = 0;
    for (struct list *node = topic->elsewhere.next; node != &topic->elsewhere; node = node->next)
        count += container_of(node, struct there, of_topic)->count;
    carrier_set_elsewhere(topic->shared, count);
}

static struct there *find(const struct bus_topic *topic, const struct host *host) {
    for (struct list *node = topic->elsewhere.next; node != &topic->elsewhere; node = node->next) {
        struct there *there = container_of(node, struct there, of_topic);
        if (there->host == host) return there;
    }
    return NULL;
}

/* NULL: too much is kept. */
static struct there *there_new(struct bus_topic *topic, struct host *host) {
    if (!charge(topic->bus, sizeof(struct there))) return NULL;
    struct there *there = memory_new(sizeof *there);
    there->topic = topic;
    there->host = host;
    list_append(&topic->elsewhere, &there->of_topic);
    list_append(&host->theirs, &there->of_host);
    return there;
}

static void there_free(struct there *there) {
    mark_stale(there);
    sweep(there);
    list_remove(&there->of_topic);
    list_remove(&there->of_host);
    there->topic->bus->kept_bytes -= sizeof *there;
    free(there->shown);
    free(there);
}

void presence_drop_all(struct bus_topic *topic) {
    while (!list_is_empty(&topic->elsewhere)) there_free(container_of(topic->elsewhere.next, struct there, of_topic));
    count_elsewhere(topic);
}

void presence_forget(struct bus *bus, struct host *host) {
    (void)bus;
    while (!list_is_empty(&host->theirs)) {
        struct there *there = container_of(host->theirs.next, struct there, of_host);
        struct bus_topic *topic = there->topic;
        there_free(there);
        count_elsewhere(topic);
    }
}

/* ---- the text ---- */

struct text {
    const char *at, *end;
};

static bool take(struct text *text, char c) {
    if (text->at == text->end || *text->at != c) return false;
    text->at++;
    return true;
}

static bool take_number(struct text *text, uint64_t *number) {
    const char *start = text->at;
    for (*number = 0; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        if (*number > UINT64_MAX / 16) return false;
        *number = *number * 10 + (uint64_t)(*text->at - '0');
    }
    return text->at > start;
}

/* Blanks between, a newline behind. */
static bool take_numbers(struct text *text, uint64_t *numbers, int count) {
    for (int i = 0; i < count; i++)
        if (!take(text, ' ') || !take_number(text, &numbers[i])) return false;
    return take(text, '\n');
}

static bool is_json(const char *text, size_t length) {
    struct json_text json = {.start = text, .at = text, .end = text + length};
    return length && length <= MOST_SHOWN && json_skip(&json) && json_is_done(&json);
}

/* NULL, or what is wrong with it. What stands before that holds. */
static const char *take_lines(struct there *there, struct text *text) {
    uint64_t number;
    while (text->at < text->end) {
        if (take(text, '-')) {
            if (!take_number(text, &number) || !take(text, '\n')) return "a line that cannot be read";
            go(there, number);
            continue;
        }
        const char *end = memchr(text->at, '\n', (size_t)(text->end - text->at));
        if (!take(text, '+') || !end || !take_number(text, &number) || !take(text, ' ') || text->at > end)
            return "a line that cannot be read";
        size_t length = (size_t)(end - text->at);
        if (!is_json(text->at, length)) return "a subscriber that shows no JSON, or too much";
        if (!come(there, number, text->at, length)) return too_much;
        text->at = end + 1;
    }
    return NULL;
}

static void ask_again(struct bus_topic *topic) {
    topic->told.must_ask = true;
    presence_note(topic);
}

/* VERSION BEFORE COUNT */
static const char *take_changes(struct bus_topic *topic, struct host *host, struct text *text) {
    uint64_t numbers[3];
    if (!take_numbers(text, numbers, 3) || numbers[2] > MOST_COUNT) return "changes that cannot be read";
    struct there *there = find(topic, host);
    uint64_t known = there ? there->version : 0;
    if (numbers[0] <= known) return NULL;
    if (numbers[1] != known) {
        ask_again(topic);
        return NULL;
    }
    if (!there && !(there = there_new(topic, host))) return too_much;
    there->version = numbers[0];
    there->count = numbers[2];
    return take_lines(there, text);
}

/* VERSION PART LAST COUNT */
static const char *take_all(struct bus_topic *topic, struct host *host, struct text *text) {
    uint64_t numbers[4];
    if (!take_numbers(text, numbers, 4) || numbers[3] > MOST_COUNT) return "what should tell everything, and cannot be read";
    struct there *there = find(topic, host);
    if (there && numbers[0] <= there->version) return NULL;
    if (!there && !(there = there_new(topic, host))) return too_much;
    if (numbers[1] == 0) {
        mark_stale(there);
        there->coming = numbers[0];
        there->next_part = 0;
    }
    if (there->coming != numbers[0] || there->next_part != numbers[1]) {
        ask_again(topic);
        return NULL;
    }
    there->next_part++;
    const char *why = take_lines(there, text);
    if (!numbers[2]) return why;
    sweep(there);
    there->coming = 0;
    there->version = numbers[0];
    there->count = numbers[3];
    return why;
}

void presence_receive(struct bus_topic *topic, const struct wire_message *message) {
    struct bus *bus = topic->bus;
    struct text text = {.at = (const char *)message->data};
    text.end = text.at + message->length;
    uint64_t origin;
    const char *why = NULL;
    if (!bus_read_origin(message, &origin)) {
        bus_reject(bus, topic, "presence without our headers");
        return;
    }
    if (origin == bus->origin) return;
    struct host *host = hosts_find(bus, origin);
    if (!host) why = "more gateways than there may be";
    else if (take(&text, '?')) topic->told.must_tell_all = true, presence_note(topic);
    else if (take(&text, 'd')) why = take_changes(topic, host, &text);
    else if (take(&text, 's')) why = take_all(topic, host, &text);
    else why = "presence that cannot be read";
    if (why) bus_reject(bus, topic, why);
    struct there *there = host ? find(topic, host) : NULL;
    if (there && !there->count && !there->shown_count && !there->coming) there_free(there);
    count_elsewhere(topic);
}
