/* base/base64.c - see base64.h */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(uint8_t *text, const void *bytes, size_t length, bool is_padded) {
    const uint8_t *in = bytes;
    uint8_t *at = text;
    for (; length >= 3; length -= 3, in += 3) {
        *at++ = (uint8_t)alphabet[in[0] >> 2];
        *at++ = (uint8_t)alphabet[(in[0] & 3) << 4 | in[1] >> 4];
        *at++ = (uint8_t)alphabet[(in[1] & 15) << 2 | in[2] >> 6];
        *at++ = (uint8_t)alphabet[in[2] & 63];
    }
    if (length) {
        uint8_t second = length == 2 ? in[1] : 0;
        *at++ = (uint8_t)alphabet[in[0] >> 2];
        *at++ = (uint8_t)alphabet[(in[0] & 3) << 4 | second >> 4];
        if (length == 2) *at++ = (uint8_t)alphabet[(second & 15) << 2];
        for (size_t i = length; i < 3 && is_padded; i++) *at++ = '=';
    }
    return (size_t)(at - text);
}

void base64_write(struct buffer *out, const void *bytes, size_t length, bool is_padded) {
    uint8_t *at = buffer_reserve(out, is_padded ? base64_padded_length(length) : base64_length(length));
    buffer_commit(out, base64_encode(at, bytes, length, is_padded));
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_read(struct buffer *out, const char *text, size_t length) {
    /* Padding is right only where it fills up a group of four. */
    if (length % 4 == 0 && length && text[length - 1] == '=') length -= text[length - 2] == '=' ? 2 : 1;
    if (length % 4 == 1) return false;
    uint8_t *start = buffer_reserve(out, length / 4 * 3 + 3), *at = start;
    uint32_t group = 0;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(text[i]);
        if (value < 0) return false;
        group = group << 6 | (uint32_t)value;
        if (i % 4 != 3) continue;
        *at++ = (uint8_t)(group >> 16);
        *at++ = (uint8_t)(group >> 8);
        *at++ = (uint8_t)group;
    }
    if (length % 4 == 2) *at++ = (uint8_t)(group >> 4);
    if (length % 4 == 3) {
        *at++ = (uint8_t)(group >> 10);
        *at++ = (uint8_t)(group >> 2);
    }
    buffer_commit(out, (size_t)(at - start));
    return true;
}

bool base64_stream_read(struct base64_stream *stream, struct buffer *out, const void *text, size_t length) {
    const char *at = text, *end = at + length;
    buffer_reserve(out, length / 4 * 3 + 3);
    for (; at < end; at++) {
        stream->group[stream->count++] = *at;
        if (stream->count < 4) continue;
        stream->count = 0;
        if (!base64_read(out, stream->group, 4)) return false;
    }
    return true;
}

bool base64_stream_end(struct base64_stream *stream, struct buffer *out) {
    size_t length = stream->count;
    stream->count = 0;
    return base64_read(out, stream->group, length);
}
