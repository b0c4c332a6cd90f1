/* upstream/peer.h - peers: other gateways, with each of which the whole process shares one connection, whoever of the
 * two has made it.
 *
 * A peer is an upstream (config/config.h: struct config_upstream with peer.id) with another way to get links: it is
 * found by upstream_set_find(), called by upstream_open(), counted by upstream_counts(). Its calls wait for a
 * connection from either side, for the peer's `wait` at most.
 *
 * Calls that the peer makes are served as those of any client, and know who made them: call_node(). */
#ifndef TIDEWIRE_UPSTREAM_PEER_H
#define TIDEWIRE_UPSTREAM_PEER_H
#include "upstream/upstream.h"

struct router;

bool upstream_is_peer(const struct upstream *upstream);
const char *upstream_peer_id(const struct upstream *upstream);

/* Of the whole process, whichever worker asks; a moment old at most. */
struct peer_counts {
    const char *name, *id;  /* live as long as the upstream */
    bool is_connected;      /* calls to it need not wait */
    bool is_dialled_by_us;  /* that connection was made by us */
    uint32_t connections;   /* with those that only finish their calls */
    uint32_t streams;       /* our calls on them, of all workers */
    uint32_t waiting;       /* our calls that wait for a connection */
    uint64_t dials, dial_failures;
    uint64_t accepted;      /* connections that the peer has made, and we took */
    uint64_t refused;       /* and did not: void, superseded */
    uint64_t simultaneous;  /* how often both were making one at the same time */
    char error[256];        /* why the last dial failed; "" none has, or one has succeeded since */
};
void peer_counts(const struct upstream *upstream, struct peer_counts *counts);

/* What the workers of a process share about peers. After every upstreams_free(). */
struct peer_registry *peer_registry_new(void);
void peer_registry_free(struct peer_registry **registry);

/* Link/Connect, for the connections of peers; its name is taken in any case, so that it is never passed on. The set must
 * live as long as the router's last call. */
void peer_add_routes(struct router *router, struct upstream_set *set);

/* The peers of a set, in the order of the file. */
void upstream_set_each_peer(const struct upstream_set *set, void (*visit)(void *context, struct upstream *peer),
                            void *context);
#endif
