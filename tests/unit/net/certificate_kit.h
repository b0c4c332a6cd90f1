/* certificate_kit.h - makes keys and certificates, in files of a temporary directory. */
#ifndef TIDEWIRE_TESTS_CERTIFICATE_KIT_H
#define TIDEWIRE_TESTS_CERTIFICATE_KIT_H
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "check.h"

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
    char file[96], key_file[96];
};

static char certificate_directory[] = "/tmp/tidewire-tls-XXXXXX";

static inline void add_extension(X509 *x509, int name, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, name, value);
    CHECK(extension != NULL);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline void write_pem(const struct certificate *made) {
    FILE *stream = fopen(made->file, "w");
    CHECK(stream && PEM_write_X509(stream, made->x509));
    fclose(stream);
    stream = fopen(made->key_file, "w");
    CHECK(stream && PEM_write_PrivateKey(stream, made->key, NULL, NULL, 0, NULL, NULL));
    fclose(stream);
}

/* Signed by `issuer`, or by itself when NULL (then it may sign others). `names` as for subjectAltName, or
 * NULL. Valid from and until so many seconds from now. */
static inline struct certificate make_certificate(const struct certificate *issuer, const char *common_name,
                                                  const char *names, long from, long until) {
    static long serial;
    struct certificate made = {.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    CHECK(made.x509 && made.key);
    X509_set_version(made.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), from);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), until);
    X509_set_pubkey(made.x509, made.key);
    X509_NAME *subject = X509_get_subject_name(made.x509);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"Tests", -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(made.x509, issuer ? X509_get_subject_name(issuer->x509) : subject);
    add_extension(made.x509, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (names) add_extension(made.x509, NID_subject_alt_name, names);
    CHECK(X509_sign(made.x509, issuer ? issuer->key : made.key, EVP_sha256()) > 0);
    snprintf(made.file, sizeof made.file, "%s/%ld.pem", certificate_directory, serial);
    snprintf(made.key_file, sizeof made.key_file, "%s/%ld.key", certificate_directory, serial);
    write_pem(&made);
    return made;
}

static inline void free_certificate(struct certificate *made) {
    unlink(made->file);
    unlink(made->key_file);
    X509_free(made->x509);
    EVP_PKEY_free(made->key);
}
#endif
