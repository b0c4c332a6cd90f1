/* rpc/tally.c - see tally.h */
#include "rpc/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/schema.h"

static const struct figures_name unknown = {{"unknown", "unknown", "unknown"}};

struct figures *tallies_new(uint32_t workers) {
    return figures_new(workers, sizeof(struct tally) / sizeof(atomic_uint_least64_t), TALLIES_MOST, &unknown);
}

static const char *kind_of(const struct method *method) {
    if (method->is_client_streaming) return method->is_server_streaming ? "bidi_stream" : "client_stream";
    return method->is_server_streaming ? "server_stream" : "unary";
}

struct tally *tally_of_method(struct figures *tallies, uint32_t worker, const struct method *method) {
    const char *slash = strrchr(method->full_name, '/');
    char *service = memory_copy(method->full_name, (size_t)(slash - method->full_name));
    struct tally *tally =
        figures_open(tallies, worker, &(struct figures_name){{kind_of(method), service, slash + 1}});
    free(service);
    return tally;
}

struct tally *tally_of_pattern(struct figures *tallies, uint32_t worker, const char *pattern) {
    return figures_open(tallies, worker, &(struct figures_name){{"unknown", pattern, "unknown"}});
}

struct tally *tally_unknown(struct figures *tallies, uint32_t worker) {
    return figures_open(tallies, worker, &unknown);
}
