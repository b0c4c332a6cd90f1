/* http/http1.c - a session's life as one of HTTP/1, its only exchange, and what the user does with it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/http1_private.h"

#define USUAL_IDLE (75 * NS_PER_S) /* so long clients keep a connection in reserve */

/* ---- beginning and end ---- */

/* What bounds a head is http1_check.c. */
static void lift_bound_of_library(void) { http_parser_set_max_header_size(UINT32_MAX); }

static void probe_instead_of_pings(struct http_session *session) {
    struct http_limits *limits = &session->limits;
    if (limits->keepalive_interval)
        connection_probe(session->connection, limits->keepalive_interval, limits->keepalive_timeout);
    limits->keepalive_interval = 0;
}

void http1_begin(struct http_session *session) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, lift_bound_of_library);
    struct http1 *h1 = memory_new(sizeof *h1);
    h1->session = session;
    h1->window = session->limits.stream_window;
    task_init(&h1->next, http1_input_next);
    http1_check_begin(&h1->check, session->limits.headers, true);
    session->h1 = h1;
    session->kind = &http1_kind;
    nghttp2_session_del(session->h2);
    session->h2 = NULL;
    session->phase = HTTP_OPEN;
    session->header_due = session->setup_due; /* of the first request */
    session->setup_due = session->drain_due = 0;
    probe_instead_of_pings(session);
    if (!session->limits.idle) session->limits.idle = USUAL_IDLE;
}

void http1_free(struct http1 **handle) {
    struct http1 *h1 = *handle;
    *handle = NULL;
    if (!h1) return;
    task_cancel(&h1->next);
    buffer_free(&h1->head);
    buffer_free(&h1->early);
    buffer_free(&h1->out);
    buffer_free(&h1->tail);
    free(h1);
}

static void close_behind_answer(struct http_session *session) {
    const char *reason = session->is_draining ? session->drain_text : "the last answer is given";
    http_session_set_reason(session, reason, strlen(reason));
    http_session_finish_closing(session);
}

/* A body that is not wanted any more is thrown away for a while, as the connection may serve again. */
void http1_answered(struct http_session *session) {
    struct http1 *h1 = session->h1;
    struct http_stream *stream = h1->stream;
    bool is_cut = h1->answer_left > 0; /* the user has given less than it had said */
    bool has_all = h1->check.place == HTTP1_END;
    bool closes = h1->closes || session->is_draining || h1->answer == HTTP1_UPGRADED ||
                  !http1_input_may_throw_away(h1);
    h1->stream = NULL;
    h1->answer = HTTP1_UNANSWERED;
    h1->unread = 0;
    http_stream_closed(stream, is_cut ? HTTP_INTERNAL_ERROR : HTTP_NO_ERROR, false);
    if (session->phase != HTTP_OPEN) return;
    if (is_cut) {
        http_session_cut(session, "an answer is shorter than its content-length");
    } else if (closes) {
        close_behind_answer(session);
    } else {
        session->header_due = 0; /* was that of a body which somebody wanted */
        if (has_all) http1_check_begin(&h1->check, session->limits.headers, false);
        http1_input_go_on(session);
    }
}

/* ---- what the session is told ---- */

void http1_refuse(struct http_session *session, int status, const char *text) {
    struct http1 *h1 = session->h1;
    /* Nor has the body of a request that is answered another answer. */
    bool has_answer = h1->answer != HTTP1_UNANSWERED || (!h1->stream && http1_check_is_in_body(&h1->check));
    if (session->phase != HTTP_OPEN) return;
    http_session_close(session, HTTP_PROTOCOL_ERROR, text);
    if (has_answer || status == HTTP1_WORDLESS) return;
    buffer_clear(&h1->out); /* "100 Continue" */
    buffer_format(&h1->out, "HTTP/1.1 %d %s\r\n", status, http1_reason_phrase(status));
    http1_output_date(session->worker, &h1->out);
    buffer_format(&h1->out, "content-type: text/plain\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s.\n",
                  strlen(text) + 2, text);
}

/* Half an answer must not look like a whole one; what has not begun needs no words. */
static void say_close(struct http_session *session, enum http_error error, const char *reason) {
    struct http1 *h1 = session->h1;
    (void)error;
    (void)reason;
    buffer_clear(&h1->out);
    buffer_clear(&h1->tail);
}

static void drain(struct http_session *session) {
    if (http1_input_is_idle(session->h1)) http_session_close(session, HTTP_NO_ERROR, session->drain_text);
}

static void overdue(struct http_session *session) {
    const struct http1 *h1 = session->h1;
    if (http1_input_is_idle(h1)) http_session_close(session, HTTP_NO_ERROR, "no request came in time");
    else if (http1_check_is_in_head(&h1->check)) http1_refuse(session, 408, "the request's head did not come in time");
    else if (h1->stream) http1_refuse(session, 408, "the request's body did not come in time");
    else http_session_close(session, HTTP_NO_ERROR, "the rest of a request did not come in time");
}

static void return_window(struct http_session *session) {
    session->withheld = 0;
    http1_update_reading(session);
}

/* ---- what the user does ---- */

static bool may_respond(const struct http_stream *stream) {
    return !stream->is_reset && !stream->is_answered && http_session_is_alive(stream->session);
}

static void answer(struct http_stream *stream, const struct http_header *headers, size_t count, int64_t length) {
    struct http1 *h1 = stream->session->h1;
    stream->is_answered = true;
    http1_output_head(stream, headers, count, length);
    if (h1->answer == HTTP1_NO_BODY) stream->is_finished = true;
    http_session_mark(stream->session);
}

static void respond(struct http_stream *stream, const struct http_header *headers, size_t count, bool is_end) {
    if (may_respond(stream)) answer(stream, headers, count, is_end && !stream->is_head ? 0 : -1);
}

static void answer_whole(struct http_stream *stream, const struct http_header *headers, size_t count,
                         const struct http_loan *loan) {
    if (!may_respond(stream)) return;
    stream->is_whole = true;
    answer(stream, headers, count, (int64_t)loan->length);
    if (!stream->is_head && !http_status_is_bare(headers, count))
        buffer_append(&stream->session->h1->tail, loan->bytes, loan->length);
}

/* One exchange at a time, and write_timeout for it: a copy is no burden. */
static void respond_whole(struct http_stream *stream, const struct http_header *headers, size_t count,
                          const struct http_loan *loan) {
    answer_whole(stream, headers, count, loan);
    if (loan->release) loan->release(loan->owner);
}

static void upgrade(struct http_stream *stream, const struct http_header *headers, size_t count) {
    struct http1 *h1 = stream->session->h1;
    if (!may_respond(stream) || !*h1->protocol) return;
    h1->answer = HTTP1_UPGRADED;
    answer(stream, headers, count, -1);
    http1_input_go_on(stream->session);
}

static void resume(struct http_stream *stream) {
    if (!stream->is_reset) http_session_mark(stream->session);
}

static void finish(struct http_stream *stream, const struct http_header *trailers, size_t count) {
    if (stream->is_finished || stream->is_reset || !stream->is_answered) return;
    stream->is_finished = true;
    http1_output_trailers(stream->session->h1, trailers, count);
    http_session_mark(stream->session);
}

static void reset(struct http_stream *stream, enum http_error error) {
    if (stream->is_reset) return;
    stream->is_reset = stream->was_reset_here = true;
    stream->session->h1->reset_error = error;
    http_session_mark(stream->session);
}

static void consumed(struct http_stream *stream, size_t length) {
    struct http1 *h1 = stream->session->h1;
    if (stream->is_reset || h1->stream != stream) return;
    h1->unread -= length < h1->unread ? length : h1->unread;
    if (stream->session->is_paused) http1_update_reading(stream->session);
}

static void widen(struct http_stream *stream, uint32_t window) {
    struct http_session *session = stream->session;
    uint32_t most = session->limits.connection_window;
    if (window > most) window = most;
    if (stream->is_reset || window <= session->h1->window) return;
    session->h1->window = window;
    if (session->is_paused) http1_update_reading(session);
}

static enum http_version version(const struct http_stream *stream) {
    return stream->session->h1->check.minor ? HTTP_1_1 : HTTP_1_0;
}

const struct http_kind http1_kind = {
    .bytes = http1_input_bytes,
    .flush = http1_output_flush,
    .drain = drain,
    .say_close = say_close,
    .overdue = overdue,
    .return_window = return_window,
    .respond = respond,
    .respond_whole = respond_whole,
    .upgrade = upgrade,
    .resume = resume,
    .finish = finish,
    .reset = reset,
    .consumed = consumed,
    .widen = widen,
    .version = version,
};
