/* net/tls_private.h - what tls_session.c needs of the contexts that tls.c makes. */
#ifndef TIDEWIRE_NET_TLS_PRIVATE_H
#define TIDEWIRE_NET_TLS_PRIVATE_H
#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_server;
struct tls_client;

SSL_CTX *tls_server_context(struct tls_server *tls);
SSL_CTX *tls_client_context(struct tls_client *tls);
/* "" or a name for SNI. */
const char *tls_client_server_name(struct tls_client *tls);
bool tls_client_requires_protocol(const struct tls_client *tls);
/* The certificate must carry this name or address. True: it is an address, for which there is no SNI. */
bool tls_set_expected_name(X509_VERIFY_PARAM *checks, const char *name);
#endif
