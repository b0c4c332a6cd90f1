/* net/tls_files.h - reads certificates and keys, and says which file is wrong and how. */
#ifndef TIDEWIRE_NET_TLS_FILES_H
#define TIDEWIRE_NET_TLS_FILES_H
#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/error.h"

/* A PEM file with the certificate and the chain behind it, and the key that belongs to it. A certificate that
 * is not valid today is an error: every client would refuse it. */
bool tls_files_set_certificate(SSL_CTX *context, const char *certificate, const char *key,
                               struct error *error);
/* The PEM file of the authorities that sign the other side's certificates. */
bool tls_files_set_ca(SSL_CTX *context, const char *ca, struct error *error);
#endif
