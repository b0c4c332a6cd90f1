/* base/base64.h - bytes as base64 (RFC 4648). */
#ifndef TIDEWIRE_BASE_BASE64_H
#define TIDEWIRE_BASE_BASE64_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* How many characters `length` bytes take without padding. */
static inline size_t base64_length(size_t length) { return length / 3 * 4 + (length % 3 ? length % 3 + 1 : 0); }
/* Appends the standard alphabet, filled up with '=' when `is_padded`. Takes no more room than it fills. */
void base64_write(struct buffer *out, const void *bytes, size_t length, bool is_padded);
/* Appends the bytes. Takes the standard and the URL alphabet, with the whole padding or none. False, and
 * nothing appended, when the text is no base64. */
bool base64_read(struct buffer *out, const char *text, size_t length);
#endif
