/* net/tls.c - see tls.h */
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/tls_files.h"
#include "net/tls_private.h"

/* What RFC 9113 section 9.2.2 and its appendix A leave of TLS 1.2: ephemeral keys and AEAD. */
static const char tls12_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* The protocols of ALPN as they stand on the wire: a length and a name each. */
struct protocol_list {
    uint8_t *bytes;
    unsigned length;
};

struct tls_server {
    atomic_uint references;
    SSL_CTX **contexts; /* one for each certificate; all else is the same in them */
    size_t count;
    struct protocol_list protocols;
};

struct tls_client {
    SSL_CTX *context;
    char *server_name; /* for SNI: "" when it is an address */
    bool requires_protocol;
};

static void set_protocols(struct protocol_list *list, const char *const *names) {
    for (; names && *names; names++) {
        size_t length = strlen(*names);
        list->bytes = memory_resize(list->bytes, list->length + 1 + length);
        list->bytes[list->length] = (uint8_t)length;
        memcpy(list->bytes + list->length + 1, *names, length);
        list->length += (unsigned)length + 1;
    }
}

static SSL_CTX *new_context(const SSL_METHOD *method, bool is_tls13_only) {
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context) abort();
    SSL_CTX_set_min_proto_version(context, is_tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, tls12_ciphers);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets resume; nothing is kept here */
    SSL_CTX_set_num_tickets(context, 1);
    return context;
}

/* The server's choices during a handshake */

/* Ours first; a client that offers only others is refused, as RFC 7301 section 3.2 wants it. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                           const unsigned char *offered, unsigned offered_length, void *context) {
    (void)ssl;
    const struct tls_server *tls = context;
    const struct protocol_list *ours = &tls->protocols;
    for (unsigned i = 0; i < ours->length; i += 1u + ours->bytes[i]) {
        for (unsigned j = 0; j < offered_length; j += 1u + offered[j]) {
            if (offered[j] != ours->bytes[i] || memcmp(offered + j + 1, ours->bytes + i + 1, offered[j]) != 0)
                continue;
            *chosen = offered + j + 1;
            *chosen_length = offered[j];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *find_context(const struct tls_server *tls, const char *name, unsigned flags) {
    for (size_t i = 0; i < tls->count; i++) {
        if (X509_check_host(SSL_CTX_get0_certificate(tls->contexts[i]), name, 0, flags, NULL) == 1)
            return tls->contexts[i];
    }
    return NULL;
}

/* The certificate with the very name wins over one with a wildcard; a name that none has gets the first. */
static int choose_certificate(SSL *ssl, int *alert, void *context) {
    (void)alert;
    const struct tls_server *tls = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name || tls->count < 2) return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *found = find_context(tls, name, X509_CHECK_FLAG_NO_WILDCARDS);
    if (!found) found = find_context(tls, name, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (found) SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
}

static bool set_client_ca(SSL_CTX *context, const struct tls_server_options *options, struct error *error) {
    if (!options->asks_client_certificate && !options->requires_client_certificate) return true;
    if (!options->client_ca)
        return error_set(error, "client certificates need the CA that signs them: client_ca");
    if (!tls_files_set_ca(context, options->client_ca, error)) return false;
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options->client_ca));
    SSL_CTX_set_verify(
        context,
        SSL_VERIFY_PEER | (options->requires_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return true;
}

static SSL_CTX *new_server_context(struct tls_server *tls, const struct tls_server_options *options, size_t i,
                                   struct error *error) {
    SSL_CTX *context = new_context(TLS_server_method(), options->is_tls13_only);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"tidewire", 8);
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(context, tls);
    if (tls->protocols.length) SSL_CTX_set_alpn_select_cb(context, choose_protocol, tls);
    if (tls_files_set_certificate(context, options->certificates[i], options->keys[i], error) &&
        set_client_ca(context, options, error))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

struct tls_server *tls_server_new(const struct tls_server_options *options, struct error *error) {
    ERR_clear_error();
    size_t count = 0;
    while (options->certificates && options->certificates[count] && options->keys && options->keys[count])
        count++;
    if (!count) {
        error_set(error, "TLS needs a certificate and its key");
        return NULL;
    }
    struct tls_server *tls = memory_new(sizeof *tls);
    atomic_init(&tls->references, 1);
    tls->contexts = memory_new(count * sizeof *tls->contexts);
    set_protocols(&tls->protocols, options->protocols);
    for (; tls->count < count; tls->count++) {
        tls->contexts[tls->count] = new_server_context(tls, options, tls->count, error);
        if (tls->contexts[tls->count]) continue;
        tls_server_unref(&tls);
        break;
    }
    ERR_clear_error();
    return tls;
}

struct tls_server *tls_server_ref(struct tls_server *tls) {
    atomic_fetch_add_explicit(&tls->references, 1, memory_order_relaxed);
    return tls;
}

void tls_server_unref(struct tls_server **tls) {
    struct tls_server *old = *tls;
    if (!old) return;
    *tls = NULL;
    if (atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) > 1) return;
    for (size_t i = 0; i < old->count; i++) SSL_CTX_free(old->contexts[i]);
    free(old->contexts);
    free(old->protocols.bytes);
    free(old);
}

/* The client */

static bool is_address(const char *name) {
    uint8_t address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static bool set_server_name(struct tls_client *tls, const char *name, struct error *error) {
    X509_VERIFY_PARAM *checks = SSL_CTX_get0_param(tls->context);
    X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int is_set = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(checks, name)
                                  : X509_VERIFY_PARAM_set1_host(checks, name, 0);
    tls->server_name = memory_copy_string(is_address(name) ? "" : name);
    return is_set == 1 || error_set(error, "\"%s\" is no server name", name);
}

bool tls_set_expected_name(X509_VERIFY_PARAM *checks, const char *name) {
    if (is_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(checks, name) == 1;
    X509_VERIFY_PARAM_set1_host(checks, name, 0);
    return false;
}

static bool set_trust(struct tls_client *tls, const struct tls_client_options *options, struct error *error) {
    if (options->is_unverified) return true;
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    if (options->ca) return tls_files_set_ca(tls->context, options->ca, error);
    return SSL_CTX_set_default_verify_paths(tls->context) == 1 ||
           error_set(error, "the system has no certificates to trust");
}

struct tls_client *tls_client_new(const struct tls_client_options *options, struct error *error) {
    ERR_clear_error();
    struct tls_client *tls = memory_new(sizeof *tls);
    tls->context = new_context(TLS_client_method(), false);
    tls->requires_protocol = options->requires_protocol;
    struct protocol_list protocols = {0};
    set_protocols(&protocols, options->protocols);
    if (protocols.length) SSL_CTX_set_alpn_protos(tls->context, protocols.bytes, protocols.length);
    free(protocols.bytes);
    bool is_fine = set_server_name(tls, options->server_name ? options->server_name : "", error) &&
                   set_trust(tls, options, error);
    if (is_fine && options->certificate)
        is_fine = tls_files_set_certificate(tls->context, options->certificate,
                                            options->key ? options->key : options->certificate, error);
    if (!is_fine) tls_client_free(&tls);
    ERR_clear_error();
    return tls;
}

void tls_client_free(struct tls_client **tls) {
    struct tls_client *old = *tls;
    if (!old) return;
    *tls = NULL;
    SSL_CTX_free(old->context);
    free(old->server_name);
    free(old);
}

SSL_CTX *tls_server_context(struct tls_server *tls) { return tls->contexts[0]; }
SSL_CTX *tls_client_context(struct tls_client *tls) { return tls->context; }
bool tls_client_requires_protocol(const struct tls_client *tls) { return tls->requires_protocol; }
const char *tls_client_server_name(struct tls_client *tls) { return tls->server_name; }
