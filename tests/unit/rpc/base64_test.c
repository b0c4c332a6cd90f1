#include "rpc/base64.h"

#include <stdbool.h>

#include "check.h"

static const struct {
    const char *bytes, *unpadded, *padded;
} pairs[] = {{"", "", ""},
             {"f", "Zg", "Zg=="},
             {"fo", "Zm8", "Zm8="},
             {"foo", "Zm9v", "Zm9v"},
             {"foob", "Zm9vYg", "Zm9vYg=="},
             {"\xFB\xFF\xBF", "+/+/", "+/+/"}};

static void encodes_without_padding_and_decodes_both(void) {
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[64];
        uint8_t bytes[64];
        size_t length = strlen(pairs[i].bytes), decoded;
        CHECK_INT(base64_length(length), strlen(pairs[i].unpadded));
        CHECK_MEM(text, base64_encode(text, pairs[i].bytes, length), pairs[i].unpadded,
                  strlen(pairs[i].unpadded));
        CHECK(base64_decode(bytes, &decoded, pairs[i].unpadded, strlen(pairs[i].unpadded)));
        CHECK_MEM(bytes, decoded, pairs[i].bytes, length);
        CHECK(base64_decode(bytes, &decoded, pairs[i].padded, strlen(pairs[i].padded)));
        CHECK_MEM(bytes, decoded, pairs[i].bytes, length);
    }
}

static void every_length_survives_the_round_trip(void) {
    uint8_t bytes[256], back[256 + 3];
    char text[400];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        size_t encoded = base64_encode(text, bytes, length), decoded;
        CHECK_INT(encoded, base64_length(length));
        CHECK(base64_decode(back, &decoded, text, encoded));
        CHECK_MEM(back, decoded, bytes, length);
    }
}

static void refuses_what_is_not_base64(void) {
    static const char *const bad[] = {"a",    "abcde", "ab=",  "a===",  "====",  "=",
                                      "ab-d", "ab_d",  "a b=", "ab\nd", "abc=d", "Zg==Zg=="};
    uint8_t bytes[64];
    size_t length;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!base64_decode(bytes, &length, bad[i], strlen(bad[i])));
}

int main(void) {
    RUN(encodes_without_padding_and_decodes_both);
    RUN(every_length_survives_the_round_trip);
    RUN(refuses_what_is_not_base64);
    return 0;
}
