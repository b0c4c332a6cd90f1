/* Any header block as a request and as an answer: each request has one answer or becomes a call, what is
 * answered is fit for the wire, and handlers see no header of the protocol.
 *
 * Input: one byte of options, then lines "name: value". */
#include "rpc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_HEADERS = 64 };

/* What HTTP lets through (RFC 9113 section 8.2.1). */
static bool is_field(const struct http_header *header) {
    for (size_t i = 0; i < header->name_length; i++) {
        char c = header->name[i];
        if (c <= ' ' || c > '~' || (c >= 'A' && c <= 'Z')) return false;
    }
    for (size_t i = 0; i < header->value_length; i++) {
        unsigned char c = (unsigned char)header->value[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) return false;
    }
    return true;
}

static size_t read_lines(const uint8_t *data, size_t size, struct http_header *headers) {
    const char *at = (const char *)data, *end = at + size;
    size_t count = 0;
    while (at < end && count < MOST_HEADERS) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) line_end = end;
        const char *colon = line_end - at > 1 ? memchr(at + 1, ':', (size_t)(line_end - at - 1)) : NULL;
        if (colon) {
            const char *value = colon + 1 < line_end && colon[1] == ' ' ? colon + 2 : colon + 1;
            headers[count++] = (struct http_header){.name = at,
                                                    .name_length = (size_t)(colon - at),
                                                    .value = value,
                                                    .value_length = (size_t)(line_end - value)};
            if (!is_field(&headers[count - 1])) count--;
        }
        at = line_end + 1;
    }
    return count;
}

static void check_metadata(const struct metadata *metadata) {
    size_t bytes = 0;
    for (size_t i = 0; i < metadata->count; i++) {
        const struct metadata_entry *e = &metadata->entries[i];
        CHECK(e->name_length > 0 && e->name[e->name_length] == 0 && e->value[e->value_length] == 0);
        CHECK(strncmp(e->name, "grpc-", 5) != 0 || strcmp(e->name, "grpc-status-details-bin") == 0);
        CHECK(strcmp(e->name, "content-type") != 0 && strcmp(e->name, "te") != 0);
        CHECK(e->name[0] != ':' || strcmp(e->name, ":authority") == 0);
        bytes += e->name_length + e->value_length + 32;
    }
    CHECK_INT(metadata->bytes, bytes);
}

static void as_request(const struct http_header *headers, size_t count, uint8_t options) {
    struct record record = {0};
    fake_start(NULL);
    record_serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *stream = fake_stream(session);
    stream->keeps = true;
    session->events->on_request(session, stream, headers, count, options & 1, options & 2);
    fake_read_done(session);
    bool is_call = stream->user != NULL;
    if (record.call) check_metadata(record.call->metadata);
    fake_turn();
    CHECK(is_call || stream->has_headers || stream->reset >= 0);
    const char *answer = fake_text(&stream->headers);
    CHECK(!*answer || strncmp(answer, ":status: ", 9) == 0);
    const char *status = strstr(answer, "grpc-status: "), *text = strstr(answer, "\ngrpc-message: ");
    bool is_plain = strstr(answer, "\ncontent-type: text/plain\n") != NULL; /* to HEAD, which has no body */
    CHECK(!stream->has_headers || stream->has_body || status || is_plain);
    for (text = text ? text + 1 : NULL; text && *text != '\n'; text++) CHECK(*text >= 0x20 && *text <= 0x7E);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void as_answer(const struct http_header *headers, size_t count, uint8_t options) {
    const struct http_header fine[] = {FAKE_HEADER(":status", "200"),
                                       FAKE_HEADER("content-type", "application/grpc")};
    struct record record = {0};
    struct error error;
    fake_start(NULL);
    struct rpc_client *client =
        rpc_client_new(fake_rpc, &(struct rpc_client_options){.address = "a:1"}, &error);
    struct http_session *session = container_of(fake_http->sessions.prev, struct http_session, node);
    record.call = rpc_client_open(client, &record_stream, NULL, 0, &record_handler, &record, &record_limits);
    struct http_stream *stream = container_of(session->streams.prev, struct http_stream, node);
    if (options & 8) {
        session->events->on_response(stream->user, headers, count, options & 1);
    } else {
        session->events->on_response(stream->user, fine, 2, false);
        session->events->on_end(stream->user, headers, count);
    }
    if (record.call) check_metadata(record.call->metadata);
    if (record.call) check_metadata(call_peer_trailers(record.call));
    fake_read_done(session);
    fake_turn();
    CHECK(record.closed <= 1 && record.status < STATUS_COUNT);
    if (!(options & 8)) CHECK_INT(record.closed, 1);
    rpc_client_free(&client);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct http_header headers[MOST_HEADERS];
    if (size < 1 || size > 20000) return 0;
    size_t count = read_lines(data + 1, size - 1, headers);
    if (data[0] & 4)
        as_answer(headers, count, data[0]);
    else
        as_request(headers, count, data[0]);
    return 0;
}
