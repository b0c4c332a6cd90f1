/* net/digest.c - see digest.h */
#include "net/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

void digest_sha1(const void *data, size_t length, uint8_t out[SHA1_LENGTH]) {
    if (!EVP_Digest(data, length, out, NULL, EVP_sha1(), NULL)) abort(); /* no memory */
}
