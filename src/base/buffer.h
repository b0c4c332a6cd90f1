/* base/buffer.h - a growing run of bytes with one owner: append at the end, take from the front. */
#ifndef TIDEWIRE_BASE_BUFFER_H
#define TIDEWIRE_BASE_BUFFER_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    uint8_t *data;            /* the allocation; NULL while nothing was ever written */
    size_t start, end, capacity;
};

/* Makes room for at least `extra` more bytes behind the end; the slow half of buffer_reserve(). */
void buffer_grow(struct buffer *buffer, size_t extra);
/* Frees the memory and leaves an empty, usable buffer. */
void buffer_free(struct buffer *buffer);
void buffer_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline size_t buffer_length(const struct buffer *buffer) { return buffer->end - buffer->start; }
static inline uint8_t *buffer_bytes(const struct buffer *buffer) { return buffer->data + buffer->start; }
/* Room for `extra` bytes at the end, which buffer_commit() makes part of the buffer. Moves the bytes. */
static inline uint8_t *buffer_reserve(struct buffer *buffer, size_t extra) {
    if (buffer->capacity - buffer->end < extra) buffer_grow(buffer, extra);
    return buffer->data + buffer->end;
}
static inline void buffer_commit(struct buffer *buffer, size_t length) { buffer->end += length; }
static inline void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
    if (!length) return;
    memcpy(buffer_reserve(buffer, length), bytes, length);
    buffer->end += length;
}
static inline void buffer_append_text(struct buffer *buffer, const char *text) {
    buffer_append(buffer, text, strlen(text));
}
static inline void buffer_append_byte(struct buffer *buffer, uint8_t byte) {
    *buffer_reserve(buffer, 1) = byte;
    buffer->end++;
}
/* Removes `length` bytes from the front. */
static inline void buffer_take(struct buffer *buffer, size_t length) {
    buffer->start += length;
    if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
}
static inline void buffer_clear(struct buffer *buffer) { buffer->start = buffer->end = 0; }
#endif
