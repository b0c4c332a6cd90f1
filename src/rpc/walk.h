/* rpc/walk.h - where messages begin in the bytes of a raw call that has limits.
 *
 * Bytes cross as ever, and are not copied for it; from prefix to prefix the meter is asked. What it does not let pass yet
 * is held here: the sender's window is given back as bytes leave at the other end, and so stays closed. A call without
 * limits on messages has no walk. */
#ifndef TIDEWIRE_RPC_WALK_H
#define TIDEWIRE_RPC_WALK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/stream.h"
#include "limit/table.h"

struct meter;
struct rpc_call;

void walk_begin(struct meter *meter);
/* Forgets what is held. */
void walk_end(struct meter *meter);
/* Bytes that came for the other end, and that are on its account. */
void walk_receive(struct meter *meter, enum limit_way way, const uint8_t *bytes, size_t length);
/* The sender has ended. True: behind what is held, and it is told then. */
bool walk_holds_end(struct meter *meter, enum limit_way way, const struct http_header *trailers, size_t count);
/* Its end is held: that its stream has closed says no more. */
bool walk_has_ended(const struct meter *meter, enum limit_way way);
/* A part of a message has passed. */
bool walk_is_within(const struct meter *meter, enum limit_way way);
/* The message that was held may pass. */
void walk_release(struct rpc_call *server, enum limit_way way);
#endif
