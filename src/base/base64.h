/* base/base64.h - bytes as base64 (RFC 4648). */
#ifndef TIDEWIRE_BASE_BASE64_H
#define TIDEWIRE_BASE_BASE64_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Appends the standard alphabet, filled up with '=' when `is_padded`. */
void base64_write(struct buffer *out, const void *bytes, size_t length, bool is_padded);
/* Appends the bytes. Takes the standard and the URL alphabet, with the whole padding or none. False, and
 * nothing appended, when the text is no base64. */
bool base64_read(struct buffer *out, const char *text, size_t length);
#endif
