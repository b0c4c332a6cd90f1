/* bus/bus.h - topics over hosts, through NATS: a carrier (fanout/carrier.h) with two threads.
 *
 *   workers ──note, publish, store──▶ hub ──▶ wire ──▶ NATS
 *   workers ◀────mails──────────────  hub ◀───────────  NATS
 *
 * The hub (bus.c) knows topics and other hosts, decides what goes where, and never waits; the wire (wire.c) makes the calls
 * into the client library that may. Between all of them are bounded queues.
 *
 * A bus that is configured away keeps its hub, which has nothing to do then. */
#ifndef TIDEWIRE_BUS_BUS_H
#define TIDEWIRE_BUS_BUS_H
#include "base/error.h"
#include "config/config.h"
#include "schema/schema.h"

struct bus;
struct topic_registry;

/* NULL and an error text when the system has no thread for it. */
struct bus *bus_new(struct topic_registry *registry, struct error *error);
/* What a config says of it (perhaps nothing), and the types of its messages. The main thread, at each reload. */
void bus_configure(struct bus *bus, const struct config *config, struct schema *schema);
/* When no worker publishes any more, but before their sides of the topics are gone. Sends what was published, if that can
 * be done within `most` ns. */
void bus_free(struct bus **bus, uint64_t most);
const char *bus_versions(void); /* "nats 3.4.1" */
#endif
