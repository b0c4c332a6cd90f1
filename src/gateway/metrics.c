/* gateway/metrics.c - see metrics.h */
#include "gateway/metrics.h"

#include <string.h>

#include "base/figures.h"
#include "fanout/topic.h"
#include "gateway/metrics_sources.h"
#include "limit/table.h"
#include "rpc/rpc.h"
#include "rpc/tally.h"
#include "script/script.h"
#include "upstream/upstream.h"

#define COUNTER(metric_name) .name = (metric_name), .type = METRIC_COUNTER
#define GAUGE(metric_name) .name = (metric_name), .type = METRIC_GAUGE
#define FROM(source_name, structure, member) .source = &source_##source_name, .place = offsetof(struct structure, member)
#define WITH(label_name, label_value) .label = (label_name), .value = (label_value)

/* docs/reference/metrics.md has a line for each; a test compares the two. */
const struct metric metrics[] = {
    {COUNTER("grpc_server_started_total"), FROM(methods, tally, started), .help = "Calls of clients that have begun."},
    {COUNTER("grpc_server_handled_total"), FROM(codes, tally, handled),
     .help = "Calls of clients that have ended, by their status."},
    {COUNTER("grpc_server_msg_received_total"), FROM(methods, tally, received),
     .help = "Messages of clients that a handler has taken. What is passed on untouched is not taken apart, and counts none."},
    {COUNTER("grpc_server_msg_sent_total"), FROM(methods, tally, sent), .help = "Messages that were sent to clients."},

    {GAUGE("tidewire_streams_open"), FROM(calls, rpc_counters, calls_served), .help = "Streams of clients that are open now."},
    {COUNTER("tidewire_stream_close_total"), .source = &source_reasons,
     .help = "Streams of clients that have ended, by who has ended them, as access lines say it."},
    {COUNTER("tidewire_http_refused_total"), FROM(calls, rpc_counters, strangers),
     .help = "HTTP requests that are no calls in any protocol that is served, and were refused."},
    {GAUGE("tidewire_connections_open"), FROM(doors, door_figures, open),
     .help = "Connections that are open now, by the address that has accepted them."},
    {COUNTER("tidewire_connections_accepted_total"), FROM(doors, door_figures, accepted),
     .help = "Connections that were accepted, those that were refused included."},
    {COUNTER("tidewire_connections_refused_total"), FROM(gateway, gateway_figures, refused),
     .help = "Connections that were closed at once, since limits.connections was reached."},
    {GAUGE("tidewire_buffered_bytes"), FROM(calls, rpc_counters, buffered),
     .help = "What waits in streams, in both directions; limits.buffered_total bounds it."},

    {COUNTER("tidewire_limited_total"), FROM(limits, limit_figures, delayed), WITH("kind", "delayed"),
     .help = "What a limit of the config has done: messages that it has let wait (delayed), streams that it has refused or "
             "ended, streams whose key had no room of its own (crowded)."},
    {COUNTER("tidewire_limited_total"), FROM(limits, limit_figures, refused), WITH("kind", "refused")},
    {COUNTER("tidewire_limited_total"), FROM(limits, limit_figures, ended), WITH("kind", "ended")},
    {COUNTER("tidewire_limited_total"), FROM(limits, limit_figures, crowded), WITH("kind", "crowded")},
    {COUNTER("tidewire_streams_limited_total"), FROM(calls, rpc_counters, limited),
     .help = "Streams that any limit has refused or ended, those of the limits section included."},

    {COUNTER("tidewire_lua_errors_total"), FROM(scripts, script_figures, errors),
     .help = "Errors that scripts have let through, as lines of the log tell them."},
    {COUNTER("tidewire_lua_budget_exceeded_total"), FROM(scripts, script_figures, out_of_time), WITH("budget", "time"),
     .help = "Handlers that were stopped, since they had used up limits.handler_time or limits.handler_memory."},
    {COUNTER("tidewire_lua_budget_exceeded_total"), FROM(scripts, script_figures, out_of_memory), WITH("budget", "memory")},
    {GAUGE("tidewire_lua_memory_bytes"), FROM(scripts, script_figures, memory),
     .help = "Memory that the Lua state uses, garbage included, after the last turn in which a script ran."},

    {GAUGE("tidewire_topics"), FROM(topics, topic_figures, topics), .help = "Topics that live now."},
    {GAUGE("tidewire_topic_subscribers"), FROM(topics, topic_figures, subscribers),
     .help = "Subscribers of all topics, in this process."},
    {COUNTER("tidewire_topic_published_total"), FROM(topics, topic_figures, counters[TOPIC_PUBLISHED]),
     .help = "Messages that were published to topics in this process."},
    {COUNTER("tidewire_topic_encoded_total"), FROM(topics, topic_figures, counters[TOPIC_ENCODED]),
     .help = "Of them, those that had to be encoded: once each, however many subscribers there are."},
    {COUNTER("tidewire_topic_delivered_total"), FROM(topics, topic_figures, counters[TOPIC_DELIVERED]),
     .help = "Messages that were handed to subscribers, once for each."},
    {COUNTER("tidewire_topic_dropped_total"), FROM(topics, topic_figures, counters[TOPIC_DROPPED_OLD]),
     WITH("reason", "dropped_old"),
     .help = "Messages that were for subscribers and did not get to them: by the policies of full queues, queued for one that "
             "has ended (discarded), or refused by a worker that had no room for them."},
    {COUNTER("tidewire_topic_dropped_total"), FROM(topics, topic_figures, counters[TOPIC_DROPPED_NEW]),
     WITH("reason", "dropped_new")},
    {COUNTER("tidewire_topic_dropped_total"), FROM(topics, topic_figures, counters[TOPIC_COALESCED]),
     WITH("reason", "coalesced")},
    {COUNTER("tidewire_topic_dropped_total"), FROM(topics, topic_figures, counters[TOPIC_DISCARDED]),
     WITH("reason", "discarded")},
    {COUNTER("tidewire_topic_dropped_total"), FROM(topics, topic_figures, counters[TOPIC_REFUSED]), WITH("reason", "refused")},
    {COUNTER("tidewire_topic_closed_total"), FROM(topics, topic_figures, counters[TOPIC_CLOSED]),
     .help = "Subscribers that fell behind and were closed for it."},
    {COUNTER("tidewire_topic_waited_total"), FROM(topics, topic_figures, counters[TOPIC_WAITED]),
     .help = "Messages whose publisher had to wait for subscribers that block."},
    {COUNTER("tidewire_topic_replayed_total"), FROM(topics, topic_figures, counters[TOPIC_REPLAYED]),
     .help = "Messages out of a history, once for each subscriber that has asked for them."},
    {COUNTER("tidewire_topic_received_total"), FROM(topics, topic_figures, counters[TOPIC_RECEIVED]),
     .help = "Messages of topics that came from other gateways."},

    {GAUGE("tidewire_bus_connected"), FROM(bus, bus_figures, is_connected),
     .help = "1 while there is a connection to the bus, else 0. This and the others of the bus are there where the config has "
             "one."},
    {COUNTER("tidewire_bus_connects_total"), FROM(bus, bus_figures, connects), .help = "Connections to the bus that were made."},
    {COUNTER("tidewire_bus_losses_total"), FROM(bus, bus_figures, losses), .help = "Connections to the bus that were lost."},
    {COUNTER("tidewire_bus_messages_total"), FROM(bus, bus_figures, received), WITH("direction", "in"),
     .help = "Messages of topics that came by the bus, and that were sent."},
    {COUNTER("tidewire_bus_messages_total"), FROM(bus, bus_figures, sent), WITH("direction", "out")},
    {COUNTER("tidewire_bus_bytes_total"), FROM(bus, bus_figures, received_bytes), WITH("direction", "in"),
     .help = "Bytes of these messages."},
    {COUNTER("tidewire_bus_bytes_total"), FROM(bus, bus_figures, sent_bytes), WITH("direction", "out")},
    {COUNTER("tidewire_bus_dropped_total"), FROM(bus, bus_figures, dropped_in), WITH("direction", "in"),
     .help = "Messages that came faster than they could be taken, and those that were not sent since too many waited or the "
             "server takes none so large."},
    {COUNTER("tidewire_bus_dropped_total"), FROM(bus, bus_figures, dropped_out), WITH("direction", "out")},
    {COUNTER("tidewire_bus_rejected_total"), FROM(bus, bus_figures, rejected),
     .help = "What came by the bus and is no message of a topic here: foreign, of another type, malformed."},
    {COUNTER("tidewire_bus_missed_total"), FROM(bus, bus_figures, missed),
     .help = "Messages that other gateways have sent and that never came."},
    {GAUGE("tidewire_bus_waiting_messages"), FROM(bus, bus_figures, waiting),
     .help = "Messages that wait to be sent, or stored."},
    {GAUGE("tidewire_bus_hosts"), FROM(bus, bus_figures, hosts), .help = "Other gateways that are heard of."},

    {GAUGE("tidewire_shared_dict_size_bytes"), FROM(dicts, dict_figures, size), .help = "The size of a shared_dict."},
    {GAUGE("tidewire_shared_dict_free_bytes"), FROM(dicts, dict_figures, free), .help = "Of its size, what nothing uses."},
    {COUNTER("tidewire_shared_dict_evicted_total"), FROM(dicts, dict_figures, evicted),
     .help = "Entries that had not expired and made room for others."},

    {GAUGE("tidewire_upstream_connections"), FROM(upstreams, upstream_figures, connections),
     .help = "Connections to the servers of an upstream, or to a peer, that stand now."},
    {GAUGE("tidewire_upstream_streams"), FROM(upstreams, upstream_figures, streams), .help = "Calls that are open on them."},
    {GAUGE("tidewire_upstream_waiting"), FROM(upstreams, upstream_figures, waiting),
     .help = "Calls that wait for a connection, or for their next attempt."},
    {COUNTER("tidewire_upstream_calls_total"), FROM(upstreams, upstream_figures, calls), .help = "Calls that were opened."},
    {COUNTER("tidewire_upstream_retries_total"), FROM(upstreams, upstream_figures, retries),
     .help = "Calls that were made again, once for each further attempt."},
    {COUNTER("tidewire_upstream_failures_total"), FROM(upstreams, upstream_figures, failures), WITH("kind", "call"),
     .help = "What has failed: attempts of calls at a server (call), connections that could not be made (dial), calls that no "
             "server could be found for (refused)."},
    {COUNTER("tidewire_upstream_failures_total"), FROM(upstreams, upstream_figures, dial_failures), WITH("kind", "dial")},
    {COUNTER("tidewire_upstream_failures_total"), FROM(upstreams, upstream_figures, refused), WITH("kind", "refused")},

    {COUNTER("tidewire_reload_total"), FROM(gateway, gateway_figures, reloads), WITH("result", "success"),
     .help = "Reloads of the config; a failed one has left the config before it in force. The start is none."},
    {COUNTER("tidewire_reload_total"), FROM(gateway, gateway_figures, reloads_refused), WITH("result", "failure")},
    {GAUGE("tidewire_last_reload_success_timestamp_seconds"), FROM(gateway, gateway_figures, reloaded_at), .is_time = true,
     .help = "When the config in force was taken, by a reload or at the start."},
    {GAUGE("tidewire_script_generation"), FROM(gateway, gateway_figures, generation),
     .help = "The number of the generation in force."},
    {GAUGE("tidewire_generations_alive"), FROM(gateway, gateway_figures, generations_alive),
     .help = "Generations that are in memory: more than one while streams finish on an old one."},
    {GAUGE("tidewire_workers"), FROM(gateway, gateway_figures, workers), .help = "Threads that serve."},
    {COUNTER("tidewire_log_dropped_total"), FROM(gateway, gateway_figures, log_dropped),
     .help = "Lines of the log that were lost, since nobody has taken them."},
    {GAUGE("tidewire_build_info"), .source = &source_build, .help = "1, with the version."},

    {COUNTER("process_cpu_seconds_total"), FROM(process, process_figures, cpu), .is_time = true,
     .help = "Processor time of all threads."},
    {GAUGE("process_start_time_seconds"), FROM(process, process_figures, started_at), .is_time = true,
     .help = "When the process began, since the epoch."},
    {GAUGE("process_resident_memory_bytes"), FROM(process, process_figures, resident), .help = "Resident memory."},
    {GAUGE("process_virtual_memory_bytes"), FROM(process, process_figures, virtual), .help = "Virtual memory."},
    {GAUGE("process_open_fds"), FROM(process, process_figures, descriptors), .help = "Open file descriptors."},
    {GAUGE("process_max_fds"), FROM(process, process_figures, most_descriptors), .help = "How many may be open."},
};
const size_t metric_count = sizeof metrics / sizeof *metrics;

void metrics_write(const struct metrics_view *view, struct buffer *out) {
    struct metrics_scrape scrape = {.view = view, .out = out};
    process_figures_read(&scrape.process);
    for (size_t i = 0; i < metric_count; i++) {
        const struct metric *metric = scrape.metric = &metrics[i];
        bool is_first = i == 0 || strcmp(metric->name, metrics[i - 1].name) != 0;
        if (is_first) exposition_family(out, metric->name, metric->type, metric->help);
        metric->source->walk(&scrape);
    }
}

void metrics_books_open(struct metrics_books *books, uint32_t workers) {
    books->methods = tallies_new(workers);
    books->upstreams = upstream_figures_new(workers);
    books->scripts = script_figures_new(workers);
}

void metrics_books_close(struct metrics_books *books) {
    figures_free(&books->methods);
    figures_free(&books->upstreams);
    figures_free(&books->scripts);
}
