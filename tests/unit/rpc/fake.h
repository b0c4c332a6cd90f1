/* fake.h - the rooms below rpc/ for its tests: a loop whose clock the test owns, and HTTP without a wire.
 *
 * The test is the peer: it opens streams, sends bytes, and reads what was answered from struct http_stream. Bytes that
 * it sends live in memory of their own until fake_read_done(), as those of a read do: later use is seen by the
 * sanitizers. */
#ifndef TIDEWIRE_TESTS_RPC_FAKE_H
#define TIDEWIRE_TESTS_RPC_FAKE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/message.h"
#include "check.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/loop.h"
#include "rpc/call.h"
#include "rpc/router.h"
#include "rpc/rpc.h"

/* ---- the loop ---- */

struct loop {
    uint64_t now;
    struct list tasks[LOOP_PHASES];
    struct timer *timers[4096];
    size_t timer_count;
};
static struct loop fake_loop;

uint64_t loop_now(struct loop *loop) { return loop->now; }
void loop_defer(struct loop *loop, enum loop_phase phase, struct task *task) {
    if (list_is_empty(&task->node)) list_append(&loop->tasks[phase], &task->node);
}
void task_cancel(struct task *task) { list_remove(&task->node); }
void timer_stop(struct loop *loop, struct timer *timer) {
    if (!timer->place) return;
    struct timer *last = loop->timers[--loop->timer_count];
    loop->timers[timer->place - 1] = last;
    last->place = timer->place;
    timer->place = 0;
}
void timer_start(struct loop *loop, struct timer *timer, uint64_t due) {
    timer_stop(loop, timer);
    CHECK(loop->timer_count < sizeof loop->timers / sizeof *loop->timers);
    loop->timers[loop->timer_count++] = timer;
    timer->place = (uint32_t)loop->timer_count;
    timer->due = due;
}

/* ---- the log ---- */

int log_least = LOG_OFF;
static bool fake_access = false;
static struct log_access fake_lines[64];
static char fake_line_texts[64][4][128]; /* method, peer, reason, upstream: they die with the call */
static size_t fake_line_count;

void log_write(enum log_level level, const struct log_scope *scope, const char *format, ...) {
    (void)level, (void)scope, (void)format;
}
bool log_access_is_on(void) { return fake_access; }
void log_write_access(const struct log_access *access) {
    CHECK(fake_line_count < 64);
    struct log_access *line = &fake_lines[fake_line_count];
    char(*texts)[128] = fake_line_texts[fake_line_count++];
    *line = *access;
    line->scope.method = strncpy(texts[0], access->scope.method ? access->scope.method : "", 127);
    line->peer = strncpy(texts[1], access->peer ? access->peer : "", 127);
    line->reason = strncpy(texts[2], access->reason ? access->reason : "", 127);
    if (access->upstream) snprintf(texts[3], 128, "%s at %s", access->upstream, access->target ? access->target : "no target");
}

/* ---- connections ---- */

struct connection {
    void *owner;
};
struct connection *connection_accepted(struct loop *loop, int fd, const struct connection_options *options,
                                       const struct connection_events *events, void *owner) {
    (void)loop, (void)fd, (void)options, (void)events;
    struct connection *connection = memory_new(sizeof *connection);
    connection->owner = owner;
    return connection;
}
struct connection *connection_dial(struct loop *loop, const char *address, const struct connection_options *options,
                                   const struct connection_events *events, void *owner, struct error *error) {
    if (strchr(address, ' ')) {
        error_set(error, "\"%s\" is no address", address);
        return NULL;
    }
    return connection_accepted(loop, -1, options, events, owner);
}
/* Nothing is carried here: tunnels have their tests over the real rooms. */
struct connection *connection_carried(struct loop *loop, const struct connection_carrier *carrier, void *carried,
                                      const char *peer, const char *local, const struct connection_events *events,
                                      void *owner) {
    (void)loop, (void)carrier, (void)carried, (void)peer, (void)local, (void)events, (void)owner;
    check_failed(__FILE__, __LINE__, "a carried connection");
    return NULL;
}
void connection_carry_bytes(struct connection *connection, const uint8_t *bytes, size_t length) {
    (void)connection, (void)bytes, (void)length;
}
void connection_carry_drained(struct connection *connection) { (void)connection; }
void connection_carry_end(struct connection *connection, const char *reason) { (void)connection, (void)reason; }
uint64_t connection_id(const struct connection *connection) { return connection ? 7 : 0; }
static const char *fake_peer = "192.0.2.1:4711"; /* of whoever is accepted */
const char *connection_peer(const struct connection *connection) { return connection ? fake_peer : ""; }
const struct tls_info *connection_tls(const struct connection *connection) {
    (void)connection;
    return NULL;
}

/* ---- HTTP ---- */

struct fake_bytes {
    struct fake_bytes *next;
    uint8_t bytes[];
};
struct http_worker {
    struct list sessions;
};
struct http_output {
    struct buffer *to;
    size_t referenced;
};
struct http_session {
    struct list node, streams;
    const struct http_events *events;
    void *owner;
    struct connection *connection;
    struct fake_bytes *read;
    const char *reason;
    size_t stream_count, flushes;
    enum http_version version; /* 0: HTTP/2 */
    uint64_t received;  /* by this side, all streams */
    uint64_t withheld;  /* received while the window was closed */
    bool is_server, is_draining, is_window_closed, is_closing, refuses, is_setting_up, is_relay;
};
struct http_stream {
    struct list node;
    struct http_session *session;
    void *user;
    /* what the other side sees: "name: value\n…" */
    struct buffer headers, trailers;
    struct buffer body;
    uint32_t widened;  /* the largest that was asked for */
    size_t window;     /* for the body: how much the peer takes */
    size_t consumed;   /* window that was given back */
    size_t referenced; /* body bytes that came without a copy */
    int reset;         /* error code, or -1 */
    bool has_headers, has_body, is_finished, peer_ended, is_closed;
    bool keeps; /* the test frees it */
};

static struct http_worker *fake_http;
const struct connection_events http_connection_events;

struct http_worker *http_worker_new(struct loop *loop) {
    (void)loop;
    fake_http = memory_new(sizeof *fake_http);
    list_init(&fake_http->sessions);
    return fake_http;
}

struct http_session *http_session_new(struct http_worker *worker, bool is_server, const struct http_limits *limits,
                                      const struct http_events *events, void *owner) {
    (void)limits;
    struct http_session *session = memory_new(sizeof *session);
    session->events = events;
    session->owner = owner;
    session->is_server = is_server;
    list_init(&session->streams);
    list_append(&worker->sessions, &session->node);
    return session;
}
void http_session_attach(struct http_session *session, struct connection *connection) {
    session->connection = connection;
}
void *http_session_owner(const struct http_session *session) { return session->owner; }
struct connection *http_session_connection(const struct http_session *session) { return session->connection; }
size_t http_session_stream_count(const struct http_session *session) { return session->stream_count; }
uint32_t http_session_room(const struct http_session *session) {
    return session->refuses || session->is_draining || session->is_closing || session->is_setting_up ? 0 : 100;
}
bool http_session_is_closing(const struct http_session *session) {
    return session->is_draining || session->is_closing;
}
bool http_session_is_set_up(const struct http_session *session) { return !session->is_setting_up; }
const char *http_session_reason(const struct http_session *session) { return session->reason; }
void http_session_drain(struct http_session *session, const char *debug_text) {
    (void)debug_text;
    session->is_draining = true;
}
void http_session_close(struct http_session *session, enum http_error error, const char *reason) {
    (void)error;
    session->is_closing = true;
    if (!session->reason) session->reason = memory_copy_string(reason);
}
void http_session_flush(struct http_session *session) { session->flushes++; }
void http_session_set_relay(struct http_session *session) { session->is_relay = true; }
void http_session_set_window_open(struct http_session *session, bool is_open) {
    session->is_window_closed = !is_open;
    if (is_open) session->withheld = 0;
}

static inline void fake_write_headers(struct buffer *out, const struct http_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, headers[i].name, headers[i].name_length);
        buffer_append_text(out, ": ");
        buffer_append(out, headers[i].value, headers[i].value_length);
        buffer_append_text(out, "\n");
    }
    buffer_append_byte(out, 0);
}

static inline struct http_stream *fake_stream(struct http_session *session) {
    struct http_stream *stream = memory_new(sizeof *stream);
    stream->session = session;
    stream->window = SIZE_MAX;
    stream->reset = -1;
    session->stream_count++;
    list_append(&session->streams, &stream->node);
    return stream;
}
static inline void fake_stream_free(struct http_stream *stream) {
    list_remove(&stream->node);
    buffer_free(&stream->headers);
    buffer_free(&stream->trailers);
    buffer_free(&stream->body);
    free(stream);
}
struct http_stream *http_session_open(struct http_session *session, const struct http_header *headers, size_t count,
                                      bool has_body, void *user) {
    if (session->refuses || session->is_draining || session->is_closing) return NULL;
    struct http_stream *stream = fake_stream(session);
    stream->user = user;
    stream->has_body = has_body;
    stream->keeps = true;
    fake_write_headers(&stream->headers, headers, count);
    return stream;
}
void http_stream_set_user(struct http_stream *stream, void *user) { stream->user = user; }
struct http_session *http_stream_session(const struct http_stream *stream) { return stream->session; }
uint32_t http_stream_id(const struct http_stream *stream) { return stream ? 1 : 0; }
bool http_stream_was_reset_here(const struct http_stream *stream) { return stream->reset >= 0; }
void http_stream_respond(struct http_stream *stream, const struct http_header *headers, size_t count, bool is_end) {
    CHECK(!stream->has_headers && !stream->is_closed);
    stream->has_headers = true;
    stream->has_body = !is_end;
    stream->is_finished = is_end;
    fake_write_headers(&stream->headers, headers, count);
}
void http_stream_respond_whole(struct http_stream *stream, const struct http_header *headers, size_t count,
                               const void *body, size_t length) {
    char digits[24];
    int digit_count = snprintf(digits, sizeof digits, "%zu", length);
    struct http_header all[64];
    bool has_length = false;
    CHECK(count < sizeof all / sizeof *all);
    for (size_t i = 0; i < count; i++) {
        all[i] = headers[i];
        has_length |= headers[i].name_length == 14 && memcmp(headers[i].name, "content-length", 14) == 0;
    }
    if (!has_length)
        all[count++] = (struct http_header){.name = "content-length",
                                            .value = digits,
                                            .name_length = 14,
                                            .value_length = (size_t)digit_count};
    http_stream_respond(stream, all, count, false);
    stream->is_finished = true;
    buffer_append(&stream->body, body, length);
}
void http_stream_respond_loan(struct http_stream *stream, const struct http_header *headers, size_t count,
                              const struct http_loan *loan) {
    http_stream_respond_whole(stream, headers, count, loan->bytes, loan->length);
    loan->release(loan->owner);
}
void http_stream_upgrade(struct http_stream *stream, const struct http_header *headers, size_t count) {
    http_stream_respond(stream, headers, count, false);
}
enum http_version http_stream_version(const struct http_stream *stream) {
    return stream->session->version ? stream->session->version : HTTP_2;
}
void http_stream_resume(struct http_stream *stream) { CHECK(!stream->is_closed); }
void http_stream_approach(const struct http_stream *stream, int step) { (void)stream, (void)step; }
void http_stream_finish(struct http_stream *stream, const struct http_header *trailers, size_t count) {
    CHECK(!stream->is_finished && !stream->is_closed);
    stream->is_finished = true;
    fake_write_headers(&stream->trailers, trailers, count);
}
void http_stream_reset(struct http_stream *stream, enum http_error error) {
    CHECK(!stream->is_closed);
    if (stream->reset < 0) stream->reset = (int)error;
}
void http_stream_consumed(struct http_stream *stream, size_t length) {
    CHECK(!stream->is_closed);
    stream->consumed += length;
}
void http_stream_widen(struct http_stream *stream, uint32_t window) {
    CHECK(!stream->is_closed);
    if (window > stream->widened) stream->widened = window;
}
void http_output_copy(struct http_output *output, const void *bytes, size_t length) {
    buffer_append(output->to, bytes, length);
}
void http_output_reference(struct http_output *output, const void *bytes, size_t length, struct message *keep) {
    CHECK(keep->references > 0);
    output->referenced += length;
    buffer_append(output->to, bytes, length);
}

/* ---- what the test does ---- */

static inline void fake_stream_close(struct http_stream *stream, uint32_t error, bool is_connection) {
    if (stream->is_closed) return;
    stream->is_closed = true;
    stream->session->stream_count--;
    const struct http_events *events = stream->session->events;
    if (stream->user) events->on_close(stream->user, error, is_connection);
    if (events->on_room) events->on_room(stream->session);
    if (!stream->keeps) fake_stream_free(stream);
}

static inline void fake_session_end(struct http_session *session, const char *reason) {
    if (!session->reason) session->reason = memory_copy_string(reason);
    for (struct list *node = session->streams.next, *next; node != &session->streams; node = next) {
        next = node->next;
        fake_stream_close(container_of(node, struct http_stream, node), 0, true);
    }
    session->events->on_session_end(session, session->reason);
    free(session->connection);
    session->connection = NULL;
    session->is_closing = true;
    list_remove(&session->node);
    for (struct list *node = session->streams.next, *next; node != &session->streams; node = next) {
        next = node->next;
        list_remove(node); /* the test's own */
    }
    free((char *)(uintptr_t)session->reason);
    free(session);
}

void http_worker_free(struct http_worker **worker) {
    while (!list_is_empty(&(*worker)->sessions))
        fake_session_end(container_of((*worker)->sessions.next, struct http_session, node), "the worker ends");
    free(*worker);
    *worker = NULL;
}

/* Sends what may leave on a stream, and closes it when its answer is whole. */
static inline void fake_flush_stream(struct http_stream *stream) {
    const struct http_events *events = stream->session->events;
    if (stream->is_closed) return;
    if (stream->reset >= 0) {
        fake_stream_close(stream, (uint32_t)stream->reset, false);
        return;
    }
    if (stream->has_body && stream->user) {
        size_t ready = events->body_ready(stream->user), length = ready < stream->window ? ready : stream->window;
        struct http_output output = {.to = &stream->body};
        if (length) events->body_give(stream->user, length, &output);
        stream->window -= length;
        stream->referenced += output.referenced;
        if (length < ready) return;
        CHECK_INT(events->body_ready(stream->user), 0);
    }
    if (stream->session->is_server && stream->is_finished) fake_stream_close(stream, HTTP_NO_ERROR, false);
}

static inline void fake_run_tasks(void) {
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        struct list *node;
        while ((node = list_take(&fake_loop.tasks[phase]))) {
            struct task *task = container_of(node, struct task, node);
            task->run(task);
        }
    }
}

/* The rest of a turn: tasks, then what HTTP sends, until nothing is left to do. */
static inline void fake_turn(void) {
    for (int round = 0; round < 4; round++) {
        fake_run_tasks();
        for (struct list *s = fake_http->sessions.next, *next; s != &fake_http->sessions; s = next) {
            struct http_session *session = container_of(s, struct http_session, node);
            next = s->next;
            for (struct list *node = session->streams.next, *after; node != &session->streams; node = after) {
                after = node->next;
                fake_flush_stream(container_of(node, struct http_stream, node));
            }
            if (session->is_closing || (session->is_draining && !session->stream_count))
                fake_session_end(session, "drained");
        }
    }
    fake_run_tasks();
}

static inline void fake_advance(uint64_t ns) {
    fake_loop.now += ns;
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < fake_loop.timer_count && !found; i++) {
            struct timer *timer = fake_loop.timers[i];
            if (timer->due > fake_loop.now) continue;
            timer_stop(&fake_loop, timer);
            timer->fire(timer);
            found = true;
        }
    }
    fake_turn();
}

static inline void fake_data(struct http_stream *stream, const void *bytes, size_t length) {
    struct http_session *session = stream->session;
    struct fake_bytes *read = memory_new(sizeof *read + length);
    if (length) memcpy(read->bytes, bytes, length);
    read->next = session->read;
    session->read = read;
    session->received += length;
    if (session->is_window_closed) session->withheld += length;
    if (stream->user && stream->reset < 0) session->events->on_data(stream->user, read->bytes, length);
}

static inline void fake_end(struct http_stream *stream) {
    stream->peer_ended = true;
    if (stream->user && stream->reset < 0) stream->session->events->on_end(stream->user, NULL, 0);
}

static inline void fake_read_done(struct http_session *session) {
    session->events->after_read(session);
    while (session->read) {
        struct fake_bytes *read = session->read;
        session->read = read->next;
        free(read);
    }
}

/* One read of the socket that brought these bytes, and the turn after it. */
static inline void fake_receive(struct http_stream *stream, const void *bytes, size_t length, bool is_end) {
    struct http_session *session = stream->session;
    fake_data(stream, bytes, length);
    if (is_end) fake_end(stream);
    fake_read_done(session);
    fake_turn();
}

#define FAKE_HEADER(name_, value_) \
    {.name = name_, .value = value_, .name_length = strlen(name_), .value_length = strlen(value_)}

/* A request with the usual headers, and one more for each pair of strings that follows; a pair whose name is a usual
 * one replaces it, and one with value NULL takes it away. Ended by NULL. */
static inline struct http_stream *fake_request(struct http_session *session, const char *path, int is_end, ...) {
    struct http_header headers[64] = {FAKE_HEADER(":method", "POST"),
                                      FAKE_HEADER(":scheme", "http"),
                                      FAKE_HEADER(":path", path),
                                      FAKE_HEADER(":authority", "example.test"),
                                      FAKE_HEADER("content-type", "application/grpc"),
                                      FAKE_HEADER("te", "trailers"),
                                      FAKE_HEADER("user-agent", "fake/1")};
    size_t count = 7;
    va_list more;
    va_start(more, is_end);
    const char *name;
    while ((name = va_arg(more, const char *))) {
        const char *value = va_arg(more, const char *);
        size_t at = 0;
        while (at < 7 && strcmp(headers[at].name, name) != 0) at++;
        if (at == 7) at = count++;
        if (value) headers[at] = (struct http_header)FAKE_HEADER(name, value);
        else headers[at] = (struct http_header)FAKE_HEADER("x-gone", "");
    }
    va_end(more);
    struct http_stream *stream = fake_stream(session);
    stream->keeps = true;
    stream->peer_ended = is_end;
    session->events->on_request(session, stream, headers, count, is_end, false);
    return stream;
}

static struct rpc *fake_rpc;
static struct router *fake_router;

static inline void fake_start(const struct rpc_limits *limits) {
    fake_loop.now = 1000 * NS_PER_S;
    fake_loop.timer_count = 0;
    for (int phase = 0; phase < LOOP_PHASES; phase++) list_init(&fake_loop.tasks[phase]);
    fake_line_count = 0;
    struct rpc_limits none = {0};
    fake_rpc = rpc_new(&fake_loop, limits ? limits : &none);
    fake_router = router_new(3, NULL, NULL);
    rpc_set_router(fake_rpc, fake_router);
}

static inline struct http_session *fake_accept_with(const struct rpc_accepted *accepted) {
    rpc_accept(fake_rpc, accepted);
    return container_of(fake_http->sessions.prev, struct http_session, node);
}

static inline struct http_session *fake_accept(void) {
    return fake_accept_with(&(struct rpc_accepted){.fd = -1});
}

/* Everything that was opened must be gone. */
static inline void fake_stop(void) {
    fake_turn();
    rpc_abort_all(fake_rpc);
    fake_turn();
    CHECK_INT(rpc_counters(fake_rpc)->connections, 0);
    CHECK_INT(rpc_counters(fake_rpc)->calls, 0);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    CHECK_INT(router_call_count(fake_router), 0);
    rpc_free(&fake_rpc);
    router_free(&fake_router);
    CHECK_INT(fake_loop.timer_count, 0);
}

static inline const char *fake_text(const struct buffer *buffer) {
    return buffer_length(buffer) ? (const char *)buffer_bytes(buffer) : "";
}

/* One framed message, appended. */
static inline void fake_frame(struct buffer *out, const void *bytes, size_t length, int flags) {
    uint8_t prefix[MESSAGE_PREFIX] = {(uint8_t)flags, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                      (uint8_t)(length >> 8), (uint8_t)length};
    buffer_append(out, prefix, sizeof prefix);
    buffer_append(out, bytes, length);
}
#endif
