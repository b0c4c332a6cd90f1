#include "rpc/compress.h"

#include "record.h"

static const struct method one_reply = {.full_name = "test.Service/Ask"};

static struct record record;
static struct rpc_client *client;
static struct http_session *session;
static struct http_stream *stream;

static void open_call_of(const struct rpc_client_options *options, const struct method *method,
                         const struct metadata *metadata, uint64_t timeout) {
    struct error error;
    record = (struct record){0};
    fake_start(NULL);
    client = rpc_client_new(fake_rpc, options, &error);
    CHECK(client);
    session = container_of(fake_http->sessions.prev, struct http_session, node);
    record.call =
        rpc_client_open(client, method, metadata, timeout, &record_handler, &record, &record_limits);
    stream = container_of(session->streams.prev, struct http_stream, node);
}

static void open_call(const struct method *method, const struct metadata *metadata, uint64_t timeout) {
    open_call_of(&(struct rpc_client_options){.address = "127.0.0.1:1"}, method, metadata, timeout);
}

static void stop(void) {
    rpc_client_free(&client);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void respond(bool is_end, size_t count, const struct http_header *headers) {
    if (stream->user) session->events->on_response(stream->user, headers, count, is_end);
}
static void trailers(size_t count, const struct http_header *headers) {
    stream->peer_ended = true;
    if (stream->user) session->events->on_end(stream->user, headers, count);
    fake_read_done(session);
    if (stream->is_finished && stream->reset < 0) fake_stream_close(stream, HTTP_NO_ERROR, false);
    fake_turn();
}
static const struct http_header fine[] = {FAKE_HEADER(":status", "200"),
                                          FAKE_HEADER("content-type", "application/grpc"),
                                          FAKE_HEADER("x-answer", "42")};
static const struct http_header ok[] = {FAKE_HEADER("grpc-status", "0"), FAKE_HEADER("x-end", "z")};

static void a_request_has_the_headers_of_the_protocol(void) {
    struct metadata metadata = {0};
    metadata_add(&metadata, "x-bin", 5, "\0\xFF", 2);
    open_call(&record_stream, &metadata, 1500 * NS_PER_MS);
    CHECK_STR(fake_text(&stream->headers),
              ":method: POST\n:scheme: http\n:path: /test.Service/Stream\n:authority: 127.0.0.1:1\n"
              "grpc-timeout: 1500000u\ncontent-type: application/grpc\nte: trailers\n"
              "user-agent: grpc-c-tidewire/" TIDEWIRE_VERSION "\ngrpc-accept-encoding: gzip\nx-bin: AP8\n");
    call_send_bytes(record.call, "a", 1);
    fake_turn();
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\1a", 6);
    call_half_close(record.call);
    CHECK(stream->is_finished);
    CHECK(!call_send_bytes(record.call, "b", 1));
    metadata_clear(&metadata);
    stop();
    CHECK_INT(record.closed, 0);
}

static void messages_are_compressed_when_the_client_asks_for_it_and_it_helps(void) {
    char text[1000];
    memset(text, 'a', sizeof text);
    open_call_of(&(struct rpc_client_options){.address = "127.0.0.1:1", .compresses = true}, &record_stream,
                 NULL, 0);
    CHECK(strstr(fake_text(&stream->headers), "\ngrpc-encoding: gzip\n"));
    call_send_bytes(record.call, text, sizeof text);
    fake_turn();
    const uint8_t *bytes = buffer_bytes(&stream->body);
    size_t length = buffer_length(&stream->body);
    struct message *plain;
    CHECK(length > 5 && length < 100);
    CHECK_INT(bytes[0], 1);
    struct compressor *compressor = compressor_new();
    CHECK_INT(compressor_inflate(compressor, bytes + 5, length - 5, sizeof text, &plain), INFLATE_OK);
    CHECK_MEM(plain->data, plain->length, text, sizeof text);
    compressor_free(&compressor);
    message_unref(&plain);
    call_send_bytes(record.call, "b", 1);
    fake_turn();
    CHECK_MEM(buffer_bytes(&stream->body) + length, buffer_length(&stream->body) - length, "\0\0\0\0\1b", 6);
    stop();
}

static void replies_are_read_before_the_status_comes(void) {
    open_call(&record_stream, NULL, 0);
    call_half_close(record.call);
    respond(false, 3, fine);
    fake_receive(stream, "\0\0\0\0\1a", 6, false);
    CHECK_STR(record.events, "headers readable ");
    size_t place = 0;
    CHECK_STR(metadata_find(record.call->metadata, "x-answer", 8, &place)->value, "42");
    record.is_idle = true;
    record_take(&record);
    fake_data(stream, "\0\0\0\0\1b\0\0\0\0\1c", 12);
    trailers(2, ok);
    CHECK_STR(record.events, "headers readable readable ");
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    fake_turn();
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    place = 0;
    CHECK_STR(metadata_find(call_peer_trailers(record.call), "x-end", 5, &place)->value, "z");
    CHECK_INT(record_take(&record), CALL_END);
    CHECK_INT(record.closed, 0);
    fake_turn();
    CHECK_STR(record.events, "headers readable readable end close ");
    CHECK_INT(record.status, STATUS_OK);
    CHECK_INT(record.messages, 3);
    stop();
}

/* Headers, messages, trailers; what status becomes of them. */
static void answered(const struct method *method, const void *body, size_t length, size_t count,
                     const struct http_header *headers, enum status status, const char *text) {
    open_call(method, NULL, 0);
    respond(false, 3, fine);
    fake_data(stream, body, length);
    trailers(count, headers);
    CHECK_INT(record.closed, 1);
    CHECK_INT(record.status, status);
    CHECK_STR(record.text, text);
    CHECK(stream->reset == HTTP_NO_ERROR); /* we had not half-closed */
    stop();
}

static void trailers_become_a_status(void) {
    struct http_header all[] = {FAKE_HEADER("grpc-status", "5"),
                                FAKE_HEADER("grpc-message", "n%C3%B6 %zz 50%")};
    answered(&record_stream, NULL, 0, 2, all, STATUS_NOT_FOUND, "n\xC3\xB6 %zz 50%");
    answered(&record_stream, NULL, 0, 0, NULL, STATUS_INTERNAL,
             "the server has closed the stream without trailers");
    answered(&record_stream, NULL, 0, 1, all + 1, STATUS_UNKNOWN, "the server has sent no grpc-status");
    all[0] = (struct http_header)FAKE_HEADER("grpc-status", "x");
    answered(&record_stream, NULL, 0, 2, all, STATUS_UNKNOWN, "the server has sent a malformed grpc-status");
    all[0] = (struct http_header)FAKE_HEADER("grpc-status", "77");
    answered(&record_stream, NULL, 0, 1, all, STATUS_UNKNOWN, "");
    all[1] = (struct http_header)FAKE_HEADER("x-bin", "?");
    answered(&record_stream, NULL, 0, 2, all, STATUS_INTERNAL,
             "the server has sent a -bin trailer that is not base64");
    answered(&record_stream, "\0\0\0\0\5a", 6, 1, ok, STATUS_INTERNAL,
             "the answer ended inside of a message");
    answered(&one_reply, NULL, 0, 1, ok, STATUS_INTERNAL, "the server has sent no reply, but status OK");
    answered(&one_reply, "\0\0\0\0\1a", 6, 1, ok, STATUS_OK, "");
}

static void what_is_wrong_with_the_reply_is_the_status_also_when_the_trailers_come_at_once(void) {
    answered(&one_reply, "\7\0\0\0\1a", 6, 1, ok, STATUS_INTERNAL, "a message has the unknown flags 7");
    answered(&one_reply, "\0\0\0\0\1a\0\0\0\0\1b", 12, 1, ok, STATUS_INTERNAL,
             "test.Service/Ask has one reply message, more than one came");
}

static void a_second_reply_is_a_fault(void) {
    open_call(&one_reply, NULL, 0);
    respond(false, 3, fine);
    fake_receive(stream, "\0\0\0\0\1a\0\0\0\0\1b", 12, false);
    CHECK_INT(record.status, STATUS_INTERNAL);
    CHECK_STR(record.text, "test.Service/Ask has one reply message, more than one came");
    CHECK_INT(stream->reset, HTTP_CANCEL);
    stop();
}

static void a_trailers_only_answer_is_a_status(void) {
    const struct http_header only[] = {FAKE_HEADER(":status", "200"),
                                       FAKE_HEADER("content-type", "application/grpc+proto"),
                                       FAKE_HEADER("grpc-status", "16"), FAKE_HEADER("x-why", "no")};
    for (int half_closed = 0; half_closed < 2; half_closed++) {
        open_call(&one_reply, NULL, 0);
        if (half_closed) call_half_close(record.call);
        respond(true, 4, only);
        fake_read_done(session);
        CHECK_INT(stream->reset, half_closed ? -1 : HTTP_NO_ERROR); /* nothing else would end our side */
        fake_stream_close(stream, HTTP_NO_ERROR, false);
        fake_turn();
        CHECK_INT(record.status, STATUS_UNAUTHENTICATED);
        CHECK_INT(record.closed, 1);
        stop();
    }
}

static void http_answered(const char *number, enum status status) {
    const struct http_header html[] = {FAKE_HEADER(":status", number),
                                       FAKE_HEADER("content-type", "text/html")};
    open_call(&record_stream, NULL, 0);
    respond(false, 2, html);
    fake_receive(stream, "<html>", 6, false);
    CHECK_INT(record.status, status);
    CHECK(strstr(record.text, number));
    stop();
}

static void an_answer_that_is_not_grpc_is_judged_by_its_http_status(void) {
    http_answered("404", STATUS_UNIMPLEMENTED);
    http_answered("401", STATUS_UNAUTHENTICATED);
    http_answered("503", STATUS_UNAVAILABLE);
    http_answered("200", STATUS_UNKNOWN);
}

static void a_reset_becomes_a_status(void) {
    static const enum status statuses[] = {
        STATUS_INTERNAL,          STATUS_INTERNAL, STATUS_INTERNAL, STATUS_INTERNAL,
        STATUS_INTERNAL,          STATUS_INTERNAL, STATUS_INTERNAL, STATUS_UNAVAILABLE,
        STATUS_CANCELLED,         STATUS_INTERNAL, STATUS_INTERNAL, STATUS_RESOURCE_EXHAUSTED,
        STATUS_PERMISSION_DENIED, STATUS_INTERNAL, STATUS_UNKNOWN};
    for (uint32_t error = 0; error < sizeof statuses / sizeof *statuses; error++) {
        open_call(&record_stream, NULL, 0);
        respond(false, 3, fine);
        fake_stream_close(stream, error, false);
        fake_turn();
        CHECK_INT(record.closed, 1);
        CHECK_INT(record.status, statuses[error]);
        stop();
    }
}

/* A server may be the first to see that the deadline has passed; grpc-go says CANCEL then. */
static void a_cancel_is_the_deadline_once_that_has_passed(void) {
    for (uint64_t late = 0; late < 2; late++) {
        open_call(&record_stream, NULL, 2 * NS_PER_S);
        respond(false, 3, fine);
        fake_loop.now += 2 * NS_PER_S - 1 + late; /* our timer is not looked at yet */
        fake_stream_close(stream, HTTP_CANCEL, false);
        fake_turn();
        CHECK_INT(record.closed, 1);
        CHECK_INT(record.status, late ? STATUS_DEADLINE_EXCEEDED : STATUS_CANCELLED);
        stop();
    }
}

static void replies_before_a_reset_are_read(void) {
    open_call(&record_stream, NULL, 0);
    respond(false, 3, fine);
    fake_data(stream, "\0\0\0\0\1a\0\0\0\0\5b", 12);
    fake_stream_close(stream, HTTP_INTERNAL_ERROR, false);
    fake_read_done(session);
    fake_turn();
    CHECK_INT(record.messages, 1);
    CHECK_INT(record.closed, 1);
    CHECK_INT(record.status, STATUS_INTERNAL);
    stop();
}

static void a_lost_connection_is_unavailable_and_the_next_call_dials_again(void) {
    open_call(&record_stream, NULL, 0);
    fake_session_end(session, "connection refused");
    fake_turn();
    CHECK_INT(record.status, STATUS_UNAVAILABLE);
    CHECK_STR(record.text, "the connection has failed: connection refused");
    struct record second = {0};
    second.call = rpc_client_open(client, &one_reply, NULL, 0, &record_handler, &second, &record_limits);
    session = container_of(fake_http->sessions.prev, struct http_session, node);
    CHECK_INT(session->stream_count, 1);
    struct http_stream *next = container_of(session->streams.prev, struct http_stream, node);
    call_reset(second.call, HTTP_CANCEL);
    fake_turn();
    CHECK_INT(next->reset, HTTP_CANCEL);
    CHECK_INT(second.status, STATUS_CANCELLED);
    stop();
    fake_stream_free(next);
    record_free(&second);
}

static void a_call_waits_for_room_and_what_it_sends_meanwhile_queues(void) {
    open_call(&record_stream, NULL, 0);
    session->refuses = true;
    struct record second = {0};
    second.call = rpc_client_open(client, &one_reply, NULL, 0, &record_handler, &second, &record_limits);
    CHECK(call_send_bytes(second.call, "ab", 2));
    call_half_close(second.call);
    fake_turn();
    CHECK_INT(session->stream_count, 1);
    CHECK_INT(second.closed, 0);
    session->refuses = false;
    session->events->on_room(session);
    fake_turn();
    CHECK_INT(session->stream_count, 2);
    struct http_stream *next = container_of(session->streams.prev, struct http_stream, node);
    CHECK_MEM(buffer_bytes(&next->body), buffer_length(&next->body), "\0\0\0\0\2ab", 7);
    CHECK(next->is_finished);
    stop();
    CHECK_INT(second.closed, 1);
    fake_stream_free(next);
    record_free(&second);
}

static void a_bad_address_is_an_error(void) {
    struct error error;
    fake_start(NULL);
    CHECK(!rpc_client_new(fake_rpc, &(struct rpc_client_options){.address = "no address"}, &error));
    CHECK_STR(error.text, "\"no address\" is no address");
    fake_stop();
}

static void a_deadline_passes_here_too(void) {
    open_call(&record_stream, NULL, 2 * NS_PER_S);
    fake_advance(2 * NS_PER_S);
    CHECK_INT(record.status, STATUS_DEADLINE_EXCEEDED);
    CHECK_INT(stream->reset, HTTP_CANCEL);
    stop();
}

static void compressed_replies_are_read_only_if_announced(void) {
    open_call(&record_stream, NULL, 0);
    respond(false, 3, fine);
    fake_receive(stream, "\1\0\0\0\1a", 6, false);
    CHECK_INT(record.status, STATUS_INTERNAL);
    stop();
}

int main(void) {
    RUN(a_request_has_the_headers_of_the_protocol);
    RUN(messages_are_compressed_when_the_client_asks_for_it_and_it_helps);
    RUN(replies_are_read_before_the_status_comes);
    RUN(trailers_become_a_status);
    RUN(what_is_wrong_with_the_reply_is_the_status_also_when_the_trailers_come_at_once);
    RUN(a_second_reply_is_a_fault);
    RUN(a_trailers_only_answer_is_a_status);
    RUN(an_answer_that_is_not_grpc_is_judged_by_its_http_status);
    RUN(a_reset_becomes_a_status);
    RUN(a_cancel_is_the_deadline_once_that_has_passed);
    RUN(replies_before_a_reset_are_read);
    RUN(a_lost_connection_is_unavailable_and_the_next_call_dials_again);
    RUN(a_call_waits_for_room_and_what_it_sends_meanwhile_queues);
    RUN(a_bad_address_is_an_error);
    RUN(a_deadline_passes_here_too);
    RUN(compressed_replies_are_read_only_if_announced);
    return 0;
}
