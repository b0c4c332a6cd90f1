/* http/preface.c - what the first bytes of a client say.
 *
 * Nothing is written before they have come, so that a client of another protocol can be answered in its own.
 */
#include <string.h>

#include "http/session_private.h"

static const char MAGIC[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { MAGIC_LENGTH = sizeof MAGIC - 1 };

static bool is_http1(const uint8_t *bytes, size_t length) {
    const uint8_t *line_end = memchr(bytes, '\n', length);
    size_t line = line_end ? (size_t)(line_end - bytes) : length;
    return memmem(bytes, line, " HTTP/1.", 8) != NULL;
}

static void refuse_http1(struct http_session *session) {
    static const char answer[] = "HTTP/1.1 505 HTTP Version Not Supported\r\n"
                                 "content-type: text/plain\r\ncontent-length: 34\r\nconnection: close\r\n\r\n"
                                 "this is an HTTP/2 (gRPC) server.\r\n";
    struct iovec piece = {.iov_base = (void *)answer, .iov_len = sizeof answer - 1};
    connection_write(session->connection, &piece, 1);
    http_session_set_reason(session, "the client speaks HTTP/1", 24);
    http_session_finish_closing(session);
}

size_t http_preface_take(struct http_session *session, const uint8_t *bytes, size_t length) {
    size_t left = MAGIC_LENGTH - session->preface_matched;
    if (left > length) left = length;
    if (memcmp(bytes, MAGIC + session->preface_matched, left) == 0) {
        session->preface_matched = (uint8_t)(session->preface_matched + left);
        if (session->preface_matched < MAGIC_LENGTH) return left;
        session->phase = HTTP_OPEN;
        http_deadlines_watch(session); /* keepalive begins */
        if (session->is_draining) session->kind->drain(session);
        return left;
    }
    if (is_http1(bytes, length))
        refuse_http1(session);
    else
        http_session_close(session, HTTP_PROTOCOL_ERROR, "the client doesn't speak HTTP/2");
    return length;
}
