/* http1_kit.h - conversations in HTTP/1 with a session whose user answers by the path. */
#ifndef TIDEWIRE_TESTS_HTTP_HTTP1_KIT_H
#define TIDEWIRE_TESTS_HTTP_HTTP1_KIT_H
#include "http/rig.h"

static const struct http_header text_headers[] = {FIELD(":status", "200"), FIELD("content-type", "text/plain")};
static const struct http_header length_headers[] = {FIELD(":status", "200"), FIELD("content-length", "5")};
static const struct http_header dated_headers[] = {FIELD(":status", "200"), FIELD("date", "x")};
static const struct http_header bare_headers[] = {FIELD(":status", "204"), FIELD("x-a", "b")};

/* What a script, or a server of HTTP/2, might want to say. */
static const struct http_header odd_headers[] = {FIELD(":status", "200"), FIELD("x-odd", "a\r\nset: b\0\tc\x7f"),
                                                 FIELD("bad name", "x"), FIELD("", "x"), FIELD("bad\r\nname", "x"),
                                                 FIELD("transfer-encoding", "gzip"), FIELD("connection", "x"),
                                                 FIELD("keep-alive", "5"), FIELD("upgrade", "x")};

static inline bool path_is(const struct exchange *exchange, const char *path) {
    char line[64];
    snprintf(line, sizeof line, ":path: %s\n", path);
    return strstr(exchange->headers, line) != NULL;
}

static inline void send_body(struct exchange *exchange, const char *text) {
    buffer_append_text(&exchange->body, text);
    http_stream_resume(exchange->stream);
}

static inline void answer_request(struct exchange *exchange) {
    struct http_stream *stream = exchange->stream;
    if (path_is(exchange, "/headers")) {
        http_stream_respond_text(stream, text_headers, 2, exchange->headers);
    } else if (path_is(exchange, "/empty")) {
        http_stream_respond(stream, text_headers, 2, true);
    } else if (path_is(exchange, "/dated")) {
        http_stream_respond(stream, dated_headers, 2, true);
    } else if (path_is(exchange, "/odd")) {
        http_stream_respond(stream, odd_headers, sizeof odd_headers / sizeof *odd_headers, true);
    } else if (path_is(exchange, "/none")) {
        http_stream_respond(stream, bare_headers, 2, false);
    } else if (path_is(exchange, "/length")) {
        http_stream_respond(stream, length_headers, 2, false);
        send_body(exchange, "12345");
        http_stream_finish(stream, ok_trailers, 1);
    } else if (path_is(exchange, "/short")) {
        http_stream_respond(stream, length_headers, 2, false);
        send_body(exchange, "123");
        http_stream_finish(stream, NULL, 0);
    } else if (path_is(exchange, "/open")) {
        http_stream_respond(stream, text_headers, 2, false);
    } else if (path_is(exchange, "/reset")) {
        http_stream_reset(stream, HTTP_CANCEL);
    } else if (path_is(exchange, "/up")) {
        http_stream_upgrade(stream, NULL, 0);
        exchange->has_ended = false;
    }
}

/* What has come in full goes back, with trailers. */
static inline void echo_request(struct exchange *exchange) {
    http_stream_respond(exchange->stream, text_headers, 1, false);
    buffer_append(&exchange->body, buffer_bytes(&exchange->received), buffer_length(&exchange->received));
    http_stream_finish(exchange->stream, ok_trailers, 1);
}

static inline void echo_upgraded(struct exchange *exchange) {
    size_t length = buffer_length(&exchange->received);
    bool is_last = buffer_bytes(&exchange->received)[length - 1] == '.';
    buffer_append(&exchange->body, buffer_bytes(&exchange->received), length);
    buffer_clear(&exchange->received);
    http_stream_resume(exchange->stream);
    if (is_last) http_stream_finish(exchange->stream, NULL, 0);
}

static inline void answer_by_path(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event == ON_REQUEST) answer_request(exchange);
    if (event == ON_DATA && path_is(exchange, "/up")) echo_upgraded(exchange);
    if ((event == ON_REQUEST || event == ON_END) && exchange->has_ended && path_is(exchange, "/echo"))
        echo_request(exchange);
}

static inline void put_text(struct rig *rig, const char *text) { put_bytes(rig, text, strlen(text)); }

static inline struct side *http1_open(struct rig *rig, const struct http_limits *limits) {
    struct side *side = rig_open_one(rig, limits, true);
    side->on_event = answer_by_path;
    return side;
}

static size_t dates_hidden;

/* Takes the lines that say when it was out of what was answered since the last look. */
static inline void hide_dates(struct rig *rig) {
    static const char form[] = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const size_t length = sizeof form - 1;
    uint8_t *at = rig->wire.data + rig->wire.start + rig->parsed, *end = rig->wire.data + rig->wire.end;
    while (end - at > 0 && (at = memmem(at, (size_t)(end - at), "\r\ndate: ", 8)) && (size_t)(end - at) >= 2 + length) {
        at += 2;
        if (memcmp(at + length - 6, form + length - 6, 6)) continue; /* somebody else's */
        memmove(at, at + length, (size_t)(end - at) - length);
        end -= length;
        rig->wire.end -= length;
        at -= 2;
        dates_hidden++;
    }
}

/* What was answered since the last look begins with that, in time; dates aside. */
static inline void expect_answer(struct rig *rig, const char *answer) {
    size_t length = strlen(answer);
    uint64_t deadline = clock_monotonic() + 30 * NS_PER_S;
    hide_dates(rig);
    while (buffer_length(&rig->wire) - rig->parsed < length && !rig->has_peer_closed && clock_monotonic() < deadline) {
        turn(rig);
        hide_dates(rig);
    }
    char *text = memory_copy(buffer_bytes(&rig->wire) + rig->parsed, buffer_length(&rig->wire) - rig->parsed);
    if (strlen(text) > length) text[length] = 0;
    CHECK_STR(text, answer);
    free(text);
    rig->parsed += length;
}

static inline void expect_nothing_more(struct rig *rig) {
    for (int i = 0; i < 5; i++) turn(rig);
    hide_dates(rig);
    CHECK_MEM(buffer_bytes(&rig->wire) + rig->parsed, buffer_length(&rig->wire) - rig->parsed, "", 0);
}

static inline void expect_close(struct rig *rig) {
    WAIT(rig, rig->has_peer_closed);
    expect_nothing_more(rig);
}
#endif
