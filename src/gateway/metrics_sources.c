/* gateway/metrics_sources.c - see metrics_sources.h */
#include "gateway/metrics_sources.h"

#include <string.h>

#include "base/figures.h"
#include "base/status.h"
#include "dict/dict.h"
#include "fanout/carrier.h"
#include "fanout/topic.h"
#include "gateway/entrance.h"
#include "gateway/worker.h"
#include "rpc/tally.h"

/* ---- samples ---- */

static void give_number(struct metrics_scrape *scrape, const char *const *values, uint64_t number) {
    const struct metric *metric = scrape->metric;
    struct label labels[METRIC_LABELS + 1];
    size_t count = 0;
    for (; metric->source->labels[count]; count++) labels[count] = (struct label){metric->source->labels[count], values[count]};
    if (metric->label) labels[count++] = (struct label){metric->label, metric->value};
    exposition_sample(scrape->out, metric->name, labels, count, number, metric->is_time);
}

/* The number in `figures` that the row is about. */
static void give(struct metrics_scrape *scrape, const char *const *values, const void *figures) {
    uint64_t number;
    memcpy(&number, (const char *)figures + scrape->metric->place, sizeof number);
    give_number(scrape, values, number);
}

static void visit(void *context, const struct figures_name *name, const uint64_t *sums) {
    give(context, name->parts, sums);
}

/* ---- calls ---- */

static void walk_methods(struct metrics_scrape *scrape) { figures_each(scrape->view->books->methods, visit, scrape); }
const struct metrics_source source_methods = {{"grpc_type", "grpc_service", "grpc_method"}, walk_methods};

/* As clients of gRPC in Go write them, and so all dashboards. */
static const char *const codes[STATUS_COUNT] = {
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated"};

/* Those that there were; and OK always, so that a rate has something to begin from. */
static void visit_codes(void *context, const struct figures_name *name, const uint64_t *sums) {
    struct metrics_scrape *scrape = context;
    const uint64_t *handled = sums + scrape->metric->place / sizeof *sums;
    for (int i = 0; i < STATUS_COUNT; i++) {
        const char *const values[] = {name->parts[0], name->parts[1], name->parts[2], codes[i]};
        if (handled[i] || i == STATUS_OK) give_number(scrape, values, handled[i]);
    }
}

static void walk_codes(struct metrics_scrape *scrape) { figures_each(scrape->view->books->methods, visit_codes, scrape); }
const struct metrics_source source_codes = {{"grpc_type", "grpc_service", "grpc_method", "grpc_code"}, walk_codes};

enum { CALL_COUNTERS = sizeof(struct rpc_counters) / sizeof(uint64_t) };

/* Of all workers. */
static void sum_calls(const struct metrics_view *view, uint64_t sums[CALL_COUNTERS]) {
    memset(sums, 0, CALL_COUNTERS * sizeof *sums);
    for (uint32_t i = 0; i < view->worker_count; i++) {
        const atomic_uint_least64_t *counters = (const void *)worker_counters(view->workers[i]);
        for (int k = 0; k < CALL_COUNTERS; k++) sums[k] += counter_read(&counters[k]);
    }
}

static uint64_t sum_at(const uint64_t *sums, size_t place) { return sums[place / sizeof *sums]; }

static void walk_calls(struct metrics_scrape *scrape) {
    uint64_t sums[CALL_COUNTERS];
    sum_calls(scrape->view, sums);
    give(scrape, NULL, sums);
}
const struct metrics_source source_calls = {{NULL}, walk_calls};

static void walk_reasons(struct metrics_scrape *scrape) {
    uint64_t sums[CALL_COUNTERS];
    sum_calls(scrape->view, sums);
    for (size_t i = 0; i < CALL_REASONS; i++)
        give_number(scrape, &call_reason_names[i],
                    sum_at(sums, offsetof(struct rpc_counters, calls_closed) + i * sizeof *sums));
}
const struct metrics_source source_reasons = {{"reason"}, walk_reasons};

/* ---- what is named in the config ---- */

static void visit_door(void *context, const struct figures_name *name, const uint64_t *sums) {
    uint64_t accepted = sum_at(sums, offsetof(struct door_counts, accepted));
    uint64_t gone = sum_at(sums, offsetof(struct door_counts, gone));
    const struct door_figures figures = {.accepted = accepted, .open = accepted - gone};
    give(context, name->parts, &figures);
}

static void walk_doors(struct metrics_scrape *scrape) { figures_each(scrape->view->doors, visit_door, scrape); }
const struct metrics_source source_doors = {{"listener", "role"}, walk_doors};

static void walk_upstreams(struct metrics_scrape *scrape) { figures_each(scrape->view->books->upstreams, visit, scrape); }
const struct metrics_source source_upstreams = {{"upstream"}, walk_upstreams};

static void walk_scripts(struct metrics_scrape *scrape) { figures_each(scrape->view->books->scripts, visit, scrape); }
const struct metrics_source source_scripts = {{"worker"}, walk_scripts};

static void walk_limits(struct metrics_scrape *scrape) {
    const struct revision *revision = scrape->view->in_force;
    for (size_t i = 0; revision && i < limit_book_count(revision->limits); i++) {
        const struct limit_table *table = limit_book_at(revision->limits, i)->table;
        const struct limit_figures figures = limit_table_figures(table);
        const char *name = limit_table_name(table);
        give(scrape, &name, &figures);
    }
}
const struct metrics_source source_limits = {{"limit"}, walk_limits};

static void walk_dicts(struct metrics_scrape *scrape) {
    const struct revision *revision = scrape->view->in_force;
    for (size_t i = 0; revision && i < dict_set_count(revision->dicts); i++) {
        struct dict *dict = dict_set_at(revision->dicts, i);
        const struct dict_figures figures = {dict_size(dict), dict_free_space(dict), dict_evicted(dict)};
        const char *name = dict_name(dict);
        give(scrape, &name, &figures);
    }
}
const struct metrics_source source_dicts = {{"dict"}, walk_dicts};

/* ---- of the whole process ---- */

static void walk_topics(struct metrics_scrape *scrape) {
    struct topic_figures figures;
    topic_registry_figures(scrape->view->topics, &figures);
    give(scrape, NULL, &figures);
}
const struct metrics_source source_topics = {{NULL}, walk_topics};

static void walk_bus(struct metrics_scrape *scrape) {
    struct topic_carrier *carrier = topic_registry_carrier(scrape->view->topics);
    struct carrier_figures now;
    if (!carrier) return;
    carrier->describe(carrier, &now);
    if (!now.is_configured) return;
    const struct bus_figures figures = {
        .is_connected = now.is_connected, .hosts = now.hosts,
        .sent = now.sent,                 .received = now.received,
        .sent_bytes = now.sent_bytes,     .received_bytes = now.received_bytes,
        .waiting = now.waiting,           .dropped_out = now.dropped_out,
        .dropped_in = now.dropped_in,     .rejected = now.rejected,
        .missed = now.missed,             .connects = now.connects,
        .losses = now.losses,
    };
    give(scrape, NULL, &figures);
}
const struct metrics_source source_bus = {{NULL}, walk_bus};

static void walk_gateway(struct metrics_scrape *scrape) { give(scrape, NULL, &scrape->view->gateway); }
const struct metrics_source source_gateway = {{NULL}, walk_gateway};

static void walk_build(struct metrics_scrape *scrape) {
    static const char *const version = TIDEWIRE_VERSION;
    give_number(scrape, &version, 1);
}
const struct metrics_source source_build = {{"version"}, walk_build};

static void walk_process(struct metrics_scrape *scrape) {
    give(scrape, NULL, &scrape->process);
}
const struct metrics_source source_process = {{NULL}, walk_process};
