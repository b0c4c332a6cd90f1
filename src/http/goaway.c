/* http/goaway.c - taking leave: streams that are on their way when we decide to go must not be lost.
 *
 * First a GOAWAY that refuses nothing, and a PING behind it. When its ACK is there, the peer has seen the
 * GOAWAY and every stream that it had opened before has arrived: the second GOAWAY names the last of them. */
#include <string.h>

#include "http/session_private.h"

static const uint8_t DRAIN_PING[8] = {1, 6, 1, 8, 0, 3, 3, 9};
#define DRAIN_PING_WAIT (5 * NS_PER_S)
#define FIRST_WORDS_WAIT (500 * NS_PER_MS) /* for the preface of a connection that came just before the drain */

void http_goaway_submit(struct http_session *session, enum http_error error, const char *text) {
    nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session->h2), (uint32_t)error,
                          (const uint8_t *)text, text ? strlen(text) : 0);
}

static void drain_client(struct http_session *session) {
    if (session->phase == HTTP_OPEN)
        http_session_mark(session); /* the flush closes it as soon as it has no streams */
    else if (!session->stream_count)
        http_session_close(session, HTTP_NO_ERROR, session->drain_text);
}

void http_session_drain(struct http_session *session, const char *debug_text) {
    if (session->is_draining || !http_session_is_alive(session)) return;
    session->is_draining = true;
    session->drain_text = memory_copy_string(debug_text);
    if (!session->is_server) {
        drain_client(session);
    } else if (session->phase == HTTP_OPEN) {
        session->kind->drain(session);
    } else { /* its first request may wait in the kernel */
        session->drain_due = loop_now(session->worker->loop) + FIRST_WORDS_WAIT;
        http_deadlines_watch(session);
    }
}

void http_goaway_begin(struct http_session *session) {
    nghttp2_submit_shutdown_notice(session->h2);
    session->drain_due = loop_now(session->worker->loop) + DRAIN_PING_WAIT;
    http_deadlines_watch(session);
    http_session_mark(session);
}

/* Only now, because nghttp2 lets PINGs overtake other frames. */
void http_goaway_on_sent(struct http_session *session) {
    if (session->drain_due && http_session_is_alive(session))
        nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, DRAIN_PING);
}

void http_goaway_final(struct http_session *session) {
    session->drain_due = 0;
    if (session->phase != HTTP_OPEN) {
        http_session_close(session, HTTP_NO_ERROR, session->drain_text);
        return;
    }
    http_goaway_submit(session, HTTP_NO_ERROR, session->drain_text);
    http_session_mark(session);
}

void http_goaway_on_ping_ack(struct http_session *session, const uint8_t *payload) {
    if (session->drain_due && memcmp(payload, DRAIN_PING, sizeof DRAIN_PING) == 0) http_goaway_final(session);
}
