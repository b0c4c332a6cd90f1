/* http/session.c - a session's life, from http_session_new() to LOOP_FREE. */
#include <stdlib.h>
#include <string.h>

#include "http/http1_private.h"

static void start_h2(struct http_session *session) {
    enum {
        FIELD_BYTES_SENT = 1024 * 1024, /* of one header block; the peer's limit may be lower */
        FRAME = 16384,
        USUAL_CONTINUATIONS = 8,
    };
    nghttp2_mem mem = http_memory_functions(session->memory);
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0) abort(); /* out of memory */
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_recv_client_magic(option, 1);          /* preface.c reads it */
    nghttp2_option_set_peer_max_concurrent_streams(option, 100); /* until its SETTINGS are there */
    nghttp2_option_set_max_send_header_block_length(option, FIELD_BYTES_SENT);
    nghttp2_option_set_max_outbound_ack(option, 1000);
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1); /* input.c takes it away */
    nghttp2_option_set_max_settings(option, 32);
#ifdef HTTP_HAS_RESET_RATE_LIMIT
    /* It counts harmless resets too (calls that are cancelled after their answer), so it is set out of the
     * way of guard.c, which does not. */
    nghttp2_option_set_stream_reset_rate_limit(option, 100000, 20000);
#endif
#ifdef HTTP_HAS_MAX_CONTINUATIONS
    nghttp2_option_set_max_continuations(option,
                                         USUAL_CONTINUATIONS + (size_t)(session->limits.headers / FRAME));
#endif
    const nghttp2_session_callbacks *callbacks = session->worker->callbacks;
    int error = session->is_server
                    ? nghttp2_session_server_new3(&session->h2, callbacks, session, option, &mem)
                    : nghttp2_session_client_new3(&session->h2, callbacks, session, option, &mem);
    nghttp2_option_del(option);
    if (error) abort(); /* out of memory */
}

static void submit_settings(struct http_session *session) {
    const struct http_limits *limits = &session->limits;
    uint64_t headers = limits->headers < UINT32_MAX ? limits->headers : UINT32_MAX;
    nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)headers},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)headers},
    };
    if (session->is_server)
        nghttp2_submit_settings(session->h2, NGHTTP2_FLAG_NONE, server, sizeof server / sizeof *server);
    else
        nghttp2_submit_settings(session->h2, NGHTTP2_FLAG_NONE, client, sizeof client / sizeof *client);
    nghttp2_session_set_local_window_size(session->h2, NGHTTP2_FLAG_NONE, 0,
                                          (int32_t)limits->connection_window);
}

static void flush_task(struct task *task) {
    struct http_session *session = container_of(task, struct http_session, flush);
    session->kind->flush(session);
}

static void release_task(struct task *task) {
    struct http_session *session = container_of(task, struct http_session, release);
    nghttp2_session_del(session->h2);
    http1_free(&session->h1);
    http_fields_free(&session->unfinished);
    http_memory_unref(&session->memory);
    free(session->reason);
    free(session->drain_text);
    free(session);
}

struct http_session *http_session_new(struct http_worker *worker, bool is_server,
                                      const struct http_limits *limits, const struct http_events *events,
                                      void *owner) {
    struct http_session *session = memory_new(sizeof *session);
    session->kind = &http2_kind; /* until its client says otherwise */
    session->worker = worker;
    session->memory = http_memory_ref(worker->memory);
    session->is_server = is_server;
    session->limits = *limits;
    session->events = events;
    session->owner = owner;
    session->awaits_settings = session->awaits_settings_ack = true;
    list_init(&session->streams);
    list_append(&worker->sessions, &session->node);
    task_init(&session->flush, flush_task);
    task_init(&session->release, release_task);
    http_deadlines_init(session);
    http_guard_init(session);
    start_h2(session);
    submit_settings(session);
    return session;
}

void http_session_attach(struct http_session *session, struct connection *connection) {
    session->connection = connection;
}

void *http_session_owner(const struct http_session *session) { return session->owner; }
struct connection *http_session_connection(const struct http_session *session) {
    return session->connection;
}
size_t http_session_stream_count(const struct http_session *session) { return session->stream_count; }
const char *http_session_reason(const struct http_session *session) { return session->reason; }

bool http_session_is_alive(const struct http_session *session) { return session->phase <= HTTP_OPEN; }

void http_session_mark(struct http_session *session) {
    if (session->phase <= HTTP_CLOSING && list_is_empty(&session->flush.node))
        loop_defer(session->worker->loop, LOOP_FLUSH, &session->flush);
}

void http_session_flush(struct http_session *session) {
    if (list_is_empty(&session->flush.node)) return;
    task_cancel(&session->flush);
    session->kind->flush(session);
}

/* The first reason is the true one; what follows from it is not. */
void http_session_set_reason(struct http_session *session, const char *reason, size_t length) {
    if (!session->reason) session->reason = memory_copy(reason, length);
}

void http_session_close(struct http_session *session, enum http_error error, const char *reason) {
    if (!http_session_is_alive(session)) return;
    http_session_set_reason(session, reason, strlen(reason));
    session->kind->say_close(session, error, reason);
    session->close_error = error;
    session->phase = HTTP_CLOSING;
    http_session_mark(session);
}

static bool is_flood(int nghttp2_error) {
#ifdef HTTP_HAS_MAX_CONTINUATIONS
    if (nghttp2_error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) return true;
#endif
    return nghttp2_error == NGHTTP2_ERR_FLOODED;
}

void http_session_fail(struct http_session *session, int nghttp2_error) {
    const char *reason = nghttp2_strerror(nghttp2_error);
    if (session->phase == HTTP_CLOSING)
        http_session_cut(session, reason);
    else if (is_flood(nghttp2_error))
        http_session_close(session, HTTP_ENHANCE_YOUR_CALM, reason);
    else
        http_session_close(session, HTTP_INTERNAL_ERROR, reason);
}

static void end_streams(struct http_session *session) {
    struct list *node;
    while ((node = session->streams.next) != &session->streams)
        http_stream_closed(container_of(node, struct http_stream, node), session->close_error, true);
}

void http_session_cut(struct http_session *session, const char *reason) {
    if (session->phase == HTTP_GONE) return;
    session->phase = HTTP_GONE;
    if (reason) http_session_set_reason(session, reason, strlen(reason));
    if (!session->reason) http_session_set_reason(session, "the peer has closed", 19);
    http_deadlines_stop(session);
    task_cancel(&session->flush);
    end_streams(session);
    session->events->on_session_end(session, session->reason);
    if (session->connection) connection_free(&session->connection);
    list_remove(&session->node);
    loop_defer(session->worker->loop, LOOP_FREE, &session->release);
}

void http_session_finish_closing(struct http_session *session) {
    enum { LEAST_LINGER_S = 2 }; /* connection_shutdown() itself waits for a second */
    session->phase = HTTP_LINGERING;
    task_cancel(&session->flush);
    if (session->drain_text)
        http_session_set_reason(session, session->drain_text, strlen(session->drain_text));
    session->setup_due = session->header_due = session->ping_due = session->drain_due = session->idle_since =
        0;
    uint64_t linger = session->limits.write_timeout;
    if (linger < LEAST_LINGER_S * NS_PER_S) linger = LEAST_LINGER_S * NS_PER_S;
    session->linger_due = loop_now(session->worker->loop) + linger;
    http_deadlines_watch(session);
    end_streams(session);
    if (session->is_paused) connection_resume(session->connection);
    connection_shutdown(session->connection);
}

static void on_ready(void *owner) {
    struct http_session *session = owner;
    uint64_t now = loop_now(session->worker->loop);
    session->last_read = now;
    session->is_ready = true;
    if (session->phase != HTTP_CONNECTING) return; /* the user has closed it already */
    session->phase = session->is_server ? HTTP_PREFACE : HTTP_OPEN;
    if (session->limits.settings_timeout) session->setup_due = now + session->limits.settings_timeout;
    if (session->limits.idle && !session->stream_count) session->idle_since = now;
    http_deadlines_watch(session);
    if (session->phase == HTTP_OPEN) {
        http_session_mark(session);
    } else if (http_preface_is_agreed(session, "h2")) {
        session->is_read_as_h2 = true;
    } else if (http_preface_is_agreed(session, "http/1.1")) {
        if (session->is_draining) session->setup_due = session->drain_due;
        http1_begin(session);
    }
}

static void on_bytes(void *owner, const uint8_t *bytes, size_t length) {
    struct http_session *session = owner;
    if (session->limits.keepalive_interval) {
        session->last_read = loop_now(session->worker->loop);
        session->ping_due = 0;
    }
    if (session->phase == HTTP_PREFACE) {
        size_t taken = http_preface_take(session, bytes, length);
        bytes += taken;
        length -= taken;
    }
    if (session->phase == HTTP_OPEN && length) session->kind->bytes(session, bytes, length);
}

static void on_drained(void *owner) {
    struct http_session *session = owner;
    session->stall_due = 0;
    http_session_mark(session);
}

static void on_end(void *owner, const char *reason) { http_session_cut(owner, reason); }

const struct connection_events http_connection_events = {on_ready, on_bytes, on_drained, on_end};

void http_session_set_window_open(struct http_session *session, bool is_open) {
    session->is_window_closed = !is_open;
    if (!is_open || !http_session_is_alive(session)) return;
    session->kind->return_window(session);
    http_session_mark(session);
}
