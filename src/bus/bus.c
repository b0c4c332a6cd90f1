/* bus/bus.c - see bus.h: the hub's thread. What goes out, what comes in, what the main thread orders. */
#include "bus/bus.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/bus_private.h"
#include "bus/hosts.h"
#include "bus/topic.h"

#define RARELY (10 * NS_PER_S)
#define ENDING (5 * NS_PER_MS) /* how often it looks whether all has been sent */
enum { IN_WIRE = 1024 /* messages that the wire is given ahead */ };

bool rare_is_due(struct rare *rare, uint64_t now) {
    rare->count++;
    if (now < rare->next) return false;
    rare->next = now + RARELY;
    return true;
}

void bus_reject(struct bus *bus, const struct bus_topic *topic, const char *why) {
    bus_count(bus, BUS_REJECTED, 1);
    if (!rare_is_due(&bus->told_rejected, loop_now(bus->loop))) return;
    log_warn(NULL, "bus: rejected %llu: topic \"%.*s\": %s", (unsigned long long)bus->told_rejected.count,
             topic && topic->state.name_length < 100 ? (int)topic->state.name_length : topic ? 100 : 0,
             topic ? topic->state.name : "", why);
    bus->told_rejected.count = 0;
}

/* ---- what goes out ---- */

static void drop_out(struct bus *bus, struct wire_out *out) {
    list_remove(&out->node);
    bus->queued--;
    bus->queued_bytes -= out->weight;
    if (out->is_counted) bus_count_dropped(bus);
    wire_out_free(out);
}

void bus_count_dropped(struct bus *bus) {
    bus_count(bus, BUS_DROPPED_OUT, 1);
    if (!rare_is_due(&bus->told_dropped, loop_now(bus->loop))) return;
    log_warn(NULL, "bus: more messages wait than may: %llu dropped", (unsigned long long)bus->told_dropped.count);
    bus->told_dropped.count = 0;
}

bool bus_is_too_large(const struct bus *bus, const struct bus_topic *topic, size_t length) {
    size_t size = length + BUS_HEADERS + strlen(topic->state.type);
    return size > atomic_load(&bus->most_bytes) || (bus->most_payload && size > bus->most_payload);
}

void bus_drop_large(struct bus *bus, const struct bus_topic *topic, size_t length) {
    bus_count(bus, BUS_DROPPED_OUT, 1);
    if (!rare_is_due(&bus->told_large, loop_now(bus->loop))) return;
    bus->told_large.count = 0;
    size_t most = atomic_load(&bus->most_bytes);
    bool is_ours = !bus->most_payload || most < bus->most_payload;
    log_warn(NULL, "bus: a message of topic \"%.*s\" has %zu bytes and stays in this process: %s %zu with headers",
             topic->state.name_length < 100 ? (int)topic->state.name_length : 100, topic->state.name, length,
             is_ours ? "`bytes` allows" : "the server takes", is_ours ? most : bus->most_payload);
}

/* The oldest that may go. */
static void bound_queue(struct bus *bus) {
    size_t messages = atomic_load(&bus->most_messages), bytes = atomic_load(&bus->most_bytes);
    for (struct list *node = bus->queue.next, *next; node != &bus->queue; node = next) {
        if (bus->queued <= messages && bus->queued_bytes <= bytes) return;
        struct wire_out *out = container_of(node, struct wire_out, node);
        next = node->next;
        if (out->is_droppable) drop_out(bus, out);
    }
}

static void pump(struct bus *bus) {
    struct list *node;
    while (atomic_load(&bus->is_up) && !list_is_empty(&bus->queue)) {
        size_t waiting = wire_waiting(bus->wire);
        if (waiting >= IN_WIRE) {
            wire_wants_room(bus->wire);
            if (wire_waiting(bus->wire) >= IN_WIRE) break; /* else it did not see that we want it */
            continue;
        }
        for (size_t i = waiting; i < IN_WIRE && (node = list_take(&bus->queue)); i++) {
            struct wire_out *out = container_of(node, struct wire_out, node);
            bus->queued--;
            bus->queued_bytes -= out->weight;
            if (out->is_counted) bus_count(bus, BUS_SENT, 1);
            if (out->is_counted) bus_count(bus, BUS_SENT_BYTES, out->length);
            wire_send(bus->wire, out);
        }
    }
    atomic_store(&bus->counters[BUS_WAITING], bus->queued);
}

void bus_send(struct bus *bus, struct wire_out *out) {
    list_append(&bus->queue, &out->node);
    bus->queued++;
    bus->queued_bytes += out->weight;
    pump(bus);
    bound_queue(bus);
}

void bus_tell(struct bus *bus, const char *subject, const void *text, size_t length) {
    const struct wire_header from = {BUS_FROM, bus->origin_text};
    struct wire_out *out = wire_out_new(subject, NULL, &from, 1, text, length, NULL);
    out->is_droppable = true;
    bus_send(bus, out);
}

/* ---- what is heard ---- */

struct hearing *bus_listen(struct bus *bus, struct bus_topic *topic, enum subject_kind kind, const char *subject) {
    struct hearing *hearing = memory_new(sizeof *hearing);
    hearing->topic = topic;
    hearing->kind = kind;
    snprintf(hearing->subject, sizeof hearing->subject, "%s", subject);
    map_put(&bus->subjects, subject, strlen(subject), hearing);
    return hearing;
}

struct hearing *bus_hear(struct bus *bus, struct bus_topic *topic, enum subject_kind kind, const char *subject) {
    wire_subscribe(bus->wire, subject);
    return bus_listen(bus, topic, kind, subject);
}

void bus_unhear(struct bus *bus, struct hearing **handle) {
    struct hearing *hearing = *handle;
    *handle = NULL;
    if (!hearing) return;
    wire_unsubscribe(bus->wire, hearing->subject);
    map_remove(&bus->subjects, hearing->subject, strlen(hearing->subject));
    free(hearing);
}

bool bus_read_origin(const struct wire_message *message, uint64_t *origin) {
    return origin_read(wire_header(message, BUS_FROM), origin);
}

static void receive(struct bus *bus, const struct wire_message *message) {
    const char *subject = message->subject;
    const struct hearing *hearing = map_get(&bus->subjects, subject, strlen(subject));
    if (!hearing) return; /* it was heard a moment ago */
    switch (hearing->kind) {
    case SUBJECT_MESSAGES: bus_topic_receive(hearing->topic, message); return;
    case SUBJECT_KEPT:
        if (hearing->topic->is_kept_stored) store_receive(hearing->topic, message);
        else bus_topic_receive(hearing->topic, message);
        return;
    case SUBJECT_FOLLOWED: store_hear_life(hearing->topic, message); return;
    case SUBJECT_PRESENCE: presence_receive(hearing->topic, message); return;
    case SUBJECT_HOSTS: hosts_receive(bus, message); return;
    }
}

/* ---- mails of the wire ---- */

static void deliver_message(struct mail *mail, void *receiver, bool is_dropped) {
    struct wire_message *message = container_of(mail, struct wire_message, mail);
    if (!is_dropped) receive(receiver, message);
    free(message);
}

static void on_message(void *context, struct wire_message *message) {
    struct bus *bus = context;
    message->mail.deliver = deliver_message;
    message->mail.weight = message->size;
    if (mailbox_post(bus->inbox, &message->mail)) return;
    free(message);
    bus_count(bus, BUS_DROPPED_IN, 1);
}

struct report {
    struct mail mail;
    void (*act)(struct bus *bus, struct report *report);
    bool was_up;
    struct wire_server server;
    uint64_t number; /* how many are pending */
    struct config_bus *config; /* of an order of the main thread */
    struct schema *schema;
    size_t most_message;
    uint64_t most; /* ns */
    char text[256];
};

static void deliver_report(struct mail *mail, void *receiver, bool is_dropped) {
    struct report *report = container_of(mail, struct report, mail);
    if (!is_dropped) report->act(receiver, report);
    config_bus_unref(&report->config);
    if (report->schema) schema_unref(&report->schema);
    free(report);
}

static struct report *report_new(void (*act)(struct bus *bus, struct report *report), const char *text) {
    struct report *report = memory_new(sizeof *report);
    report->mail.deliver = deliver_report;
    report->act = act;
    snprintf(report->text, sizeof report->text, "%s", text ? text : "");
    return report;
}

static void set_texts(struct bus *bus, const char *server, const char *error) {
    pthread_mutex_lock(&bus->lock);
    snprintf(bus->server, sizeof bus->server, "%s", server);
    snprintf(bus->error, sizeof bus->error, "%s", error);
    pthread_mutex_unlock(&bus->lock);
}

static void come_up(struct bus *bus, struct report *report) {
    const struct wire_server *server = &report->server;
    uint64_t now = loop_update_now(bus->loop);
    uint64_t dropped = atomic_load(&bus->counters[BUS_DROPPED_OUT]) - bus->dropped_before;
    if (server->config != bus->wired) return; /* a reload was faster, and the wire knows */
    bus->connection = server->connection;
    bus->most_payload = server->most_payload;
    bus_count(bus, BUS_CONNECTS, 1);
    set_texts(bus, server->name, "");
    if (bus->down_since)
        log_info(NULL, "bus: connected to %s after %.1f s; %llu messages were dropped, %llu are sent now", server->name,
                 (double)(now - bus->down_since) / NS_PER_S, (unsigned long long)dropped,
                 (unsigned long long)(bus->queued + atomic_load(&bus->counters[BUS_PENDING])));
    bus->down_since = 0;
    bus->told_down = (struct rare){0};
    atomic_store(&bus->is_up, true);
    pump(bus);
    hosts_come_up(bus);
    presence_tell_all(bus);
    store_come_up(bus, server);
}

/* What goes over this connection or not at all; who has sent it sends it again. */
static void forget_bound(struct bus *bus) {
    for (struct list *node = bus->queue.next, *next; node != &bus->queue; node = next) {
        struct wire_out *out = container_of(node, struct wire_out, node);
        next = node->next;
        if (!out->connection) continue;
        list_remove(node);
        bus->queued--;
        bus->queued_bytes -= out->weight;
        wire_out_free(out);
    }
}

static void go_down(struct bus *bus, struct report *report) {
    bool was_up = report->was_up && bus->connection;
    set_texts(bus, "", report->text);
    if (was_up) {
        bus->connection = 0;
        atomic_store(&bus->is_up, false);
        forget_bound(bus);
        store_go_down(bus);
    }
    if (was_up && !bus->config) {
        bus->down_since = 0;
        log_info(NULL, "bus: the connection is closed");
    } else if (was_up) {
        bus_count(bus, BUS_LOSSES, 1);
        bus->down_since = loop_update_now(bus->loop);
        bus->dropped_before = atomic_load(&bus->counters[BUS_DROPPED_OUT]);
        bus->told_down = (struct rare){0};
        log_warn(NULL, "bus: the connection is lost: %s; topics go on in this process", report->text);
    } else if (!report->was_up && rare_is_due(&bus->told_down, loop_now(bus->loop))) {
        bus->told_down.count = 0;
        log_warn(NULL, "bus: cannot connect: %s; topics go on in this process", report->text);
    }
}

static void follow(struct bus *bus, struct report *report) { store_answered(bus, report->text, report->number); }

static void retry(struct bus *bus, struct report *report) { store_refused(bus, report->text); }

static void have_room(struct bus *bus, struct report *report) {
    (void)report;
    pump(bus);
}

static void tell_fault(struct bus *bus, struct report *report) {
    if (!rare_is_due(&bus->told_fault, loop_now(bus->loop))) return;
    bus->told_fault.count = 0;
    log_warn(NULL, "bus: %s", report->text);
}

static void on_up(void *context, const struct wire_server *server) {
    struct bus *bus = context;
    struct report *report = report_new(come_up, NULL);
    report->server = *server;
    mailbox_post_always(bus->control, &report->mail);
}

static void on_followed(void *context, const char *consumer, uint64_t pending) {
    struct bus *bus = context;
    struct report *report = report_new(follow, consumer);
    report->number = pending;
    mailbox_post_always(bus->inbox, &report->mail); /* behind what has come so far */
}

static void on_refused(void *context, const char *consumer) {
    struct bus *bus = context;
    mailbox_post_always(bus->inbox, &report_new(retry, consumer)->mail);
}

static void on_down(void *context, const char *why, bool was_up) {
    struct bus *bus = context;
    struct report *report = report_new(go_down, why);
    report->was_up = was_up;
    mailbox_post_always(bus->control, &report->mail);
}

static void on_room(void *context) {
    struct bus *bus = context;
    mailbox_post_always(bus->control, &report_new(have_room, NULL)->mail);
}

static void on_lost(void *context, size_t length, const char *why) {
    struct bus *bus = context;
    char text[256];
    snprintf(text, sizeof text, "a message of %zu bytes cannot be sent: %s", length, why);
    bus_count(bus, BUS_DROPPED_OUT, 1);
    mailbox_post_always(bus->control, &report_new(tell_fault, text)->mail);
}

static void on_dropped(void *context, uint64_t count) {
    struct bus *bus = context;
    bus_count(bus, BUS_DROPPED_IN, count);
    mailbox_post_always(bus->control, &report_new(tell_fault, "messages come faster than they can be taken")->mail);
}

static void on_fault(void *context, const char *what) {
    struct bus *bus = context;
    mailbox_post_always(bus->control, &report_new(tell_fault, what)->mail);
}

/* ---- orders of the main thread ---- */

static bool is_same(const struct config_bus *a, const struct config_bus *b) {
    return a && b ? strcmp(a->fingerprint, b->fingerprint) == 0 : a == b;
}

static void configure(struct bus *bus, struct report *report) {
    bool is_same_bus = is_same(bus->config, report->config);
    if (bus->schema) schema_unref(&bus->schema);
    bus->schema = report->schema;
    report->schema = NULL;
    bus->most_message = report->most_message;
    if (!is_same_bus) {
        bool was_on = bus->config != NULL;
        hosts_say_goodbye(bus);
        struct config_bus *before = bus->config;
        bus->config = report->config;
        report->config = before;
        if (bus->config && was_on) log_info(NULL, "bus: the config has changed: connecting anew");
        if (bus->config && !bus->down_since) bus->down_since = loop_update_now(bus->loop);
        bus->told_down = (struct rare){0};
        bus->is_reconfigured = true;
        if (bus->config) atomic_store(&bus->is_up, false); /* what comes from here on is for the new server */
    }
    bus_topics_configure(bus, !is_same_bus);
    if (!is_same_bus) hosts_configure(bus);
    if (!is_same_bus) bus->wired = wire_configure(bus->wire, bus->config);
    if (!bus->config) set_texts(bus, "", "");
}

void bus_configure(struct bus *bus, const struct config *config, struct schema *schema) {
    struct report *report = report_new(configure, NULL);
    report->config = config->bus ? config_bus_ref(config->bus) : NULL;
    report->schema = schema_ref(schema);
    report->most_message = config->limits.message;
    if (config->bus) {
        atomic_store(&bus->most_messages, config->bus->messages);
        atomic_store(&bus->most_bytes, config->bus->bytes);
        mailbox_set_most(bus->outbox, config->bus->messages, config->bus->bytes);
        mailbox_set_most(bus->inbox, config->bus->messages, config->bus->bytes);
    }
    atomic_store(&bus->is_configured, config->bus != NULL);
    atomic_store(&bus->carrier.stores, config->bus && config->bus->stream);
    mailbox_post_always(bus->control, &report->mail); /* first: what is noted comes behind it */
    topic_registry_set_carrier(bus->registry, config->bus ? &bus->carrier : NULL);
}

/* ---- the end ---- */

static void look_whether_sent(struct timer *timer) {
    struct bus *bus = container_of(timer, struct bus, end);
    bool is_done = list_is_empty(&bus->queue) && wire_waiting(bus->wire) == 0;
    uint64_t now = loop_now(bus->loop);
    if (is_done || !atomic_load(&bus->is_up) || now >= bus->ends_at) loop_stop(bus->loop);
    else timer_start(bus->loop, timer, now + ENDING);
}

static void end(struct bus *bus, struct report *report) {
    bus->is_ending = true;
    hosts_say_goodbye(bus);
    bus->ends_at = loop_update_now(bus->loop) + report->most;
    timer_start(bus->loop, &bus->end, loop_now(bus->loop));
}

const char *bus_versions(void) { return wire_versions(); }

static void *run(void *context) {
    struct bus *bus = context;
    loop_run(bus->loop);
    log_flush();
    return NULL;
}

static void free_hub(struct bus *bus) {
    struct list *node;
    timer_stop(bus->loop, &bus->end);
    timer_stop(bus->loop, &bus->settle);
    timer_stop(bus->loop, &bus->look);
    map_free(&bus->subjects, NULL);
    mailbox_free(&bus->control);
    mailbox_free(&bus->outbox);
    mailbox_free(&bus->inbox);
    while ((node = list_take(&bus->queue))) wire_out_free(container_of(node, struct wire_out, node));
    config_bus_unref(&bus->config);
    if (bus->schema) schema_unref(&bus->schema);
    loop_free(&bus->loop);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
}

static bool start_thread(struct bus *bus, struct error *error) {
    sigset_t all, before;
    sigfillset(&all); /* signals of the process belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&bus->thread, NULL, run, bus);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !fault || error_set(error, "the bus has no thread: %s", strerror(fault));
}

struct bus *bus_new(struct topic_registry *registry, struct error *error) {
    static const struct wire_events events = {.headers = {BUS_TYPE, BUS_FROM, BUS_SEQUENCE, BUS_LAST},
                                              .on_message = on_message,
                                              .on_followed = on_followed,
                                              .on_refused = on_refused,
                                              .on_up = on_up,
                                              .on_down = on_down,
                                              .on_room = on_room,
                                              .on_lost = on_lost,
                                              .on_dropped = on_dropped,
                                              .on_fault = on_fault};
    struct bus *bus = memory_new(sizeof *bus);
    bus_workers_init(bus);
    bus->registry = registry;
    bus->loop = loop_new();
    bus->control = mailbox_new(bus->loop, bus, SIZE_MAX, SIZE_MAX);
    bus->outbox = mailbox_new(bus->loop, bus, 1, 1);
    bus->inbox = mailbox_new(bus->loop, bus, 1, 1);
    if (getrandom(&bus->origin, sizeof bus->origin, 0) < 0) bus->origin = clock_wall();
    origin_write(bus->origin_text, bus->origin);
    pthread_mutex_init(&bus->lock, NULL);
    list_init(&bus->queue);
    list_init(&bus->topics);
    list_init(&bus->unsettled);
    list_init(&bus->stored);
    timer_init(&bus->look, store_look);
    timer_init(&bus->end, look_whether_sent);
    timer_init(&bus->settle, presence_settle);
    hosts_init(bus);
    bus->wire = wire_new(&events, bus, error);
    if (bus->wire && start_thread(bus, error)) return bus;
    wire_free(&bus->wire, 0);
    free_hub(bus);
    return NULL;
}

void bus_free(struct bus **handle, uint64_t most) {
    struct bus *bus = *handle;
    *handle = NULL;
    if (!bus) return;
    topic_registry_set_carrier(bus->registry, NULL);
    struct report *report = report_new(end, NULL);
    report->most = most;
    mailbox_post_always(bus->outbox, &report->mail); /* behind all that was published */
    pthread_join(bus->thread, NULL);
    bus_topics_free(bus);
    hosts_free(bus);
    wire_free(&bus->wire, most);
    free_hub(bus);
}
