/* base/base64.h - bytes as base64 (RFC 4648). */
#ifndef TIDEWIRE_BASE_BASE64_H
#define TIDEWIRE_BASE_BASE64_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* How many characters `length` bytes take without padding. */
static inline size_t base64_length(size_t length) { return length / 3 * 4 + (length % 3 ? length % 3 + 1 : 0); }
static inline size_t base64_padded_length(size_t length) { return (length + 2) / 3 * 4; }
/* Writes that many characters, and returns how many. */
size_t base64_encode(uint8_t *text, const void *bytes, size_t length, bool is_padded);
/* Appends the standard alphabet, filled up with '=' when `is_padded`. Takes no more room than it fills. */
void base64_write(struct buffer *out, const void *bytes, size_t length, bool is_padded);
/* Appends the bytes. Takes the standard and the URL alphabet, with the whole padding or none. False, and
 * nothing appended, when the text is no base64. */
bool base64_read(struct buffer *out, const char *text, size_t length);

/* Base64 that comes piece by piece, cut anywhere; padding ends a group, and another run of groups may follow it. Zeroed
 * at first. */
struct base64_stream {
    char group[4];
    unsigned count;
};
/* Appends the bytes of the groups that are whole. False when the text is no base64. */
bool base64_stream_read(struct base64_stream *stream, struct buffer *out, const void *text, size_t length);
/* No more text comes: the last group may lack its padding. */
bool base64_stream_end(struct base64_stream *stream, struct buffer *out);
#endif
