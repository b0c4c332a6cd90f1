/* world.h - scripts without a network: the functions of net/loop.h, rpc/call.h and base/log.h that the room calls,
 * played by a virtual clock, calls in memory and a log that can be searched. Messages, schemas, topics and Lua are
 * the real ones. Include it in one test program's only file. */
#ifndef TIDEWIRE_TESTS_WORLD_H
#define TIDEWIRE_TESTS_WORLD_H
#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stint.h"
#include "check.h"
#include "config/config.h"
#include "fanout/rate.h"
#include "fanout/topic.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "rpc/call.h"
#include "rpc/router.h"
#include "schema/wire.h"
#include "script/script.h"
#include "upstream/peer.h"
#include "upstream/pass.h"
#include "upstream/upstream.h"

/* ---- log ---- */

static struct buffer world_log;
static pthread_mutex_t world_log_lock = PTHREAD_MUTEX_INITIALIZER; /* the watchdog logs from a thread of its own */
int log_least = LOG_DEBUG;
const char *const log_level_names[] = {NULL}, *const log_format_names[] = {NULL};
static inline int times_logged(const char *text) {
    int times = 0;
    pthread_mutex_lock(&world_log_lock);
    buffer_append_byte(&world_log, 0);
    world_log.end--;
    for (const char *at = (const char *)buffer_bytes(&world_log); (at = strstr(at, text)) && *at; at++) times++;
    pthread_mutex_unlock(&world_log_lock);
    return times;
}
static inline bool logged(const char *text) { return times_logged(text) > 0; }
static inline void forget_log(void) { buffer_clear(&world_log); }
static inline void log_line(const struct log_scope *scope, const char *text) {
    buffer_format(&world_log, "[%llu %s] %s", scope ? (unsigned long long)scope->stream : 0,
                  scope && scope->script ? scope->script : "-", text);
}
void log_write(enum log_level level, const struct log_scope *scope, const char *format, ...) {
    char text[4096];
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&world_log_lock);
    log_line(scope, text);
    buffer_append_byte(&world_log, '\n');
    pthread_mutex_unlock(&world_log_lock);
}
void log_write_fields(enum log_level level, const struct log_scope *scope, const char *text, size_t length,
                      const struct log_field *fields, size_t count) {
    char *copy = memory_copy(text, length);
    (void)level;
    pthread_mutex_lock(&world_log_lock);
    log_line(scope, copy);
    free(copy);
    for (size_t i = 0; i < count; i++)
        buffer_format(&world_log, " %s=%.*s", fields[i].name, (int)fields[i].length, fields[i].value);
    buffer_append_byte(&world_log, '\n');
    pthread_mutex_unlock(&world_log_lock);
}
void log_flush(void) { fwrite(buffer_bytes(&world_log), 1, buffer_length(&world_log), stderr); }

/* ---- loop ---- */

struct loop {
    uint64_t now;
    struct list tasks[LOOP_PHASES], next[LOOP_PHASES];
    struct task *running;
    struct timer *timers[65536];
    uint32_t timer_count;
};
static struct loop world_loop;

uint64_t loop_now(struct loop *loop) { return loop->now; }
uint64_t loop_update_now(struct loop *loop) { return loop->now; }
void loop_defer(struct loop *loop, enum loop_phase phase, struct task *task) {
    if (!list_is_empty(&task->node)) return;
    list_append(task == loop->running ? &loop->next[phase] : &loop->tasks[phase], &task->node);
}
void task_cancel(struct task *task) { list_remove(&task->node); }
void timer_stop(struct loop *loop, struct timer *timer) {
    if (!timer->place) return;
    loop->timers[timer->place - 1] = loop->timers[--loop->timer_count];
    loop->timers[timer->place - 1]->place = timer->place;
    timer->place = 0;
}
void timer_start(struct loop *loop, struct timer *timer, uint64_t due) {
    timer_stop(loop, timer);
    timer->due = due;
    CHECK(loop->timer_count < 65536);
    loop->timers[loop->timer_count++] = timer;
    timer->place = loop->timer_count;
}

/* Stints are counted here, not timed: what a turn does is the same on every machine. */
void stint_look(struct stint *stint, uint32_t most, uint64_t time) {
    (void)time;
    stint->is_over = stint->used >= most;
}
bool stint_has_taken(struct stint *stint, uint64_t time) {
    (void)time;
    return stint->is_over;
}

/* One turn: handlers, then what is freed. */
static inline void turn(void) {
    struct loop *loop = &world_loop;
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        for (struct list *node; (node = list_take(&loop->tasks[phase]));) {
            loop->running = container_of(node, struct task, node);
            loop->running->run(loop->running);
            loop->running = NULL;
        }
    }
    for (int phase = 0; phase < LOOP_PHASES; phase++) list_splice(&loop->tasks[phase], &loop->next[phase]);
}
static inline bool is_busy(void) {
    for (int phase = 0; phase < LOOP_PHASES; phase++)
        if (!list_is_empty(&world_loop.tasks[phase])) return true;
    return false;
}
/* Turns until nothing is left to do at this time. */
static inline void settle(void) {
    for (int i = 0; is_busy(); i++) {
        CHECK(i < 100000);
        turn();
    }
}
static inline void advance(double seconds) {
    struct loop *loop = &world_loop;
    uint64_t until = loop->now + (uint64_t)(seconds * (double)NS_PER_S + 0.5);
    settle();
    for (;;) {
        struct timer *first = NULL;
        for (uint32_t i = 0; i < loop->timer_count; i++)
            if (!first || loop->timers[i]->due < first->due) first = loop->timers[i];
        if (!first || first->due > until) break;
        if (first->due > loop->now) loop->now = first->due;
        timer_stop(loop, first);
        first->fire(first);
        settle();
    }
    loop->now = until;
    settle();
}

/* ---- mailboxes: one worker has none to write to ---- */

struct mailbox *mailbox_new(struct loop *loop, void *receiver, size_t most_mail, size_t most_weight) {
    (void)loop, (void)receiver, (void)most_mail, (void)most_weight;
    return NULL;
}
void mailbox_free(struct mailbox **mailbox) { *mailbox = NULL; }
bool mailbox_post(struct mailbox *mailbox, struct mail *mail) { return (void)mailbox, (void)mail, false; }
bool mailbox_post_quietly(struct mailbox *mailbox, struct mail *mail) { return (void)mailbox, (void)mail, false; }
void mailbox_ring(struct mailbox *mailbox) { (void)mailbox; }
void mailbox_post_always(struct mailbox *mailbox, struct mail *mail) { (void)mailbox, (void)mail; }

/* ---- calls ---- */

enum { MOST_MESSAGES = 100000 };

struct test_call {
    struct call call;
    struct call_route route;
    struct message **in, **out; /* in: from in_taken on; out: all that were sent */
    size_t in_count, in_taken, out_count, out_read;
    size_t room; /* messages that may be queued */
    bool is_half_closed, was_full, is_finished, is_reset, is_closed, has_headers, is_draining, knows_empty;
    bool keeps_open; /* the wire takes its time: on_close comes by close_now() */
    bool is_upstream, has_sent_end;
    struct message *lent; /* the only copy of what call_receive_frame() has given: gone when the handler returns */
    struct buffer open;
    bool is_open_message;
    enum status status;
    char *text, *details;
    size_t details_length;
    struct metadata headers, trailers, metadata;
    struct task task;
    uint32_t reset_error;
    uint64_t *calls;
};

static inline struct test_call *of(const struct call *call) { return container_of(call, struct test_call, call); }

enum call_next call_receive(struct call *base, struct call_message *message) {
    struct test_call *call = of(base);
    CHECK(!call->is_open_message && !call->is_closed);
    if (call->in_taken < call->in_count) {
        struct message *m = call->in[call->in_taken++];
        *message = (struct call_message){.data = m->data, .length = m->length, .owner = m};
        return CALL_MESSAGE;
    }
    if (call->is_half_closed) return CALL_END;
    call->knows_empty = true;
    return CALL_EMPTY;
}
bool call_has_half_closed(const struct call *call) { return of(call)->is_half_closed; }
bool call_has_been_read(const struct call *call) { return of(call)->is_half_closed && of(call)->in_taken == of(call)->in_count; }
void call_send_headers(struct call *call) { of(call)->has_headers = true; }
bool call_headers_are_sent(const struct call *call) { return of(call)->has_headers; }
struct metadata *call_headers(struct call *call) { return &of(call)->headers; }
struct metadata *call_trailers(struct call *call) { return &of(call)->trailers; }
bool call_is_open(const struct call *call) { return !of(call)->is_finished && !of(call)->is_reset && !of(call)->is_closed; }
static void ask_source(struct call *call) {
    if (call->source) call->source->give(call->source);
}
bool call_send(struct call *base, struct message *message) {
    struct test_call *call = of(base);
    ask_source(base);
    CHECK(!call->is_open_message && !call->is_closed);
    if (!call_is_open(base)) return false;
    call->has_headers = true;
    CHECK(call->out_count < MOST_MESSAGES);
    call->out[call->out_count++] = message_ref(message);
    return true;
}
struct buffer *call_begin_message(struct call *base) {
    struct test_call *call = of(base);
    ask_source(base);
    CHECK(!call->is_open_message && !call->is_closed);
    if (!call_is_open(base)) return NULL;
    call->is_open_message = true;
    buffer_clear(&call->open);
    return &call->open;
}
void call_end_message(struct call *base) {
    struct test_call *call = of(base);
    CHECK(call->is_open_message);
    call->is_open_message = false;
    struct message *message = message_copy(buffer_bytes(&call->open), buffer_length(&call->open));
    CHECK(call_send(base, message));
    message_unref(&message);
}
void call_abandon_message(struct call *call) {
    CHECK(of(call)->is_open_message);
    of(call)->is_open_message = false;
}
struct account *account_ref(struct account *account) { return account; }
void account_unref(struct account **account) { *account = NULL; }
struct account *call_account(const struct call *call) {
    (void)call;
    return NULL; /* the upstream's own */
}
bool call_is_full(struct call *base) {
    struct test_call *call = of(base);
    CHECK(!call->is_open_message);
    return call->was_full = call->out_count - call->out_read >= call->room;
}
bool call_send_run(struct call *base, struct message *run, size_t from, size_t to, uint32_t count) {
    if (!call_is_open(base) || of(base)->out_count - of(base)->out_read + count > of(base)->room) return false;
    const uint8_t *at = run->data + from;
    CHECK(to <= run->length);
    for (; count; count--) {
        size_t length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
        struct message *message = message_copy(at + MESSAGE_PREFIX, length);
        call_send(base, message);
        message_unref(&message);
        at += MESSAGE_PREFIX + length;
    }
    return true;
}
bool call_takes_runs(const struct call *call) { return of(call) != NULL; }
void call_flush(struct call *call) { (void)call; }
void call_approach(const struct call *call, int step) { (void)call, (void)step; }
bool call_shares_connection(const struct call *call, const struct call *other) { return call == other; }
void call_pending(struct call *call, size_t *messages, size_t *bytes) {
    ask_source(call);
    *messages = of(call)->out_count - of(call)->out_read;
    *bytes = 10 * *messages;
}
static void test_call_over(struct test_call *call, enum status status, const char *text) {
    if (call->is_closed) return;
    call->status = status;
    char *copy = memory_copy_string(text ? text : "");
    free(call->text);
    call->text = copy;
    call->call.handler->on_close(&call->call, status, call->text);
    call->is_closed = true;
    if (call->calls) --*call->calls;
}
static void test_call_task(struct task *task) {
    struct test_call *call = container_of(task, struct test_call, task);
    if (!call->keeps_open) test_call_over(call, call->status, call->text);
}
void call_finish(struct call *base, enum status status, const char *text, const void *details, size_t details_length) {
    struct test_call *call = of(base);
    CHECK(!call->is_open_message && !call->is_closed);
    ask_source(base);
    if (!call_is_open(base)) return;
    call->is_finished = true;
    call->status = status;
    call->text = memory_copy_string(text ? text : "");
    if (details) call->details = memory_copy(details, call->details_length = details_length);
    loop_defer(&world_loop, LOOP_RUN, &call->task);
}
void call_reset(struct call *base, uint32_t http_error) {
    struct test_call *call = of(base);
    CHECK(!call->is_open_message && !call->is_closed);
    call->is_reset = true;
    call->reset_error = http_error;
    call->status = STATUS_CANCELLED;
    loop_defer(&world_loop, LOOP_RUN, &call->task);
}
void call_half_close(struct call *call) {
    ask_source(call);
    of(call)->has_sent_end = true;
}
void call_move(struct call *call, const struct method *method) { call->method = method; }
bool call_send_bytes(struct call *call, const void *data, size_t length) {
    struct message *message = message_copy(data, length);
    bool is_sent = call_send(call, message);
    message_unref(&message);
    return is_sent;
}
const struct metadata *call_peer_trailers(const struct call *call) { return &of(call)->trailers; }

/* ---- upstreams: each of their calls is one in memory, too ---- */

/* Borrowed, so that a handler that does not keep what it needs is seen. */
enum call_next call_receive_frame(struct call *base, struct call_frame *frame) {
    struct test_call *call = of(base);
    struct call_message message = {0};
    enum call_next next = call_receive(base, &message);
    message_unref(&call->lent);
    if (next == CALL_MESSAGE) call->lent = message_copy(message.data, message.length);
    if (call->lent) *frame = (struct call_frame){call->lent->data, call->lent->length, NULL, false};
    return next;
}
struct message *call_inflate(struct call *call, const struct call_frame *frame) { return (void)call, (void)frame, NULL; }
bool call_peer_compresses(const struct call *call) { return (void)call, false; }
bool call_compress(struct call *call, bool is_on) {
    (void)call;
    return is_on;
}
bool call_send_frame(struct call *call, const struct call_frame *frame) {
    return call_send_bytes(call, frame->data, frame->length);
}
struct upstream *upstream_set_find(const struct upstream_set *set, const char *name) { return (void)set, (void)name, NULL; }
struct upstream *upstream_ref(struct upstream *upstream) { return upstream; }
void upstream_unref(struct upstream **upstream) { *upstream = NULL; }
static struct test_call *add_call(const struct method *method, const struct call_handler *handler, void *data);
struct call *upstream_open(struct upstream *upstream, const struct upstream_request *request) {
    (void)upstream;
    struct test_call *call = add_call(request->call.method, request->call.handler, request->call.data);
    call->is_upstream = call->knows_empty = true;
    return &call->call;
}
void upstream_counts(const struct upstream *upstream, struct upstream_counts *counts) { (void)upstream, (void)counts; }
void upstream_each_target(const struct upstream *upstream,
                          void (*visit)(void *context, const struct upstream_target_counts *counts), void *context) {
    (void)upstream, (void)visit, (void)context;
}
void peer_counts(const struct upstream *upstream, struct peer_counts *counts) { (void)upstream, (void)counts; }
const char *call_peer(const struct call *call) { return (void)call, "127.0.0.1:4711"; }
const char *call_node(const struct call *call) { return (void)call, NULL; }
const char *call_protocol(const struct call *call) { return (void)call, "grpc"; }
enum status call_malformed_status(const struct call *call) { return (void)call, STATUS_INTERNAL; }
const struct tls_info *call_tls(const struct call *call) { return (void)call, NULL; }
bool call_is_draining(const struct call *call) { return of(call)->is_draining; }

/* ---- the world ---- */

struct router {
    struct call_route routes[64];
    size_t count;
};
void pass_add_rest(struct router *router, const struct config_service *service, const struct upstream_set *set) {
    (void)router, (void)service, (void)set;
}
void router_add(struct router *router, const struct method *method, const struct call_handler *handler, void *data,
                const struct call_limits *limits) {
    CHECK(router->count < 64);
    router->routes[router->count++] =
        (struct call_route){.method = method, .handler = handler, .data = data, .limits = *limits};
}

struct version { /* a generation and what holds it */
    struct generation *generation;
    struct config config;
    struct config_service services[8];
    struct schema *schema;
    struct dict_set *dicts;
    struct router router;
    bool is_gone;
};

static struct {
    struct script *script;
    struct topic_registry *registry;
    struct rate_registry *rates;
    struct topics *topics;
    char folder[64];
    struct version *version; /* in force */
    struct version *versions[256];
    uint32_t version_count;
    struct test_call *calls[4096];
    size_t call_count;
    bool is_jit;
    uint64_t handler_time, handler_memory;
    int health;
} world;

static inline void write_file(const char *name, const char *text) {
    char *path = memory_format("%s/%s", world.folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs(text, file);
    fclose(file);
    free(path);
}
static void world_set_health(void *context, const char *service, bool is_serving) {
    (void)context, (void)service;
    world.health = is_serving ? 1 : -1;
}
static inline void open_world(void) {
    bool is_jit = world.is_jit;
    memset(&world, 0, sizeof world);
    world.is_jit = is_jit;
    world.handler_time = NS_PER_S;
    world.handler_memory = 256 << 20;
    memset(&world_loop, 0, sizeof world_loop);
    for (int i = 0; i < LOOP_PHASES; i++) list_init(&world_loop.tasks[i]), list_init(&world_loop.next[i]);
    world_loop.now = clock_monotonic();
    strcpy(world.folder, "/tmp/tidewire-test-XXXXXX");
    CHECK(mkdtemp(world.folder));
    char *lib = memory_format("%s/lib", world.folder);
    mkdir(lib, 0700);
    free(lib);
    world.registry = topic_registry_new(1, 1000);
    world.topics = topics_new(world.registry, 0, &world_loop);
    world.rates = rate_registry_new();
    world.script = script_new(&(struct script_host){.loop = &world_loop,
                                                    .topics = world.topics,
                                                    .rates = world.rates,
                                                    .worker_count = 1,
                                                    .lua_path = "lua",
                                                    .set_health = world_set_health});
    world_loop.now = clock_monotonic(); /* after the origin of the process's ticks */
    forget_log();
}
static void world_gone(void *context) { ((struct version *)context)->is_gone = true; }
static inline void add_service(struct version *version, const char *name, const char *file) {
    char *path = memory_format("%s/%s", world.folder, file);
    version->services[version->config.service_count++] = (struct config_service){
        .name = memory_copy_string(name), .script = path, .script_name = memory_copy_string(file),
        .is_jit = world.is_jit, .limits = version->config.limits, .file = "tidewire.conf", .line = 7};
}
static inline struct version *new_version(void) {
    static char proto_path[] = "proto", *paths[] = {proto_path, NULL};
    static char a[] = "greet.proto", b[] = "tutorial.proto", c[] = "chat.proto", d[] = "logger.proto";
    static char *files[] = {a, b, c, d, NULL};
    static struct schema *schema;
    struct error error;
    if (!schema) schema = schema_load(paths, files, &error);
    struct version *version = memory_new(sizeof *version);
    version->schema = schema;
    version->config.script_path = world.folder;
    version->config.limits.handler_time = world.handler_time;
    version->config.limits.handler_memory = world.handler_memory;
    version->config.limits.list_elements = 1000;
    version->config.services = version->services;
    world.versions[world.version_count++] = version;
    return version;
}
/* Loads the script for all services; NULL and the error text when it is at fault. */
static inline struct version *load_script(const char *text, struct error *error) {
    struct version *version = new_version();
    write_file("main.lua", text);
    add_service(version, "greet.GreetService", "main.lua");
    add_service(version, "tutorial.NumberService", "main.lua");
    add_service(version, "chat.ChatService", "main.lua");
    add_service(version, "logger.Logger", "main.lua");
    version->generation = generation_load(world.script, &version->config, version->schema, version->dicts,
                                          world.version_count, world_gone, version, error);
    if (!version->generation) return NULL;
    generation_add_routes(version->generation, &version->router);
    return version;
}
static inline struct version *put_in_force(struct version *version, const struct error *error) {
    struct version *before = world.version;
    if (!version) fprintf(stderr, "%s\n", error->text);
    CHECK(version);
    generation_start(version->generation);
    generation_begin(version->generation);
    world.version = version;
    if (before) generation_release(before->generation);
    settle();
    return version;
}
/* Loads it and puts it in force. */
static inline struct version *run_script(const char *text) {
    struct error error;
    return put_in_force(load_script(text, &error), &error);
}
static inline const char *load_error(const char *text) {
    static struct error error;
    CHECK(!load_script(text, &error));
    return error.text;
}
static inline void free_calls(void) {
    for (size_t i = 0; i < world.call_count; i++) {
        struct test_call *call = world.calls[i];
        test_call_over(call, STATUS_CANCELLED, "the end");
        settle();
        message_unref(&call->lent);
        for (size_t m = 0; m < call->in_count; m++) message_unref(&call->in[m]);
        for (size_t m = 0; m < call->out_count; m++) message_unref(&call->out[m]);
        task_cancel(&call->task);
        metadata_clear(&call->headers);
        metadata_clear(&call->trailers);
        metadata_clear(&call->metadata);
        buffer_free(&call->open);
        free(call->in), free(call->out), free(call->text), free(call->details);
        free(call);
    }
    world.call_count = 0;
}
static inline void close_world(void) {
    free_calls();
    if (world.version) {
        generation_retire(world.version->generation);
        generation_release(world.version->generation);
    }
    settle();
    if (world.version) CHECK(world.version->is_gone);
    script_free(&world.script);
    topics_free(&world.topics);
    topic_registry_free(&world.registry);
    rate_registry_free(&world.rates);
    CHECK_INT(world_loop.timer_count, 0);
    for (uint32_t i = 0; i < world.version_count; i++) {
        struct version *version = world.versions[i];
        for (size_t s = 0; s < version->config.service_count; s++)
            free(version->services[s].name), free(version->services[s].script), free(version->services[s].script_name);
        free(version);
    }
    char *command = memory_format("rm -r %s", world.folder);
    CHECK(system(command) == 0);
    free(command);
    world.version = NULL;
    buffer_free(&world_log);
}

static struct test_call *add_call(const struct method *method, const struct call_handler *handler, void *data) {
    struct test_call *call = memory_new(sizeof *call);
    call->in = memory_new(MOST_MESSAGES * sizeof *call->in);
    call->out = memory_new(MOST_MESSAGES * sizeof *call->out);
    call->room = MOST_MESSAGES;
    task_init(&call->task, test_call_task);
    call->call.method = method;
    call->call.handler = handler;
    call->call.data = data;
    call->call.metadata = &call->metadata;
    call->call.log = (struct log_scope){.stream = world.call_count + 1, .method = method->full_name};
    CHECK(world.call_count < 4096);
    world.calls[world.call_count++] = call;
    return call;
}
/* A call of that method, not yet given to its handler: for metadata, or requests that come first. */
static inline struct test_call *new_call(const char *full_name) {
    struct router *router = &world.version->router;
    struct call_route *route = NULL;
    for (size_t i = 0; i < router->count; i++)
        if (strcmp(router->routes[i].method->full_name, full_name) == 0) route = &router->routes[i];
    if (!route) fprintf(stderr, "no route to %s\n", full_name);
    CHECK(route);
    return add_call(route->method, route->handler, route->data);
}
static inline void begin(struct test_call *call) {
    call->call.handler->on_open(&call->call);
    message_unref(&call->lent);
    settle();
}
static inline struct test_call *open_call(const char *full_name) {
    struct test_call *call = new_call(full_name);
    begin(call);
    return call;
}
static inline void tell_readable(struct test_call *call) {
    if (call->is_closed || !call->knows_empty) return;
    call->knows_empty = false;
    call->call.handler->on_readable(&call->call);
    message_unref(&call->lent);
}
static inline void put_bytes(struct test_call *call, const void *bytes, size_t length) {
    CHECK(call->in_count < MOST_MESSAGES);
    call->in[call->in_count++] = message_copy(bytes, length);
}
static inline void put_number(struct test_call *call, uint64_t number) {
    uint8_t bytes[11] = {0x08};
    put_bytes(call, bytes, (size_t)(wire_put_varint(bytes + 1, number) - bytes));
}
static inline void put_text(struct test_call *call, int field, const char *text) {
    struct buffer buffer = {0};
    wire_write_tag(&buffer, (uint32_t)field, WIRE_BYTES);
    wire_write_bytes(&buffer, text, strlen(text));
    put_bytes(call, buffer_bytes(&buffer), buffer_length(&buffer));
    buffer_free(&buffer);
}
/* As put_, and the handler sees it. */
static inline void say_number(struct test_call *call, uint64_t number) {
    put_number(call, number);
    tell_readable(call);
    settle();
}
static inline void say_text(struct test_call *call, int field, const char *text) {
    put_text(call, field, text);
    tell_readable(call);
    settle();
}
static inline void half_close(struct test_call *call) {
    call->is_half_closed = true;
    tell_readable(call);
    settle();
}
static inline void cancel_call(struct test_call *call) {
    test_call_over(call, STATUS_CANCELLED, "cancelled");
    settle();
}
/* The wire has taken `count` of the queued messages. */
static inline void peer_reads(struct test_call *call, size_t count) {
    call->out_read += count;
    CHECK(call->out_read <= call->out_count);
    if (call->was_full && !call->is_closed && call->out_count - call->out_read < call->room) {
        call->was_full = false;
        call->call.handler->on_writable(&call->call);
    }
    settle();
}
/* One request, whole, and its reply. */
static inline struct test_call *unary(const char *full_name, const char *name) {
    struct test_call *call = new_call(full_name);
    put_text(call, 1, name);
    call->is_half_closed = true;
    begin(call);
    return call;
}

/* What was sent, as numbers and texts of its first field, joined by commas. */
static inline const char *sent(const struct test_call *call) {
    static struct buffer text;
    buffer_clear(&text);
    for (size_t i = 0; i < call->out_count; i++) {
        const struct message *message = call->out[i];
        const uint8_t *at = message->data, *end = at + message->length;
        uint32_t number = 0;
        unsigned type = 0;
        uint64_t value = 0;
        if (i) buffer_append_byte(&text, ',');
        if (at < end) at = wire_read_tag(at, end, &number, &type);
        if (type == WIRE_BYTES) {
            size_t length = 0;
            at = wire_read_length(at, end, &length);
            buffer_append(&text, at, length);
        } else {
            if (number) wire_read_varint(at, end, &value);
            buffer_format(&text, "%lld", (long long)(int32_t)value);
        }
    }
    buffer_append_byte(&text, 0);
    return (const char *)buffer_bytes(&text);
}
static inline const char *status_of(const struct test_call *call) {
    if (!call->is_closed && !call->is_finished && !call->is_reset) return "open";
    return status_name(call->status);
}
#define NUMBERS "tutorial.NumberService/AccumulateNumbers"
#define CHAT "chat.ChatService/Chat"
#define GREET "greet.GreetService/Greet"
#define GREET_STREAM "greet.GreetService/GreetStream"
#define GREET_CLIENT "greet.GreetService/GreetClientStream"
#define GREET_SERVER "greet.GreetService/GreetServerStream"
#endif
