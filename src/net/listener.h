/* net/listener.h - listening sockets. They are opened and accept in the main thread; an accepted socket is
 * handed to `on_accept`, which gives it to a worker. */
#ifndef TIDEWIRE_NET_LISTENER_H
#define TIDEWIRE_NET_LISTENER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct listener;

struct listener_options {
    /* Numeric or name; all addresses that the name has are bound, all to the same port; "" or "*" is every
     * address of both families. "::" is IPv6 alone (IPV6_V6ONLY), so that it and "0.0.0.0" can be listened on
     * together. */
    const char *host, *port;
    const char *path; /* of a unix socket; then host and port are NULL */
    uint32_t mode;    /* of the unix socket's file */
    int backlog;      /* 0: as many as the kernel allows */
    /* Networks whose connections begin with a PROXY header: "10.0.0.0/8", "::1", "unix" for every unix
     * socket; ended by NULL; may be NULL. */
    char *const *proxy_from;
};

/* Takes the descriptor over: connected, non-blocking, TCP_NODELAY and SO_KEEPALIVE set. It may close the
 * listener. `expects_proxy_header`: the peer is in one of the proxy_from networks. */
typedef void listener_accept_fn(void *context, struct listener *listener, int fd, bool expects_proxy_header);

/* A stale unix socket (nobody answers there) is removed, a live one is an error. NULL and an error text on
 * failure. When descriptors run out a reserve descriptor is used to accept and close one connection, a log
 * line says so, and accepting pauses for a moment instead of spinning. */
struct listener *listener_open(struct loop *loop, const struct listener_options *options,
                               listener_accept_fn *on_accept, void *context, struct error *error);
/* The address with the port that was got: "127.0.0.1:40123"; the first of several; "unix:/run/x.sock". */
const char *listener_address(const struct listener *listener);
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
/* Takes over mode, backlog and proxy_from, for connections that are accepted from now on; the address stays. False and
 * an error text when not all of it could be done. */
bool listener_change(struct listener *listener, const struct listener_options *options, struct error *error);
/* Accepts what waits in the kernel now: connections that a close of the listener would reset. */
void listener_accept_waiting(struct listener *listener);
/* Stops listening; a unix socket's file goes. */
void listener_close(struct listener **listener);

/* RLIMIT_NOFILE up to its hard limit, SIGPIPE ignored, libevent's complaints to the log, /dev/null for a standard
 * descriptor that is closed; once at start. */
void net_prepare_process(void);
/* "libevent 2.1.12, OpenSSL 3.0.22, c-ares 1.18.1", for --version. */
const char *net_versions(void);
#endif
