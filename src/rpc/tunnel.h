/* rpc/tunnel.h - an HTTP/2 session whose bytes travel in the messages of one call, both ways: so that the end of a
 * connection which accepted it can open calls of its own on it.
 *
 * The call is tidewire.peer.v1.Link/Connect, a message of it `Chunk { bytes data = 1; }`; where the chunks are cut means
 * nothing. A call is given to a tunnel once both ends have agreed (metadata is theirs): a server call in on_open or
 * later, a client call in on_headers or later, before its first message was taken. From then on the tunnel is its
 * handler, the one before is told nothing more, not even on_close. In one direction of the call the client of the
 * session may be the call's server, and usually is.
 *
 * Back-pressure: the session writes until call_is_full(); while the session does not read, no messages are taken, so that
 * the call's window stops the other end. What waits here is one read's bytes inwards, and the call's queue and one
 * gathered write outwards.
 *
 * The end: a session that ends in peace half-closes the call, or finishes it with OK, behind all that was written; the
 * other end's session ends when it has read that. A session that is cut finishes the call UNAVAILABLE, or cancels it. A
 * call that ends otherwise (its connection is lost) takes the session with it at once. A message that is no Chunk ends
 * both: INVALID_ARGUMENT. */
#ifndef TIDEWIRE_RPC_TUNNEL_H
#define TIDEWIRE_RPC_TUNNEL_H
#include <stddef.h>

#include "rpc/client.h"

/* What to route or open: the method, without types, and the limits that the calls should have. */
extern const struct method rpc_tunnel_method;
extern const struct call_limits rpc_tunnel_limits;

/* The client of a session in the call's messages, to open calls on like on any other link; response headers of a server
 * call leave now. Of the options count name (it stands for the address in access lines), authority, connect_timeout,
 * keepalive (0: the call's connection has its own) and most_streams. */
struct rpc_link *rpc_tunnel_link(struct call *call, const struct rpc_link_options *options,
                                 const struct rpc_link_events *events, void *context);

/* The server of a session in the call's messages, served like an accepted connection. */
struct rpc_tunnel;
struct rpc_tunnel_options {
    const char *node;      /* call_node() of the calls in it; copied; may be NULL */
    struct router *router; /* NULL: the one in force; borrowed, until the session has gone */
};
/* Told from the loop's run phase. */
struct rpc_tunnel_events {
    /* A call has gone, and at that moment there was no other: rpc_tunnel_streams() says whether there is now. */
    void (*on_idle)(void *context);
    /* Once, last: the session and its calls have gone; only rpc_tunnel_free() is left. The call that carried it may
     * still have its last words to send. */
    void (*on_gone)(void *context, const char *reason);
};
struct rpc_tunnel *rpc_tunnel_serve(struct call *call, const struct rpc_tunnel_options *options,
                                    const struct rpc_tunnel_events *events, void *context);
/* Lets go: no events any more; what still stands drains. */
void rpc_tunnel_free(struct rpc_tunnel **tunnel);
size_t rpc_tunnel_streams(const struct rpc_tunnel *tunnel);
/* Two-phase GOAWAY: open calls finish, new ones are refused unseen; then the session ends in peace. */
void rpc_tunnel_drain(struct rpc_tunnel *tunnel);
/* Ends now: the calls in it fail. on_gone follows. */
void rpc_tunnel_close(struct rpc_tunnel *tunnel, const char *reason);
#endif
