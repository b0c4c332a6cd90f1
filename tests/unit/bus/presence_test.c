/* What other hosts tell of their subscribers, and what a gateway keeps of it. */
#include "bus/presence.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "bus/bus_private.h"
#include "bus/hosts.h"
#include "check.h"
#include "fanout/shared.h"

enum { MOST = 64 * 1024 };

/* A hub without a thread and a connection, and a topic of it. */
static struct config_bus config = {.heartbeat = NS_PER_S};
static struct bus bus;
static struct bus_topic topic;

static void setup(void) {
    bus = (struct bus){.registry = topic_registry_new(1, 0), .loop = loop_new(), .config = &config, .origin = 1};
    atomic_store(&bus.most_bytes, MOST);
    list_init(&bus.unsettled);
    timer_init(&bus.settle, presence_settle);
    hosts_init(&bus);
    topic = (struct bus_topic){.bus = &bus, .shared = shared_open(bus.registry, "t", 1)};
    presence_init(&topic);
}

static void teardown(void) {
    presence_free(&topic);
    CHECK_INT(bus.kept_bytes, 0);
    timer_stop(bus.loop, &bus.settle);
    hosts_free(&bus);
    shared_unref(bus.registry, topic.shared);
    topic_registry_free(&bus.registry);
    loop_free(&bus.loop);
}

static struct wire_message *message_from(uint64_t origin, const char *text, size_t length) {
    char from[ORIGIN_SIZE];
    origin_write(from, origin);
    const struct wire_header headers[WIRE_HEADERS] = {{BUS_FROM, from}, {BUS_TYPE, NULL}, {BUS_SEQUENCE, NULL}, {BUS_LAST, NULL}};
    return wire_message_new("tidewire.p.t", NULL, headers, text, length);
}

static void tell(uint64_t origin, const char *text) {
    struct wire_message *message = message_from(origin, text, strlen(text));
    presence_receive(&topic, message);
    free(message);
}

static void say_goodbye(uint64_t origin) {
    struct wire_message *message = message_from(origin, "0 x", 3);
    hosts_receive(&bus, message);
    free(message);
}

/* What the topic's first host has told. */
static const struct there *first(void) { return container_of(topic.elsewhere.next, struct there, of_topic); }

/* Behind the head, that the subscribers from `from` to `to` have come, or gone. */
static void tell_of_many(uint64_t origin, const char *head, bool have_come, int from, int to) {
    struct buffer text = {0};
    buffer_append_text(&text, head);
    for (int i = from; i <= to; i++) buffer_format(&text, have_come ? "+%d 1\n" : "-%d\n", i);
    buffer_append_byte(&text, '\0');
    tell(origin, (const char *)buffer_bytes(&text));
    buffer_free(&text);
}

static void what_hosts_tell_is_counted_and_shown(void) {
    setup();
    tell(2, "s 1 0 1 3\n+1 \"a\"\n+2 \"b\"\n");
    tell(3, "d 1 0 4\n+1 \"a\"\n");
    CHECK_INT(atomic_load(&topic.shared->elsewhere), 7);
    tell(2, "d 2 1 2\n-1\n");
    CHECK_INT(first()->shown_count, 1);
    CHECK_INT(first()->shown[0].number, 2);
    CHECK_INT(atomic_load(&topic.shared->elsewhere), 6);
    say_goodbye(3);
    CHECK_INT(atomic_load(&topic.shared->elsewhere), 2);
    CHECK_INT(atomic_load(&bus.counters[BUS_REJECTED]), 0);
    teardown();
}

static void what_is_kept_of_many_hosts_has_a_bound(void) {
    setup();
    for (uint64_t origin = 2; origin < 2000; origin++) tell(origin, "d 1 0 1\n");
    CHECK(bus.kept_bytes <= MOST && bus.kept_bytes > MOST / 2);
    uint64_t count = atomic_load(&topic.shared->elsewhere);
    CHECK_INT(count, MOST / sizeof(struct there));
    CHECK_INT(atomic_load(&bus.counters[BUS_REJECTED]), 1998 - count);
    CHECK(bus.hosts.count <= 1024);
    for (uint64_t origin = 2; origin < 2000; origin++) say_goodbye(origin);
    CHECK_INT(bus.kept_bytes, 0);
    CHECK_INT(bus.hosts.count, 0);
    tell(2, "d 1 0 1\n");
    CHECK_INT(atomic_load(&topic.shared->elsewhere), 1);
    teardown();
}

static void what_is_kept_of_many_subscribers_has_a_bound(void) {
    setup();
    tell_of_many(2, "s 1 0 1 1\n", true, 1, 10000);
    CHECK(bus.kept_bytes <= MOST && bus.kept_bytes > MOST / 2);
    CHECK(first()->shown_room <= 2 * first()->shown_count);
    CHECK_INT(atomic_load(&bus.counters[BUS_REJECTED]), 1);
    teardown();
}

static void what_has_gone_leaves_no_memory(void) {
    setup();
    tell_of_many(2, "s 1 0 1 300\n", true, 1, 300);
    CHECK_INT(first()->shown_count, 300);
    tell_of_many(2, "d 2 1 2\n", false, 3, 300);
    CHECK_INT(first()->shown_count, 2);
    CHECK(first()->shown_room <= 8);
    tell_of_many(2, "s 3 0 1 300\n", true, 1001, 1300);
    CHECK_INT(first()->shown_count, 300);
    tell(2, "s 4 0 1 1\n+1001 1\n");
    CHECK_INT(first()->shown_count, 1);
    CHECK(first()->shown_room <= 4);
    tell(2, "s 5 0 1 0\n");
    CHECK(list_is_empty(&topic.elsewhere));
    CHECK_INT(bus.kept_bytes, 0);
    teardown();
}

int main(void) {
    RUN(what_hosts_tell_is_counted_and_shown);
    RUN(what_is_kept_of_many_hosts_has_a_bound);
    RUN(what_is_kept_of_many_subscribers_has_a_bound);
    RUN(what_has_gone_leaves_no_memory);
    return 0;
}
