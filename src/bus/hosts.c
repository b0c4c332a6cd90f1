/* bus/hosts.c - see hosts.h */
#include "bus/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/bus_private.h"
#include "bus/presence.h"

enum {
    MOST_HOSTS = 1024,
    MISSED = 3,
    SLOWEST = 3600 * 1000, /* ms */
    MOST_LINES = 32,       /* in the log, in a while */
};
#define WHILE (10 * NS_PER_S)

/* ---- out ---- */

static void write_subject(const struct bus *bus, char subject[SUBJECT_SIZE]) {
    snprintf(subject, SUBJECT_SIZE, "%s.%c", bus->config->subject, SUBJECT_HOSTS);
}

/* "2000 a": every so many ms, and the name; 0: goodbye. */
static void say(struct bus *bus, uint64_t every) {
    char subject[SUBJECT_SIZE], text[128];
    write_subject(bus, subject);
    int length = snprintf(text, sizeof text, "%llu %s", (unsigned long long)(every / NS_PER_MS), bus->config->name);
    bus_tell(bus, subject, text, (size_t)length);
}

void hosts_say_goodbye(struct bus *bus) {
    if (bus->config && atomic_load(&bus->is_up)) say(bus, 0);
}

/* ---- who there is ---- */

static void count(struct bus *bus) { atomic_store(&bus->counters[BUS_HOSTS], bus->hosts.count); }

struct host *hosts_find(struct bus *bus, uint64_t origin) {
    struct host *host = map_get(&bus->hosts, &origin, sizeof origin);
    if (host || bus->hosts.count >= MOST_HOSTS) return host;
    host = memory_new(sizeof *host);
    host->origin = origin;
    host->until = loop_now(bus->loop) + MISSED * bus->config->heartbeat;
    list_init(&host->theirs);
    map_put(&bus->hosts, &origin, sizeof origin, host);
    count(bus);
    return host;
}

static void log_host(struct bus *bus, const struct host *host, const char *what) {
    uint64_t now = loop_now(bus->loop);
    if (now >= bus->host_lines_until) bus->host_lines = 0, bus->host_lines_until = now + WHILE;
    if (host->is_named && bus->host_lines++ < MOST_LINES) log_info(NULL, "bus: gateway \"%s\" %s", host->name, what);
}

static void forget(struct bus *bus, struct host *host, const char *why) {
    log_host(bus, host, why);
    presence_forget(bus, host);
    map_remove(&bus->hosts, &host->origin, sizeof host->origin);
    free(host);
    count(bus);
}

struct search {
    uint64_t now;
    struct host *found;
};

static void look(void *context, const char *key, size_t length, void *value) {
    (void)key, (void)length;
    struct search *search = context;
    struct host *host = value;
    if (host->until <= search->now) search->found = host;
}

static void forget_until(struct bus *bus, uint64_t now, const char *why) {
    for (;;) {
        struct search search = {.now = now};
        map_each(&bus->hosts, look, &search);
        if (!search.found) return;
        forget(bus, search.found, why);
    }
}

/* ---- in ---- */

static bool read_word(const struct wire_message *message, uint64_t *every, char name[65]) {
    char text[128];
    size_t length = message->length;
    if (length >= sizeof text) return false;
    memcpy(text, message->data, length);
    text[length] = '\0';
    char *blank = strchr(text, ' ');
    if (!blank || strlen(text) != length) return false;
    *blank = '\0';
    for (const char *at = blank + 1; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || *at == '"') return false;
    return number_read(text, SLOWEST, every) && snprintf(name, 65, "%s", blank + 1) < 65;
}

void hosts_receive(struct bus *bus, const struct wire_message *message) {
    uint64_t origin, every;
    char name[65];
    if (!bus_read_origin(message, &origin) || !read_word(message, &every, name)) {
        bus_reject(bus, NULL, "what should say that a gateway is there");
        return;
    }
    if (origin == bus->origin) return;
    struct host *host = map_get(&bus->hosts, &origin, sizeof origin);
    if (!host && every) host = hosts_find(bus, origin);
    if (!host) {
        if (every) bus_reject(bus, NULL, "more gateways than there may be");
        return;
    }
    if (!every) {
        forget(bus, host, "has left");
        return;
    }
    host->until = loop_now(bus->loop) + MISSED * every * NS_PER_MS;
    if (host->is_named) return;
    host->is_named = true;
    presence_ask_all(bus); /* it may have been forgotten in error */
    memcpy(host->name, name, sizeof host->name);
    log_host(bus, host, "is there");
}

/* ---- time ---- */

/* A process that was stopped for a while has been forgotten by the others, and hears of them anew: it must not take its
 * own sleep for their silence. */
static void beat(struct timer *timer) {
    struct bus *bus = container_of(timer, struct bus, beat);
    uint64_t now = loop_now(bus->loop), every = bus->config->heartbeat;
    bool has_slept = now > bus->beaten_at + (MISSED - 1) * every;
    bus->beaten_at = now;
    if (atomic_load(&bus->is_up)) say(bus, every);
    if (has_slept) presence_tell_all(bus);
    else forget_until(bus, now, "is silent: forgotten");
    presence_clear(bus);
    timer_start(bus->loop, timer, now + every);
}

void hosts_come_up(struct bus *bus) { say(bus, bus->config->heartbeat); }

void hosts_init(struct bus *bus) { timer_init(&bus->beat, beat); }

void hosts_configure(struct bus *bus) {
    char subject[SUBJECT_SIZE];
    forget_until(bus, UINT64_MAX, "is on another bus");
    timer_stop(bus->loop, &bus->beat);
    bus_unhear(bus, &bus->hosts_hearing);
    if (!bus->config) return;
    write_subject(bus, subject);
    bus->hosts_hearing = bus_hear(bus, NULL, SUBJECT_HOSTS, subject);
    bus->beaten_at = loop_now(bus->loop);
    timer_start(bus->loop, &bus->beat, bus->beaten_at + bus->config->heartbeat);
}

static void free_host(void *host) { free(host); }

void hosts_free(struct bus *bus) {
    timer_stop(bus->loop, &bus->beat);
    bus_unhear(bus, &bus->hosts_hearing);
    map_free(&bus->hosts, free_host);
}
