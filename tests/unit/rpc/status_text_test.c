#include "rpc/status_text.h"

#include "check.h"

static void encodes(const char *text, const char *expected) {
    char out[256];
    CHECK_MEM(out, status_text_encode(out, sizeof out, text, strlen(text)), expected, strlen(expected));
}

static void encodes_what_a_header_may_not_carry(void) {
    encodes("plain ~ text", "plain ~ text");
    encodes("50%\r\n\x7F", "50%25%0D%0A%7F");
    encodes("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "%C3%A4%E2%82%AC%F0%9F%98%80");
}

static void bytes_that_are_no_utf_8_are_replaced(void) {
    static const char *const bad[] = {"\xFF", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80",
                                      "\xC3", "\xE2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char out[256], back[256] = "";
        size_t length = status_text_encode(out, sizeof out, bad[i], strlen(bad[i]));
        for (size_t j = 0; j < strlen(bad[i]); j++) strcat(back, "%EF%BF%BD");
        CHECK_MEM(out, length, back, strlen(back));
    }
}

static void cuts_between_characters(void) {
    char out[16];
    for (size_t most = 0; most < sizeof out; most++) {
        size_t length = status_text_encode(out, most, "a\xC3\xA4z", 4);
        CHECK_INT(length, most == 0 ? 0 : most < 7 ? 1 : most < 8 ? 7 : 8);
    }
}

static void decoding_keeps_bad_escapes(void) {
    static const char *const pairs[][2] = {{"a%20b", "a b"}, {"%c3%A4", "\xC3\xA4"}, {"%", "%"},
                                           {"%4", "%4"},     {"%zz%41", "%zzA"},     {"100%25", "100%"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct buffer out = {0};
        status_text_decode(&out, pairs[i][0], strlen(pairs[i][0]));
        CHECK_MEM(buffer_bytes(&out), buffer_length(&out), pairs[i][1], strlen(pairs[i][1]));
        buffer_free(&out);
    }
}

static void numbers_of_a_status_are_strict(void) {
    CHECK_INT(status_parse("0", 1), STATUS_OK);
    CHECK_INT(status_parse("16", 2), STATUS_UNAUTHENTICATED);
    CHECK_INT(status_parse("17", 2), STATUS_UNKNOWN);
    CHECK_INT(status_parse("", 0), -1);
    CHECK_INT(status_parse("-1", 2), -1);
    CHECK_INT(status_parse("1x", 2), -1);
    CHECK_INT(status_parse("1000", 4), -1);
}

int main(void) {
    RUN(encodes_what_a_header_may_not_carry);
    RUN(bytes_that_are_no_utf_8_are_replaced);
    RUN(cuts_between_characters);
    RUN(decoding_keeps_bad_escapes);
    RUN(numbers_of_a_status_are_strict);
    return 0;
}
