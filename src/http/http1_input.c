/* http/http1_input.c - bytes from the peer → events of the user.
 *
 * One exchange at a time: what comes behind a request waits in `early` until that is answered, and has a turn of the
 * loop of its own then, so that many small requests in one read starve nobody. */
#include "http/http1_private.h"

enum {
    EARLY_MOST = 16 * 1024,      /* where reading stops while they wait */
    THROWN_AWAY_MOST = 64 * 1024, /* of a body that nobody wants, before the connection closes */
};

static bool is_heard(const struct http_stream *stream) {
    return stream && stream->user && !stream->is_reset && http_session_is_alive(stream->session);
}

/* ---- the body ---- */

static void give(struct http_session *session, const uint8_t *bytes, size_t length) {
    struct http1 *h1 = session->h1;
    if (session->is_window_closed) session->withheld += length;
    if (!is_heard(h1->stream)) {
        h1->thrown_away += length;
        return;
    }
    h1->unread += length;
    session->events->on_data(h1->stream->user, bytes, length);
}

static int on_body(http_parser *parser, const char *at, size_t length) {
    give(parser->data, (const uint8_t *)at, length);
    return 0;
}

static int on_message_complete(http_parser *parser) {
    struct http_session *session = parser->data;
    session->h1->has_parsed = true;
    return 0;
}

static const struct http_parser_settings body_settings = {.on_body = on_body,
                                                          .on_message_complete = on_message_complete};

static void end_request(struct http_session *session) {
    struct http1 *h1 = session->h1;
    buffer_free(&h1->head);
    session->header_due = 0;
    if (!h1->stream) {
        http1_check_begin(&h1->check, session->limits.headers, false);
        return;
    }
    h1->stream->has_peer_ended = true;
    if (is_heard(h1->stream)) session->events->on_end(h1->stream->user, NULL, 0);
}

static size_t take_body(struct http_session *session, const uint8_t *bytes, size_t length) {
    struct http1 *h1 = session->h1;
    size_t right = http1_check(&h1->check, bytes, length);
    h1->parser.data = session;
    size_t parsed = 0; /* no bytes would mean the end to the library */
    if (right) parsed = http_parser_execute(&h1->parser, &body_settings, (const char *)bytes, right);
    bool is_end = h1->check.place == HTTP1_END;
    if (h1->check.status)
        http1_refuse(session, h1->check.status, h1->check.fault);
    else if (HTTP_PARSER_ERRNO(&h1->parser) != HPE_OK || parsed != right || is_end != h1->has_parsed)
        http1_refuse(session, 400, "the body is malformed");
    else if (is_end)
        end_request(session);
    return right;
}

/* ---- the head ---- */

static void begin_exchange(struct http_session *session, const struct http1_request *request) {
    struct http1 *h1 = session->h1;
    bool is_end = !request->is_chunked && !request->length;
    struct http_stream *stream = http_stream_new(session, (int32_t)(++h1->requests & INT32_MAX));
    h1->stream = stream;
    stream->is_head = request->is_head;
    stream->has_peer_ended = is_end;
    h1->answer = HTTP1_UNANSWERED;
    h1->answer_left = h1->unread = h1->thrown_away = 0;
    h1->window = session->limits.stream_window;
    h1->closes = !request->keeps_alive;
    h1->awaits_continue = request->expects_continue;
    h1->takes_trailers = request->takes_trailers && h1->check.minor;
    memcpy(h1->protocol, request->protocol ? request->protocol : "", request->protocol_length);
    h1->protocol[request->protocol_length] = 0;
    session->header_due = 0;
    http1_check_body(&h1->check, request->is_chunked, request->length);
    session->events->on_request(session, stream, request->headers, request->count, is_end, false);
    if (h1->awaits_continue) http_session_mark(session);
    buffer_free(&h1->head);
}

static size_t take_head(struct http_session *session, const uint8_t *bytes, size_t length) {
    struct http1 *h1 = session->h1;
    struct http1_request request;
    size_t right = http1_check(&h1->check, bytes, length);
    buffer_append(&h1->head, bytes, right);
    if (!http1_check_is_before(&h1->check)) session->idle_since = 0;
    if (h1->check.status || (h1->check.place == HTTP1_HEAD_END && !http1_head_read(session, &request)))
        http1_refuse(session, h1->check.status, h1->check.fault);
    else if (h1->check.place == HTTP1_HEAD_END)
        begin_exchange(session, &request);
    return right;
}

/* ---- the connection's bytes ---- */

static bool is_waiting(const struct http1 *h1) {
    return h1->check.place == HTTP1_END && h1->answer != HTTP1_UPGRADED;
}

/* What may be read now: at most to the end of one request. */
static size_t take(struct http_session *session, const uint8_t *bytes, size_t length) {
    struct http1 *h1 = session->h1;
    size_t used = 0;
    bool has_ended = false;
    while (used < length && !has_ended && session->phase == HTTP_OPEN && !is_waiting(h1)) {
        if (h1->answer == HTTP1_UPGRADED) {
            give(session, bytes + used, length - used);
            used = length;
        } else if (http1_check_is_in_head(&h1->check)) {
            used += take_head(session, bytes + used, length - used);
        } else {
            used += take_body(session, bytes + used, length - used);
            has_ended = http1_check_is_before(&h1->check); /* thrown away up to its end */
        }
    }
    return used;
}

/* A head that goes on has its time from the first byte; a body from the last. */
static void set_due(struct http_session *session) {
    struct http1 *h1 = session->h1;
    uint64_t patience = session->limits.settings_timeout;
    bool is_before = http1_check_is_before(&h1->check);
    if (is_before || is_waiting(h1) || h1->answer == HTTP1_UPGRADED) {
        if (!is_before || h1->requests) session->header_due = 0; /* the first is due from the beginning */
        return;
    }
    bool is_in_head = http1_check_is_in_head(&h1->check), is_wanted = h1->stream != NULL;
    if ((is_in_head || !is_wanted) && session->header_due) return;
    if (!is_in_head && is_wanted) {
        patience = session->limits.write_timeout;
        session->header_due = 0;
        if (!http1_check_is_owed(&h1->check) || session->is_paused) return;
    }
    if (!patience) return;
    session->header_due = loop_now(session->worker->loop) + patience;
    http_deadlines_watch(session);
}

static void after(struct http_session *session) {
    struct http1 *h1 = session->h1;
    session->events->after_read(session);
    if (session->phase != HTTP_OPEN) return;
    if (!h1->stream && h1->thrown_away > THROWN_AWAY_MOST) {
        http_session_close(session, HTTP_NO_ERROR, "the client goes on with a request that is answered");
        return;
    }
    if (session->is_draining && http1_input_is_idle(h1)) {
        http_session_close(session, HTTP_NO_ERROR, session->drain_text);
        return;
    }
    http1_update_reading(session);
    set_due(session);
}

static void note_next(struct http_session *session) {
    struct http1 *h1 = session->h1;
    if (buffer_length(&h1->early) && !is_waiting(h1)) loop_defer(session->worker->loop, LOOP_RUN, &h1->next);
}

void http1_input_bytes(struct http_session *session, const uint8_t *bytes, size_t length) {
    struct http1 *h1 = session->h1;
    size_t used = buffer_length(&h1->early) ? 0 : take(session, bytes, length);
    buffer_append(&h1->early, bytes + used, length - used);
    after(session);
    note_next(session);
}

void http1_input_next(struct task *task) {
    struct http1 *h1 = container_of(task, struct http1, next);
    struct http_session *session = h1->session;
    if (session->phase != HTTP_OPEN || !buffer_length(&h1->early)) return;
    size_t used = take(session, buffer_bytes(&h1->early), buffer_length(&h1->early));
    session->events->after_read(session);
    buffer_take(&h1->early, used);
    if (!buffer_length(&h1->early)) buffer_free(&h1->early);
    after(session);
    note_next(session);
}

static bool may_read(const struct http_session *session) {
    const struct http1 *h1 = session->h1;
    if (buffer_length(&h1->early) >= EARLY_MOST || h1->unread >= h1->window) return false;
    return !session->is_window_closed || session->withheld < session->limits.connection_window;
}

void http1_update_reading(struct http_session *session) {
    bool is_paused = session->phase == HTTP_OPEN && !may_read(session);
    if (is_paused == session->is_paused) return;
    session->is_paused = is_paused;
    if (is_paused) connection_pause(session->connection);
    else connection_resume(session->connection);
    set_due(session);
}

void http1_input_go_on(struct http_session *session) {
    http1_update_reading(session);
    set_due(session);
    note_next(session);
}

bool http1_input_is_idle(const struct http1 *h1) {
    return !h1->stream && http1_check_is_before(&h1->check) && !buffer_length(&h1->early);
}

bool http1_input_ends_soon(const struct http1 *h1) {
    return h1->check.place == HTTP1_END || (h1->check.place == HTTP1_BODY && h1->check.left <= THROWN_AWAY_MOST);
}

bool http1_input_may_throw_away(const struct http1 *h1) {
    return h1->check.place != HTTP1_BODY || h1->check.left <= THROWN_AWAY_MOST;
}
