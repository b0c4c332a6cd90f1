/* net/tls_info.c - see tls_info.h */
#include "net/tls_info.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/tls.h"

enum { MOST_NAMES = 64 }; /* of one certificate; a handler has no use for more */

/* The public struct points into this one. */
struct info {
    struct tls_info public;
    char *protocol, *server_name, *subject, *common_name;
    char fingerprint[2 * 32 + 1];
    const char *names[MOST_NAMES + 1];
    size_t name_count;
};

static char *subject_of(const X509_NAME *name) {
    BIO *memory = BIO_new(BIO_s_mem());
    if (!memory) abort();
    X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    char *bytes;
    long length = BIO_get_mem_data(memory, &bytes);
    char *text = memory_copy(bytes, length > 0 ? (size_t)length : 0);
    BIO_free(memory);
    return text;
}

/* NULL when the certificate has none, or one with a NUL inside, which could pass for another name. */
static char *text_of(const ASN1_STRING *string) {
    unsigned char *utf8 = NULL;
    int length = string ? ASN1_STRING_to_UTF8(&utf8, string) : -1;
    if (length < 0) return NULL;
    char *text = strlen((char *)utf8) == (size_t)length ? memory_copy(utf8, (size_t)length) : NULL;
    OPENSSL_free(utf8);
    return text;
}

static char *common_name_of(const X509_NAME *name) {
    int place = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    return place < 0 ? NULL : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, place)));
}

static void set_fingerprint(struct info *info, const X509 *certificate) {
    unsigned char digest[32];
    unsigned length = 0;
    if (!X509_digest(certificate, EVP_sha256(), digest, &length) || length != sizeof digest) return;
    for (size_t i = 0; i < sizeof digest; i++) snprintf(info->fingerprint + 2 * i, 3, "%02x", digest[i]);
    info->public.client_fingerprint = info->fingerprint;
}

static char *labelled(const char *label, const ASN1_STRING *string) {
    char *text = text_of(string);
    char *name = text ? memory_format("%s:%s", label, text) : NULL;
    free(text);
    return name;
}

static char *address_name(const ASN1_OCTET_STRING *string) {
    char text[INET6_ADDRSTRLEN];
    int length = ASN1_STRING_length(string);
    if (length != 4 && length != 16) return NULL;
    inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(string), text, sizeof text);
    return memory_format("IP:%s", text);
}

static char *name_of(const GENERAL_NAME *name) {
    switch (name->type) {
    case GEN_DNS: return labelled("DNS", name->d.dNSName);
    case GEN_URI: return labelled("URI", name->d.uniformResourceIdentifier);
    case GEN_EMAIL: return labelled("email", name->d.rfc822Name);
    case GEN_IPADD: return address_name(name->d.iPAddress);
    default: return NULL;
    }
}

static void set_names(struct info *info, const X509 *certificate) {
    GENERAL_NAMES *found = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(found) && info->name_count < MOST_NAMES; i++) {
        char *name = name_of(sk_GENERAL_NAME_value(found, i));
        if (name) info->names[info->name_count++] = name;
    }
    GENERAL_NAMES_free(found);
    if (info->name_count) info->public.client_names = info->names;
}

static void set_certificate(struct info *info, const SSL *ssl) {
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK ||
        !(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
        return;
    const X509_NAME *subject = X509_get_subject_name(certificate);
    info->public.client_subject = info->subject = subject_of(subject);
    info->public.client_common_name = info->common_name = common_name_of(subject);
    set_fingerprint(info, certificate);
    set_names(info, certificate);
}

struct tls_info *tls_info_new(const SSL *ssl) {
    ERR_clear_error();
    struct info *info = memory_new(sizeof *info);
    info->public.version = SSL_get_version(ssl);
    info->public.cipher = SSL_get_cipher_name(ssl);
    const unsigned char *protocol;
    unsigned protocol_length;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_length);
    if (protocol_length) info->public.protocol = info->protocol = memory_copy(protocol, protocol_length);
    const char *server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (server_name) info->public.server_name = info->server_name = memory_copy_string(server_name);
    if (SSL_is_server(ssl)) set_certificate(info, ssl);
    ERR_clear_error();
    return &info->public;
}

void tls_info_free(struct tls_info **info) {
    if (!*info) return;
    struct info *old = (struct info *)(void *)*info; /* its first member */
    *info = NULL;
    for (size_t i = 0; i < old->name_count; i++) free((char *)(uintptr_t)old->names[i]);
    free(old->protocol);
    free(old->server_name);
    free(old->subject);
    free(old->common_name);
    free(old);
}
