#include "door.h"

static struct http_stream *connect_to(const char *path, const char *protocol) {
    return fake_request(door_session, path, false, ":method", "CONNECT", ":protocol", "websocket", "content-type", NULL,
                        "te", NULL, "sec-websocket-version", "13", protocol ? "sec-websocket-protocol" : "x-none",
                        protocol ? protocol : "", NULL);
}

/* A frame with a mask of zeros; of less than 126 bytes. */
static void put_frame(struct buffer *out, uint8_t first, const char *payload) {
    buffer_append_byte(out, first);
    buffer_append_byte(out, (uint8_t)(0x80 | strlen(payload)));
    buffer_append(out, "\0\0\0\0", 4);
    buffer_append_text(out, payload);
}

enum { TEXT = 0x81, BINARY = 0x82 };

static void the_window_is_given_back_once_wherever_a_message_is_cut(void) {
    static const char *const payloads[] = {"{}", "{\"text\":\"hi\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct buffer bytes = {0};
        for (size_t j = 0; j < 2; j++) put_frame(&bytes, TEXT, payloads[i]);
        size_t messages = buffer_length(&bytes);
        put_frame(&bytes, TEXT, "");
        size_t length = buffer_length(&bytes);
        for (size_t cut = 0; cut <= messages; cut++) {
            door_open(false);
            door_record.is_idle = true;
            struct http_stream *stream = connect_to("/doors.Doors/Bidi", NULL);
            fake_receive(stream, buffer_bytes(&bytes), cut, false);
            fake_receive(stream, (const uint8_t *)buffer_bytes(&bytes) + cut, length - cut, false);
            CHECK(stream->consumed < length);
            while (record_take(&door_record) == CALL_MESSAGE) fake_turn();
            fake_turn();
            CHECK_INT(door_record.messages, 2);
            CHECK_INT(stream->consumed, length);
            call_finish(door_record.call, STATUS_OK, NULL, NULL, 0);
            fake_turn();
            door_close(stream);
        }
        buffer_free(&bytes);
    }
}

/* What a message costs besides its payload counts too: against the window, and where memory is counted. */
static void small_messages_that_wait_take_little_more_than_the_window(void) {
    enum { COUNT = 5000 };
    for (size_t length = 0; length <= 2; length++) {
        struct buffer bytes = {0};
        for (size_t i = 0; i < COUNT; i++) put_frame(&bytes, BINARY, &"ab"[2 - length]);
        size_t all = buffer_length(&bytes);
        put_frame(&bytes, TEXT, "");
        door_open(false);
        door_record.is_idle = true;
        struct http_stream *stream = connect_to("/doors.Doors/Bidi", "tidewire.proto");
        for (size_t at = 0; at < all; at += 1000)
            fake_receive(stream, (const uint8_t *)buffer_bytes(&bytes) + at, at + 1000 < all ? 1000 : all - at, false);
        size_t withheld = all - stream->consumed;
        CHECK(withheld >= COUNT * (4 + length));
        CHECK(rpc_counters(fake_rpc)->buffered <= 3 * withheld);
        fake_receive(stream, (const uint8_t *)buffer_bytes(&bytes) + all, buffer_length(&bytes) - all, false);
        while (record_take(&door_record) == CALL_MESSAGE) {
        }
        fake_turn();
        CHECK_INT(door_record.messages, COUNT);
        CHECK_INT(stream->consumed, buffer_length(&bytes));
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
        call_finish(door_record.call, STATUS_OK, NULL, NULL, 0);
        fake_turn();
        door_close(stream);
        buffer_free(&bytes);
    }
}

static void check_said(const struct http_stream *stream, const char *expected, size_t length) {
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), expected, length);
}
#define SAID(stream, expected) check_said(stream, expected, sizeof(expected) - 1)

#define HEADERS_WORD "\x81\x1d{\"headers\":{\"x-begin\":[\"a\"]}}"

static struct http_stream *begin_unary(void) {
    struct buffer bytes = {0};
    door_open(false);
    struct http_stream *stream = connect_to("/doors.Doors/Unary", "tidewire.json");
    put_frame(&bytes, TEXT, "{}");
    fake_receive(stream, buffer_bytes(&bytes), buffer_length(&bytes), false);
    buffer_free(&bytes);
    metadata_add(call_headers(door_record.call), "x-begin", 7, "a", 1);
    return stream;
}

static void headers_do_not_wait_for_the_reply_that_is_held(void) {
    struct http_stream *stream = begin_unary();
    call_send_headers(door_record.call);
    fake_turn();
    SAID(stream, HEADERS_WORD);
    call_send_bytes(door_record.call, "\n\2hi", 4);
    fake_turn();
    SAID(stream, HEADERS_WORD);
    call_finish(door_record.call, STATUS_OK, NULL, NULL, 0);
    fake_turn();
    SAID(stream, HEADERS_WORD "\x81\x19{\"message\":{\"text\":\"hi\"}}"
                 "\x81\x0a{\"end\":{}}\x88\2\3\xe8");
    door_close(stream);
}

static void headers_stay_when_the_call_fails_with_its_reply_set(void) {
    struct http_stream *stream = begin_unary();
    stream->window = 0; /* so they are ours still */
    call_send_bytes(door_record.call, "\n\2hi", 4);
    fake_turn();
    call_finish(door_record.call, STATUS_NOT_FOUND, "no", NULL, 0);
    stream->window = 1000;
    fake_turn();
    SAID(stream, HEADERS_WORD "\x81\x35{\"end\":{\"error\":{\"code\":\"not_found\",\"message\":\"no\"}}}"
                 "\x88\4\x0f\xa5no");
    door_close(stream);
}

int main(void) {
    door_load();
    RUN(the_window_is_given_back_once_wherever_a_message_is_cut);
    RUN(small_messages_that_wait_take_little_more_than_the_window);
    RUN(headers_do_not_wait_for_the_reply_that_is_held);
    RUN(headers_stay_when_the_call_fails_with_its_reply_set);
    schema_unref(&door_schema);
    return 0;
}
