/* rpc/base64.h - the standard alphabet, as "-bin" metadata uses it (gRPC over HTTP/2: written without padding,
 * read with or without). */
#ifndef TIDEWIRE_RPC_BASE64_H
#define TIDEWIRE_RPC_BASE64_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room that base64_encode() needs for `length` bytes. */
static inline size_t base64_length(size_t length) { return length / 3 * 4 + (length % 3 ? length % 3 + 1 : 0); }
/* Returns how many characters were written; no padding, no NUL. */
size_t base64_encode(char *out, const void *bytes, size_t length);
/* `out` has room for 3 bytes for every 4 characters begun. False: not base64. */
bool base64_decode(uint8_t *out, size_t *out_length, const char *text, size_t length);
#endif
