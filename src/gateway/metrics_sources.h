/* gateway/metrics_sources.h - the sources of the table of metrics. Private to gateway/metrics*.c. */
#ifndef TIDEWIRE_GATEWAY_METRICS_SOURCES_H
#define TIDEWIRE_GATEWAY_METRICS_SOURCES_H
#include "gateway/metrics.h"
#include "gateway/process_figures.h"

struct metrics_scrape {
    const struct metrics_view *view;
    const struct metric *metric; /* the row that is written */
    struct buffer *out;
    struct process_figures process;
};

/* Structs of a source's own; the others' are those of the rooms. */
struct dict_figures {
    uint64_t size, free, evicted;
};
struct door_figures {
    uint64_t accepted, open;
};
struct bus_figures {
    uint64_t is_connected, hosts, sent, received, sent_bytes, received_bytes, waiting, dropped_out, dropped_in, rejected,
        missed, connects, losses;
};

extern const struct metrics_source source_methods, /* struct tally */
    source_codes,                                  /* by status; the place is of the first */
    source_calls,                                  /* struct rpc_counters */
    source_reasons,                                /* why streams have ended */
    source_doors,                                  /* struct door_figures */
    source_scripts,                                /* struct script_figures */
    source_topics,                                 /* struct topic_figures */
    source_limits,                                 /* struct limit_figures */
    source_dicts,                                  /* struct dict_figures */
    source_bus,                                    /* struct bus_figures; nothing where there is none */
    source_upstreams,                              /* struct upstream_figures */
    source_gateway,                                /* struct gateway_figures */
    source_build,                                  /* 1 */
    source_process;                                /* struct process_figures */
#endif
