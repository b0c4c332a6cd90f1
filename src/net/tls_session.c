/* net/tls_session.c - see tls_session.h
 *
 * OpenSSL reads and writes through a BIO of our own, which looks at the buffers of the call that is running.
 * So it never waits for anything but the peer's bytes. Its error queue belongs to the thread: each call
 * begins and ends with an empty one. */
#include "net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/tls.h"
#include "net/tls_info.h"
#include "net/tls_private.h"

enum { RECORD = SSL3_RT_MAX_PLAIN_LENGTH };

struct tls_session {
    SSL *ssl;
    struct tls_server *server; /* whose choices the handshake asks for; NULL: client */
    const uint8_t *bytes;      /* not yet read of what came, during a call */
    size_t length;
    struct buffer *cipher; /* where to write, during a call */
    struct tls_info *info;
    char *fault;
    bool requires_protocol; /* a server without ALPN is refused */
    bool is_dead; /* failed or closed by the peer: OpenSSL must not be called again */
};

/* The BIO */

static int bio_read(BIO *bio, char *data, int size) {
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!session->length) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t length = session->length < (size_t)size ? session->length : (size_t)size;
    memcpy(data, session->bytes, length);
    session->bytes += length;
    session->length -= length;
    return (int)length;
}

static int bio_write(BIO *bio, const char *data, int length) {
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->cipher) buffer_append(session->cipher, data, (size_t)length);
    return length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void) {
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tidewire");
    if (!bio_method) abort();
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_control);
    BIO_meth_set_create(bio_method, bio_create);
}

/* The session */

static struct tls_session *new_session(SSL_CTX *context) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    struct tls_session *session = memory_new(sizeof *session);
    BIO *bio = BIO_new(bio_method);
    session->ssl = SSL_new(context);
    if (!session->ssl || !bio) abort(); /* memory is out */
    BIO_set_data(bio, session);
    SSL_set_bio(session->ssl, bio, bio);
    return session;
}

struct tls_session *tls_session_accept(struct tls_server *server) {
    struct tls_session *session = new_session(tls_server_context(server));
    session->server = tls_server_ref(server);
    SSL_set_accept_state(session->ssl);
    return session;
}

struct tls_session *tls_session_connect(struct tls_client *client, const char *server_name) {
    struct tls_session *session = new_session(tls_client_context(client));
    SSL_set_connect_state(session->ssl);
    session->requires_protocol = tls_client_requires_protocol(client);
    const char *name = server_name ? server_name : tls_client_server_name(client);
    if (server_name && tls_set_expected_name(SSL_get0_param(session->ssl), server_name)) name = "";
    if (*name) SSL_set_tlsext_host_name(session->ssl, name);
    return session;
}

void tls_session_free(struct tls_session **session) {
    struct tls_session *old = *session;
    if (!old) return;
    *session = NULL;
    old->cipher = NULL;
    SSL_free(old->ssl);
    tls_server_unref(&old->server);
    tls_info_free(&old->info);
    free(old->fault);
    free(old);
    ERR_clear_error();
}

static const char *certificate_fault(const SSL *ssl) {
    long result = SSL_get_verify_result(ssl);
    return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

static enum tls_result fail(struct tls_session *session) {
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    const char *certificate = certificate_fault(session->ssl);
    session->is_dead = true;
    session->fault = memory_format("TLS: %s%s%s", reason ? reason : "protocol error", certificate ? ": " : "",
                                   certificate ? certificate : "");
    ERR_clear_error();
    return TLS_FAILED;
}

/* What an unsuccessful call means: most often only that the rest of a record has not come yet. */
static enum tls_result judge(struct tls_session *session, int returned) {
    switch (SSL_get_error(session->ssl, returned)) {
    case SSL_ERROR_WANT_READ: return TLS_GOING;
    case SSL_ERROR_ZERO_RETURN: session->is_dead = true; return TLS_CLOSED;
    default: return fail(session);
    }
}

/* The server has taken one of those that we offered, or none. */
static enum tls_result check_protocol(struct tls_session *session) {
    const unsigned char *name;
    unsigned length;
    SSL_get0_alpn_selected(session->ssl, &name, &length);
    if (length) return TLS_GOING;
    session->is_dead = true;
    session->fault = memory_copy_string("TLS: the server does not speak h2 (ALPN)");
    return TLS_FAILED;
}

static enum tls_result shake_hands(struct tls_session *session) {
    if (SSL_is_init_finished(session->ssl)) return TLS_GOING;
    int returned = SSL_do_handshake(session->ssl);
    if (returned != 1) return judge(session, returned);
    return session->requires_protocol ? check_protocol(session) : TLS_GOING;
}

static enum tls_result read_records(struct tls_session *session, struct buffer *plain) {
    for (;;) {
        uint8_t *room = buffer_reserve(plain, RECORD);
        int returned = SSL_read(session->ssl, room, RECORD);
        if (returned <= 0) return judge(session, returned);
        buffer_commit(plain, (size_t)returned);
    }
}

enum tls_result tls_session_start(struct tls_session *session, struct buffer *cipher) {
    ERR_clear_error();
    session->cipher = cipher;
    enum tls_result result = shake_hands(session);
    session->cipher = NULL;
    return result;
}

enum tls_result tls_session_receive(struct tls_session *session, const uint8_t *bytes, size_t length,
                                    struct buffer *plain, struct buffer *cipher) {
    if (session->is_dead) return TLS_CLOSED;
    ERR_clear_error();
    session->bytes = bytes;
    session->length = length;
    session->cipher = cipher;
    enum tls_result result = shake_hands(session);
    if (result == TLS_GOING && SSL_is_init_finished(session->ssl)) result = read_records(session, plain);
    session->cipher = NULL;
    session->length = 0;
    return result;
}

/* The next record: straight from a piece that fills one, else gathered from several. Takes it off the source. */
static const uint8_t *next_record(struct tls_source *source, uint8_t *gathered, size_t *length) {
    const uint8_t *record = gathered;
    *length = 0;
    while (source->count && *length < RECORD) {
        const struct iovec *piece = source->pieces;
        const uint8_t *bytes = (const uint8_t *)piece->iov_base + source->offset;
        size_t left = piece->iov_len - source->offset, room = RECORD - *length,
               part = left < room ? left : room;
        if (part == RECORD) record = bytes;
        else if (part) memcpy(gathered + *length, bytes, part);
        *length += part;
        source->offset += part;
        if (part == left) source->pieces++, source->count--, source->offset = 0;
    }
    return record;
}

enum tls_result tls_session_send(struct tls_session *session, struct tls_source *source, size_t most,
                                 struct buffer *cipher) {
    uint8_t gathered[RECORD];
    enum tls_result result = TLS_GOING;
    if (session->is_dead) return TLS_CLOSED;
    ERR_clear_error();
    session->cipher = cipher;
    for (size_t taken = 0, length; result == TLS_GOING && source->count && taken < most; taken += length) {
        const uint8_t *record = next_record(source, gathered, &length);
        if (!length) break;
        int returned = SSL_write(session->ssl, record, (int)length);
        if (returned <= 0) result = fail(session); /* our BIO takes everything: nothing to wait for */
    }
    session->cipher = NULL;
    return result;
}

void tls_session_close(struct tls_session *session, struct buffer *cipher) {
    if (session->is_dead) return;
    ERR_clear_error();
    session->cipher = cipher;
    SSL_shutdown(session->ssl);
    session->cipher = NULL;
    session->is_dead = true;
    ERR_clear_error();
}

bool tls_session_is_open(const struct tls_session *session) { return SSL_is_init_finished(session->ssl); }

const char *tls_session_fault(const struct tls_session *session) {
    return session->fault ? session->fault : "TLS: closed";
}

const struct tls_info *tls_session_info(struct tls_session *session) {
    if (!session->info && tls_session_is_open(session)) session->info = tls_info_new(session->ssl);
    return session->info;
}
