/* http/deadlines.c - all of a session's time-outs in one timer.
 *
 * The timer only ever moves to an earlier time: a due time that has gone is noticed when the timer fires and
 * computes the next one. So a busy connection does not touch it. */
#include "http/session_private.h"

#define NEVER UINT64_MAX
#define LEAST_WAIT (5 * NS_PER_MS) /* against a timer that fires again and again for a time just missed */

static void earlier(uint64_t *due, uint64_t other) {
    if (other && other < *due) *due = other;
}

static bool sends_keepalive(const struct http_session *session) {
    if (!session->limits.keepalive_interval || session->phase != HTTP_OPEN) return false;
    return session->is_server || session->stream_count || session->limits.pings_without_streams;
}

static uint64_t next_due(const struct http_session *session) {
    uint64_t due = NEVER;
    earlier(&due, session->setup_due);
    earlier(&due, session->header_due);
    earlier(&due, session->stall_due);
    earlier(&due, session->drain_due);
    earlier(&due, session->linger_due);
    earlier(&due, session->answers_due);
    if (session->idle_since && !session->is_draining)
        earlier(&due, session->idle_since + session->limits.idle);
    if (session->ping_due)
        earlier(&due, session->ping_due);
    else if (session->limits.keepalive_interval && session->phase == HTTP_OPEN)
        earlier(&due, session->last_read + session->limits.keepalive_interval);
    return due;
}

void http_deadlines_watch(struct http_session *session) {
    uint64_t due = next_due(session);
    if (due == NEVER || (timer_is_running(&session->timer) && session->timer.due <= due)) return;
    timer_start(session->worker->loop, &session->timer, due);
}

void http_deadlines_stop(struct http_session *session) { timer_stop(session->worker->loop, &session->timer); }

static bool is_past(uint64_t due, uint64_t now) { return due && due <= now; }

/* What the peer takes of the kernel's buffer is progress too. The kernel is not asked here, where a busy
 * connection comes by often, but a little later. */
void http_deadlines_on_blocked(struct http_session *session) {
    if (session->stall_due || !session->limits.write_timeout) return;
    session->stalled_bytes = SIZE_MAX;
    session->stall_due = loop_now(session->worker->loop) + session->limits.write_timeout / 4;
    http_deadlines_watch(session);
}

/* The peer takes nothing: any byte since the last look earns it another time. */
static bool is_stalled(struct http_session *session, uint64_t now) {
    size_t waiting = connection_undelivered(session->connection);
    if (waiting >= session->stalled_bytes) return true;
    session->stalled_bytes = waiting;
    session->stall_due = now + session->limits.write_timeout;
    return false;
}

void http_deadlines_on_answer(struct http_session *session) {
    if (session->answers_due || !session->limits.stalled) return;
    session->answers_due = loop_now(session->worker->loop) + session->limits.stalled;
    http_deadlines_watch(session);
}

/* Where it is not the stream's own window that is closed, its peer may be slow with all that there is. */
static uint64_t last_progress(const struct http_stream *stream) {
    const struct http_session *session = stream->session;
    const struct http_text *text = stream->text;
    bool is_sent = !stream->has_body || text->sent == text->loan.length;
    if (is_sent || nghttp2_session_get_stream_remote_window_size(session->h2, (int32_t)stream->id) <= 0)
        return text->progress;
    return text->progress > session->last_given ? text->progress : session->last_given;
}

/* Streams without a user are on nobody's account: a peer could keep any number of them. While the socket takes nothing,
 * that has its own deadline. */
static void end_stalled_answers(struct http_session *session, uint64_t now) {
    uint64_t next = NEVER;
    if (connection_kept(session->connection)) {
        session->answers_due = now + session->limits.stalled;
        return;
    }
    for (struct list *node = session->streams.next; node != &session->streams; node = node->next) {
        struct http_stream *stream = container_of(node, struct http_stream, node);
        if (!stream->text || stream->user || stream->is_reset) continue;
        uint64_t due = last_progress(stream) + session->limits.stalled;
        if (due <= now) http_stream_reset(stream, HTTP_ENHANCE_YOUR_CALM);
        else earlier(&next, due);
    }
    session->answers_due = next == NEVER ? 0 : next;
}

static void keep_alive(struct http_session *session, uint64_t now) {
    static const uint8_t payload[8] = "tidewire";
    uint64_t due = session->last_read + session->limits.keepalive_interval;
    if (due > now || session->ping_due) return;
    if (!sends_keepalive(session)) { /* nobody to ask about: look again later */
        session->last_read = now;
        return;
    }
    nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, payload);
    session->ping_due = now + session->limits.keepalive_timeout;
    http_session_mark(session);
}

/* True: the session still lives. */
static bool end_what_is_due(struct http_session *session, uint64_t now) {
    if (is_past(session->linger_due, now)) {
        http_session_cut(session, NULL);
        return false;
    }
    if (is_past(session->stall_due, now) && is_stalled(session, now)) {
        http_session_cut(session, "the peer takes no bytes");
        return false;
    }
    if (is_past(session->ping_due, now)) {
        http_session_cut(session, "the peer doesn't answer pings");
        return false;
    }
    if (is_past(session->setup_due, now)) {
        session->setup_due = 0;
        http_session_close(session, HTTP_SETTINGS_TIMEOUT, "no preface and settings in time");
    }
    if (is_past(session->header_due, now)) {
        session->header_due = 0;
        session->kind->overdue(session);
    }
    return true;
}

static void fire(struct timer *timer) {
    struct http_session *session = container_of(timer, struct http_session, timer);
    uint64_t now = loop_now(session->worker->loop);
    if (!end_what_is_due(session, now)) return;
    if (!http_session_is_alive(session)) {
        session->answers_due = 0;
    } else {
        if (is_past(session->drain_due, now)) http_goaway_final(session);
        if (is_past(session->answers_due, now)) end_stalled_answers(session, now);
        if (session->idle_since && now >= session->idle_since + session->limits.idle)
            http_session_drain(session, "max_idle");
        if (session->limits.keepalive_interval && session->phase == HTTP_OPEN) keep_alive(session, now);
    }
    uint64_t due = next_due(session);
    if (due == NEVER) return;
    timer_start(session->worker->loop, timer, due > now + LEAST_WAIT ? due : now + LEAST_WAIT);
}

void http_deadlines_init(struct http_session *session) { timer_init(&session->timer, fire); }
