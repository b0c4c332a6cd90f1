/* net/tls_session.h - the TLS of one connection as a filter between buffers: it never sees the socket.
 *
 * What it wants to send is appended to `cipher`, whatever the result: the caller sends that first. */
#ifndef TIDEWIRE_NET_TLS_SESSION_H
#define TIDEWIRE_NET_TLS_SESSION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buffer.h"

struct tls_client;
struct tls_info;
struct tls_server;
struct tls_session;

struct tls_session *tls_session_accept(struct tls_server *server);
/* `server_name` instead of the client's own, or NULL. */
struct tls_session *tls_session_connect(struct tls_client *client, const char *server_name);
void tls_session_free(struct tls_session **session);

enum tls_result {
    TLS_GOING,  /* all is taken in; more may come */
    TLS_CLOSED, /* the peer's last byte has come */
    TLS_FAILED, /* tls_session_fault() says why */
};
/* The client's first words. */
enum tls_result tls_session_start(struct tls_session *session, struct buffer *cipher);
/* Takes all of the bytes in; what they contain is appended to `plain`: at most their number and one record
 * more. */
enum tls_result tls_session_receive(struct tls_session *session, const uint8_t *bytes, size_t length,
                                    struct buffer *plain, struct buffer *cipher);

/* What is left to send; begin with offset 0. */
struct tls_source {
    const struct iovec *pieces;
    int count;
    size_t offset; /* in the first piece */
};
/* Takes about `most` bytes off the source, whole records; small pieces share records. After the handshake. */
enum tls_result tls_session_send(struct tls_session *session, struct tls_source *source, size_t most,
                                 struct buffer *cipher);
/* Says that nothing more will be sent. */
void tls_session_close(struct tls_session *session, struct buffer *cipher);

/* The handshake is done. */
bool tls_session_is_open(const struct tls_session *session);
/* A sentence; the session's. */
const char *tls_session_fault(const struct tls_session *session);
/* Made when first asked for; the session's. */
const struct tls_info *tls_session_info(struct tls_session *session);
#endif
