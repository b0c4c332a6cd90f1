/* base/buffer.c - see buffer.h */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

void buffer_grow(struct buffer *buffer, size_t extra) {
    size_t length = buffer_length(buffer);
    if (buffer->start && buffer->capacity - length >= extra && buffer->start >= length) {
        memmove(buffer->data, buffer_bytes(buffer), length);
    } else {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity - length < extra) capacity *= 2;
        if (buffer->start) {
            uint8_t *data = memory_resize(NULL, capacity);
            memcpy(data, buffer_bytes(buffer), length);
            free(buffer->data);
            buffer->data = data;
        } else {
            buffer->data = memory_resize(buffer->data, capacity);
        }
        buffer->capacity = capacity;
    }
    buffer->start = 0;
    buffer->end = length;
}

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        vsnprintf((char *)buffer_reserve(buffer, (size_t)length + 1), (size_t)length + 1, format, again);
        buffer->end += (size_t)length;
    }
    va_end(again);
}
