/* gateway/metrics.h - what the gateway tells Prometheus: one table of metrics, each with where it is read.
 *
 * Nothing is counted here: each room counts for itself, each worker in cells of its own (base/counter.h), and a scrape adds
 * up what it finds. How many samples there are follows from the configs, and from nothing that a client does: no topic, path
 * or address of a client is ever a label. */
#ifndef TIDEWIRE_GATEWAY_METRICS_H
#define TIDEWIRE_GATEWAY_METRICS_H
#include <stddef.h>
#include <stdint.h>

#include "admin/exposition.h"
#include "gateway/revision.h"

struct figures;
struct rpc_counters;
struct topic_registry;
struct worker;

/* What workers count by name, for the process's life. */
struct metrics_books {
    struct figures *methods;   /* rpc/tally.h */
    struct figures *upstreams; /* upstream/upstream.h */
    struct figures *scripts;   /* script/script.h, by worker */
};
void metrics_books_open(struct metrics_books *books, uint32_t workers);
void metrics_books_close(struct metrics_books *books);

/* Of the process; written by the main thread alone. */
struct gateway_figures {
    uint64_t workers;
    uint64_t refused; /* connections: there were as many as may be */
    uint64_t reloads, reloads_refused, reloaded_at; /* wall clock, ns */
    uint64_t generation, generations_alive;
    uint64_t log_dropped;
};

/* What there is to read, in the main thread. */
struct metrics_view {
    const struct metrics_books *books;
    struct figures *doors; /* gateway/entrance.h */
    struct worker *const *workers;
    uint32_t worker_count;
    struct topic_registry *topics;
    const struct revision *in_force; /* NULL: none yet */
    struct gateway_figures gateway;
};

struct metric;
enum { METRIC_LABELS = 4 /* of a source, at most */ };
struct metrics_scrape;

/* Where numbers are found: walks over all that have one, and gives each with the values of these labels. */
struct metrics_source {
    const char *labels[METRIC_LABELS + 1]; /* ended by NULL */
    void (*walk)(struct metrics_scrape *scrape);
};

/* Rows of one name stand behind each other, and have the help of the first. */
struct metric {
    const char *name;
    enum metric_type type;
    const struct metrics_source *source;
    size_t place;              /* of the number, in the source's struct */
    const char *label, *value; /* one more label, always the same in this row; or NULL */
    bool is_time;              /* nanoseconds, shown as seconds */
    const char *help;
};
extern const struct metric metrics[];
extern const size_t metric_count;

void metrics_write(const struct metrics_view *view, struct buffer *out);
#endif
