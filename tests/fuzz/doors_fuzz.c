/* Bodies of Connect, gRPC-Web (binary and text) and unary JSON, and queries of Connect's GET, against a handler that
 * answers with what it takes: however a body is cut, the handler gets the same messages, a call that goes well has the
 * same answer, and each answer comes to its end.
 *
 * Input: one byte that chooses the request, one for where its body is cut, then the body, or the query. */
#include "rpc/door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct way {
    const char *type, *method; /* no type: a GET */
} ways[] = {
    {"application/connect+proto", "/doors.Doors/Bidi"},
    {"application/connect+json", "/doors.Doors/Bidi"},
    {"application/grpc-web", "/doors.Doors/Bidi"},
    {"application/grpc-web+json", "/doors.Doors/Unary"},
    {"application/grpc-web-text", "/doors.Doors/Bidi"},
    {"application/grpc-web-text+json", "/doors.Doors/Unary"},
    {"application/proto", "/doors.Doors/Unary"},
    {"application/json", "/doors.Doors/Unary"},
    {"application/connect+json", "/doors.Doors/Server"},
    {NULL, "/doors.Doors/Safe"},
};
enum { WAYS = sizeof ways / sizeof *ways, LONGEST = 4000 };

/* All that came of a request, for comparing. */
struct outcome {
    struct buffer answer, received;
    int closed;
    enum status status;
};

static struct http_stream *ask(const struct way *way, const uint8_t *query, size_t length) {
    if (way->type) return fake_request(door_session, way->method, false, "content-type", way->type, "te", NULL, NULL);
    char path[LONGEST + 64];
    snprintf(path, sizeof path, "%s?%.*s", way->method, (int)length, (const char *)query);
    return fake_request(door_session, path, true, ":method", "GET", "content-type", NULL, "te", NULL, NULL);
}

static void add(struct buffer *to, const struct buffer *from) {
    if (buffer_length(from)) buffer_append(to, buffer_bytes(from), buffer_length(from));
}

static struct outcome run(const struct way *way, const uint8_t *body, size_t length, size_t piece) {
    struct outcome outcome = {0};
    door_open(true);
    struct http_stream *stream = ask(way, body, length);
    for (size_t at = 0; way->type && at < length && !stream->is_closed; at += piece)
        fake_receive(stream, body + at, length - at < piece ? length - at : piece, false);
    if (way->type && !stream->is_closed) fake_receive(stream, NULL, 0, true);
    fake_turn();
    CHECK(stream->is_closed);
    CHECK(stream->is_finished);
    buffer_append_text(&outcome.answer, fake_text(&stream->headers));
    add(&outcome.answer, &stream->body);
    add(&outcome.received, &door_record.received);
    outcome.closed = door_record.closed;
    outcome.status = door_record.status;
    door_close(stream);
    return outcome;
}

static void outcome_free(struct outcome *outcome) {
    buffer_free(&outcome->answer);
    buffer_free(&outcome->received);
}

static void check_same(const struct buffer *a, const struct buffer *b) {
    CHECK_INT(buffer_length(a), buffer_length(b));
    CHECK(!buffer_length(a) || memcmp(buffer_bytes(a), buffer_bytes(b), buffer_length(a)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > LONGEST) return 0;
    if (!door_schema) door_load();
    const struct way *way = &ways[data[0] % WAYS];
    struct outcome whole = run(way, data + 2, size - 2, size), cut = run(way, data + 2, size - 2, data[1] % 64 + 1);
    check_same(&whole.received, &cut.received);
    CHECK_INT(whole.closed, cut.closed);
    CHECK_INT(whole.status == STATUS_OK, cut.status == STATUS_OK);
    /* How many replies have left before a fault, and which of two faults is told, are matters of when they came. */
    if (whole.closed && whole.status == STATUS_OK) check_same(&whole.answer, &cut.answer);
    outcome_free(&whole);
    outcome_free(&cut);
    return 0;
}
