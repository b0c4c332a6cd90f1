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
    if (http_session_is_alive(session)) {
        if (is_past(session->drain_due, now)) http_goaway_final(session);
        if (session->idle_since && now >= session->idle_since + session->limits.idle)
            http_session_drain(session, "max_idle");
        if (session->limits.keepalive_interval && session->phase == HTTP_OPEN) keep_alive(session, now);
    }
    uint64_t due = next_due(session);
    if (due == NEVER) return;
    timer_start(session->worker->loop, timer, due > now + LEAST_WAIT ? due : now + LEAST_WAIT);
}

void http_deadlines_init(struct http_session *session) { timer_init(&session->timer, fire); }
