/* http/kinds.c - where HTTP/1 and HTTP/2 part: what a user asks of a stream goes to the functions of its session's
 * kind. */
#include <string.h>

#include "http/session_private.h"

void http_stream_set_user(struct http_stream *stream, void *user) { stream->user = user; }
struct http_session *http_stream_session(const struct http_stream *stream) {
    return stream->session;
}
uint32_t http_stream_id(const struct http_stream *stream) { return stream->id; }
bool http_stream_was_reset_here(const struct http_stream *stream) { return stream->was_reset_here; }

enum http_version http_stream_version(const struct http_stream *stream) {
    return stream->session->kind->version(stream);
}

void http_stream_respond(struct http_stream *stream, const struct http_header *headers, size_t count, bool is_end) {
    stream->session->kind->respond(stream, headers, count, is_end);
}

void http_stream_respond_whole(struct http_stream *stream, const struct http_header *headers, size_t count,
                               const void *body, size_t length) {
    const struct http_loan loan = {.bytes = body, .length = length};
    stream->session->kind->respond_whole(stream, headers, count, &loan);
}

void http_stream_respond_loan(struct http_stream *stream, const struct http_header *headers, size_t count,
                              const struct http_loan *loan) {
    stream->session->kind->respond_whole(stream, headers, count, loan);
}

void http_stream_upgrade(struct http_stream *stream, const struct http_header *headers, size_t count) {
    stream->session->kind->upgrade(stream, headers, count);
}

void http_stream_resume(struct http_stream *stream) { stream->session->kind->resume(stream); }

void http_stream_finish(struct http_stream *stream, const struct http_header *trailers, size_t count) {
    stream->session->kind->finish(stream, trailers, count);
}

void http_stream_reset(struct http_stream *stream, enum http_error error) {
    stream->session->kind->reset(stream, error);
}

void http_stream_consumed(struct http_stream *stream, size_t length) {
    stream->session->kind->consumed(stream, length);
}

void http_stream_widen(struct http_stream *stream, uint32_t window) { stream->session->kind->widen(stream, window); }

/* ---- for both kinds ---- */

bool http_status_is_bare(const struct http_header *headers, size_t count) {
    if (!count || headers[0].value_length != 3) return false;
    return memcmp(headers[0].value, "204", 3) == 0 || memcmp(headers[0].value, "304", 3) == 0;
}
