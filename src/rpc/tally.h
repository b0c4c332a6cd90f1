/* rpc/tally.h - what becomes of the calls of a method, counted by each worker for itself.
 *
 * The names are those that monitoring of gRPC has everywhere: its kind ("unary", "client_stream", "server_stream",
 * "bidi_stream"), its service, and the method. What a client may choose freely is never a name: of calls that a pattern passes on,
 * and whose method the schema does not have, the service is the pattern and the rest "unknown"; of calls that no route is for,
 * all of it is. */
#ifndef TIDEWIRE_RPC_TALLY_H
#define TIDEWIRE_RPC_TALLY_H
#include "base/counter.h"
#include "base/figures.h"
#include "base/status.h"

struct method;

/* A row of figures. Of the calls that clients of this gateway make. */
struct tally {
    atomic_uint_least64_t started;
    atomic_uint_least64_t received; /* messages that were taken by their handler, or passed on */
    atomic_uint_least64_t sent;     /* messages that were queued for the client */
    atomic_uint_least64_t handled[STATUS_COUNT];
};

enum { TALLIES_MOST = 4096 };

struct figures *tallies_new(uint32_t workers);
struct tally *tally_of_method(struct figures *tallies, uint32_t worker, const struct method *method);
struct tally *tally_of_pattern(struct figures *tallies, uint32_t worker, const char *pattern);
struct tally *tally_unknown(struct figures *tallies, uint32_t worker);
#endif
