/* http/preface.c - what the first bytes of a client say.
 *
 * Nothing is written before they have come, so that a client of HTTP/1 can be answered in its own words. */
#include <string.h>

#include "http/http1_private.h"

static const char MAGIC[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum {
    MAGIC_LENGTH = sizeof MAGIC - 1,
    ENOUGH = sizeof "PRI " - 1, /* a method may begin as it does, but nobody has one that is called "PRI" */
};

bool http_preface_is_agreed(const struct http_session *session, const char *protocol) {
    const struct tls_info *tls = connection_tls(session->connection);
    return tls && tls->protocol && strcmp(tls->protocol, protocol) == 0;
}

/* `matched`: so many bytes were those of the preface. */
static bool is_http1(const struct http_session *session, size_t matched, uint8_t next) {
    if (http_preface_is_agreed(session, "h2")) return false;
    return matched ? matched < ENOUGH : http1_is_token(next);
}

size_t http_preface_take(struct http_session *session, const uint8_t *bytes, size_t length) {
    size_t left = MAGIC_LENGTH - session->preface_matched;
    if (left > length) left = length;
    if (memcmp(bytes, MAGIC + session->preface_matched, left) == 0) {
        session->preface_matched = (uint8_t)(session->preface_matched + left);
        session->is_read_as_h2 |= session->preface_matched >= ENOUGH;
        if (session->preface_matched < MAGIC_LENGTH) return left;
        session->phase = HTTP_OPEN;
        http_deadlines_watch(session); /* keepalive begins */
        if (session->is_draining) session->kind->drain(session);
        return left;
    }
    size_t same = 0, before = session->preface_matched;
    while (bytes[same] == (uint8_t)MAGIC[before + same]) same++;
    if (!is_http1(session, before + same, bytes[same])) {
        session->is_read_as_h2 = true;
        http_session_close(session, HTTP_PROTOCOL_ERROR, "the client doesn't speak HTTP");
        return length;
    }
    http1_begin(session);
    if (before) session->kind->bytes(session, (const uint8_t *)MAGIC, before);
    return 0;
}
