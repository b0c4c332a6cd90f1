#include "record.h"

static struct record record;
static struct http_session *session;

static void start(const struct rpc_limits *limits) {
    record = (struct record){0};
    fake_start(limits);
    record_serve(&record);
    session = fake_accept();
}

static void stop(struct http_stream *stream) {
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void send_text(struct http_stream *stream, const char *text, bool is_end) {
    struct buffer frame = {0};
    fake_frame(&frame, text, strlen(text), 0);
    fake_receive(stream, buffer_bytes(&frame), buffer_length(&frame), is_end);
    buffer_free(&frame);
}

static void a_stream_echoes_and_ends_with_ok(void) {
    start(NULL);
    record.is_echo = true;
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    send_text(stream, "one", false);
    CHECK_STR(fake_text(&stream->headers), ":status: 200\ncontent-type: application/grpc\n");
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\3one", 8);
    send_text(stream, "two", true);
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\3one\0\0\0\0\3two", 16);
    CHECK_STR(fake_text(&stream->trailers), "grpc-status: 0\n");
    CHECK_STR(record.events, "open readable readable end close ");
    CHECK_INT(record.status, STATUS_OK);
    CHECK_INT(rpc_counters(fake_rpc)->calls_ended[STATUS_OK], 1);
    stop(stream);
}

static void a_unary_call_opens_when_its_request_is_whole(void) {
    start(NULL);
    record.is_echo = true;
    struct http_stream *stream = fake_request(session, "/test.Service/Unary", false, NULL);
    fake_receive(stream, "\0\0\0\0", 4, false);
    CHECK_STR(record.events, "");
    fake_receive(stream, "\3one", 4, false);
    CHECK_STR(record.events, "");
    fake_receive(stream, NULL, 0, true);
    CHECK_STR(record.events, "open readable end close ");
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\3one", 8);
    stop(stream);
}

static void wrong_count(const char *bytes, size_t length, bool is_end, bool ends_with_headers,
                        const char *text) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Unary", ends_with_headers, NULL);
    if (ends_with_headers) {
        fake_read_done(session);
        fake_turn();
    } else {
        fake_receive(stream, bytes, length, is_end);
    }
    CHECK_STR(record.events, "");
    CHECK(stream->is_closed);
    CHECK(strstr(fake_text(&stream->headers), "grpc-status: 12\n"));
    CHECK(strstr(fake_text(&stream->headers), text));
    CHECK_INT(rpc_counters(fake_rpc)->calls_ended[STATUS_UNIMPLEMENTED], 1);
    stop(stream);
}

static void a_wrong_count_of_requests_is_unimplemented(void) {
    wrong_count("\0\0\0\0\1a\0\0\0\0\1b", 12, true, false, "more than one came");
    wrong_count("\0\0\0\0\1a\0\0\0\0\1b", 12, false, false, "more than one came");
    wrong_count("\0\0\0\0\1a\0", 7, false, false, "more than one came");
    wrong_count(NULL, 0, true, false, "none came");
    wrong_count(NULL, 0, true, true, "none came");
}

static void an_early_finish_drops_what_the_peer_still_sends(void) {
    start(NULL);
    record.is_idle = true;
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    send_text(stream, "one", false);
    stream->window = 0;
    call_send_bytes(record.call, "bye", 3);
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    CHECK(!call_is_open(record.call));
    CHECK(!call_send_bytes(record.call, "more", 4));
    CHECK(!call_begin_message(record.call));
    send_text(stream, "two", false);
    CHECK_STR(record.events, "open readable ");
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 8);
    stream->window = 100;
    fake_turn();
    CHECK_STR(record.events, "open readable close ");
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\3bye", 8);
    stop(stream);
}

static void a_failure_without_anything_sent_is_trailers_only(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    metadata_add(call_trailers(record.call), "x-why", 5, "because", 7);
    call_finish(record.call, STATUS_NOT_FOUND, "no such \xC3\xA4 thing", "\x08\x05", 2);
    fake_turn();
    CHECK_STR(fake_text(&stream->headers),
              ":status: 200\ncontent-type: application/grpc\ngrpc-status: 5\n"
              "grpc-message: no such %C3%A4 thing\ngrpc-status-details-bin: CAU\n"
              "x-why: because\n");
    CHECK(!stream->has_body);
    CHECK_INT(record.status, STATUS_NOT_FOUND);
    stop(stream);
}

static void header_metadata_forces_a_block_of_its_own(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    metadata_add(call_headers(record.call), "x-one", 5, "1", 1);
    metadata_add(call_headers(record.call), "x-two-bin", 9, "\0\xFF", 2);
    call_finish(record.call, STATUS_ABORTED, "", NULL, 0);
    fake_turn();
    CHECK_STR(fake_text(&stream->headers),
              ":status: 200\ncontent-type: application/grpc\nx-one: 1\nx-two-bin: AP8\n");
    CHECK_STR(fake_text(&stream->trailers), "grpc-status: 10\n");
    stop(stream);
}

static void a_cancel_is_told_and_drops_the_queue(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 0;
    call_send_bytes(record.call, "never", 5);
    fake_stream_close(stream, HTTP_CANCEL, false);
    CHECK_STR(record.events, "open "); /* not from inside of HTTP's event */
    CHECK(!call_send_bytes(record.call, "never", 5));
    fake_turn();
    CHECK_STR(record.events, "open close ");
    CHECK_INT(record.status, STATUS_CANCELLED);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    stop(stream);
}

/* RST_STREAM may stand in the same read as the messages before it. */
static void a_cancel_in_the_same_read_is_told(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_data(stream, "\0\0\0\0\1a\0\0\0\0\5b", 12);
    fake_stream_close(stream, HTTP_CANCEL, false);
    fake_read_done(session);
    fake_turn();
    CHECK_STR(record.events, "");
    CHECK_INT(rpc_counters(fake_rpc)->calls_ended[STATUS_CANCELLED], 1);
    stop(stream);
}

static void a_lost_connection_cancels_its_calls(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    CHECK_STR(call_peer(record.call), "192.0.2.1:4711");
    fake_session_end(session, "reset by the peer");
    fake_turn();
    CHECK_STR(record.events, "open close ");
    CHECK_INT(record.status, STATUS_CANCELLED);
    stop(stream);
}

static void a_deadline_ends_the_call_for_both_sides(void) {
    start(NULL);
    struct http_stream *stream =
        fake_request(session, "/test.Service/Stream", false, "grpc-timeout", "250m", NULL);
    fake_receive(stream, NULL, 0, false);
    CHECK_INT(record.call->deadline, record.call->opened + 250 * NS_PER_MS);
    stream->window = 2;
    call_send_bytes(record.call, "queued", 6);
    fake_turn();
    fake_advance(249 * NS_PER_MS);
    CHECK_STR(record.events, "open ");
    fake_advance(1 * NS_PER_MS);
    CHECK_STR(record.events, "open close ");
    CHECK_INT(record.status, STATUS_DEADLINE_EXCEEDED);
    CHECK_STR(fake_text(&stream->trailers), "grpc-status: 4\ngrpc-message: the deadline has passed\n");
    stop(stream);
}

/* Trailers with OK must not overtake the messages that they stand behind. */
static void a_deadline_resets_an_answer_that_cannot_leave(void) {
    start(NULL);
    struct http_stream *stream =
        fake_request(session, "/test.Service/Stream", false, "grpc-timeout", "1S", NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 2;
    call_send_bytes(record.call, "queued", 6);
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    fake_advance(1 * NS_PER_S);
    CHECK_INT(stream->reset, HTTP_CANCEL);
    CHECK_INT(record.status, STATUS_DEADLINE_EXCEEDED);
    stop(stream);
}

static void an_answer_that_has_left_stands_against_a_deadline(void) {
    start(NULL);
    struct http_stream *stream =
        fake_request(session, "/test.Service/Stream", false, "grpc-timeout", "1S", NULL);
    fake_receive(stream, NULL, 0, false);
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    fake_advance(1 * NS_PER_S);
    CHECK_INT(record.closed, 1);
    CHECK_INT(record.status, STATUS_OK);
    stop(stream);
}

static void a_reset_drops_the_queue(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    call_send_bytes(record.call, "never", 5);
    call_reset(record.call, HTTP_ENHANCE_YOUR_CALM);
    CHECK_INT(record.closed, 0);
    fake_turn();
    CHECK_INT(stream->reset, HTTP_ENHANCE_YOUR_CALM);
    CHECK_INT(buffer_length(&stream->body), 0);
    CHECK_INT(record.status, STATUS_CANCELLED);
    CHECK_INT(record.closed, 1);
    stop(stream);
}

static void full_and_writable_follow_the_queue(void) {
    static char kilobyte[1024];
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 0;
    for (int i = 0; i < 9; i++) call_send_bytes(record.call, kilobyte, 1024);
    CHECK(!call_is_full(record.call));
    call_send_bytes(record.call, kilobyte, 1024);
    CHECK(call_is_full(record.call));
    size_t messages, bytes;
    call_pending(record.call, &messages, &bytes);
    CHECK_INT(messages, 10);
    CHECK_INT(bytes, 10 * 1029);
    stream->window = 5000; /* leaves 5290: more than half of the bound */
    fake_turn();
    CHECK_STR(record.events, "open ");
    call_pending(record.call, &messages, &bytes);
    CHECK_INT(messages, 6);
    CHECK_INT(bytes, 10 * 1029 - 5000);
    stream->window = 300;
    fake_turn();
    CHECK_STR(record.events, "open writable ");
    stream->window = SIZE_MAX;
    fake_turn();
    CHECK_STR(record.events, "open writable ");
    call_pending(record.call, &messages, &bytes);
    CHECK_INT(messages, 0);
    CHECK_INT(bytes, 0);
    stop(stream);
}

static void a_run_is_queued_whole_or_not_at_all(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 0;
    struct message *run = message_new(5000);
    for (int i = 0; i < 9; i++) { /* nine of 500 bytes */
        memset(run->data + run->length, i, 500);
        memcpy(run->data + run->length, "\0\0\0\1\xef", 5);
        run->length += 500;
    }
    CHECK(call_send_run(record.call, run, 500, 4500, 8));
    CHECK(call_send_run(record.call, run, 0, 4500, 9));
    CHECK_INT(record.call->messages_out, 17);
    CHECK_INT(record.call->bytes_out, 17 * 495);
    CHECK(!call_send_run(record.call, run, 0, 4500, 9)); /* the bound is 10000 bytes */
    CHECK(call_send_run(record.call, run, 0, 1500, 3));
    size_t messages, bytes;
    call_pending(record.call, &messages, &bytes);
    CHECK_INT(messages, 20);
    CHECK_INT(bytes, 20 * 500);
    CHECK(call_is_full(record.call));
    stream->window = 4250;
    fake_turn();
    call_pending(record.call, &messages, &bytes);
    CHECK_INT(messages, 12);
    stream->window = SIZE_MAX;
    fake_turn();
    CHECK_INT(buffer_length(&stream->body), 10000);
    CHECK_MEM(buffer_bytes(&stream->body), 4000, run->data + 500, 4000);
    CHECK_MEM(buffer_bytes(&stream->body) + 8500, 1500, run->data, 1500);
    CHECK_INT(run->references, 1);
    call_flush(record.call);
    CHECK_INT(session->flushes, 1);
    stop(stream);
    message_unref(&run);
}

/* fanout/ has a letter for the call, each time it is asked. */
static struct {
    struct call_source source;
    struct message *letter;
} pen;

static void give_letter(struct call_source *source) {
    CHECK(source == &pen.source);
    CHECK(call_send_run(record.call, pen.letter, 0, pen.letter->length, 1));
    pen.letter->data[MESSAGE_PREFIX]++;
}

static void others_messages_go_before_what_the_handler_does(void) {
    size_t messages, bytes;
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_turn();
    pen.source.give = give_letter;
    pen.letter = message_copy("\0\0\0\0\1a", 6);
    record.call->source = &pen.source;
    CHECK(call_send_bytes(record.call, "1", 1));
    buffer_append(call_begin_message(record.call), "2", 1);
    call_end_message(record.call);
    call_pending(record.call, &messages, &bytes);
    CHECK_INT(messages, 5);
    struct message *message = message_copy("3", 1);
    CHECK(call_send(record.call, message));
    message_unref(&message);
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    record.call->source = NULL;
    fake_turn();
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body),
              "\0\0\0\0\1a\0\0\0\0\1" "1" "\0\0\0\0\1b\0\0\0\0\1" "2" "\0\0\0\0\1c\0\0\0\0\1" "d"
              "\0\0\0\0\1" "3" "\0\0\0\0\1e", 48);
    stop(stream);
    message_unref(&pen.letter);
}

static void large_messages_are_not_copied(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    struct message *message = message_new(5000);
    memset(message->data, 'x', message->length = 5000);
    call_send_bytes(record.call, "small", 5);
    call_send(record.call, message);
    CHECK_INT(message->references, 2);
    struct buffer *out = call_begin_message(record.call);
    buffer_append(out, message->data, 4999);
    call_end_message(record.call);
    fake_turn();
    CHECK_INT(stream->referenced, 5005 + 5004);
    CHECK_INT(message->references, 1);
    CHECK_INT(buffer_length(&stream->body), 10 + 5005 + 5004);
    CHECK_MEM(buffer_bytes(&stream->body) + 10, 5, "\0\0\0\x13\x88", 5);
    CHECK_MEM(buffer_bytes(&stream->body) + 10 + 5005, 5, "\0\0\0\x13\x87", 5);
    message_unref(&message);
    stop(stream);
}

static void an_abandoned_message_leaves_no_trace(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    buffer_append_text(call_begin_message(record.call), "no");
    call_abandon_message(record.call);
    CHECK(!call_headers_are_sent(record.call));
    call_send_bytes(record.call, "a", 1);
    buffer_append_text(call_begin_message(record.call), "no");
    call_abandon_message(record.call);
    call_begin_message(record.call);
    call_end_message(record.call);
    fake_turn();
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\1a\0\0\0\0\0", 11);
    stop(stream);
}

static void drain_is_told_once_and_new_calls_hear_of_it(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    rpc_drain(fake_rpc);
    fake_turn();
    rpc_drain(fake_rpc);
    CHECK(session->is_draining);
    CHECK_STR(record.events, "open drain ");
    CHECK(call_is_draining(record.call));
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    record.call = NULL;
    struct http_stream *late =
        fake_request(session, "/test.Service/Stream", false, NULL); /* raced the GOAWAY */
    fake_receive(late, NULL, 0, false);
    CHECK_STR(record.events, "open drain open drain close ");
    fake_stop();
    fake_stream_free(late);
    fake_stream_free(stream);
    record_free(&record);
}

static void the_end_sends_what_is_queued_before_its_trailers(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    struct http_stream *half = fake_request(session, "/test.Service/Unary", false, NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 0;
    call_send_bytes(record.call, "last", 4);
    rpc_end_all(fake_rpc, "the server is shutting down", 5 * NS_PER_S);
    fake_turn();
    CHECK_STR(record.events, "open ");
    CHECK(strstr(fake_text(&half->headers), "grpc-status: 14\n"));
    stream->window = 100;
    fake_turn();
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), "\0\0\0\0\4last", 9);
    CHECK_STR(fake_text(&stream->trailers), "grpc-status: 14\ngrpc-message: the server is shutting down\n");
    CHECK_INT(record.status, STATUS_UNAVAILABLE);
    CHECK_INT(rpc_counters(fake_rpc)->connections, 0);
    fake_stream_free(half);
    stop(stream);
}

static void the_grace_cuts_what_does_not_end(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 0;
    call_send_bytes(record.call, "last", 4);
    rpc_end_all(fake_rpc, "the server is shutting down", 5 * NS_PER_S);
    fake_advance(5 * NS_PER_S);
    CHECK_INT(record.closed, 1);
    CHECK_INT(record.status, STATUS_CANCELLED);
    CHECK_INT(rpc_counters(fake_rpc)->connections, 0);
    stop(stream);
}

/* A call that is freed while others of the same list run must not take them along. */
static void closing_from_handlers_of_others_is_safe(void) {
    start(NULL);
    struct http_stream *streams[20];
    struct call *calls[20];
    for (int i = 0; i < 20; i++) {
        streams[i] = fake_request(session, "/test.Service/Stream", false, NULL);
        fake_receive(streams[i], NULL, 0, false);
        calls[i] = record.call;
        record.call = NULL;
    }
    for (int i = 0; i < 20; i++) fake_data(streams[i], "\0\0\0\0\1a", 6);
    record.is_idle = true;
    for (int i = 0; i < 20; i += 2) call_reset(calls[i], HTTP_CANCEL);
    for (int i = 1; i < 20; i += 4) call_finish(calls[i], STATUS_OK, NULL, NULL, 0);
    for (int i = 3; i < 20; i += 4) fake_stream_close(streams[i], HTTP_CANCEL, false);
    fake_read_done(session);
    fake_turn();
    CHECK_INT(record.closed, 20);
    fake_stop();
    for (int i = 0; i < 20; i++) fake_stream_free(streams[i]);
    record_free(&record);
}

static void a_router_is_idle_when_its_last_call_has_closed(void) {
    start(NULL);
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    CHECK_INT(router_call_count(fake_router), 1);
    CHECK_INT(record.call->route->calls, 1);
    CHECK_INT(router_generation(record.call->route->router), 3);
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    fake_turn();
    CHECK_INT(router_call_count(fake_router), 0);
    stop(stream);
}

int main(void) {
    RUN(a_stream_echoes_and_ends_with_ok);
    RUN(a_unary_call_opens_when_its_request_is_whole);
    RUN(a_wrong_count_of_requests_is_unimplemented);
    RUN(an_early_finish_drops_what_the_peer_still_sends);
    RUN(a_failure_without_anything_sent_is_trailers_only);
    RUN(header_metadata_forces_a_block_of_its_own);
    RUN(a_cancel_is_told_and_drops_the_queue);
    RUN(a_cancel_in_the_same_read_is_told);
    RUN(a_lost_connection_cancels_its_calls);
    RUN(a_deadline_ends_the_call_for_both_sides);
    RUN(a_deadline_resets_an_answer_that_cannot_leave);
    RUN(an_answer_that_has_left_stands_against_a_deadline);
    RUN(a_reset_drops_the_queue);
    RUN(full_and_writable_follow_the_queue);
    RUN(a_run_is_queued_whole_or_not_at_all);
    RUN(others_messages_go_before_what_the_handler_does);
    RUN(large_messages_are_not_copied);
    RUN(an_abandoned_message_leaves_no_trace);
    RUN(drain_is_told_once_and_new_calls_hear_of_it);
    RUN(the_end_sends_what_is_queued_before_its_trailers);
    RUN(the_grace_cuts_what_does_not_end);
    RUN(closing_from_handlers_of_others_is_safe);
    RUN(a_router_is_idle_when_its_last_call_has_closed);
    return 0;
}
