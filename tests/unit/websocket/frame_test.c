#include "websocket/frame.h"

#include "check.h"
#include "websocket/reader.h"

static void check_head(size_t length, bool is_compressed, const char *expected, size_t expected_length) {
    uint8_t head[WEBSOCKET_HEAD_MOST];
    size_t written = websocket_write_head(head, WEBSOCKET_TEXT, is_compressed, length);
    CHECK_MEM(head, written, expected, expected_length);
}

static void heads_have_the_shortest_form(void) {
    check_head(0, false, "\x81\x00", 2);
    check_head(125, true, "\xc1\x7d", 2);
    check_head(126, false, "\x81\x7e\x00\x7e", 4);
    check_head(65535, false, "\x81\x7e\xff\xff", 4);
    check_head(65536, false, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void check_close(int code, const char *reason, const char *expected, size_t expected_length) {
    struct buffer out = {0};
    websocket_write_close(&out, code, reason, strlen(reason));
    CHECK_MEM(buffer_bytes(&out), buffer_length(&out), expected, expected_length);
    buffer_free(&out);
}

static void a_close_says_why(void) {
    check_close(WEBSOCKET_NORMAL, "", "\x88\x02\x03\xe8", 4);
    check_close(4005, "no such room", "\x88\x0e\x0f\xa5no such room", 16);
    check_close(WEBSOCKET_NO_STATUS, "", "\x88\x00", 2);
}

static void reasons_are_cut_at_the_end_of_a_character(void) {
    char reason[WEBSOCKET_REASON_MOST + 2];
    memset(reason, 'x', sizeof reason);
    memcpy(reason + WEBSOCKET_REASON_MOST - 1, "\xce\xba", 3);
    struct buffer out = {0};
    websocket_write_close(&out, 1000, reason, WEBSOCKET_REASON_MOST + 1);
    CHECK_INT(buffer_length(&out), 2 + 2 + WEBSOCKET_REASON_MOST - 1);
    buffer_clear(&out);
    websocket_write_close(&out, 1000, reason, WEBSOCKET_REASON_MOST - 1);
    CHECK_INT(buffer_length(&out), 2 + 2 + WEBSOCKET_REASON_MOST - 1);
    buffer_free(&out);
}

int main(void) {
    RUN(heads_have_the_shortest_form);
    RUN(a_close_says_why);
    RUN(reasons_are_cut_at_the_end_of_a_character);
    return 0;
}
