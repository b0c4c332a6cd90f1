#include "door.h"

#define WEB "application/grpc-web"
#define TEXT_TYPE "application/grpc-web-text"

static struct http_stream *request(const char *method, const char *type) {
    return fake_request(door_session, method, false, "content-type", type, "te", NULL, "x-grpc-web", "1", NULL);
}

/* Word { text: "hi" } in a frame, and the end of an answer that went well. */
#define HI "\0\0\0\0\4\n\2hi"
#define OK "\200\0\0\0\17grpc-status:0\r\n"

static void the_trailers_are_the_last_frame_of_the_body(void) {
    door_open(true);
    struct http_stream *stream = request("/doors.Doors/Unary", WEB "+proto");
    CHECK_STR(fake_text(&stream->headers), "");
    fake_receive(stream, DOOR_BYTES(HI), true);
    door_answered(stream, ":status: 200\ncontent-type: " WEB "+proto\n", DOOR_BYTES(HI OK));
    CHECK_INT(door_record.status, STATUS_OK);
    door_close(stream);
}

static void an_answer_without_messages_or_headers_is_all_headers(void) {
    door_open(false);
    struct http_stream *stream = request("/doors.Doors/Bidi", WEB);
    fake_receive(stream, NULL, 0, false);
    CHECK_STR(call_protocol(door_record.call), "grpc-web");
    metadata_add(call_trailers(door_record.call), "x-end", 5, "1", 1);
    call_finish(door_record.call, STATUS_NOT_FOUND, "g\xC3\xB6ne", NULL, 0);
    door_answered(stream,
                  ":status: 200\ncontent-type: " WEB "\ngrpc-status: 5\ngrpc-message: g%C3%B6ne\nx-end: 1\n", "", 0);
    door_close(stream);
}

static void metadata_and_details_stand_in_the_trailers(void) {
    door_open(false);
    struct http_stream *stream = request("/doors.Doors/Bidi", WEB);
    fake_receive(stream, NULL, 0, false);
    metadata_add(call_headers(door_record.call), "x-begin", 7, "1", 1);
    metadata_add(call_trailers(door_record.call), "x-bin", 5, "\1\2", 2);
    call_finish(door_record.call, STATUS_ABORTED, "no", "\10\12", 2);
    static const char body[] = "\200\0\0\0\111grpc-status:10\r\ngrpc-message:no\r\ngrpc-status-details-bin:CAo\r\n"
                               "x-bin:AQI\r\n";
    door_answered(stream, ":status: 200\ncontent-type: " WEB "\nx-begin: 1\n", DOOR_BYTES(body));
    door_close(stream);
}

/* Each flushed piece is padded by itself; so may be what comes. */
static void text_is_base64_with_padding_in_the_middle(void) {
    static const char *const bodies[] = {"AAAAAAQKAmhp", "AA==AAAABAoCaGk=", "AAAAAAQKAmhp\0", "AAAAAAQKAmg=aQ==",
                                         "AAAAAAQKAmg=aQ"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        size_t length = strlen(bodies[i]);
        for (size_t cut = 0; cut <= length; cut++) {
            door_open(true);
            struct http_stream *stream = request("/doors.Doors/Unary", TEXT_TYPE);
            fake_receive(stream, bodies[i], cut, false);
            fake_receive(stream, bodies[i] + cut, length - cut, true);
            door_answered(stream, ":status: 200\ncontent-type: " TEXT_TYPE "\n",
                          DOOR_BYTES("AAAAAAQKAmhpgAAAAA9ncnBjLXN0YXR1czowDQo="));
            CHECK(stream->consumed <= length);
            door_close(stream);
        }
    }
}

/* The window is wide for characters; each is given back once, when it has become bytes and they were taken. */
static void a_stream_of_text_gives_all_of_its_window_back(void) {
    door_open(false);
    struct http_stream *stream = request("/doors.Doors/Bidi", TEXT_TYPE);
    size_t sent = 0;
    for (int i = 0; i < 300; i++) {
        fake_receive(stream, "AAAAAAQKAmhp", 12, false);
        sent += 12;
    }
    CHECK_INT(door_record.messages, 300);
    CHECK_INT(stream->consumed, sent);
    for (const char *at = "AAAAAAQKAmhp"; *at; at++) fake_receive(stream, at, 1, false);
    CHECK_INT(stream->consumed, sent + 12);
    fake_receive(stream, "AA", 2, false);
    CHECK(stream->consumed <= sent + 14);
    door_close(stream);
}

static void what_is_not_base64_ends_the_call(void) {
    door_open(true);
    struct http_stream *stream = request("/doors.Doors/Bidi", TEXT_TYPE);
    fake_receive(stream, "AAA*", 4, false);
    CHECK_INT(door_record.status, STATUS_INTERNAL);
    door_answered(stream,
                  ":status: 200\ncontent-type: " TEXT_TYPE "\ngrpc-status: 13\ngrpc-message: the body is not base64\n",
                  "", 0);
    door_close(stream);
}

static void a_binary_request_may_ask_for_text(void) {
    door_open(true);
    struct http_stream *stream =
        fake_request(door_session, "/doors.Doors/Unary", false, "content-type", WEB "+proto", "accept",
                     "text/x, " TEXT_TYPE "+proto;q=1", NULL);
    fake_receive(stream, DOOR_BYTES(HI), true);
    door_answered(stream, ":status: 200\ncontent-type: " TEXT_TYPE "+proto\n",
                  DOOR_BYTES("AAAAAAQKAmhpgAAAAA9ncnBjLXN0YXR1czowDQo="));
    door_close(stream);
}

static void a_call_that_is_cut_short_still_ends_in_its_body(void) {
    door_open(false);
    struct http_stream *stream = fake_request(door_session, "/doors.Doors/Bidi", false, "content-type", WEB,
                                              "grpc-timeout", "1S", NULL);
    fake_receive(stream, NULL, 0, false);
    call_send_bytes(door_record.call, "\n\2hi", 4);
    fake_turn();
    fake_advance(2 * NS_PER_S);
    CHECK_INT(door_record.status, STATUS_DEADLINE_EXCEEDED);
    static const char body[] = HI "\200\0\0\0\65grpc-status:4\r\ngrpc-message:the deadline has passed\r\n";
    door_answered(stream, ":status: 200\ncontent-type: " WEB "\n", body, sizeof body - 1);
    door_close(stream);
}

static void refusals_are_headers(void) {
    door_open(false);
    struct http_stream *stream = request("/doors.Doors/Nope", WEB);
    door_answered(stream,
                  ":status: 200\ncontent-type: " WEB
                  "\ngrpc-status: 12\ngrpc-message: unknown method Nope for service doors.Doors\n",
                  "", 0);
    door_close(stream);
}

static void json_crosses_as_json(void) {
    static const char out[] = "\0\0\0\0\16{\"number\":\"7\"}" OK;
    door_open(true);
    struct http_stream *stream = request("/doors.Doors/Unary", WEB "+json");
    fake_receive(stream, DOOR_BYTES("\0\0\0\0\16{ \"number\": 7}"), true);
    door_answered(stream, ":status: 200\ncontent-type: " WEB "+json\n", DOOR_BYTES(out));
    CHECK_MEM(buffer_bytes(&door_record.received), buffer_length(&door_record.received), "\0\0\0\0\2\20\7", 7);
    door_close(stream);
}

int main(void) {
    door_load();
    RUN(the_trailers_are_the_last_frame_of_the_body);
    RUN(an_answer_without_messages_or_headers_is_all_headers);
    RUN(metadata_and_details_stand_in_the_trailers);
    RUN(text_is_base64_with_padding_in_the_middle);
    RUN(a_stream_of_text_gives_all_of_its_window_back);
    RUN(what_is_not_base64_ends_the_call);
    RUN(a_binary_request_may_ask_for_text);
    RUN(a_call_that_is_cut_short_still_ends_in_its_body);
    RUN(refusals_are_headers);
    RUN(json_crosses_as_json);
    schema_unref(&door_schema);
    return 0;
}
