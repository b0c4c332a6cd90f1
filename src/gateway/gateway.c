/* gateway/gateway.c - see gateway.h. The main thread's loop: signals, accepted sockets, reports of the workers.
 *
 *   STARTING → SERVING ⇄ RELOADING → DRAINING → STOPPING
 *
 * A start is a reload with nothing in force. */
#include "gateway/gateway.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/health.h"
#include "base/clock.h"
#include "base/figures.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/bus.h"
#include "fanout/rate.h"
#include "fanout/topic.h"
#include "gateway/entrance.h"
#include "gateway/lookout.h"
#include "gateway/metrics.h"
#include "gateway/paths.h"
#include "gateway/reading.h"
#include "gateway/revision.h"
#include "gateway/thrift.h"
#include "gateway/worker.h"
#include "limit/report.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "upstream/peer.h"

#define GRACE NS_PER_S /* for trailers to leave after the drain's time is up */

enum state {
    STARTING,  /* nothing in force; the first revision is being loaded by the workers */
    SERVING,   /* one revision in force */
    RELOADING, /* a second one is being loaded */
    DRAINING,  /* no listener; workers finish what is open */
    STOPPING,  /* workers cut what is open */
};

struct gateway {
    const char *config_file;
    enum state state;
    struct loop *loop;
    struct mailbox *reports;
    struct entrance *entrance;
    struct lookout *lookout;
    struct figures *doors; /* what has come by them */
    struct metrics_books books;
    struct gateway_figures told; /* to who watches */
    struct health *health;
    struct topic_registry *topics;
    struct rate_registry *rates;
    struct bus *bus; /* NULL: no config has named one yet */
    struct peer_registry *peers;
    struct worker **workers;
    uint32_t worker_count, running; /* threads that have not stopped */
    uint32_t awaited;               /* workers that have not answered for the revision that is being prepared */
    uint32_t committed;             /* workers that serve the last revision that was taken */
    uint32_t settled;               /* workers that have told their figures since the last revision was taken */
    struct worker_figures figures;  /* theirs together */
    struct reading *reading;        /* of the config, while RELOADING or a signal has ended that */
    struct revision *in_force, *prepared;
    struct error fault; /* the first worker's that refused what is prepared; empty when none did */
    bool reload_again;  /* HUP came while RELOADING */
    uint64_t refused, refused_told; /* connections since the last line about them, and when that was */
    struct timer drain_timer;
    atomic_uint alive;
    struct worker_census census;
    uint64_t unfinished_calls;
    int exit_status;
};

/* ---- accepting ---- */

static struct worker *least_loaded(struct gateway *gateway, uint64_t *total) {
    struct worker *least = gateway->workers[0];
    *total = 0;
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        uint32_t connections = worker_connections(gateway->workers[i]);
        *total += connections;
        if (connections < worker_connections(least)) least = gateway->workers[i];
    }
    return least;
}

/* At most a line a second, however many come. */
static void tell_refused(struct gateway *gateway, uint64_t most) {
    uint64_t now = loop_now(gateway->loop);
    gateway->refused++;
    if (gateway->refused_told && now - gateway->refused_told < NS_PER_S) return;
    log_warn(NULL, "connections refused: %llu, limits.connections (%llu) is reached",
             (unsigned long long)gateway->refused, (unsigned long long)most);
    gateway->refused = 0;
    gateway->refused_told = now;
}

static void accepted(void *context, const struct rpc_accepted *accepted) {
    struct gateway *gateway = context;
    uint64_t open, most = gateway->in_force->config->limits.connections;
    struct worker *worker = least_loaded(gateway, &open);
    if (most && open >= most) {
        gateway->told.refused++;
        tell_refused(gateway, most);
        rpc_turn_away(accepted);
        return;
    }
    worker_accept(worker, accepted);
}

/* ---- who watches ---- */

static bool is_ready(void *context, const char **why) {
    const struct gateway *gateway = context;
    if (gateway->state == DRAINING || gateway->state == STOPPING) *why = "draining\n";
    else if (!health_is_serving(gateway->health)) *why = "not serving\n";
    else return true;
    return false;
}

static void look(void *context, struct metrics_view *view) {
    struct gateway *gateway = context;
    view->books = &gateway->books;
    view->workers = gateway->workers;
    view->worker_count = gateway->worker_count;
    view->topics = gateway->topics;
    view->in_force = gateway->in_force;
    view->gateway = gateway->told;
    view->gateway.workers = gateway->worker_count;
    view->gateway.generation = gateway->in_force ? gateway->in_force->number : 0;
    view->gateway.generations_alive = atomic_load(&gateway->alive);
    view->gateway.log_dropped = log_dropped_lines();
}

static void open_entrances(struct gateway *gateway) {
    gateway->doors = doors_new();
    gateway->entrance = entrance_new(gateway->loop, &(struct entrance_options){.what = "listening",
                                                                               .role = "client",
                                                                               .figures = gateway->doors,
                                                                               .on_accept = accepted,
                                                                               .context = gateway});
    gateway->lookout = lookout_new(gateway->loop, &(struct lookout_host){.doors = gateway->doors,
                                                                         .look = look,
                                                                         .is_ready = is_ready,
                                                                         .context = gateway});
}

static bool prepare_entrances(struct gateway *gateway, const struct config *config, struct error *error) {
    struct entrance *admin = lookout_entrance(gateway->lookout);
    if (!entrance_prepare(gateway->entrance, config->file, config->listeners, config->listener_count, error)) return false;
    if (entrance_prepare(admin, config->file, config->admins, config->admin_count, error)) return true;
    entrance_discard(gateway->entrance);
    return false;
}

static void discard_entrances(struct gateway *gateway) {
    entrance_discard(gateway->entrance);
    entrance_discard(lookout_entrance(gateway->lookout));
}

/* ---- taking a revision ---- */

static void abort_workers(struct gateway *gateway) {
    gateway->state = STOPPING;
    timer_stop(gateway->loop, &gateway->drain_timer);
    for (uint32_t i = 0; i < gateway->worker_count; i++) worker_abort(gateway->workers[i]);
}

static void refuse(struct gateway *gateway, const char *text) {
    revision_unref(&gateway->prepared);
    if (gateway->state == STARTING) {
        fprintf(stderr, "%s\n", text);
        gateway->exit_status = 1;
        abort_workers(gateway);
        return;
    }
    gateway->told.reloads_refused++;
    log_error(NULL, "reload refused, generation %u stays in force: %s", (unsigned)gateway->in_force->number, text);
    gateway->state = SERVING;
}

static void tell_health(struct gateway *gateway) {
    const struct config *config = gateway->in_force->config;
    const struct schema *schema = gateway->in_force->schema;
    size_t count = 0, all = schema_service_count(schema);
    const char **services = memory_new((all + 1) * sizeof(char *));
    for (size_t i = 0; i < all; i++) {
        const char *name = schema_service_at(schema, i)->full_name;
        if (config_find_service(config, name)) services[count++] = name;
    }
    health_set_services(gateway->health, services);
    free(services);
}

/* What only a restart changes. */
static void tell_what_stays(struct gateway *gateway, const struct config *config) {
    const struct config *before = gateway->in_force ? gateway->in_force->config : config;
    if (config->workers != gateway->worker_count)
        log_warn(NULL, "workers = %u takes a restart; %u are running", (unsigned)config->workers,
                 (unsigned)gateway->worker_count);
    const char *file = config->log.file ? config->log.file : "";
    if (strcmp(file, before->log.file ? before->log.file : "") != 0)
        log_warn(NULL, "a new file of the log takes a restart");
}

/* A carrier of topics that was not there before, or has changed. */
static bool take_bus(struct gateway *gateway, const struct revision *revision, struct error *error) {
    if (!gateway->bus && revision->config->bus && !(gateway->bus = bus_new(gateway->topics, error))) return false;
    if (gateway->bus) bus_configure(gateway->bus, revision->config, revision->schema);
    return true;
}

static void take(struct gateway *gateway) {
    const struct config *config = gateway->prepared->config;
    tell_what_stays(gateway, config);
    if (gateway->in_force) {
        dict_set_tell_changes(gateway->prepared->dicts, gateway->in_force->dicts);
        limit_report_figures(gateway->in_force->limits);
        gateway->told.reloads++;
    }
    gateway->told.reloaded_at = clock_wall();
    revision_unref(&gateway->in_force);
    gateway->in_force = gateway->prepared;
    gateway->prepared = NULL;
    gateway->state = SERVING;
    gateway->committed = gateway->settled = 0;
    gateway->figures = (struct worker_figures){0};
    log_configure(config->log.level, config->log.format, config->log.access);
    topic_registry_set_most(gateway->topics, config->limits.topics);
    topic_registry_set_most_history(gateway->topics, config->limits.history);
    struct error fault;
    if (!take_bus(gateway, gateway->in_force, &fault)) log_error(NULL, "%s", fault.text);
    for (uint32_t i = 0; i < gateway->worker_count; i++) worker_commit(gateway->workers[i]);
    tell_health(gateway);
    entrance_commit(gateway->entrance);
    entrance_commit(lookout_entrance(gateway->lookout));
    limit_report_unused(gateway->in_force->limits, config);
    log_info(NULL, "generation %u is in force", (unsigned)gateway->in_force->number);
}

static void begin_reload(struct gateway *gateway);

static void reload_again(struct gateway *gateway) {
    if (gateway->reload_again && gateway->state == SERVING) begin_reload(gateway);
}

/* All workers have answered. */
static void decide(struct gateway *gateway) {
    struct error fault = gateway->fault;
    if (!fault.text[0] && prepare_entrances(gateway, gateway->prepared->config, &fault)) {
        take(gateway);
    } else {
        for (uint32_t i = 0; i < gateway->worker_count; i++) worker_discard(gateway->workers[i]);
        refuse(gateway, fault.text);
    }
    reload_again(gateway);
}

static void on_prepared(void *context, struct worker *worker, const struct error *fault) {
    (void)worker;
    struct gateway *gateway = context;
    if (gateway->state != STARTING && gateway->state != RELOADING) return; /* a signal to stop came in between */
    if (fault && !gateway->fault.text[0]) gateway->fault = *fault;
    if (--gateway->awaited == 0) decide(gateway);
}

/* A worker tells this before it answers for another revision: what is counted is one's alone. */
static void on_committed(void *context, struct worker *worker) {
    (void)worker;
    struct gateway *gateway = context;
    if (++gateway->committed < gateway->worker_count) return;
    for (uint32_t i = 0; i < gateway->worker_count; i++) worker_begin(gateway->workers[i]);
}

/* So that an operator sees what reloads cost, and that they leave nothing behind. */
static void tell_figures(const struct worker_figures *figures) {
    char generation[12], heap[24], streams[24];
    const struct log_field fields[] = {
        {"generation", generation,
         (size_t)snprintf(generation, sizeof generation, "%u", (unsigned)figures->generation), true},
        {"lua_heap_bytes", heap,
         (size_t)snprintf(heap, sizeof heap, "%llu", (unsigned long long)figures->heap_bytes), true},
        {"streams", streams, (size_t)snprintf(streams, sizeof streams, "%llu", (unsigned long long)figures->streams),
         true},
    };
    log_write_fields(LOG_INFO, NULL, "the reload has settled", 22, fields, sizeof fields / sizeof *fields);
}

static void on_settled(void *context, struct worker *worker, const struct worker_figures *figures) {
    (void)worker;
    struct gateway *gateway = context;
    if (!gateway->in_force || figures->generation != gateway->in_force->number) return;
    gateway->figures.generation = figures->generation;
    gateway->figures.heap_bytes += figures->heap_bytes;
    gateway->figures.streams += figures->streams;
    if (++gateway->settled == gateway->worker_count && figures->generation > 1) tell_figures(&gateway->figures);
}

static void prepare(struct gateway *gateway, struct revision *revision) {
    gateway->prepared = revision;
    if (!revision_open_dicts(revision, gateway->in_force, &gateway->fault)) {
        refuse(gateway, gateway->fault.text);
        reload_again(gateway);
        return;
    }
    gateway->fault.text[0] = '\0';
    gateway->awaited = gateway->worker_count;
    for (uint32_t i = 0; i < gateway->worker_count; i++) worker_prepare(gateway->workers[i], revision);
}

static void on_read(void *context, struct revision *revision, const struct error *error) {
    struct gateway *gateway = context;
    gateway->reading = NULL;
    if (gateway->state != RELOADING) { /* a signal to stop came in between */
        revision_unref(&revision);
    } else if (revision) {
        prepare(gateway, revision);
    } else {
        refuse(gateway, error->text);
        reload_again(gateway);
    }
}

static void begin_reload(struct gateway *gateway) {
    struct error error;
    gateway->reload_again = false;
    gateway->state = RELOADING;
    gateway->reading = reading_start(gateway->config_file, gateway->in_force->number + 1, &gateway->alive,
                                     gateway->reports, on_read, gateway, &error);
    if (!gateway->reading) refuse(gateway, error.text);
}

/* ---- the end ---- */

static void drain_is_over(struct timer *timer) {
    struct gateway *gateway = container_of(timer, struct gateway, drain_timer);
    log_warn(NULL, "drain_timeout is over: what is still open ends UNAVAILABLE");
    for (uint32_t i = 0; i < gateway->worker_count; i++) worker_end_all(gateway->workers[i], GRACE);
}

static void begin_drain(struct gateway *gateway) {
    gateway->state = DRAINING;
    revision_unref(&gateway->prepared);
    discard_entrances(gateway);
    entrance_accept_waiting(gateway->entrance);
    entrance_close(gateway->entrance);
    health_shut_down(gateway->health);
    for (uint32_t i = 0; i < gateway->worker_count; i++) worker_drain(gateway->workers[i]);
    uint64_t timeout = gateway->in_force->config->drain_timeout;
    if (timeout) timer_start(gateway->loop, &gateway->drain_timer, loop_now(gateway->loop) + timeout);
    log_info(NULL, "draining: no new connections, open streams finish");
}

static void on_stopped(void *context, struct worker *worker) {
    (void)worker;
    struct gateway *gateway = context;
    if (--gateway->running == 0) loop_stop(gateway->loop);
}

static void on_terminate(void *context, int number) {
    struct gateway *gateway = context;
    if (number == SIGQUIT || gateway->state == STARTING || gateway->state == DRAINING) {
        if (gateway->state == STOPPING) return;
        entrance_close(gateway->entrance);
        abort_workers(gateway);
    } else if (gateway->state != STOPPING) {
        begin_drain(gateway);
    }
}

static void on_hangup(void *context, int number) {
    (void)number;
    struct gateway *gateway = context;
    log_reopen(); /* who rotates logs sends HUP as often as USR1 */
    if (gateway->state == SERVING) begin_reload(gateway);
    else if (gateway->state == STARTING || gateway->state == RELOADING) gateway->reload_again = true;
    else log_warn(NULL, "reload ignored: the gateway is shutting down");
}

static void on_user_signal(void *context, int number) {
    (void)context;
    if (number == SIGUSR1) log_reopen();
    else log_info(NULL, "SIGUSR2 ignored: replacing the binary is not served by this version");
}

/* ---- start ---- */

/* False when not all of them could be had; those that could are counted. */
static bool start_workers(struct gateway *gateway, const struct config *config, struct error *error) {
    gateway->topics = topic_registry_new(config->workers, config->limits.topics);
    topic_registry_set_most_history(gateway->topics, config->limits.history);
    gateway->rates = rate_registry_new();
    gateway->peers = peer_registry_new();
    metrics_books_open(&gateway->books, config->workers);
    gateway->workers = memory_new(config->workers * sizeof(struct worker *));
    atomic_store(&gateway->census.serving, config->workers);
    atomic_store(&gateway->census.busy, config->workers);
    for (uint32_t i = 0; i < config->workers; i++) {
        const struct worker_options options = {.index = i,
                                               .count = config->workers,
                                               .topics = gateway->topics,
                                               .rates = gateway->rates,
                                               .peers = gateway->peers,
                                               .workers = gateway->workers,
                                               .census = &gateway->census,
                                               .health = gateway->health,
                                               .books = &gateway->books,
                                               .lua_path = gateway_lua_path(),
                                               .reports = gateway->reports,
                                               .config = config,
                                               .on_prepared = on_prepared,
                                               .on_committed = on_committed,
                                               .on_settled = on_settled,
                                               .on_stopped = on_stopped,
                                               .context = gateway};
        gateway->workers[i] = worker_start(&options, error);
        if (!gateway->workers[i]) return false;
        gateway->worker_count = ++gateway->running;
    }
    return true;
}

static void stop_workers(struct gateway *gateway) {
    for (uint32_t i = 0; i < gateway->worker_count; i++) gateway->unfinished_calls += worker_join(&gateway->workers[i]);
    free(gateway->workers);
}

struct watched {
    int number;
    void (*act)(void *context, int number);
};
static const struct watched watched[] = {
    {SIGHUP, on_hangup},       {SIGTERM, on_terminate},   {SIGINT, on_terminate},
    {SIGQUIT, on_terminate},   {SIGUSR1, on_user_signal}, {SIGUSR2, on_user_signal},
};
enum { WATCHED = sizeof watched / sizeof *watched };

/* Blocked, since libevent puts the old handlers back. */
static void ignore_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < WATCHED; i++) sigaddset(&set, watched[i].number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void serve(struct gateway *gateway, struct revision *first) {
    struct signal_watch *watches[WATCHED];
    for (int i = 0; i < WATCHED; i++)
        watches[i] = signal_watch_new(gateway->loop, watched[i].number, watched[i].act, gateway);
    open_entrances(gateway);
    gateway->reports = mailbox_new(gateway->loop, gateway, SIZE_MAX, SIZE_MAX);
    gateway->health = health_new();
    timer_init(&gateway->drain_timer, drain_is_over);
    struct error fault;
    gateway->prepared = first;
    if (start_workers(gateway, first->config, &fault) && take_bus(gateway, first, &fault)) prepare(gateway, first);
    else refuse(gateway, fault.text);

    struct thrift *thrift = thrift_new(gateway->loop);
    if (gateway->running) loop_run(gateway->loop);
    thrift_free(&thrift);

    bus_free(&gateway->bus, GRACE);
    stop_workers(gateway);
    if (gateway->reading && !reading_wait(gateway->reading, GRACE)) {
        log_warn(NULL, "the config is still being read: the process ends without that");
        log_stop();
        _exit(gateway->exit_status);
    }
    if (gateway->in_force) limit_report_figures(gateway->in_force->limits);
    revision_unref(&gateway->prepared);
    revision_unref(&gateway->in_force);
    timer_stop(gateway->loop, &gateway->drain_timer);
    topic_registry_free(&gateway->topics);
    rate_registry_free(&gateway->rates);
    peer_registry_free(&gateway->peers);
    health_free(&gateway->health);
    mailbox_free(&gateway->reports);
    entrance_free(&gateway->entrance);
    lookout_free(&gateway->lookout);
    figures_free(&gateway->doors);
    metrics_books_close(&gateway->books);
    ignore_signals(); /* one that comes now is too late, and shall not change the exit status */
    for (int i = 0; i < WATCHED; i++) signal_watch_free(&watches[i]);
}

int gateway_run(const char *config_file) {
    struct gateway gateway = {.config_file = config_file};
    struct error error;
    memory_keep_freed();
    net_prepare_process();
    struct revision *first = revision_read(config_file, 1, &gateway.alive, &error);
    if (!first) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    const struct config *config = first->config;
    if (!log_start(config->log.level, config->log.format, config->log.access, config->log.file, &error)) {
        fprintf(stderr, "%s\n", error.text);
        revision_unref(&first);
        return 1;
    }
    gateway.loop = loop_new();
    serve(&gateway, first);
    loop_free(&gateway.loop);
    log_info(NULL, "stopped: %llu streams, %u generations alive", (unsigned long long)gateway.unfinished_calls,
             atomic_load(&gateway.alive));
    log_stop();
    return gateway.exit_status;
}
