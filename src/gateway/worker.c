/* gateway/worker.c - see worker.h */
#include "gateway/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/health.h"
#include "admin/reflection.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "fanout/topic.h"
#include "gateway/metrics.h"
#include "gateway/routes.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "script/script.h"
#include "upstream/pass.h"
#include "upstream/peer.h"
#include "upstream/upstream.h"

enum { STREAM_WINDOW = 65535, CONNECTION_WINDOW = 1 << 20 };
#define LOOK_INTERVAL (10 * NS_PER_MS) /* how often a draining worker looks whether it is empty */

/* A worker's side of a revision: its scripts, and the routes that lead to them. */
struct worker_generation {
    struct worker *worker;
    struct revision *revision;
    struct upstream_set *upstreams;
    struct generation *scripts;
    struct router *router;
};

struct worker {
    struct worker_options options;
    pthread_t thread;
    struct loop *loop;
    struct mailbox *mailbox;
    struct rpc *rpc;
    struct upstreams *upstreams;
    struct topics *topics;
    struct health_worker *health;
    struct script *script;
    struct worker_generation *in_force, *prepared;
    atomic_uint connections; /* the main thread adds, the worker takes away */
    bool is_stopping;
    bool is_idle, is_empty; /* draining: not counted as serving, as busy */
    struct timer look;
    uint64_t ends_at; /* monotonic ns, whoever is still connected then; 0: nobody is sent away yet */
};

struct rpc_limits worker_rpc_limits(const struct config *config, uint32_t workers) {
    const struct config_limits *limits = &config->limits;
    return (struct rpc_limits){
        .http = {.headers = limits->headers,
                 .streams = (uint32_t)limits->streams_per_connection,
                 .stream_window = STREAM_WINDOW,
                 .connection_window = CONNECTION_WINDOW,
                 .idle = limits->idle,
                 .keepalive_interval = config->keepalive.interval,
                 .keepalive_timeout = config->keepalive.timeout,
                 .least_ping_interval = config->keepalive.least_interval,
                 .pings_without_streams = config->keepalive.without_streams,
                 .settings_timeout = 10 * NS_PER_S,
                 .write_timeout = 60 * NS_PER_S,
                 .stalled = limits->stalled},
        .buffered_per_connection = limits->buffered_per_connection,
        .buffered_total = limits->buffered_total / workers,
        .stalled = limits->stalled,
    };
}

/* ---- generations ---- */

static void generation_gone(void *context) {
    struct worker_generation *generation = context;
    router_free(&generation->router);
    upstream_set_free(&generation->upstreams);
    revision_unref(&generation->revision);
    free(generation);
}

static void router_idle(void *context) {
    struct worker_generation *generation = context;
    generation_release(generation->scripts);
}

static void add_limits(struct router *router, const struct revision *revision) {
    const struct config *config = revision->config;
    router_set_limits(router, revision->limits);
    for (size_t i = 0; i < config->listener_count; i++)
        router_add_listener(router, config->listeners[i].address, config->listeners[i].named);
}

/* Takes the reference over. NULL and an error text when a script or a certificate is at fault. */
static struct worker_generation *load(struct worker *worker, struct revision *revision, struct error *error) {
    struct worker_generation *generation = memory_new(sizeof *generation);
    generation->worker = worker;
    generation->revision = revision;
    generation->router = router_new(revision->number, router_idle, generation);
    add_limits(generation->router, revision);
    router_set_tallies(generation->router, worker->options.books->methods, worker->options.index);
    generation->upstreams = upstream_set_new(worker->upstreams, revision->config, error);
    if (generation->upstreams)
        generation->scripts = generation_load(worker->script, revision->config, revision->schema, revision->dicts,
                                              revision->number, generation_gone, generation, error);
    if (!generation->scripts) {
        generation_gone(generation);
        return NULL;
    }
    generation_set_upstreams(generation->scripts, generation->upstreams);
    router_set_schema(generation->router, revision->schema);
    routes_add(generation->router, revision->config, revision->schema);
    router_set_pages(generation->router, revision->pages);
    pass_add_routes(generation->router, revision->config, generation->upstreams);
    generation_add_routes(generation->scripts, generation->router);
    peer_add_routes(generation->router, generation->upstreams);
    if (revision->config->health) health_add_routes(worker->health, generation->router);
    if (revision->config->reflection) reflection_add_routes(generation->router, revision->schema);
    return generation;
}

static void retire(struct worker_generation *generation) {
    generation_retire(generation->scripts);
    router_retire(generation->router);
}

/* ---- reports to the main thread ---- */

struct report {
    struct mail mail;
    struct worker *worker;
    void (*tell)(struct report *report);
    bool is_fault;
    struct error fault;
    struct worker_figures figures;
};

static void report_deliver(struct mail *mail, void *receiver, bool is_dropped) {
    (void)receiver;
    struct report *report = container_of(mail, struct report, mail);
    if (!is_dropped) report->tell(report);
    free(report);
}

static struct report *report_new(struct worker *worker, void (*tell)(struct report *report)) {
    struct report *report = memory_new(sizeof *report);
    report->mail.deliver = report_deliver;
    report->worker = worker;
    report->tell = tell;
    return report;
}

static void report_send(struct report *report) {
    mailbox_post_always(report->worker->options.reports, &report->mail);
}

static void tell_prepared(struct report *report) {
    const struct worker_options *options = &report->worker->options;
    options->on_prepared(options->context, report->worker, report->is_fault ? &report->fault : NULL);
}

static void tell_committed(struct report *report) {
    const struct worker_options *options = &report->worker->options;
    options->on_committed(options->context, report->worker);
}

static void tell_settled(struct report *report) {
    const struct worker_options *options = &report->worker->options;
    options->on_settled(options->context, report->worker, &report->figures);
}

static void tell_stopped(struct report *report) {
    const struct worker_options *options = &report->worker->options;
    options->on_stopped(options->context, report->worker);
}

/* ---- orders from the main thread ---- */

struct order {
    struct mail mail;
    struct worker *worker;
    void (*act)(struct worker *worker, struct order *order);
    struct revision *revision;
    struct rpc_accepted accepted;
    struct config_upstream *peer; /* whose calls come by the descriptor */
    bool is_arrival;
    uint64_t grace;
};

static void order_deliver(struct mail *mail, void *receiver, bool is_dropped) {
    struct order *order = container_of(mail, struct order, mail);
    if (!is_dropped) {
        order->act(receiver, order);
    } else { /* the thread has ended: what the order carries goes unused */
        rpc_turn_away(&order->accepted);
        config_upstream_unref(&order->peer);
        revision_unref(&order->revision);
    }
    free(order);
}

static struct order *order_new(void (*act)(struct worker *worker, struct order *order)) {
    struct order *order = memory_new(sizeof *order);
    order->mail.deliver = order_deliver;
    order->act = act;
    order->accepted.fd = -1;
    return order;
}

static void order_send(struct worker *worker, struct order *order) {
    mailbox_post_always(worker->mailbox, &order->mail);
}

static void act_prepare(struct worker *worker, struct order *order) {
    struct report *report = report_new(worker, tell_prepared);
    worker->prepared = load(worker, order->revision, &report->fault);
    report->is_fault = !worker->prepared;
    report_send(report);
}

static void measured(void *context, uint64_t bytes) {
    struct worker *worker = context;
    if (!worker->in_force) return; /* it stops */
    struct report *report = report_new(worker, tell_settled);
    report->figures = (struct worker_figures){.generation = worker->in_force->revision->number,
                                              .heap_bytes = bytes,
                                              .streams = rpc_counters(worker->rpc)->calls};
    report_send(report);
}

static void act_commit(struct worker *worker, struct order *order) {
    (void)order;
    struct worker_generation *before = worker->in_force, *now = worker->prepared;
    worker->prepared = NULL;
    worker->in_force = now;
    struct rpc_limits limits = worker_rpc_limits(now->revision->config, worker->options.count);
    rpc_set_limits(worker->rpc, &limits);
    rpc_set_router(worker->rpc, now->router);
    upstream_set_start(now->upstreams);
    generation_start(now->scripts); /* retires the scripts before it */
    if (before) router_retire(before->router);
    script_measure(worker->script, measured, worker);
    report_send(report_new(worker, tell_committed));
}

static void act_begin(struct worker *worker, struct order *order) {
    (void)order;
    if (worker->in_force) generation_begin(worker->in_force->scripts); /* else it stops */
}

static void act_discard(struct worker *worker, struct order *order) {
    (void)order;
    struct worker_generation *prepared = worker->prepared;
    worker->prepared = NULL;
    if (prepared) retire(prepared);
}

static void connection_gone(void *context) {
    struct worker *worker = context;
    atomic_fetch_sub(&worker->connections, 1);
}

static void act_accept(struct worker *worker, struct order *order) {
    order->accepted.on_gone = connection_gone;
    order->accepted.context = worker;
    rpc_accept(worker->rpc, &order->accepted);
}

static void act_join(struct worker *worker, struct order *order) {
    upstreams_accept(worker->upstreams, order->accepted.fd, order->peer, order->is_arrival);
}

/* In the thread of another worker, or this one. */
static void join(void *context, uint32_t index, int fd, struct config_upstream *peer, bool is_arrival) {
    const struct worker *from = context;
    struct order *order = order_new(act_join);
    order->accepted.fd = fd;
    order->peer = peer;
    order->is_arrival = is_arrival;
    order_send(from->options.workers[index], order);
}

/* Nobody is served any more: what scripts have opened for themselves would keep its connections for ever. */
static void end_own_streams(struct worker *worker) {
    if (worker->in_force) retire(worker->in_force);
    worker->in_force = NULL;
}

static void stop(struct worker *worker) {
    if (worker->is_stopping) return;
    worker->is_stopping = true;
    if (worker->prepared) act_discard(worker, NULL);
    end_own_streams(worker);
    loop_stop(worker->loop);
}

static void count_out(atomic_uint *counter, bool *was_out, bool is_out) {
    if (is_out && !*was_out) atomic_fetch_sub(counter, 1);
    if (!is_out && *was_out) atomic_fetch_add(counter, 1);
    *was_out = is_out;
}

static void look_whether_empty(struct timer *timer) {
    struct worker *worker = container_of(timer, struct worker, look);
    uint64_t now = loop_now(worker->loop);
    struct worker_census *census = worker->options.census;
    bool is_idle = atomic_load(&worker->connections) == 0;
    bool is_empty = is_idle && rpc_counters(worker->rpc)->connections == 0;
    count_out(&census->serving, &worker->is_idle, is_idle);
    if (atomic_load(&census->serving) == 0) end_own_streams(worker);
    count_out(&census->busy, &worker->is_empty, is_empty);
    if (atomic_load(&census->busy) == 0 || (worker->ends_at && now >= worker->ends_at))
        stop(worker);
    else
        timer_start(worker->loop, timer, now + LOOK_INTERVAL);
}

static void act_drain(struct worker *worker, struct order *order) {
    (void)order;
    rpc_drain(worker->rpc);
    upstreams_drain(worker->upstreams);
    timer_start(worker->loop, &worker->look, loop_now(worker->loop));
}

/* A connection that was cut may still linger, for a peer that takes none of its last bytes. */
static void act_end_all(struct worker *worker, struct order *order) {
    worker->ends_at = loop_now(worker->loop) + 2 * order->grace;
    rpc_end_all(worker->rpc, "the server is shutting down", order->grace);
}

static void act_abort(struct worker *worker, struct order *order) {
    (void)order;
    rpc_abort_all(worker->rpc);
    stop(worker);
}

void worker_prepare(struct worker *worker, struct revision *revision) {
    struct order *order = order_new(act_prepare);
    order->revision = revision_ref(revision);
    order_send(worker, order);
}

void worker_commit(struct worker *worker) { order_send(worker, order_new(act_commit)); }
void worker_begin(struct worker *worker) { order_send(worker, order_new(act_begin)); }
void worker_discard(struct worker *worker) { order_send(worker, order_new(act_discard)); }
void worker_drain(struct worker *worker) { order_send(worker, order_new(act_drain)); }
void worker_abort(struct worker *worker) { order_send(worker, order_new(act_abort)); }

void worker_end_all(struct worker *worker, uint64_t grace) {
    struct order *order = order_new(act_end_all);
    order->grace = grace;
    order_send(worker, order);
}

void worker_accept(struct worker *worker, const struct rpc_accepted *accepted) {
    struct order *order = order_new(act_accept);
    order->accepted = *accepted;
    atomic_fetch_add(&worker->connections, 1);
    order_send(worker, order);
}

uint32_t worker_connections(const struct worker *worker) { return atomic_load(&worker->connections); }
const struct rpc_counters *worker_counters(const struct worker *worker) { return rpc_counters(worker->rpc); }

/* ---- the thread ---- */

static void set_health(void *context, const char *service, bool is_serving) {
    health_set(context, service, is_serving);
}

static void *run(void *context) {
    struct worker *worker = context;
    worker->script = script_new(&(struct script_host){
        .loop = worker->loop,
        .rpc = worker->rpc,
        .topics = worker->topics,
        .rates = worker->options.rates,
        .figures = script_figures_of(worker->options.books->scripts, worker->options.index),
        .worker = worker->options.index,
        .worker_count = worker->options.count,
        .lua_path = worker->options.lua_path,
        .set_health = set_health,
        .context = worker->options.health,
    });
    loop_run(worker->loop);
    rpc_settle(worker->rpc);
    script_stop(worker->script);
    log_flush();
    report_send(report_new(worker, tell_stopped));
    return NULL;
}

/* Lua ends a recursion at 65 thousand slots, but string.gsub and load take 8 KiB of this stack at each level
 * of it: there must be room for all of them. Memory is taken only for what is used. */
#define STACK_SIZE ((size_t)128 << 20)

static bool start_thread(struct worker *worker, struct error *error) {
    /* Signals of the process belong to the main thread. */
    sigset_t blocked, before;
    sigemptyset(&blocked);
    const int ours[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) sigaddset(&blocked, ours[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int fault = pthread_create(&worker->thread, &attributes, run, worker);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !fault || error_set(error, "worker %u has no thread: %s", (unsigned)worker->options.index, strerror(fault));
}

static void free_worker(struct worker *worker) {
    timer_stop(worker->loop, &worker->look);
    upstreams_stop(worker->upstreams);
    rpc_free(&worker->rpc);
    script_free(&worker->script);
    upstreams_free(&worker->upstreams);
    health_worker_free(&worker->health);
    topics_free(&worker->topics);
    mailbox_free(&worker->mailbox);
    loop_free(&worker->loop);
    free(worker);
}

struct worker *worker_start(const struct worker_options *options, struct error *error) {
    struct worker *worker = memory_new(sizeof *worker);
    struct rpc_limits limits = worker_rpc_limits(options->config, options->count);
    worker->options = *options;
    worker->options.config = NULL;
    worker->loop = loop_new();
    worker->mailbox = mailbox_new(worker->loop, worker, SIZE_MAX, SIZE_MAX);
    worker->rpc = rpc_new(worker->loop, &limits);
    rpc_set_tallies(worker->rpc, options->books->methods, options->index);
    worker->upstreams = upstreams_new(worker->rpc);
    upstreams_set_host(worker->upstreams, &(struct upstreams_host){.registry = options->peers,
                                                                   .figures = options->books->upstreams,
                                                                   .worker = options->index,
                                                                   .worker_count = options->count,
                                                                   .connect = join,
                                                                   .context = worker});
    worker->topics = topics_new(options->topics, options->index, worker->loop);
    worker->health = health_worker_new(options->health, worker->loop);
    timer_init(&worker->look, look_whether_empty);
    if (start_thread(worker, error)) return worker;
    free_worker(worker);
    return NULL;
}

uint64_t worker_join(struct worker **handle) {
    struct worker *worker = *handle;
    *handle = NULL;
    pthread_join(worker->thread, NULL);
    uint64_t calls = rpc_counters(worker->rpc)->calls;
    free_worker(worker);
    return calls;
}
