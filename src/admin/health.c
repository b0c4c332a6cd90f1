/* admin/health.c - see health.h
 *
 * A change is written under the lock, then every worker's side is told by one mail (never more than one is under
 * way); the side compares what its watchers saw last with what is true now, so that quick changes merge. They
 * merge for a slow watcher too: it has at most one status under way, and the newest follows when that has left. */
#include "admin/health.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "admin/services.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "net/mailbox.h"
#include "rpc/call.h"
#include "rpc/router.h"
#include "schema/wire.h"

enum serving { UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN };
enum { MOST_LISTED = 100 }; /* gRFC A90: above that List is RESOURCE_EXHAUSTED */

/* A watcher keeps the name that it asked for, so that has to be short. */
static const struct call_limits limits = {.message = 4 * 1024, .buffered_per_stream = 64 * 1024};
/* Full with the first status, however small that is. */
static const struct call_limits watch_limits = {.message = 4 * 1024, .buffered_per_stream = 1};

struct entry {
    enum serving status;
    bool is_of_config, was_seen; /* was_seen: while health_set_services() runs */
};

struct health {
    pthread_mutex_t lock;
    struct map by_name; /* of struct entry */
    bool is_shut_down;
    struct list sides;
};

struct health_worker {
    struct list node;
    struct health *health;
    struct mailbox *mailbox;
    atomic_bool is_told; /* a mail is under way */
    struct list watchers;
};

struct watcher {
    struct list node;
    struct health_worker *worker;
    struct call *call;
    char *service; /* what the client asked for: any bytes */
    size_t length;
    enum serving told; /* UNKNOWN: nothing yet */
};

struct health *health_new(void) {
    struct health *health = memory_new(sizeof *health);
    pthread_mutex_init(&health->lock, NULL);
    list_init(&health->sides);
    health_set(health, "", true);
    return health;
}

void health_free(struct health **health) {
    if (!*health) return;
    map_free(&(*health)->by_name, free);
    pthread_mutex_destroy(&(*health)->lock);
    free(*health);
    *health = NULL;
}

static enum serving look_up(struct health *health, const char *service, size_t length) {
    pthread_mutex_lock(&health->lock);
    struct entry *entry = map_get(&health->by_name, service, length);
    enum serving status = !entry ? SERVICE_UNKNOWN : health->is_shut_down ? NOT_SERVING : entry->status;
    pthread_mutex_unlock(&health->lock);
    return status;
}

bool health_is_serving(struct health *health) { return look_up(health, "", 0) == SERVING; }

/* ---- telling the workers ---- */

struct notice {
    struct mail mail;
};

static void send_status(struct call *call, enum serving status) {
    const uint8_t bytes[] = {1 << 3 | WIRE_VARINT, (uint8_t)status};
    call_send_bytes(call, bytes, sizeof bytes);
}

/* A watcher without room is asked again in its on_writable. */
static void tell(struct health *health, struct watcher *watcher) {
    enum serving status = look_up(health, watcher->service, watcher->length);
    if (status == watcher->told || call_is_full(watcher->call)) return;
    watcher->told = status;
    send_status(watcher->call, status);
}

static void look_again(struct mail *mail, void *receiver, bool is_dropped) {
    struct health_worker *worker = receiver;
    free(container_of(mail, struct notice, mail));
    if (is_dropped) return;
    atomic_store(&worker->is_told, false);
    for (struct list *node = worker->watchers.next; node != &worker->watchers; node = node->next)
        tell(worker->health, container_of(node, struct watcher, node));
}

/* With the lock held. */
static void tell_workers(struct health *health) {
    for (struct list *node = health->sides.next; node != &health->sides; node = node->next) {
        struct health_worker *worker = container_of(node, struct health_worker, node);
        if (atomic_exchange(&worker->is_told, true)) continue;
        struct notice *notice = memory_new(sizeof *notice);
        notice->mail.deliver = look_again;
        mailbox_post_always(worker->mailbox, &notice->mail);
    }
}

static struct entry *entry_of(struct health *health, const char *service) {
    struct entry *entry = map_get(&health->by_name, service, strlen(service));
    if (entry) return entry;
    entry = memory_new(sizeof *entry);
    entry->status = SERVING;
    map_put(&health->by_name, service, strlen(service), entry);
    return entry;
}

void health_set(struct health *health, const char *service, bool is_serving) {
    pthread_mutex_lock(&health->lock);
    entry_of(health, service)->status = is_serving ? SERVING : NOT_SERVING;
    tell_workers(health);
    pthread_mutex_unlock(&health->lock);
}

/* The first service of an earlier config that this one does not have. */
struct stale {
    const char *name;
    size_t length;
};

static void find_stale(void *context, const char *name, size_t length, void *value) {
    struct entry *entry = value;
    struct stale *stale = context;
    if (entry->is_of_config && !entry->was_seen) *stale = (struct stale){name, length};
}

static void forget_seen(void *context, const char *name, size_t length, void *value) {
    (void)context, (void)name, (void)length;
    ((struct entry *)value)->was_seen = false;
}

void health_set_services(struct health *health, const char *const *services) {
    pthread_mutex_lock(&health->lock);
    for (; *services; services++) {
        struct entry *entry = entry_of(health, *services);
        entry->is_of_config = entry->was_seen = true;
    }
    for (;;) {
        struct stale stale = {NULL, 0};
        map_each(&health->by_name, find_stale, &stale);
        if (!stale.name) break;
        char *name = memory_copy(stale.name, stale.length);
        free(map_remove(&health->by_name, name, stale.length));
        free(name);
    }
    map_each(&health->by_name, forget_seen, NULL);
    tell_workers(health);
    pthread_mutex_unlock(&health->lock);
}

void health_shut_down(struct health *health) {
    pthread_mutex_lock(&health->lock);
    health->is_shut_down = true;
    tell_workers(health);
    pthread_mutex_unlock(&health->lock);
}

/* ---- one worker's side ---- */

struct health_worker *health_worker_new(struct health *health, struct loop *loop) {
    struct health_worker *worker = memory_new(sizeof *worker);
    worker->health = health;
    worker->mailbox = mailbox_new(loop, worker, SIZE_MAX, SIZE_MAX);
    list_init(&worker->watchers);
    pthread_mutex_lock(&health->lock);
    list_append(&health->sides, &worker->node);
    pthread_mutex_unlock(&health->lock);
    return worker;
}

void health_worker_free(struct health_worker **worker) {
    if (!*worker) return;
    pthread_mutex_lock(&(*worker)->health->lock);
    list_remove(&(*worker)->node);
    pthread_mutex_unlock(&(*worker)->health->lock);
    mailbox_free(&(*worker)->mailbox);
    free(*worker);
    *worker = NULL;
}

/* The service that a HealthCheckRequest asks for: the last field 1. False when the bytes are no such message. */
static bool read_request(const struct call_message *request, const char **service, size_t *length) {
    const uint8_t *at = request->data, *end = at + request->length;
    *service = "";
    *length = 0;
    while (at < end) {
        uint32_t number;
        unsigned type;
        if (!(at = wire_read_tag(at, end, &number, &type))) return false;
        if (number == 1 && type == WIRE_BYTES) {
            if (!(at = wire_read_length(at, end, length))) return false;
            *service = (const char *)at;
            at += *length;
        } else if (!(at = wire_skip(at, end, number, type, WIRE_DEPTH))) {
            return false;
        }
    }
    return true;
}

/* The one request of the call; ends the call itself when it is malformed. */
static bool take_request(struct call *call, const char **service, size_t *length) {
    struct call_message request;
    if (call_receive(call, &request) == CALL_MESSAGE && read_request(&request, service, length)) return true;
    call_finish(call, STATUS_INTERNAL, "the request is no HealthCheckRequest", NULL, 0);
    return false;
}

static void open_check(struct call *call) {
    struct health_worker *worker = call->data;
    const char *service;
    size_t length;
    if (!take_request(call, &service, &length)) return;
    enum serving status = look_up(worker->health, service, length);
    if (status == SERVICE_UNKNOWN) {
        call_finish(call, STATUS_NOT_FOUND, "unknown service", NULL, 0);
        return;
    }
    send_status(call, status);
    call_finish(call, STATUS_OK, "", NULL, 0);
}

static void open_watch(struct call *call) {
    struct health_worker *worker = call->data;
    const char *service;
    size_t length;
    call->data = NULL;
    if (!take_request(call, &service, &length)) return;
    struct watcher *watcher = memory_new(sizeof *watcher);
    *watcher = (struct watcher){.worker = worker, .call = call, .length = length};
    watcher->service = memory_copy(service, length);
    list_append(&worker->watchers, &watcher->node);
    call->data = watcher;
    tell(worker->health, watcher);
}

static void go_on_watching(struct call *call) {
    struct watcher *watcher = call->data;
    if (watcher) tell(watcher->worker->health, watcher);
}

/* A watch has no end of its own: it shall not be what a drain waits for. */
static void end_watch(struct call *call) {
    go_on_watching(call);
    call_finish(call, STATUS_UNAVAILABLE, "the server is going away", NULL, 0);
}

static void close_watch(struct call *call, enum status status, const char *text) {
    (void)status, (void)text;
    struct watcher *watcher = call->data;
    if (!watcher) return;
    list_remove(&watcher->node);
    free(watcher->service);
    free(watcher);
}

struct listing {
    bool is_shut_down;
    struct buffer out;
};

static void write_listed(void *context, const char *name, size_t length, void *value) {
    struct listing *listing = context;
    const struct entry *entry = value;
    enum serving status = listing->is_shut_down ? NOT_SERVING : entry->status;
    const uint8_t response[] = {1 << 3 | WIRE_VARINT, (uint8_t)status};
    size_t size = 1 + wire_varint_size(length) + length + 1 + 1 + sizeof response;
    wire_write_tag(&listing->out, 1, WIRE_BYTES); /* statuses: one map entry */
    wire_write_varint(&listing->out, size);
    wire_write_tag(&listing->out, 1, WIRE_BYTES);
    wire_write_bytes(&listing->out, name, length);
    wire_write_tag(&listing->out, 2, WIRE_BYTES);
    wire_write_bytes(&listing->out, response, sizeof response);
}

static void open_list(struct call *call) {
    struct health_worker *worker = call->data;
    struct health *health = worker->health;
    struct listing listing = {0};
    pthread_mutex_lock(&health->lock);
    bool is_too_many = health->by_name.count > MOST_LISTED;
    listing.is_shut_down = health->is_shut_down;
    if (!is_too_many) map_each(&health->by_name, write_listed, &listing);
    pthread_mutex_unlock(&health->lock);
    if (is_too_many) {
        call_finish(call, STATUS_RESOURCE_EXHAUSTED, "more than 100 services", NULL, 0);
    } else {
        call_send_bytes(call, buffer_bytes(&listing.out), buffer_length(&listing.out));
        call_finish(call, STATUS_OK, "", NULL, 0);
    }
    buffer_free(&listing.out);
}

static void ignore(struct call *call) { (void)call; }
static void ignore_close(struct call *call, enum status status, const char *text) {
    (void)call, (void)status, (void)text;
}

static const struct call_handler check_handler = {
    .on_open = open_check, .on_readable = ignore, .on_writable = ignore, .on_close = ignore_close};
static const struct call_handler list_handler = {
    .on_open = open_list, .on_readable = ignore, .on_writable = ignore, .on_close = ignore_close};
static const struct call_handler watch_handler = {.on_open = open_watch,
                                                  .on_readable = ignore,
                                                  .on_writable = go_on_watching,
                                                  .on_drain = end_watch,
                                                  .on_close = close_watch};

void health_add_routes(struct health_worker *worker, struct router *router) {
    static const char service[] = "grpc.health.v1.Health";
    router_add(router, admin_method(service, "Check"), &check_handler, worker, &limits);
    router_add(router, admin_method(service, "List"), &list_handler, worker, &limits);
    router_add(router, admin_method(service, "Watch"), &watch_handler, worker, &watch_limits);
}
