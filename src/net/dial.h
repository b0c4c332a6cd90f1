/* net/dial.h - connects a socket to the first address of a name that answers. */
#ifndef TIDEWIRE_NET_DIAL_H
#define TIDEWIRE_NET_DIAL_H
#include <sys/socket.h>

#include "base/error.h"

struct loop;
struct dial;

/* Once, from the loop: a connected, non-blocking socket, which the receiver owns, or -1 and the reason. */
typedef void dial_done_fn(void *context, int fd, const char *reason);

/* Resolves the name blocking. NULL and an error when the address makes no sense or the name is unknown. */
struct dial *dial_new(struct loop *loop, const char *address, dial_done_fn *on_done, void *context,
                      struct error *error);
/* To one address; `name` is for the texts. */
struct dial *dial_to(struct loop *loop, const struct sockaddr *address, socklen_t length, const char *name,
                     dial_done_fn *on_done, void *context);
/* At any time, also in on_done. */
void dial_free(struct dial **dial);
#endif
