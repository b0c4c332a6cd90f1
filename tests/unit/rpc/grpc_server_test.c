#include "record.h"

#include "rpc/compress.h"

static struct record record;
static struct http_session *session;

static void start(void) {
    record = (struct record){0};
    fake_start(NULL);
    record_serve(&record);
    session = fake_accept();
}

static void stop(struct http_stream *stream) {
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

/* What is answered to a request for which no call comes to be. */
static void refused_with(struct http_stream *stream, const char *headers, const char *body) {
    fake_read_done(session);
    fake_turn();
    CHECK_STR(fake_text(&stream->headers), headers);
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), body, strlen(body));
    CHECK(stream->is_finished && stream->has_body == (*body != 0) && stream->is_closed);
    CHECK_STR(record.events, "");
    CHECK_INT(rpc_counters(fake_rpc)->calls, 0);
    CHECK_INT(rpc_counters(fake_rpc)->calls_started, 1);
    stop(stream);
}

static void refused(struct http_stream *stream, const char *headers) { refused_with(stream, headers, ""); }

#define PATH "/test.Service/Stream"
#define GRPC "content-type: application/grpc\n"

static void requests_that_are_no_calls_are_refused(void) {
    start();
    refused(fake_request(session, PATH, true, ":method", "GET", NULL),
            ":status: 405\n" GRPC "grpc-status: 13\ngrpc-message: a call is a POST request\n");
    start();
    refused(fake_request(session, PATH, false, "grpc-timeout", "1x", NULL),
            ":status: 400\n" GRPC "grpc-status: 13\ngrpc-message: grpc-timeout is malformed\n");
    start();
    refused(fake_request(session, PATH, false, "grpc-timeout", "0S", NULL),
            ":status: 200\n" GRPC "grpc-status: 4\ngrpc-message: the deadline has passed\n");
    start();
    refused(fake_request(session, PATH, false, "x-bin", "a", NULL),
            ":status: 400\n" GRPC "grpc-status: 13\ngrpc-message: a -bin header is not base64\n");
    start();
    refused(fake_request(session, PATH, false, "host", "a", "host", "b", NULL),
            ":status: 400\n" GRPC
            "grpc-status: 13\ngrpc-message: the request names more than one authority\n");
    start();
    refused(fake_request(session, PATH, false, "content-type", "application/grpc+thrift; a=b", NULL),
            ":status: 200\ncontent-type: application/grpc+thrift\ngrpc-status: 12\n"
            "grpc-message: messages are served as +proto and +json only\n");
}

#define PLAIN "content-type: text/plain\ncontent-length: 186\n"
static const char plain_text[] =
    "This is a gRPC server: it answers POST requests whose content-type is application/grpc, "
    "application/grpc-web, application/json or application/proto, WebSockets, and what its routes say.\n";

static void requests_of_another_kind_are_told_what_is_served(void) {
    static const char *const types[] = {"text/html", "application/grpc-webby", "application/jsonp", NULL};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        start();
        refused_with(fake_request(session, PATH, false, "content-type", types[i], NULL), ":status: 415\n" PLAIN,
                     plain_text);
    }
    start();
    refused_with(fake_request(session, "/", true, "content-type", NULL, "host", "a", "host", "b", NULL),
                 ":status: 400\n" PLAIN, plain_text);
}

static void a_visitor_is_told_what_stands_here(void) {
    static const char greeting[] = "tidewire " TIDEWIRE_VERSION ": a gateway for gRPC, gRPC-Web, Connect, WebSocket and REST: calls "
                                   "are POST requests or WebSockets to /package.Service/Method, or what its routes say.\n";
    char headers[96];
    snprintf(headers, sizeof headers, ":status: 200\ncontent-type: text/plain\ncontent-length: %zu\n",
             strlen(greeting));
    start();
    struct http_stream *stream = fake_request(session, "/", true, ":method", "GET", "content-type", NULL, NULL);
    fake_read_done(session);
    CHECK_STR(fake_text(&stream->headers), headers);
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), greeting, strlen(greeting));
    CHECK_INT(rpc_counters(fake_rpc)->calls_started, 0); /* that was no call */
    fake_turn();
    stop(stream);
    start();
    refused_with(fake_request(session, "/favicon.ico", true, ":method", "HEAD", "content-type", NULL, NULL),
                 ":status: 404\ncontent-type: text/plain\ncontent-length: 23\n", "There is nothing here.\n");
    start();
    refused_with(fake_request(session, "/", true, ":method", "DELETE", "content-type", NULL, NULL),
                 ":status: 405\ncontent-type: text/plain\nallow: GET, HEAD, POST\ncontent-length: 47\n",
                 "Requests to this server are GET, HEAD or POST.\n");
}

static void grpc_in_http1_is_told_what_it_needs(void) {
    start();
    session->version = HTTP_1_1;
    refused_with(fake_request(session, PATH, false, NULL),
                 ":status: 505\ncontent-type: text/plain\ncontent-length: 19\n", "gRPC needs HTTP/2.\n");
}

static void unknown_methods_are_named(void) {
    start();
    refused(fake_request(session, "/test.Service/Nope", false, NULL),
            ":status: 200\n" GRPC
            "grpc-status: 12\ngrpc-message: unknown method Nope for service test.Service\n");
    start();
    refused(fake_request(session, "/test.Nope/Stream", false, NULL),
            ":status: 200\n" GRPC "grpc-status: 12\ngrpc-message: unknown service test.Nope\n");
    start();
    refused(fake_request(session, "/a/b/Stream", false, "content-type", "application/grpc+proto", NULL),
            ":status: 200\ncontent-type: application/grpc+proto\ngrpc-status: 12\ngrpc-message: unknown "
            "service a/b\n");
    start();
    refused(fake_request(session, "test.Service/Stream", false, NULL),
            ":status: 200\n" GRPC
            "grpc-status: 12\ngrpc-message: malformed method name: \"test.Service/Stream\"\n");
    start();
    refused(fake_request(session, "//", false, NULL),
            ":status: 200\n" GRPC "grpc-status: 12\ngrpc-message: malformed method name: \"//\"\n");
    start();
    refused(fake_request(session, "/test.Service/", false, NULL),
            ":status: 200\n" GRPC "grpc-status: 12\ngrpc-message: malformed method name: \"/test.Service/\"\n");
    start();
    refused(fake_request(session, "/test%", false, NULL),
            ":status: 200\n" GRPC "grpc-status: 12\ngrpc-message: malformed method name: \"/test%25\"\n");
}

static void an_unknown_encoding_is_refused_with_those_that_are_known(void) {
    start();
    refused(fake_request(session, PATH, false, "grpc-encoding", "snappy", NULL),
            ":status: 200\n" GRPC "grpc-accept-encoding: gzip\ngrpc-status: 12\n"
            "grpc-message: the encoding \"snappy\" is not supported\n");
}

static void headers_over_the_limit_have_a_status(void) {
    const struct http_header grpc[] = {FAKE_HEADER("content-type", "application/grpc")};
    for (size_t count = 0; count < 2; count++) {
        start();
        struct http_stream *stream = fake_stream(session);
        stream->keeps = true;
        session->events->on_request(session, stream, grpc, count, false, true);
        if (count)
            refused(stream, ":status: 200\n" GRPC
                            "grpc-status: 8\ngrpc-message: the headers of the request are too large\n");
        else
            refused_with(stream, ":status: 431\n" PLAIN, plain_text);
    }
}

static void without_a_router_nothing_is_served(void) {
    start();
    rpc_set_router(fake_rpc, NULL);
    refused(fake_request(session, PATH, false, NULL),
            ":status: 200\n" GRPC "grpc-status: 14\ngrpc-message: the server does not serve yet\n");
}

static void a_request_of_a_refused_stream_is_ignored(void) {
    start();
    struct http_stream *stream = fake_request(session, "/test.Service/Nope", false, NULL);
    fake_receive(stream, "\0\0\0\0\1a", 6, true);
    CHECK(stream->is_closed);
    stop(stream);
}

static void the_content_type_is_echoed(void) {
    static const char *const types[][2] = {{"application/grpc", "application/grpc"},
                                           {"application/grpc+proto", "application/grpc+proto"},
                                           {"Application/GRPC+Proto; x=y", "application/grpc+proto"},
                                           {"application/grpc;charset=utf-8", "application/grpc"},
                                           {"application/grpc+", "application/grpc"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        start();
        struct http_stream *stream = fake_request(session, PATH, false, "content-type", types[i][0], NULL);
        fake_receive(stream, NULL, 0, false);
        call_send_headers(record.call);
        char expected[128];
        snprintf(expected, sizeof expected, ":status: 200\ncontent-type: %s\n", types[i][1]);
        CHECK_STR(fake_text(&stream->headers), expected);
        stop(stream);
    }
}

static void handlers_see_the_metadata_and_not_the_protocol(void) {
    start();
    struct http_stream *stream =
        fake_request(session, PATH, false, "x-one", "1", "x-two-bin", "AAE=, /w", "grpc-timeout", "1S",
                     "x-one", "2", "grpc-accept-encoding", "identity", "grpc-trace-bin", "AA", NULL);
    fake_receive(stream, NULL, 0, false);
    const struct metadata *metadata = record.call->metadata;
    struct buffer text = {0};
    for (size_t i = 0; i < metadata->count; i++) {
        const struct metadata_entry *e = &metadata->entries[i];
        buffer_format(&text, "%s=%zu:", e->name, e->value_length);
        buffer_append(&text, e->value, e->value_length);
        buffer_append_text(&text, ";");
        CHECK(e->value[e->value_length] == 0);
    }
    static const char expected[] =
        ":authority=12:example.test;user-agent=6:fake/1;x-one=1:1;x-two-bin=2:\0\1;"
        "x-two-bin=1:\xFF;x-one=1:2;";
    CHECK_MEM(buffer_bytes(&text), buffer_length(&text), expected, sizeof expected - 1);
    CHECK_STR(call_authority(record.call), "example.test");
    CHECK_STR(call_protocol(record.call), "grpc");
    CHECK_STR(record.call->log.method, "test.Service/Stream");
    buffer_free(&text);
    stop(stream);
}

static void equal_metadata_is_kept_once(void) {
    start();
    struct http_stream *one = fake_request(session, PATH, false, "x", "1", NULL);
    fake_receive(one, NULL, 0, false);
    const struct metadata *first = record.call->metadata;
    record.call = NULL;
    struct http_stream *two = fake_request(session, PATH, false, "x", "1", NULL);
    fake_receive(two, NULL, 0, false);
    CHECK(record.call->metadata == first);
    record.call = NULL;
    struct http_stream *three = fake_request(session, PATH, false, "x", "2", NULL);
    fake_receive(three, NULL, 0, false);
    CHECK(record.call->metadata != first);
    CHECK_STR(record.call->metadata->entries[2].value, "2");
    stop(three);
    fake_stream_free(one);
    fake_stream_free(two);
}

static void gzip_goes_both_ways(void) {
    start();
    struct compressor *compressor = compressor_new();
    struct buffer frame = {0}, packed = {0};
    char text[3000];
    memset(text, 'a', sizeof text);
    compressor_deflate(compressor, text, sizeof text, &packed);
    fake_frame(&frame, buffer_bytes(&packed), buffer_length(&packed), 1);
    fake_frame(&frame, "plain", 5, 0);
    record.is_echo = true;
    struct http_stream *stream =
        fake_request(session, PATH, false, "grpc-encoding", "gzip", "grpc-accept-encoding",
                     "identity,deflate", "grpc-accept-encoding", "deflate, gzip", NULL);
    for (size_t i = 0; i < buffer_length(&frame); i++)
        fake_receive(stream, buffer_bytes(&frame) + i, 1, false);
    fake_receive(stream, NULL, 0, true);
    CHECK_INT(record.messages, 2);
    CHECK_MEM(buffer_bytes(&record.received) + 5, 3000, text, 3000);
    CHECK_STR(fake_text(&stream->headers), ":status: 200\n" GRPC "grpc-encoding: gzip\n");
    const uint8_t *body = buffer_bytes(&stream->body);
    CHECK_INT(body[0], 1);
    struct message *message;
    size_t length = body[3] * 256u + body[4];
    CHECK(length < 100);
    CHECK_INT(compressor_inflate(compressor, body + 5, length, 5000, &message), INFLATE_OK);
    CHECK_MEM(message->data, message->length, text, 3000);
    message_unref(&message);
    CHECK_MEM(body + 5 + length, 10, "\0\0\0\0\5plain", 10); /* does not become smaller */
    compressor_free(&compressor);
    buffer_free(&packed);
    buffer_free(&frame);
    stop(stream);
}

static void a_client_that_does_not_take_gzip_gets_none(void) {
    start();
    struct http_stream *stream =
        fake_request(session, PATH, false, "grpc-encoding", "gzip", "grpc-accept-encoding", "identity", NULL);
    fake_receive(stream, NULL, 0, false);
    static const char zeros[2000];
    buffer_append(call_begin_message(record.call), zeros, sizeof zeros);
    call_end_message(record.call);
    fake_turn();
    CHECK_STR(fake_text(&stream->headers), ":status: 200\n" GRPC);
    CHECK_INT(buffer_bytes(&stream->body)[0], 0);
    CHECK_INT(buffer_length(&stream->body), 2005);
    stop(stream);
}

static void compressed(const char *path, size_t length, bool is_broken, enum status status) {
    start();
    struct compressor *compressor = compressor_new();
    struct buffer frame = {0}, packed = {0};
    char *text = memory_new(length);
    compressor_deflate(compressor, text, length, &packed);
    if (is_broken) packed.data[buffer_length(&packed) - 5] ^= 1;
    fake_frame(&frame, buffer_bytes(&packed), buffer_length(&packed), 1);
    struct http_stream *stream = fake_request(session, path, false, "grpc-encoding", "gzip", NULL);
    fake_receive(stream, buffer_bytes(&frame), buffer_length(&frame), true);
    if (status == STATUS_OK) {
        CHECK_INT(record.messages, 1);
        CHECK_INT(buffer_length(&record.received), 5 + length);
        CHECK_INT(record.closed, 0);
    } else {
        CHECK_INT(record.messages, 0);
        CHECK_INT(rpc_counters(fake_rpc)->calls_ended[status], 1);
        CHECK_INT(record.closed, strcmp(path, PATH) == 0);
    }
    compressor_free(&compressor);
    buffer_free(&packed);
    buffer_free(&frame);
    free(text);
    stop(stream);
}

static void compressed_messages_are_held_to_the_limit(void) {
    static const char *const paths[] = {PATH, "/test.Service/Unary"};
    for (int i = 0; i < 2; i++) {
        compressed(paths[i], 100000, false, STATUS_OK);
        compressed(paths[i], 100001, false, STATUS_RESOURCE_EXHAUSTED);
        compressed(paths[i], 50000000, false, STATUS_RESOURCE_EXHAUSTED);
        compressed(paths[i], 1000, true, STATUS_INTERNAL);
    }
}

static void texts_to_the_peer_are_bounded(void) {
    start();
    struct http_stream *stream = fake_request(session, PATH, false, NULL);
    fake_receive(stream, NULL, 0, false);
    char *text = memory_new(100001);
    memset(text, '%', 100000);
    call_finish(record.call, STATUS_INTERNAL, text, text, 20000);
    fake_turn();
    CHECK(buffer_length(&stream->headers) < 5000);
    CHECK(!strstr(fake_text(&stream->headers), "details"));
    free(text);
    stop(stream);
}

int main(void) {
    RUN(requests_that_are_no_calls_are_refused);
    RUN(requests_of_another_kind_are_told_what_is_served);
    RUN(a_visitor_is_told_what_stands_here);
    RUN(grpc_in_http1_is_told_what_it_needs);
    RUN(unknown_methods_are_named);
    RUN(an_unknown_encoding_is_refused_with_those_that_are_known);
    RUN(headers_over_the_limit_have_a_status);
    RUN(without_a_router_nothing_is_served);
    RUN(a_request_of_a_refused_stream_is_ignored);
    RUN(the_content_type_is_echoed);
    RUN(handlers_see_the_metadata_and_not_the_protocol);
    RUN(equal_metadata_is_kept_once);
    RUN(gzip_goes_both_ways);
    RUN(a_client_that_does_not_take_gzip_gets_none);
    RUN(compressed_messages_are_held_to_the_limit);
    RUN(texts_to_the_peer_are_bounded);
    return 0;
}
