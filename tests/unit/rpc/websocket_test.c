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

enum { TEXT = 0x81 };

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

int main(void) {
    door_load();
    RUN(the_window_is_given_back_once_wherever_a_message_is_cut);
    schema_unref(&door_schema);
    return 0;
}
