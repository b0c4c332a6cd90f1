/* net/tls_files.c - see tls_files.h */
#include "net/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The reason that OpenSSL gave last, and an empty queue. */
static bool fail(struct error *error, const char *file, const char *what) {
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    error_at(error, file, 0, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return false;
}

/* NULL and an error when it can't be read; OpenSSL's own words for that name no file. */
static FILE *open_file(const char *file, struct error *error) {
    FILE *stream = fopen(file, "re");
    if (!stream) error_at(error, file, 0, "%s", strerror(errno));
    return stream;
}

static bool check_dates(const X509 *certificate, const char *file, struct error *error) {
    const ASN1_TIME *from = X509_get0_notBefore(certificate), *until = X509_get0_notAfter(certificate);
    bool is_early = X509_cmp_current_time(from) > 0, is_late = X509_cmp_current_time(until) < 0;
    struct tm date;
    if (!is_early && !is_late) return true;
    char text[32] = "";
    if (ASN1_TIME_to_tm(is_late ? until : from, &date))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &date);
    return error_at(error, file, 0,
                    is_late ? "the certificate expired on %s" : "the certificate is not valid before %s",
                    text);
}

/* Asked for a passphrase OpenSSL would talk to the terminal. */
static int refuse_passphrase(char *text, int size, int is_writing, void *context) {
    (void)text, (void)size, (void)is_writing, (void)context;
    return -1;
}

static bool set_key(SSL_CTX *context, const char *file, const char *certificate_file, struct error *error) {
    FILE *stream = open_file(file, error);
    if (!stream) return false;
    EVP_PKEY *key = PEM_read_PrivateKey(stream, NULL, refuse_passphrase, NULL);
    fclose(stream);
    if (!key) return fail(error, file, "no private key without a passphrase is in it");
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(context), key) == 1;
    bool is_set = fits && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    if (!fits) {
        ERR_clear_error();
        return error_at(error, file, 0, "the key does not belong to the certificate %s", certificate_file);
    }
    return is_set || fail(error, file, "the key cannot be used");
}

static bool is_readable(const char *file, struct error *error) {
    FILE *stream = open_file(file, error);
    if (stream) fclose(stream);
    return stream != NULL;
}

bool tls_files_set_certificate(SSL_CTX *context, const char *certificate, const char *key,
                               struct error *error) {
    ERR_clear_error();
    if (!is_readable(certificate, error)) return false;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return fail(error, certificate, "no usable certificate is in it");
    return check_dates(SSL_CTX_get0_certificate(context), certificate, error) &&
           set_key(context, key, certificate, error);
}

bool tls_files_set_ca(SSL_CTX *context, const char *ca, struct error *error) {
    ERR_clear_error();
    if (!is_readable(ca, error)) return false;
    return SSL_CTX_load_verify_file(context, ca) == 1 ||
           fail(error, ca, "no certificate of an authority is in it");
}
