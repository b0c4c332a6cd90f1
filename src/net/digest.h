/* net/digest.h - digests, as protocols want them. */
#ifndef TIDEWIRE_NET_DIGEST_H
#define TIDEWIRE_NET_DIGEST_H
#include <stddef.h>
#include <stdint.h>

enum { SHA1_LENGTH = 20 };

void digest_sha1(const void *data, size_t length, uint8_t out[SHA1_LENGTH]);
#endif
