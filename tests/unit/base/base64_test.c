#include "base/base64.h"

#include "check.h"

static void check_both_ways(const char *bytes, size_t length, const char *padded) {
    struct buffer text = {0}, again = {0};
    size_t bare = strcspn(padded, "=");
    base64_write(&text, bytes, length, true);
    CHECK_MEM(buffer_bytes(&text), buffer_length(&text), padded, strlen(padded));
    buffer_clear(&text);
    base64_write(&text, bytes, length, false);
    CHECK_MEM(buffer_bytes(&text), buffer_length(&text), padded, bare);
    CHECK(base64_read(&again, padded, strlen(padded)));
    CHECK_MEM(buffer_bytes(&again), buffer_length(&again), bytes, length);
    buffer_clear(&again);
    CHECK(base64_read(&again, padded, bare));
    CHECK_MEM(buffer_bytes(&again), buffer_length(&again), bytes, length);
    buffer_free(&text);
    buffer_free(&again);
}

static void every_length_of_the_last_group_goes_both_ways(void) {
    check_both_ways("", 0, "");
    check_both_ways("f", 1, "Zg==");
    check_both_ways("fo", 2, "Zm8=");
    check_both_ways("foo", 3, "Zm9v");
    check_both_ways("foob", 4, "Zm9vYg==");
    check_both_ways("\0\xff\xfe\x80", 4, "AP/+gA==");
}

static void every_length_survives_and_takes_no_more_room_than_it_fills(void) {
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        struct buffer text = {0}, again = {0};
        buffer_reserve(&text, base64_length(length));
        size_t capacity = text.capacity;
        text.end = text.start = capacity - base64_length(length);
        base64_write(&text, bytes, length, false);
        CHECK_INT(text.capacity, capacity);
        CHECK_INT(text.end, capacity);
        CHECK(base64_read(&again, (char *)buffer_bytes(&text), buffer_length(&text)));
        CHECK_MEM(buffer_bytes(&again), buffer_length(&again), bytes, length);
        buffer_free(&text);
        buffer_free(&again);
    }
}

static void the_url_alphabet_is_read_too(void) {
    struct buffer out = {0};
    CHECK(base64_read(&out, "AP_-gA", 6));
    CHECK_MEM(buffer_bytes(&out), buffer_length(&out), "\0\xff\xfe\x80", 4);
    buffer_free(&out);
}

static void what_is_no_base64_is_refused_and_leaves_nothing(void) {
    struct buffer out = {0};
    static const char *const texts[] = {"Z", "Zg=", "Zm9vY", "Zg==Zg==", "Z g=", "Zm9v====", "=", "==", "====", "Zm\0v", "a b=", "ab\nd", "abc=d"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(!base64_read(&out, texts[i], i == 9 ? 4 : strlen(texts[i])));
        CHECK_INT(buffer_length(&out), 0);
    }
    buffer_free(&out);
}

int main(void) {
    RUN(every_length_of_the_last_group_goes_both_ways);
    RUN(every_length_survives_and_takes_no_more_room_than_it_fills);
    RUN(the_url_alphabet_is_read_too);
    RUN(what_is_no_base64_is_refused_and_leaves_nothing);
    return 0;
}
