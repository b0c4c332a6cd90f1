#include "record.h"

static struct record record;
static struct http_session *session;

static void start(void) {
    fake_access = true;
    record = (struct record){0};
    fake_start(NULL);
    record_serve(&record);
    session = fake_accept();
}

static void one_line_tells_how_a_call_ended(void) {
    start();
    record.is_echo = true;
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, "\0\0\0\0\3one\0\0\0\0\2ab", 15, false);
    fake_advance(NS_PER_S / 2);
    fake_receive(stream, NULL, 0, true);
    fake_stop();
    CHECK_INT(fake_line_count, 1);
    const struct log_access *line = &fake_lines[0];
    CHECK(!line->is_open);
    CHECK_STR(line->status, "OK");
    CHECK_STR(line->reason, "handler");
    CHECK_STR(line->scope.method, "test.Service/Stream");
    CHECK_STR(line->peer, "192.0.2.1:4711");
    CHECK_STR(line->protocol, "grpc");
    CHECK_INT(line->scope.connection, 7);
    CHECK(line->scope.stream > 0);
    CHECK_INT(line->duration_ns, NS_PER_S / 2);
    CHECK_INT(line->messages_in, 2);
    CHECK_INT(line->messages_out, 2);
    CHECK_INT(line->bytes_in, 5);
    CHECK_INT(line->bytes_out, 5);
    CHECK_INT(line->generation, 3);
    fake_stream_free(stream);
    record_free(&record);
}

static void a_call_that_outlives_a_second_has_a_line_for_its_opening(void) {
    start();
    struct http_stream *streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i] = fake_request(session, "/test.Service/Stream", false, NULL);
        fake_receive(streams[i], NULL, 0, false);
        if (i == 1) {
            call_finish(record.call, STATUS_OK, NULL, NULL, 0);
            fake_turn();
        }
        record.call = NULL;
        fake_advance(NS_PER_S / 4);
    }
    CHECK_INT(fake_line_count, 1);
    fake_advance(NS_PER_S / 4);
    CHECK_INT(fake_line_count, 2);
    CHECK(fake_lines[1].is_open);
    CHECK_INT(fake_lines[1].duration_ns, NS_PER_S);
    fake_advance(NS_PER_S / 4);
    CHECK_INT(fake_line_count, 2);
    fake_advance(NS_PER_S / 4);
    CHECK_INT(fake_line_count, 3);
    fake_session_end(session, "gone");
    fake_turn();
    CHECK_INT(fake_line_count, 5);
    CHECK_STR(fake_lines[4].status, "CANCELLED");
    CHECK_STR(fake_lines[4].reason, "connection");
    CHECK_STR(fake_lines[4].peer, "192.0.2.1:4711");
    fake_stop();
    for (int i = 0; i < 3; i++) fake_stream_free(streams[i]);
    record_free(&record);
}

static void lines_name_who_ended_the_call(void) {
    start();
    struct http_stream *deadline =
        fake_request(session, "/test.Service/Stream", false, "grpc-timeout", "1m", NULL);
    struct http_stream *client = fake_request(session, "/test.Service/Stream", false, NULL);
    struct http_stream *limit = fake_request(session, "/test.Service/Unary", false, NULL);
    struct http_stream *drain = fake_request(session, "/test.Service/Unary", false, NULL);
    struct http_stream *refused = fake_request(session, "/test.Service/Nope", false, NULL);
    CHECK_INT(fake_line_count, 1);
    CHECK_STR(fake_lines[0].scope.method, "test.Service/Nope");
    CHECK_STR(fake_lines[0].status, "UNIMPLEMENTED");
    CHECK_STR(fake_lines[0].reason, "client");
    fake_stream_close(client, HTTP_CANCEL, false);
    fake_receive(limit, "\0\xFF\0\0\0", 5, false);
    fake_advance(NS_PER_MS);
    rpc_end_all(fake_rpc, "bye", NS_PER_S);
    fake_stop();
    CHECK_INT(fake_line_count, 5);
    static const char *const expected[] = {"client", "limit", "deadline", "drain"};
    for (int i = 0; i < 4; i++) CHECK_STR(fake_lines[i + 1].reason, expected[i]);
    struct http_stream *all[] = {deadline, client, limit, drain, refused};
    for (int i = 0; i < 5; i++) fake_stream_free(all[i]);
    record_free(&record);
}

/* The worker where it came in has them. */
static void calls_of_another_worker_have_no_lines(void) {
    start();
    struct http_session *internal = fake_accept_with(&(struct rpc_accepted){.fd = -1, .is_internal = true});
    struct http_stream *stream = fake_request(internal, "/test.Service/Stream", false, NULL);
    struct http_stream *refused = fake_request(internal, "/test.Service/Nope", false, NULL);
    fake_receive(stream, NULL, 0, false);
    fake_advance(2 * NS_PER_S);
    CHECK_INT(record.closed, 0);
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    fake_stop();
    CHECK_INT(record.closed, 1);
    CHECK_INT(fake_line_count, 0);
    fake_stream_free(stream);
    fake_stream_free(refused);
    record_free(&record);
}

int main(void) {
    RUN(one_line_tells_how_a_call_ended);
    RUN(a_call_that_outlives_a_second_has_a_line_for_its_opening);
    RUN(lines_name_who_ended_the_call);
    RUN(calls_of_another_worker_have_no_lines);
    return 0;
}
