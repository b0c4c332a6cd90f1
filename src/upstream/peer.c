/* upstream/peer.c - see peer.h */
#include "upstream/peer.h"

#include "upstream/upstream_private.h"

bool upstream_is_peer(const struct upstream *upstream) { return upstream->config->peer.id != NULL; }

const char *upstream_peer_id(const struct upstream *upstream) { return upstream->config->peer.id; }

void peer_counts(const struct upstream *upstream, struct peer_counts *counts) {
    struct upstream_counts all;
    upstream_counts(upstream, &all);
    *counts = (struct peer_counts){.name = upstream->config->name,
                                   .id = upstream->config->peer.id,
                                   .connections = all.connections,
                                   .streams = all.streams,
                                   .waiting = all.waiting};
}
