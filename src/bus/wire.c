/* bus/wire.c - see wire.h
 *
 * The library does not reconnect by itself: a connection that is lost is taken down, and the thread makes another one in
 * the same way as the first. So there is one way in which things come about, and nothing is queued out of sight. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"
#include "bus/wire_private.h"

#define CLOSE_PATIENCE (10 * NS_PER_S)
#define COUNT_INTERVAL (100 * NS_PER_MS) /* while the library drops what comes */
enum { ROOM = 256 /* messages that wait when on_room is told */ };

/* ---- the library's threads ---- */

static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *native, void *context) {
    (void)connection, (void)subscription;
    struct wire *wire = context;
    struct wire_message *message = wire_take(wire, native);
    natsMsg_Destroy(native);
    wire->events.on_message(wire->context, message);
}

static void on_closed(natsConnection *connection, void *context) {
    struct wire *wire = context;
    const char *why = NULL;
    natsConnection_GetLastError(connection, &why);
    pthread_mutex_lock(&wire->lock);
    if (!wire->is_lost) snprintf(wire->why, sizeof wire->why, "%s", why && *why ? why : "the server has closed the connection");
    wire->is_lost = wire->is_closed = true;
    pthread_cond_broadcast(&wire->news);
    pthread_mutex_unlock(&wire->lock);
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status, void *context) {
    (void)subscription;
    struct wire *wire = context;
    const char *text = NULL;
    if (status == NATS_SLOW_CONSUMER) { /* told when it begins to drop, and not again before it has stopped */
        pthread_mutex_lock(&wire->lock);
        wire->count_at = clock_monotonic() + COUNT_INTERVAL;
        pthread_cond_broadcast(&wire->news);
        pthread_mutex_unlock(&wire->lock);
        return;
    }
    natsConnection_GetLastError(connection, &text);
    wire->events.on_fault(wire->context, text && *text ? text : natsStatus_GetText(status));
}

/* ---- the connection ---- */

const char *wire_reason(natsStatus status) {
    natsStatus last;
    const char *text = nats_GetLastError(&last);
    return text && *text && last == status ? text : natsStatus_GetText(status);
}

void wire_set_why(struct wire *wire, const char *what) {
    pthread_mutex_lock(&wire->lock);
    snprintf(wire->why, sizeof wire->why, "%s", what);
    wire->is_lost = true;
    pthread_mutex_unlock(&wire->lock);
}

static void on_complete(void *context) {
    struct wire *wire = context;
    pthread_mutex_lock(&wire->lock);
    if (--wire->subscriptions == 0) pthread_cond_broadcast(&wire->news);
    pthread_mutex_unlock(&wire->lock);
}

static void free_want(void *handle) {
    struct want *want = handle;
    if (want->follow) {
        free(want->follow->subject);
        free(want->follow->consumer);
    }
    free(want->follow);
    free(want);
}

/* ---- subscriptions ---- */

/* The lock is not held. */
static natsStatus subscribe(struct wire *wire, struct want *want) {
    const struct config_bus *config = wire->using;
    natsStatus status =
        natsConnection_Subscribe(&want->subscription, wire->connection, want->subject, on_message, wire);
    if (status != NATS_OK) return status;
    natsSubscription_SetPendingLimits(want->subscription, (int)config->messages, (int)config->bytes);
    if (natsSubscription_SetOnCompleteCB(want->subscription, on_complete, wire) == NATS_OK) {
        pthread_mutex_lock(&wire->lock);
        wire->subscriptions++;
        pthread_mutex_unlock(&wire->lock);
    }
    return want->follow ? wire_add_consumer(wire, want) : NATS_OK;
}

/* What it has dropped since this was asked last. */
static int64_t count_dropped(struct want *want) {
    int64_t all = 0, before = want->dropped;
    if (!want->subscription || natsSubscription_GetDropped(want->subscription, &all) != NATS_OK || all < before) return 0;
    want->dropped = all;
    return all - before;
}

static void drop(struct wire *wire, struct want *want) {
    int64_t dropped = count_dropped(want);
    if (dropped) wire->events.on_dropped(wire->context, (uint64_t)dropped);
    natsSubscription_Destroy(want->subscription);
    want->subscription = NULL;
    want->dropped = 0;
}

/* With the lock, as long as nobody works on it. */
static void settle(struct wire *wire, struct want *want) {
    list_remove(&want->node);
    if (want->is_wanted != (want->subscription != NULL)) {
        list_append(&wire->work, &want->node);
    } else if (!want->is_wanted) {
        map_remove(&wire->wants, want->subject, strlen(want->subject));
        free_want(want);
    }
}

/* Does one thing that is left to do, if there is one; with the lock, which is released meanwhile. */
static bool work_once(struct wire *wire) {
    struct list *node = list_take(&wire->work);
    if (!node) return false;
    struct want *want = container_of(node, struct want, node);
    bool is_wanted = want->is_wanted, is_fine = true;
    want->is_busy = true;
    pthread_mutex_unlock(&wire->lock);
    if (is_wanted) is_fine = subscribe(wire, want) == NATS_OK;
    else drop(wire, want);
    pthread_mutex_lock(&wire->lock);
    want->is_busy = false;
    if (is_fine) settle(wire, want);
    else wire->is_lost = true; /* the next connection begins with all of them */
    return true;
}

static void begin_again(void *context, const char *key, size_t length, void *value) {
    (void)key, (void)length;
    struct wire *wire = context;
    struct want *want = value;
    drop(wire, want);
    list_remove(&want->node);
    if (want->follow) want->is_wanted = false; /* who wants it says where to go on */
    if (want->is_wanted) list_append(&wire->work, &want->node);
}

/* What is in no list and not wanted has no subscription any more. */
static void find_unwanted(void *context, const char *key, size_t length, void *value) {
    (void)key, (void)length;
    struct want *want = value;
    if (!want->is_wanted) list_append(context, &want->node);
}

static void take_down(struct wire *wire) {
    if (!wire->connection) return;
    uint64_t until = clock_wall() + CLOSE_PATIENCE;
    const struct timespec time = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
    struct list unwanted, *node;
    list_init(&unwanted);
    natsConnection_Close(wire->connection);
    pthread_mutex_lock(&wire->lock);
    while (!wire->is_closed && !pthread_cond_timedwait(&wire->news, &wire->lock, &time)) continue;
    map_each(&wire->wants, begin_again, wire);
    map_each(&wire->wants, find_unwanted, &unwanted);
    while ((node = list_take(&unwanted))) settle(wire, container_of(node, struct want, node));
    /* What the library still has to do with one would be left undone, and leak, if the library were closed before. */
    while (wire->subscriptions && !pthread_cond_timedwait(&wire->news, &wire->lock, &time)) continue;
    pthread_mutex_unlock(&wire->lock);
    jsCtx_Destroy(wire->stream);
    wire->stream = NULL;
    natsConnection_Destroy(wire->connection);
    wire->connection = NULL;
}

static bool dial(struct wire *wire) {
    natsOptions *options = NULL;
    if (!wire->is_open) {
        if (nats_Open(-1) != NATS_OK || nats_SetMessageDeliveryPoolSize(1) != NATS_OK) {
            wire_set_why(wire, "the client library cannot start");
            return false;
        }
        wire->is_open = true;
    }
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK) status = wire_set_options(options, wire->using);
    if (status == NATS_OK) status = natsOptions_SetClosedCB(options, on_closed, wire);
    if (status == NATS_OK) status = natsOptions_SetErrorHandler(options, on_error, wire);
    if (status == NATS_OK) status = natsConnection_Connect(&wire->connection, options);
    if (status != NATS_OK) wire_set_why(wire, wire_reason(status));
    natsOptions_Destroy(options);
    return status == NATS_OK;
}

static uint64_t attempt_after(uint64_t wait) {
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, 0) < 0) chance = 0;
    return clock_monotonic() + wait + (wait / 2) * (chance >> 8) / (UINT32_MAX >> 8);
}

/* With everything that is wanted subscribed at the server, and known to be. */
static void bring_up(struct wire *wire) {
    struct wire_server server = {0};
    wire->next_attempt = attempt_after(wire->using->reconnect);
    pthread_mutex_lock(&wire->lock);
    wire->is_lost = wire->is_closed = false;
    wire->connections++;
    wire->why[0] = '\0';
    pthread_mutex_unlock(&wire->lock);
    bool is_fine = dial(wire) && wire_open_stream(wire);
    if (is_fine) {
        pthread_mutex_lock(&wire->lock);
        while (work_once(wire)) continue;
        pthread_mutex_unlock(&wire->lock);
        is_fine = natsConnection_FlushTimeout(wire->connection, wire_milliseconds(WIRE_PATIENCE)) == NATS_OK;
        if (!is_fine) wire_set_why(wire, "the server does not answer");
    }
    if (!is_fine) {
        take_down(wire);
        wire->events.on_down(wire->context, wire->why, false);
        return;
    }
    pthread_mutex_lock(&wire->lock);
    bool is_outdated = wire->is_new_config;
    pthread_mutex_unlock(&wire->lock);
    if (is_outdated) {
        take_down(wire);
        return;
    }
    natsConnection_GetConnectedUrl(wire->connection, server.name, sizeof server.name);
    server.connection = wire->connections;
    server.config = wire->using_number;
    server.most_payload = (size_t)natsConnection_GetMaxPayload(wire->connection);
    server.stream_last = wire->stream_last;
    server.stream_born = wire->stream_born;
    server.clock = wire->clock;
    wire->events.on_up(wire->context, &server);
}

static void lose(struct wire *wire) {
    take_down(wire);
    wire->events.on_down(wire->context, wire->why, true);
}

static void add_dropped(void *context, const char *key, size_t length, void *value) {
    (void)key, (void)length;
    *(int64_t *)context += count_dropped(value);
}

/* With the lock. Again and again, until none have been dropped since the last time. */
static void count_all_dropped(struct wire *wire) {
    int64_t dropped = 0;
    map_each(&wire->wants, add_dropped, &dropped);
    wire->count_at = dropped ? clock_monotonic() + COUNT_INTERVAL : 0;
    if (dropped) wire->events.on_dropped(wire->context, (uint64_t)dropped);
}

/* ---- sending ---- */

static natsStatus publish(struct wire *wire, const struct wire_out *out) {
    natsMsg *native = NULL;
    natsStatus status = natsMsg_Create(&native, out->subject, out->reply, (const char *)out->bytes, (int)out->length);
    for (size_t i = 0; status == NATS_OK && i < WIRE_HEADERS && out->headers[i].name; i++)
        status = natsMsgHeader_Set(native, out->headers[i].name, out->headers[i].value);
    if (status == NATS_OK) status = natsConnection_PublishMsg(wire->connection, native);
    natsMsg_Destroy(native);
    return status;
}

static void note_sent(struct wire *wire, struct wire_out *out) {
    pthread_mutex_lock(&wire->lock);
    bool has_room = --wire->waiting <= ROOM && wire->wants_room;
    if (has_room) wire->wants_room = false;
    pthread_mutex_unlock(&wire->lock);
    if (has_room) wire->events.on_room(wire->context);
    wire_out_free(out);
}

/* The first that waits; with the lock, which is released meanwhile. */
static bool send_once(struct wire *wire) {
    struct list *node = list_take(&wire->out);
    if (!node) return false;
    struct wire_out *out = container_of(node, struct wire_out, node);
    bool is_for_another = out->connection && out->connection != wire->connections;
    pthread_mutex_unlock(&wire->lock);
    natsStatus status = is_for_another ? NATS_OK : publish(wire, out);
    bool is_never = status == NATS_MAX_PAYLOAD || status == NATS_INVALID_ARG || status == NATS_INVALID_SUBJECT ||
                    status == NATS_NO_SERVER_SUPPORT;
    if (is_never) wire->events.on_lost(wire->context, out->length, natsStatus_GetText(status));
    if (status == NATS_OK || is_never) {
        note_sent(wire, out);
        pthread_mutex_lock(&wire->lock);
        return true;
    }
    pthread_mutex_lock(&wire->lock); /* by the next connection, then */
    wire->out.next->prev = &out->node;
    out->node.next = wire->out.next;
    out->node.prev = &wire->out;
    wire->out.next = &out->node;
    if (!wire->is_lost) snprintf(wire->why, sizeof wire->why, "%s", natsStatus_GetText(status));
    wire->is_lost = true;
    return true;
}

/* ---- the thread ---- */

static void wait_for_news(struct wire *wire, uint64_t until) {
    if (!until) {
        pthread_cond_wait(&wire->news, &wire->lock);
        return;
    }
    uint64_t now = clock_monotonic(), wall = clock_wall() + (until > now ? until - now : 0);
    const struct timespec time = {.tv_sec = (time_t)(wall / NS_PER_S), .tv_nsec = (long)(wall % NS_PER_S)};
    pthread_cond_timedwait(&wire->news, &wire->lock, &time);
}

static void take_config(struct wire *wire) {
    struct config_bus *config = wire->config;
    wire->config = NULL;
    wire->is_new_config = false;
    wire->using_number = wire->configs;
    while (wire->connection && !wire->is_lost && send_once(wire)) continue;
    pthread_mutex_unlock(&wire->lock);
    if (wire->connection) {
        natsConnection_FlushTimeout(wire->connection, wire_milliseconds(WIRE_PATIENCE));
        wire_set_why(wire, "the config has changed");
        lose(wire);
    }
    config_bus_unref(&wire->using);
    wire->using = config;
    wire->next_attempt = 0;
    pthread_mutex_lock(&wire->lock);
}

static bool is_over(const struct wire *wire) {
    bool is_done = !wire->connection || (list_is_empty(&wire->out) && list_is_empty(&wire->work));
    return wire->is_ending && (is_done || clock_monotonic() >= wire->ends_at);
}

/* One step with the lock held; false: there is nothing to do before `until` (0: before there is news). */
static bool step(struct wire *wire, uint64_t *until) {
    *until = 0;
    if (wire->is_new_config) {
        take_config(wire);
        return true;
    }
    if (wire->connection && wire->is_lost) {
        pthread_mutex_unlock(&wire->lock);
        lose(wire);
        pthread_mutex_lock(&wire->lock);
        return true;
    }
    if (wire->count_at && clock_monotonic() >= wire->count_at) count_all_dropped(wire);
    *until = wire->count_at;
    if (wire->connection) return work_once(wire) || send_once(wire);
    if (!wire->using) return false;
    if (clock_monotonic() < wire->next_attempt) {
        *until = wire->next_attempt;
        return false;
    }
    pthread_mutex_unlock(&wire->lock);
    bring_up(wire);
    pthread_mutex_lock(&wire->lock);
    return true;
}

static void *run(void *context) {
    struct wire *wire = context;
    uint64_t until;
    pthread_mutex_lock(&wire->lock);
    while (!is_over(wire))
        if (!step(wire, &until)) wait_for_news(wire, until);
    pthread_mutex_unlock(&wire->lock);
    if (wire->connection) natsConnection_FlushTimeout(wire->connection, wire_milliseconds(WIRE_PATIENCE));
    take_down(wire);
    if (wire->is_open) {
        nats_ReleaseThreadMemory();
        nats_CloseAndWait(wire_milliseconds(CLOSE_PATIENCE));
    }
    return NULL;
}

struct wire *wire_new(const struct wire_events *events, void *context, struct error *error) {
    struct wire *wire = memory_new(sizeof *wire);
    wire->events = *events;
    wire->context = context;
    pthread_mutex_init(&wire->lock, NULL);
    pthread_cond_init(&wire->news, NULL);
    list_init(&wire->work);
    list_init(&wire->out);
    sigset_t all, before;
    sigfillset(&all); /* the library's threads are made by this one */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&wire->thread, NULL, run, wire);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!fault) return wire;
    error_set(error, "the bus has no thread: %s", strerror(fault));
    pthread_cond_destroy(&wire->news);
    pthread_mutex_destroy(&wire->lock);
    free(wire);
    return NULL;
}

uint64_t wire_configure(struct wire *wire, struct config_bus *config) {
    pthread_mutex_lock(&wire->lock);
    config_bus_unref(&wire->config);
    wire->config = config ? config_bus_ref(config) : NULL;
    wire->is_new_config = true;
    uint64_t number = ++wire->configs;
    pthread_cond_broadcast(&wire->news);
    pthread_mutex_unlock(&wire->lock);
    return number;
}

static void set_wanted(struct wire *wire, const char *subject, bool is_wanted, struct follow *follow) {
    size_t length = strlen(subject);
    pthread_mutex_lock(&wire->lock);
    struct want *want = map_get(&wire->wants, subject, length);
    if (!want && is_wanted) {
        want = memory_new(sizeof *want + length + 1);
        list_init(&want->node);
        memcpy(want->subject, subject, length + 1);
        want->follow = follow;
        map_put(&wire->wants, subject, length, want);
    }
    if (want && want->is_wanted != is_wanted) {
        want->is_wanted = is_wanted;
        if (!want->is_busy) settle(wire, want);
        pthread_cond_broadcast(&wire->news);
    }
    pthread_mutex_unlock(&wire->lock);
}

void wire_subscribe(struct wire *wire, const char *subject) { set_wanted(wire, subject, true, NULL); }
void wire_unsubscribe(struct wire *wire, const char *subject) { set_wanted(wire, subject, false, NULL); }

void wire_follow(struct wire *wire, const char *subject, const char *deliver, const char *consumer, uint64_t after) {
    struct follow *follow = memory_new(sizeof *follow);
    follow->after = after;
    follow->subject = memory_copy_string(subject);
    follow->consumer = memory_copy_string(consumer);
    set_wanted(wire, deliver, true, follow);
}

void wire_send(struct wire *wire, struct wire_out *out) {
    pthread_mutex_lock(&wire->lock);
    if (list_is_empty(&wire->out)) pthread_cond_broadcast(&wire->news);
    list_append(&wire->out, &out->node);
    wire->waiting++;
    pthread_mutex_unlock(&wire->lock);
}

size_t wire_waiting(struct wire *wire) {
    pthread_mutex_lock(&wire->lock);
    size_t waiting = wire->waiting;
    pthread_mutex_unlock(&wire->lock);
    return waiting;
}

void wire_wants_room(struct wire *wire) {
    pthread_mutex_lock(&wire->lock);
    wire->wants_room = true;
    pthread_mutex_unlock(&wire->lock);
}

const char *wire_versions(void) { return "nats " NATS_VERSION_STRING; }

void wire_free(struct wire **handle, uint64_t most) {
    struct wire *wire = *handle;
    struct list *node;
    *handle = NULL;
    if (!wire) return;
    pthread_mutex_lock(&wire->lock);
    wire->is_ending = true;
    wire->ends_at = clock_monotonic() + most;
    pthread_cond_broadcast(&wire->news);
    pthread_mutex_unlock(&wire->lock);
    pthread_join(wire->thread, NULL);
    while ((node = list_take(&wire->out))) wire_out_free(container_of(node, struct wire_out, node));
    map_free(&wire->wants, free_want);
    config_bus_unref(&wire->config);
    config_bus_unref(&wire->using);
    pthread_cond_destroy(&wire->news);
    pthread_mutex_destroy(&wire->lock);
    free(wire);
}
