#include "door.h"

#include "rpc/connect.h"

static struct http_stream *post(const char *method, const char *type) {
    return fake_request(door_session, method, false, "content-type", type, "te", NULL, NULL);
}

static struct http_stream *get(const char *path) {
    return fake_request(door_session, path, true, ":method", "GET", "content-type", NULL, "te", NULL, NULL);
}

#define PROTO ":status: 200\ncontent-type: application/proto\n"
#define JSON ":status: 200\ncontent-type: application/json\n"
#define ERROR "content-type: application/json\n"
#define HI "\n\2hi"

/* ---- unary ---- */

static void a_body_is_the_message_wherever_it_is_cut(void) {
    static const char *const types[] = {"application/proto", "application/json; charset=utf-8", "Application/JSON"};
    static const char *const bodies[] = {HI, "{\"text\":\"hi\"}", "{\"text\":\"hi\"}"};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(bodies[i]);
        for (size_t cut = 0; cut <= length; cut++) {
            door_open(true);
            struct http_stream *stream = post("/doors.Doors/Unary", types[i]);
            fake_receive(stream, bodies[i], cut, false);
            CHECK_STR(fake_text(&stream->headers), "");
            fake_receive(stream, bodies[i] + cut, length - cut, true);
            door_answered(stream, i ? JSON "content-length: 13\n" : PROTO "content-length: 4\n", bodies[i], length);
            CHECK_MEM(buffer_bytes(&door_record.received), buffer_length(&door_record.received), "\0\0\0\0\4" HI, 9);
            CHECK_INT(stream->consumed, length);
            door_close(stream);
        }
    }
}

static void an_empty_body_is_an_empty_message_but_no_json(void) {
    door_open(true);
    struct http_stream *stream = post("/doors.Doors/Unary", "application/proto");
    fake_receive(stream, NULL, 0, true);
    door_answered(stream, PROTO "content-length: 0\n", "", 0);
    CHECK_INT(door_record.messages, 1);
    door_close(stream);

    door_open(true);
    stream = post("/doors.Doors/Unary", "application/json");
    fake_receive(stream, NULL, 0, true);
    fake_turn();
    CHECK(strstr(fake_text(&stream->headers), ":status: 400\n"));
    CHECK_INT(door_record.messages, 0);
    door_close(stream);
}

static void trailers_stand_among_the_headers(void) {
    door_open(false);
    struct http_stream *stream = post("/doors.Doors/Unary", "application/proto");
    fake_receive(stream, HI, 4, true);
    CHECK_STR(call_protocol(door_record.call), "connect");
    metadata_add(call_headers(door_record.call), "x-begin", 7, "1", 1);
    metadata_add(call_trailers(door_record.call), "x-end", 5, "2", 1);
    metadata_add(call_trailers(door_record.call), "x-bin", 5, "\1\2", 2);
    call_send_headers(door_record.call);
    CHECK(call_headers_are_sent(door_record.call));
    fake_turn();
    CHECK_STR(fake_text(&stream->headers), "");
    call_send_bytes(door_record.call, HI, 4);
    call_finish(door_record.call, STATUS_OK, NULL, NULL, 0);
    door_answered(stream, PROTO "content-length: 4\nx-begin: 1\ntrailer-x-end: 2\ntrailer-x-bin: AQI\n", HI, 4);
    door_close(stream);
}

/* google.rpc.Status { code: 5, message: "no", details: [Any] }, of a type that is known, and of one that is not. */
static void an_error_has_its_status_in_http_and_its_details_as_json(void) {
    static const char status[] = "\10\5\22\2no"
                                 "\32\43\n\33type.example.com/doors.Word\22\4" HI
                                 "\32\12\n\5a/x.Y\22\1\377";
    door_open(false);
    struct http_stream *stream = post("/doors.Doors/Unary", "application/proto");
    fake_receive(stream, HI, 4, true);
    metadata_add(call_trailers(door_record.call), "x-end", 5, "2", 1);
    call_send_bytes(door_record.call, HI, 4);
    call_finish(door_record.call, STATUS_NOT_FOUND, "no \"x\" \xFF", status, sizeof status - 1);
    static const char body[] = "{\"code\":\"not_found\",\"message\":\"no \\\"x\\\" \xEF\xBF\xBD\",\"details\":["
                               "{\"type\":\"doors.Word\",\"value\":\"CgJoaQ\",\"debug\":{\"text\":\"hi\"}},"
                               "{\"type\":\"x.Y\",\"value\":\"/w\"}]}";
    char headers[128];
    snprintf(headers, sizeof headers, ":status: 404\n" ERROR "trailer-x-end: 2\ncontent-length: %zu\n", sizeof body - 1);
    door_answered(stream, headers, body, sizeof body - 1);
    door_close(stream);
}

static void each_status_has_its_name_and_its_number(void) {
    static const char *const expected[] = {
        "200 \"ok\"",                "499 \"canceled\"",       "500 \"unknown\"",      "400 \"invalid_argument\"",
        "504 \"deadline_exceeded\"", "404 \"not_found\"",      "409 \"already_exists\"", "403 \"permission_denied\"",
        "429 \"resource_exhausted\"", "400 \"failed_precondition\"", "409 \"aborted\"",  "400 \"out_of_range\"",
        "501 \"unimplemented\"",     "500 \"internal\"",       "503 \"unavailable\"",  "500 \"data_loss\"",
        "401 \"unauthenticated\""};
    for (int i = 0; i < STATUS_COUNT; i++) {
        struct buffer out = {0};
        char text[64];
        connect_write_error(&out, (enum status)i, NULL, NULL, 0, NULL);
        buffer_append_byte(&out, 0);
        const char *code = (const char *)buffer_bytes(&out) + strlen("{\"code\":");
        snprintf(text, sizeof text, "%s %.*s", connect_http_status(REFUSED_AS_STATUS, (enum status)i),
                 (int)strlen(code) - 1, code);
        CHECK_STR(text, expected[i]);
        buffer_free(&out);
    }
}

static void malformed_json_is_told_with_its_path(void) {
    static const char *const types[] = {"application/json", "application/connect+json", "application/grpc+json"};
    static const char text[] = "the request is no doors.Word: number: ";
    for (size_t i = 0; i < 3; i++) {
        door_open(true);
        struct http_stream *stream = post(i ? "/doors.Doors/Bidi" : "/doors.Doors/Unary", types[i]);
        fake_receive(stream, &"\0\0\0\0\16{\"number\":\"x\"}"[i ? 0 : 5], i ? 19 : 14, true);
        CHECK_INT(door_record.status, i ? STATUS_INVALID_ARGUMENT : STATUS_OK); /* the unary one was not opened */
        if (i) CHECK(strncmp(door_record.text, text, sizeof text - 1) == 0);
        fake_turn();
        buffer_append_byte(&stream->body, 0);
        if (i < 2) CHECK(memmem(buffer_bytes(&stream->body), buffer_length(&stream->body), text, sizeof text - 1));
        door_close(stream);
    }
}

static void the_protocols_own_headers_are_checked_and_not_metadata(void) {
    door_open(false);
    struct http_stream *stream =
        fake_request(door_session, "/doors.Doors/Unary?connect=v1", false, "content-type", "application/proto",
                     "connect-protocol-version", "1", "connect-timeout-ms", "2000", "accept-encoding", "br, gzip",
                     "content-length", "4", "x-own", "1", "x-bin", "AQI=", NULL);
    fake_receive(stream, HI, 4, true);
    const struct metadata *metadata = door_record.call->metadata;
    CHECK_INT(metadata->count, 4); /* :authority, user-agent, x-own, x-bin */
    size_t place = 0;
    const struct metadata_entry *binary = metadata_find(metadata, "x-bin", 5, &place);
    CHECK(binary && binary->value_length == 2);
    CHECK_INT(door_record.call->deadline, fake_loop.now + 2 * NS_PER_S);
    fake_advance(3 * NS_PER_S);
    CHECK_STR(fake_text(&stream->headers), ":status: 504\n" ERROR "content-length: 64\n");
    door_close(stream);

    static const struct {
        const char *name, *value, *headers, *body;
    } refused[] = {
        {"connect-protocol-version", "2", ":status: 400\n" ERROR,
         "{\"code\":\"invalid_argument\",\"message\":\"connect-protocol-version is not 1\"}"},
        {"connect-timeout-ms", "12345678901", ":status: 400\n" ERROR,
         "{\"code\":\"invalid_argument\",\"message\":\"connect-timeout-ms is malformed\"}"},
        {"connect-timeout-ms", "-1", ":status: 400\n" ERROR,
         "{\"code\":\"invalid_argument\",\"message\":\"connect-timeout-ms is malformed\"}"},
        {"connect-timeout-ms", "0", ":status: 504\n" ERROR,
         "{\"code\":\"deadline_exceeded\",\"message\":\"the deadline has passed\"}"},
        {"content-encoding", "br", ":status: 501\n" ERROR "accept-encoding: gzip\n",
         "{\"code\":\"unimplemented\",\"message\":\"the encoding \\\"br\\\" is not supported\"}"},
        {"x-bin", "a", ":status: 400\n" ERROR,
         "{\"code\":\"invalid_argument\",\"message\":\"a -bin header is not base64\"}"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        door_open(false);
        stream = fake_request(door_session, "/doors.Doors/Unary", false, "content-type", "application/proto",
                              refused[i].name, refused[i].value, NULL);
        char headers[256];
        snprintf(headers, sizeof headers, "%scontent-length: %zu\n", refused[i].headers, strlen(refused[i].body));
        door_answered(stream, headers, refused[i].body, strlen(refused[i].body));
        door_close(stream);
    }
}

static void what_http_has_a_status_for_has_that_status(void) {
    static const struct {
        const char *path, *type, *verb, *status;
    } cases[] = {
        {"/doors.Doors/Nope", "application/json", "POST", ":status: 404\n" ERROR},
        {"/doors.Doors/Nope", "application/connect+json", "POST", ":status: 404\n" ERROR},
        {"/doors.Doors/Unary", "application/json", "PUT", ":status: 405\n" ERROR "allow: POST\n"},
        {"/doors.Doors/Bidi", "application/connect+proto", "PUT", ":status: 405\n" ERROR "allow: POST\n"},
        {"/doors.Doors/Unary", "application/connect+proto", "POST", ":status: 415\n" ERROR "accept-post: "},
        {"/doors.Doors/Unary", "application/connect", "POST", ":status: 415\n" ERROR "accept-post: "},
        {"/doors.Doors/Bidi", "application/connect+x", "POST", ":status: 415\n" ERROR "accept-post: "},
        {"/doors.Doors/Bidi", "application/json", "POST", ":status: 415\n" ERROR "accept-post: "},
        {"/doors.Doors/Unary", "application/json+x", "POST", ":status: 415\n" ERROR "accept-post: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        door_open(false);
        struct http_stream *stream = fake_request(door_session, cases[i].path, true, ":method", cases[i].verb,
                                                  "content-type", cases[i].type, NULL);
        fake_turn();
        if (strncmp(fake_text(&stream->headers), cases[i].status, strlen(cases[i].status)) != 0)
            CHECK_STR(fake_text(&stream->headers), cases[i].status);
        door_close(stream);
    }
}

static void streams_both_ways_in_http1_too(void) {
    door_open(true);
    door_session->version = HTTP_1_1;
    struct http_stream *stream = post("/doors.Doors/Bidi", "application/connect+proto");
    fake_receive(stream, DOOR_BYTES("\0\0\0\0\3\n\1a"), true);
    door_answered(stream, ":status: 200\ncontent-type: application/connect+proto\n",
                  DOOR_BYTES("\0\0\0\0\3\n\1a\2\0\0\0\2{}"));
    door_close(stream);
}

/* ---- GET ---- */

static void a_get_has_its_message_in_the_query(void) {
    static const char *const queries[] = {
        "connect=v1&encoding=json&message=%7B%22text%22%3A%22hi%22%7D",
        "message=%7b%22text%22:%22hi%22%7D&x=y&encoding=json",
        "connect=v1&base64=1&encoding=json&message=eyJ0ZXh0IjoiaGkifQ",
        "connect=v1&base64=1&encoding=json&message=eyJ0ZXh0IjoiaGkifQ%3D%3D",
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char path[256];
        snprintf(path, sizeof path, "/doors.Doors/Safe?%s", queries[i]);
        door_open(true);
        struct http_stream *stream = get(path);
        door_answered(stream, JSON "content-length: 13\nvary: Accept-Encoding\n", "{\"text\":\"hi\"}", 13);
        CHECK_MEM(buffer_bytes(&door_record.received), buffer_length(&door_record.received), "\0\0\0\0\4" HI, 9);
        door_close(stream);
    }
    door_open(true);
    struct http_stream *stream = get("/doors.Doors/Safe?encoding=proto&base64=1&message=CgJoaQ==");
    door_answered(stream, PROTO "content-length: 4\nvary: Accept-Encoding\n", HI, 4);
    door_close(stream);
}

static void a_get_that_is_no_call_is_refused(void) {
    static const struct {
        const char *path, *status;
    } cases[] = {
        {"/doors.Doors/Unary?encoding=json&message=%7B%7D", ":status: 405\n" ERROR "allow: POST\n"},
        {"/doors.Doors/Safe?connect=v2&encoding=json&message=%7B%7D", ":status: 400\n"},
        {"/doors.Doors/Safe?connect=v1&message=%7B%7D", ":status: 400\n"},
        {"/doors.Doors/Safe?connect=v1&encoding=json", ":status: 400\n"},
        {"/doors.Doors/Safe?connect=v1&encoding=xml&message=", ":status: 415\n"},
        {"/doors.Doors/Safe?encoding=json&message=%7", ":status: 400\n"},
        {"/doors.Doors/Safe?encoding=json&message=%zz", ":status: 400\n"},
        {"/doors.Doors/Safe?encoding=proto&base64=1&message=A", ":status: 400\n"},
        {"/doors.Doors/Safe?encoding=proto&compression=br&base64=1&message=AA", ":status: 501\n"},
        {"/doors.Doors/Safe", ":status: 404\ncontent-type: text/plain\n"},
        {"/", ":status: 200\ncontent-type: text/plain\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        door_open(true);
        struct http_stream *stream = get(cases[i].path);
        fake_turn();
        if (strncmp(fake_text(&stream->headers), cases[i].status, strlen(cases[i].status)) != 0)
            CHECK_STR(fake_text(&stream->headers), cases[i].path);
        CHECK_INT(door_record.messages, 0);
        door_close(stream);
    }
}

/* ---- streams ---- */

#define STREAM ":status: 200\ncontent-type: application/connect+proto\n"
#define STREAM_JSON ":status: 200\ncontent-type: application/connect+json\n"

static void the_end_of_a_stream_is_its_last_envelope(void) {
    door_open(true);
    struct http_stream *stream = post("/doors.Doors/Bidi", "application/connect+proto");
    fake_receive(stream, "\0\0\0\0\4" HI, 9, false);
    fake_receive(stream, "\0\0\0\0\4" HI, 9, true);
    door_answered(stream, STREAM, DOOR_BYTES("\0\0\0\0\4" HI "\0\0\0\0\4" HI "\2\0\0\0\2{}"));
    door_close(stream);

    door_open(false);
    stream = post("/doors.Doors/Bidi", "application/connect+json");
    fake_receive(stream, NULL, 0, false);
    struct metadata *trailers = call_trailers(door_record.call);
    metadata_add(trailers, "x-a", 3, "1", 1);
    metadata_add(trailers, "x-bin", 5, "\1\2", 2);
    metadata_add(trailers, "x-a", 3, "\"2", 2);
    call_send_bytes(door_record.call, HI, 4);
    call_finish(door_record.call, STATUS_CANCELLED, "gone", NULL, 0);
    static const char end[] = "\2\0\0\0\146{\"error\":{\"code\":\"canceled\",\"message\":\"gone\"},"
                              "\"metadata\":{\"x-a\":[\"1\",\"\\\"2\"],\"x-bin\":[\"AQI\"]}}";
    struct buffer body = {0};
    fake_frame(&body, "{\"text\":\"hi\"}", 13, 0);
    fake_frame(&body, end + 5, sizeof end - 6, 2);
    door_answered(stream, STREAM_JSON, buffer_bytes(&body), buffer_length(&body));
    buffer_free(&body);
    door_close(stream);
}

static void a_refused_stream_ends_at_once(void) {
    door_open(false);
    struct http_stream *stream =
        fake_request(door_session, "/doors.Doors/Bidi", false, "content-type", "application/connect+json",
                     "connect-content-encoding", "br", NULL);
    struct buffer body = {0};
    static const char end[] =
        "{\"error\":{\"code\":\"unimplemented\",\"message\":\"the encoding \\\"br\\\" is not supported\"}}";
    fake_frame(&body, end, sizeof end - 1, 2);
    char headers[256];
    snprintf(headers, sizeof headers, STREAM_JSON "connect-accept-encoding: gzip\ncontent-length: %zu\n",
             buffer_length(&body));
    door_answered(stream, headers, buffer_bytes(&body), buffer_length(&body));
    buffer_free(&body);
    door_close(stream);
}

static void faults_of_envelopes_have_statuses(void) {
    static const struct {
        const char *bytes;
        size_t length;
        enum status status;
    } cases[] = {
        {"\0\0\0\0\4hi", 7, STATUS_INVALID_ARGUMENT}, {"\0\0\0", 3, STATUS_INVALID_ARGUMENT},
        {"\1\0\0\0\4" HI, 9, STATUS_INTERNAL},         {"\2\0\0\0\2{}", 7, STATUS_INTERNAL},
        {"\0\0\1\0\0", 5, STATUS_RESOURCE_EXHAUSTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        door_open(true);
        struct http_stream *stream = post("/doors.Doors/Bidi", "application/connect+proto");
        fake_receive(stream, cases[i].bytes, cases[i].length, true);
        CHECK_INT(door_record.status, cases[i].status);
        CHECK(memmem(buffer_bytes(&stream->body), buffer_length(&stream->body), "{\"error\":{\"code\":", 17));
        door_close(stream);
    }
    door_open(true);
    struct http_stream *stream = post("/doors.Doors/Server", "application/connect+proto");
    fake_receive(stream, "\0\0\0\0\4" HI "\0\0\0\0\4" HI, 18, true);
    CHECK(memmem(buffer_bytes(&stream->body), buffer_length(&stream->body), "\"unimplemented\"", 15));
    door_close(stream);
}

static void a_body_over_the_limit_is_refused_as_it_comes(void) {
    door_open(true);
    struct http_stream *stream = post("/doors.Doors/Unary", "application/proto");
    char large[1001] = "";
    fake_receive(stream, large, 1000, false);
    CHECK_STR(fake_text(&stream->headers), "");
    fake_receive(stream, large, 1, false);
    CHECK(strncmp(fake_text(&stream->headers), ":status: 429\n", 13) == 0);
    door_close(stream);
}

/* Word { thing: Any of a type that the schema lacks } */
#define UNKNOWN_ANY "\32\7\n\5a/x.Y"

static void a_reply_without_a_json_form_ends_the_call(void) {
    for (int is_finished = 0; is_finished < 2; is_finished++) {
        door_open(false);
        struct http_stream *stream = post("/doors.Doors/Unary", "application/json");
        fake_receive(stream, "{}", 2, true);
        CHECK(!call_send_bytes(door_record.call, DOOR_BYTES(UNKNOWN_ANY)));
        if (is_finished) call_finish(door_record.call, STATUS_OK, NULL, NULL, 0);
        fake_turn();
        CHECK_INT(door_record.status, STATUS_INTERNAL);
        CHECK(strncmp(fake_text(&stream->headers), ":status: 500\n", 13) == 0);
        CHECK(memmem(buffer_bytes(&stream->body), buffer_length(&stream->body), "no JSON form", 12));
        door_close(stream);
    }
}

/* The shared message is turned once: the same memory leaves on every call. */
static void a_message_for_many_is_turned_to_json_once(void) {
    enum { CALLS = 3, LENGTH = 2000 };
    struct http_stream *streams[CALLS];
    struct call *calls[CALLS];
    door_open(false);
    for (int i = 0; i < CALLS; i++) {
        door_record.call = NULL;
        streams[i] = post("/doors.Doors/Bidi", "application/connect+json");
        fake_receive(streams[i], NULL, 0, false);
        calls[i] = door_record.call;
    }
    door_record.is_many = true;
    struct message *message = message_new(LENGTH + 3);
    memcpy(message->data, "\n\xD0\xF", 3);
    memset(message->data + 3, 'a', LENGTH);
    message->length = LENGTH + 3;
    for (int i = 0; i < CALLS; i++) CHECK(call_send(calls[i], message));
    CHECK_INT(message->references, 2); /* the last that was turned, until the turn ends */
    fake_turn();
    CHECK_INT(message->references, 1);
    for (int i = 0; i < CALLS; i++) {
        CHECK_INT(buffer_length(&streams[i]->body), 5 + LENGTH + 11);
        CHECK_INT(streams[i]->referenced, 5 + LENGTH + 11);
    }
    message_unref(&message);
    for (int i = 0; i < CALLS; i++) call_finish(calls[i], STATUS_OK, NULL, NULL, 0);
    fake_stop();
    for (int i = 0; i < CALLS; i++) fake_stream_free(streams[i]);
    record_free(&door_record);
}

int main(void) {
    door_load();
    RUN(a_body_is_the_message_wherever_it_is_cut);
    RUN(an_empty_body_is_an_empty_message_but_no_json);
    RUN(trailers_stand_among_the_headers);
    RUN(an_error_has_its_status_in_http_and_its_details_as_json);
    RUN(each_status_has_its_name_and_its_number);
    RUN(malformed_json_is_told_with_its_path);
    RUN(the_protocols_own_headers_are_checked_and_not_metadata);
    RUN(what_http_has_a_status_for_has_that_status);
    RUN(streams_both_ways_in_http1_too);
    RUN(a_get_has_its_message_in_the_query);
    RUN(a_get_that_is_no_call_is_refused);
    RUN(the_end_of_a_stream_is_its_last_envelope);
    RUN(a_refused_stream_ends_at_once);
    RUN(faults_of_envelopes_have_statuses);
    RUN(a_body_over_the_limit_is_refused_as_it_comes);
    RUN(a_reply_without_a_json_form_ends_the_call);
    RUN(a_message_for_many_is_turned_to_json_once);
    schema_unref(&door_schema);
    return 0;
}
