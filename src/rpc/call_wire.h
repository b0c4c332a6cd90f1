/* rpc/call_wire.h - a connection whose bytes travel in the messages of a call (rpc/tunnel.h says how and why).
 *
 * Inwards: what is taken of the call is copied behind each other, large messages are referenced, and the connection's
 * owner gets it in a task of its own: never from inside of the call's turn, as calls have their turns in there too.
 * Outwards: one write is a few messages in the call's queue. */
#ifndef TIDEWIRE_RPC_CALL_WIRE_H
#define TIDEWIRE_RPC_CALL_WIRE_H
#include <stdbool.h>

struct call;
struct connection;
struct http_session;

/* Takes the call over. The connection is the session's, which is new; `peer` stands for its address. */
struct connection *call_wire_new(struct call *call, const char *peer, struct http_session *session);
/* This call carries a connection. */
bool call_has_wire(const struct call *call);
#endif
