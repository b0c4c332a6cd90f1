/* upstream/relay.h - passed on message by message: for clients whose bytes a gRPC server does not read as they are
 * (gRPC-Web, Connect, JSON). Two calls, the client's ("down") and ours ("up"); what comes on the one leaves on the
 * other, compressed or not as it came where the other end takes that, and no type need be known but for JSON. */
#ifndef TIDEWIRE_UPSTREAM_RELAY_H
#define TIDEWIRE_UPSTREAM_RELAY_H
#include "upstream/upstream.h"

/* For the handler of the client's calls; their data is the upstream at first. */
void relay_open(struct call *down);
void relay_readable(struct call *down);
void relay_writable(struct call *down);
void relay_close(struct call *down);
#endif
