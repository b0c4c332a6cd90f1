/* net/connection.h - one connected byte stream: TCP or unix socket, plain or TLS; or carried by something else.
 *
 * Bytes are read into one buffer of the thread and given to the owner, who borrows them until its callback
 * returns. What is written goes out at once as far as the socket takes it; the rest is kept here, and the
 * owner writes no more until on_drained. An idle connection owns no buffer. */
#ifndef TIDEWIRE_NET_CONNECTION_H
#define TIDEWIRE_NET_CONNECTION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "net/tls.h"

struct loop;
struct connection;
struct sockaddr;

/* All are called from the loop, never from inside a function of this header. `owner` is the pointer given at
 * creation. In each of them the owner may call any function of this header, connection_free() too. */
struct connection_events {
    /* Bytes may flow: soon for plain sockets, after the handshake for TLS. Comes before all others, and not
     * at all when connecting, PROXY header or handshake fail: then only on_end. */
    void (*on_ready)(void *owner);
    void (*on_bytes)(void *owner, const uint8_t *bytes, size_t length);
    /* What connection_write() had kept is gone to the kernel. */
    void (*on_drained)(void *owner);
    /* Once, last: the peer has closed, an error, a time-out. `reason` is a sentence for the log. The owner
     * calls connection_free() now or later. */
    void (*on_end)(void *owner, const char *reason);
};

struct connection_options {
    struct tls_server *tls_server; /* one or none of the two */
    struct tls_client *tls_client;
    bool reads_proxy_header;    /* a PROXY v1 or v2 header must come first */
    uint64_t handshake_timeout; /* ns for PROXY header and TLS handshake together; 0: none */
    /* To dial: this instead of a name; and the name for TLS instead of the one of tls_client. May be NULL. */
    const struct sockaddr *address;
    uint32_t address_length;
    const char *server_name;
};

/* Takes over a connected, non-blocking socket. A peer that was to send a PROXY header and did not is closed,
 * with a log line. */
struct connection *connection_accepted(struct loop *loop, int fd, const struct connection_options *options,
                                       const struct connection_events *events, void *owner);
/* Starts to connect to "host:port", "[v6]:port" or "unix:/path"; unless there is an address in the options, names are
 * resolved blocking: for command-line clients. NULL and an error when the address makes no sense. */
struct connection *connection_dial(struct loop *loop, const char *address,
                                   const struct connection_options *options,
                                   const struct connection_events *events, void *owner, struct error *error);

/* ---- carried: the bytes travel in something else than a socket ---- */

/* What carries a connection. All are called from functions of this header with the `carried` given at creation, may
 * not call any of them, and act at once but for what they say otherwise. None comes after free(). */
struct connection_carrier {
    /* As connection_write(): the bytes are copied, or have left. A carrier that keeps some says so once they are below
     * its own mark, by connection_carry_drained(). */
    size_t (*write)(void *carried, const struct iovec *pieces, int count);
    size_t (*kept)(const void *carried);
    size_t (*undelivered)(const void *carried);
    /* A connection begins paused, and is resumed when it is ready; while it is paused the carrier brings no bytes. */
    void (*pause)(void *carried);
    void (*resume)(void *carried);
    /* Nothing more is written: what is kept goes out, then an end that the other side can tell from a loss. Bytes that
     * still come are brought (and thrown away). connection_carry_end() when the other side has ended too. */
    void (*shutdown)(void *carried);
    /* The connection has gone; the carrier ends what it carries it by. */
    void (*free)(void *carried);
    const struct tls_info *(*tls)(const void *carried); /* of what is below; or NULL */
};

/* Ready in the loop's run phase of this turn. The texts are copied. */
struct connection *connection_carried(struct loop *loop, const struct connection_carrier *carrier, void *carried,
                                      const char *peer, const char *local, const struct connection_events *events,
                                      void *owner);
/* From the carrier, in a callback of the loop of its own: the owner is called from inside, and may free the connection
 * there. Bytes only while it is not paused. The end is told in the loop's run phase; after it only free() comes. */
void connection_carry_bytes(struct connection *connection, const uint8_t *bytes, size_t length);
void connection_carry_drained(struct connection *connection);
void connection_carry_end(struct connection *connection, const char *reason);

/* ---- use ---- */

/* Sends the pieces in order; from on_ready on, and to no effect after on_end or connection_shutdown().
 * Returns how many bytes are still kept here: 0 means that all of it has left. Payloads are not copied unless
 * the socket refuses them (or TLS encrypts them). */
size_t connection_write(struct connection *connection, const struct iovec *pieces, int count);
size_t connection_kept(const struct connection *connection);
/* With what the kernel has not delivered yet: shrinks when the peer takes anything at all. Asks the kernel. */
size_t connection_undelivered(const struct connection *connection);
/* Where the protocol has no means to ask whether the peer is still there, the kernel asks: after `interval` of silence,
 * and for `timeout` again. Of TCP sockets, in whole seconds; nothing of others. */
void connection_probe(struct connection *connection, uint64_t interval, uint64_t timeout);
/* Stops and starts reading: back-pressure to the kernel. A pause in on_ready may still see one on_bytes: what
 * came together with the end of the handshake. A peer that is gone meanwhile is noticed some seconds later. */
void connection_pause(struct connection *connection);
void connection_resume(struct connection *connection);
/* Sends what is kept (ten seconds without progress end that), then a TLS close and FIN, waits up to a second
 * for the peer's, then calls on_end. What the peer still sends is thrown away. Of a carried one the other side's end
 * may take those ten seconds too. */
void connection_shutdown(struct connection *connection);
/* Closes at once; no callback comes any more; the memory goes in LOOP_FREE. Sets the pointer to NULL. */
void connection_free(struct connection **connection);

uint64_t connection_id(const struct connection *connection); /* process-wide number, for the log */
/* "127.0.0.1:4711", "[::1]:4711", "unix:"; behind PROXY: what the header said. */
const char *connection_peer(const struct connection *connection);
const char *connection_local(const struct connection *connection);
const struct tls_info *connection_tls(const struct connection *connection); /* NULL when plain */
#endif
