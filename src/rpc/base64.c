/* rpc/base64.c - see base64.h */
#include "rpc/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(char *out, const void *bytes, size_t length) {
    const uint8_t *in = bytes;
    char *start = out;
    for (; length >= 3; length -= 3, in += 3) {
        *out++ = alphabet[in[0] >> 2];
        *out++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = alphabet[in[2] & 63];
    }
    if (length) {
        uint8_t second = length == 2 ? in[1] : 0;
        *out++ = alphabet[in[0] >> 2];
        *out++ = alphabet[(in[0] & 3) << 4 | second >> 4];
        if (length == 2) *out++ = alphabet[(second & 15) << 2];
    }
    return (size_t)(out - start);
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(uint8_t *out, size_t *out_length, const char *text, size_t length) {
    uint8_t *start = out;
    /* Padding is right only where it fills up a group of four. */
    if (length % 4 == 0 && length && text[length - 1] == '=') {
        length--;
        if (text[length - 1] == '=') length--;
    }
    if (length % 4 == 1) return false;
    uint32_t group = 0;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(text[i]);
        if (value < 0) return false;
        group = group << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            *out++ = (uint8_t)(group >> 16);
            *out++ = (uint8_t)(group >> 8);
            *out++ = (uint8_t)group;
            group = 0;
        }
    }
    if (length % 4 == 2) *out++ = (uint8_t)(group >> 4);
    if (length % 4 == 3) {
        *out++ = (uint8_t)(group >> 10);
        *out++ = (uint8_t)(group >> 2);
    }
    *out_length = (size_t)(out - start);
    return true;
}
