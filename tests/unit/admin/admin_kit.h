/* admin_kit.h - the fake wire of rpc/'s tests, and messages of protobuf as bytes, for the gateway's own services. */
#ifndef TIDEWIRE_TESTS_ADMIN_KIT_H
#define TIDEWIRE_TESTS_ADMIN_KIT_H
#include "rpc/fake.h"
#include "schema/wire.h"

/* A message with one field of text, or bytes. */
static inline void kit_field(struct buffer *out, uint32_t number, const void *bytes, size_t length) {
    wire_write_tag(out, number, WIRE_BYTES);
    wire_write_bytes(out, bytes, length);
}

/* Opens a call and sends its one request, which may be the last. */
static inline struct http_stream *kit_ask(struct http_session *session, const char *path, const struct buffer *request,
                                          bool is_end) {
    struct buffer framed = {0};
    struct http_stream *stream = fake_request(session, path, false, NULL);
    fake_frame(&framed, buffer_bytes(request), buffer_length(request), 0);
    fake_receive(stream, buffer_bytes(&framed), buffer_length(&framed), is_end);
    buffer_free(&framed);
    return stream;
}

static inline struct http_stream *kit_ask_text(struct http_session *session, const char *path, uint32_t number,
                                               const void *text, size_t length, bool is_end) {
    struct buffer request = {0};
    kit_field(&request, number, text, length);
    struct http_stream *stream = kit_ask(session, path, &request, is_end);
    buffer_free(&request);
    return stream;
}

/* The next whole message of the answers, without its prefix; false when there is none. */
static inline bool kit_next(struct http_stream *stream, struct buffer *message) {
    const uint8_t *at = buffer_bytes(&stream->body);
    if (buffer_length(&stream->body) < MESSAGE_PREFIX) return false;
    size_t length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
    if (buffer_length(&stream->body) < MESSAGE_PREFIX + length) return false;
    buffer_clear(message);
    buffer_append(message, at + MESSAGE_PREFIX, length);
    buffer_take(&stream->body, MESSAGE_PREFIX + length);
    return true;
}

/* The grpc-status of an answer that has ended, else -1. */
static inline int kit_status(const struct http_stream *stream) {
    const char *texts[] = {fake_text(&stream->trailers), fake_text(&stream->headers)};
    for (int i = 0; i < 2; i++) {
        const char *found = strstr(texts[i], "grpc-status: ");
        if (found) return atoi(found + 13);
    }
    return -1;
}

static inline bool kit_contains(const struct buffer *bytes, const char *text) {
    size_t length = strlen(text), all = buffer_length(bytes);
    for (size_t i = 0; i + length <= all; i++)
        if (!memcmp(buffer_bytes(bytes) + i, text, length)) return true;
    return false;
}
#endif
