/* net/listener_socket.h - opens the sockets that a listener listens on. */
#ifndef TIDEWIRE_NET_LISTENER_SOCKET_H
#define TIDEWIRE_NET_LISTENER_SOCKET_H
#include "base/error.h"

struct listener_options;

enum { LISTENER_MOST_SOCKETS = 16 };

/* As listen() takes it. */
int listener_socket_backlog(const struct listener_options *options);
/* Both return how many sockets they put into `fds`, bound, listening and non-blocking; 0 and an error when
 * not all that was asked for could be had. */
int listener_socket_tcp(const struct listener_options *options, int *fds, struct error *error);
int listener_socket_unix(const struct listener_options *options, int *fds, struct error *error);
#endif
