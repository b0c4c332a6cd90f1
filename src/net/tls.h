/* net/tls.h - TLS 1.2 and 1.3 for listeners and for clients. */
#ifndef TIDEWIRE_NET_TLS_H
#define TIDEWIRE_NET_TLS_H
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct tls_server; /* immutable and counted; shared by all threads */
struct tls_client;

struct tls_server_options {
    char *const *certificates; /* PEM files, ended by NULL; SNI picks by the names in them, else the first */
    char *const *keys;         /* theirs, in the same order */
    const char *client_ca;     /* PEM or NULL */
    bool asks_client_certificate, requires_client_certificate;
    bool is_tls13_only;
    const char *const *protocols; /* ALPN in our order of preference, ended by NULL: {"h2", NULL} */
};
/* A file that can't be read or used, a key of another certificate, a certificate that is not valid today:
 * NULL and an error that names the file. A client that offers ALPN without a match is refused; one without
 * ALPN is not. */
struct tls_server *tls_server_new(const struct tls_server_options *options, struct error *error);
struct tls_server *tls_server_ref(struct tls_server *tls);
void tls_server_unref(struct tls_server **tls);

struct tls_client_options {
    const char *server_name;       /* SNI, and the name that the certificate must carry */
    const char *ca;                /* PEM, or NULL for the system's */
    const char *certificate, *key; /* our own, or NULL */
    bool is_unverified;            /* --insecure of `tidewire call` */
    const char *const *protocols;
    bool requires_protocol; /* a server that takes none of them is refused */
};
struct tls_client *tls_client_new(const struct tls_client_options *options, struct error *error);
void tls_client_free(struct tls_client **tls);

/* What a handler sees as stream.tls; text members are NULL when there is none. Owned by the connection. */
struct tls_info {
    const char *version, *cipher, *protocol, *server_name;
    /* Of a verified certificate; the fingerprint is SHA-256 in hex. */
    const char *client_subject, *client_common_name, *client_fingerprint;
    const char *const *client_names; /* subjectAltName: "DNS:a", "URI:spiffe://…"; ended by NULL */
};
#endif
