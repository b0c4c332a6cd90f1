/* net/tls_info.h - what a handshake has agreed on, as text. */
#ifndef TIDEWIRE_NET_TLS_INFO_H
#define TIDEWIRE_NET_TLS_INFO_H
#include <openssl/ssl.h>

struct tls_info;

/* One allocation tree, freed by tls_info_free(). The certificate counts only when it was verified. */
struct tls_info *tls_info_new(const SSL *ssl);
void tls_info_free(struct tls_info **info);
#endif
