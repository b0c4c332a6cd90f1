/* rig.h - sessions under test, over socketpairs: against each other, or against frames made by hand.
 *
 * A side is one session with a user that records what it is told. The other end of its socket is a second side, or
 * the test itself, which writes bytes and reads frames. */
#ifndef TIDEWIRE_TESTS_HTTP_RIG_H
#define TIDEWIRE_TESTS_HTTP_RIG_H
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/message.h"
#include "check.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/loop.h"

enum event { ON_REQUEST, ON_RESPONSE, ON_DATA, ON_END, ON_CLOSE, AFTER_READ, ON_SESSION_END, BODY_READY, BODY_GIVE };

struct exchange {
    struct list node; /* in side->exchanges, also after its end */
    struct side *side;
    struct http_stream *stream; /* NULL after on_close */
    struct buffer received;
    struct buffer body;           /* what it sends */
    struct message *large;        /* sent by reference, over and over, until `large_left` is 0 */
    size_t large_left;
    char headers[512], trailers[512]; /* "name: value\n" each */
    bool is_too_large, has_response, has_ended, is_closed, is_connection;
    bool keeps_window; /* gives nothing back */
    uint32_t error;
};

struct side {
    struct rig *rig;
    struct http_session *session; /* NULL after its end */
    struct list exchanges;
    size_t opened, closed;
    char reason[256];
    void (*on_event)(struct side *side, enum event event, struct exchange *exchange); /* may be NULL */
    size_t seen[BODY_GIVE + 1]; /* events */
};

struct frame {
    uint8_t type, flags;
    uint32_t id, length;
    const uint8_t *payload;
};

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct rig {
    struct loop *loop;
    struct http_worker *worker;
    struct http_limits limits;
    struct side server, client;
    int fd;               /* the test's own end; -1: there is none */
    bool has_peer_closed; /* the session's end has closed */
    bool is_guest;        /* loop and worker are another rig's */
    struct buffer wire; /* all that the session has sent */
    size_t parsed;
    unsigned settings_sent;
};

/* The user of a session */

static inline void tell(struct side *side, enum event event, struct exchange *exchange) {
    side->seen[event]++;
    if (side->on_event) side->on_event(side, event, exchange);
}

static inline void write_fields(char *text, size_t size, const struct http_header *headers, size_t count) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%.*s: %.*s\n", (int)headers[i].name_length,
                                 headers[i].name, (int)headers[i].value_length, headers[i].value);
}

static inline struct exchange *exchange_new(struct side *side) {
    struct exchange *exchange = memory_new(sizeof *exchange);
    exchange->side = side;
    side->opened++;
    list_append(&side->exchanges, &exchange->node);
    return exchange;
}

static inline void rig_on_request(struct http_session *session, struct http_stream *stream,
                                  const struct http_header *headers, size_t count, bool is_end, bool is_too_large) {
    struct exchange *exchange = exchange_new(http_session_owner(session));
    exchange->stream = stream;
    exchange->is_too_large = is_too_large;
    exchange->has_ended = is_end;
    write_fields(exchange->headers, sizeof exchange->headers, headers, count);
    http_stream_set_user(stream, exchange);
    tell(exchange->side, ON_REQUEST, exchange);
}

static inline void rig_on_response(void *user, const struct http_header *headers, size_t count, bool is_end) {
    struct exchange *exchange = user;
    CHECK(!exchange->has_response);
    exchange->has_response = true;
    exchange->has_ended = is_end;
    write_fields(exchange->headers, sizeof exchange->headers, headers, count);
    tell(exchange->side, ON_RESPONSE, exchange);
}

static inline void rig_on_data(void *user, const uint8_t *bytes, size_t length) {
    struct exchange *exchange = user;
    CHECK(!exchange->has_ended);
    buffer_append(&exchange->received, bytes, length);
    if (!exchange->keeps_window) http_stream_consumed(exchange->stream, length);
    tell(exchange->side, ON_DATA, exchange);
}

static inline void rig_on_end(void *user, const struct http_header *trailers, size_t count) {
    struct exchange *exchange = user;
    CHECK(!exchange->has_ended);
    exchange->has_ended = true;
    write_fields(exchange->trailers, sizeof exchange->trailers, trailers, count);
    tell(exchange->side, ON_END, exchange);
}

static inline void rig_on_close(void *user, uint32_t error, bool is_connection) {
    struct exchange *exchange = user;
    CHECK(!exchange->is_closed);
    exchange->is_closed = true;
    exchange->error = error;
    exchange->is_connection = is_connection;
    exchange->side->closed++;
    tell(exchange->side, ON_CLOSE, exchange);
    exchange->stream = NULL;
}

static inline void rig_after_read(struct http_session *session) {
    tell(http_session_owner(session), AFTER_READ, NULL);
}

static inline void rig_on_session_end(struct http_session *session, const char *reason) {
    struct side *side = http_session_owner(session);
    CHECK(side->session);
    CHECK_INT(side->opened, side->closed);
    snprintf(side->reason, sizeof side->reason, "%s", reason);
    tell(side, ON_SESSION_END, NULL);
    side->session = NULL;
}

static inline size_t rig_body_ready(void *user) {
    struct exchange *exchange = user;
    tell(exchange->side, BODY_READY, exchange);
    return buffer_length(&exchange->body) + exchange->large_left;
}

static inline void rig_body_give(void *user, size_t length, struct http_output *output) {
    struct exchange *exchange = user;
    size_t copied = buffer_length(&exchange->body) < length ? buffer_length(&exchange->body) : length;
    http_output_copy(output, buffer_bytes(&exchange->body), copied);
    buffer_take(&exchange->body, copied);
    for (length -= copied; length;) {
        size_t at = exchange->large->length - 1 - (exchange->large_left - 1) % exchange->large->length;
        size_t piece = exchange->large->length - at < length ? exchange->large->length - at : length;
        http_output_reference(output, exchange->large->data + at, piece, exchange->large);
        exchange->large_left -= piece;
        length -= piece;
    }
    tell(exchange->side, BODY_GIVE, exchange);
}

static const struct http_events rig_events = {
    .on_request = rig_on_request,
    .on_response = rig_on_response,
    .on_data = rig_on_data,
    .on_end = rig_on_end,
    .on_close = rig_on_close,
    .after_read = rig_after_read,
    .on_session_end = rig_on_session_end,
    .body_ready = rig_body_ready,
    .body_give = rig_body_give,
};

/* Set-up */

static const struct http_limits usual_limits = {
    .headers = 16384,
    .streams = 100,
    .stream_window = 65535,
    .connection_window = 1 << 20,
    .least_ping_interval = 5 * NS_PER_S,
    .pings_without_streams = true,
    .settings_timeout = 30 * NS_PER_S,
    .write_timeout = 30 * NS_PER_S,
};

static inline void side_start(struct rig *rig, struct side *side, bool is_server, int fd) {
    struct connection_options options = {0};
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    side->session = http_session_new(rig->worker, is_server, &rig->limits, &rig_events, side);
    http_session_attach(side->session,
                        connection_accepted(rig->loop, fd, &options, &http_connection_events, side->session));
}

/* `other` NULL, or a rig whose thread this one shares: it is closed after this one. */
static inline void rig_open_beside(struct rig *rig, const struct http_limits *limits, struct rig *other) {
    *rig = (struct rig){.limits = *limits, .fd = -1, .is_guest = other != NULL};
    rig->loop = other ? other->loop : loop_new();
    rig->worker = other ? other->worker : http_worker_new(rig->loop);
    rig->server.rig = rig->client.rig = rig;
    list_init(&rig->server.exchanges);
    list_init(&rig->client.exchanges);
}

static inline void rig_open(struct rig *rig, const struct http_limits *limits) {
    rig_open_beside(rig, limits, NULL);
}

/* A server and a client session, connected. */
static inline void rig_open_pair(struct rig *rig, const struct http_limits *limits) {
    int fds[2];
    rig_open(rig, limits);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    side_start(rig, &rig->server, true, fds[0]);
    side_start(rig, &rig->client, false, fds[1]);
}

static inline void rig_start_one(struct rig *rig, struct side *side) {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    side_start(rig, side, side == &rig->server, fds[0]);
    rig->fd = fds[1];
    CHECK(fcntl(rig->fd, F_SETFL, O_NONBLOCK) == 0);
}

/* One session; the test is its peer. */
static inline struct side *rig_open_one(struct rig *rig, const struct http_limits *limits, bool is_server) {
    struct side *side = is_server ? &rig->server : &rig->client;
    rig_open(rig, limits);
    rig_start_one(rig, side);
    return side;
}

static inline void side_free(struct side *side) {
    struct list *node;
    while ((node = list_take(&side->exchanges))) {
        struct exchange *exchange = container_of(node, struct exchange, node);
        CHECK(exchange->is_closed);
        buffer_free(&exchange->received);
        buffer_free(&exchange->body);
        message_unref(&exchange->large);
        free(exchange);
    }
}

/* Time passes */

static inline void read_wire(struct rig *rig) {
    while (rig->fd >= 0 && !rig->has_peer_closed) {
        ssize_t length = recv(rig->fd, buffer_reserve(&rig->wire, 65536), 65536, 0);
        if (length > 0) buffer_commit(&rig->wire, (size_t)length);
        else if (length < 0 && errno == EAGAIN) return;
        else rig->has_peer_closed = true;
    }
}

static inline void turn_without_reading(struct rig *rig) { loop_turn(rig->loop); }

static inline void turn(struct rig *rig) {
    loop_turn(rig->loop);
    read_wire(rig);
}

/* Turns until the condition holds; fails after thirty seconds. */
#define WAIT(rig, condition) WAIT_BY(turn, rig, condition)
#define WAIT_BY(pass, rig, condition)                                                                                \
    do {                                                                                                             \
        uint64_t deadline_ = clock_monotonic() + 30 * NS_PER_S;                                                      \
        while (!(condition)) {                                                                                       \
            if (clock_monotonic() > deadline_) check_failed(__FILE__, __LINE__, "in time: " #condition);             \
            pass(rig);                                                                                               \
        }                                                                                                            \
    } while (0)

static inline void rig_close(struct rig *rig) {
    if (rig->is_guest) {
        if (rig->fd >= 0) close(rig->fd);
        rig->fd = -1;
        WAIT(rig, !rig->server.session && !rig->client.session);
    } else {
        http_worker_free(&rig->worker);
        loop_free(&rig->loop);
    }
    CHECK(!rig->server.session && !rig->client.session);
    side_free(&rig->server);
    side_free(&rig->client);
    if (rig->fd >= 0) close(rig->fd);
    buffer_free(&rig->wire);
}

/* The test as peer */

static inline void put_bytes(struct rig *rig, const void *bytes, size_t length) {
    const uint8_t *from = bytes;
    uint64_t deadline = clock_monotonic() + 30 * NS_PER_S;
    while (length && !rig->has_peer_closed) {
        ssize_t sent = send(rig->fd, from, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return; /* it has closed: the test will see */
        if (sent > 0) from += sent, length -= (size_t)sent;
        if (length) turn(rig);
        CHECK(clock_monotonic() < deadline);
    }
}

static inline void frame_build(struct buffer *buffer, int type, int flags, uint32_t id, const void *payload,
                               size_t length) {
    uint8_t header[9] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, (uint8_t)type,
                         (uint8_t)flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    buffer_append(buffer, header, sizeof header);
    buffer_append(buffer, payload, length);
}

static inline void put_frame(struct rig *rig, int type, int flags, uint32_t id, const void *payload, size_t length) {
    struct buffer buffer = {0};
    frame_build(&buffer, type, flags, id, payload, length);
    put_bytes(rig, buffer_bytes(&buffer), buffer_length(&buffer));
    buffer_free(&buffer);
}

static inline void put_number(struct rig *rig, int type, uint32_t id, uint32_t number) {
    uint8_t bytes[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    put_frame(rig, type, 0, id, bytes, sizeof bytes);
}

static const char client_magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static inline void put_preface(struct rig *rig) {
    put_bytes(rig, client_magic, 24);
    put_frame(rig, SETTINGS, 0, 0, NULL, 0);
    put_frame(rig, SETTINGS, ACK, 0, NULL, 0);
    rig->settings_sent++;
}

/* POST http://a/ in HPACK that needs no table: static entries, and a literal that is not indexed. */
static const uint8_t request_block[] = {0x83, 0x86, 0x84, 0x01, 1, 'a'};
/* :status 200 */
static const uint8_t response_block[] = {0x88};

static inline void put_request(struct rig *rig, uint32_t id, int flags) {
    put_frame(rig, HEADERS, flags | END_HEADERS, id, request_block, sizeof request_block);
}

/* The next frame from the session; false when no whole one is there. */
static inline bool next_frame(struct rig *rig, struct frame *frame) {
    const uint8_t *bytes = buffer_bytes(&rig->wire) + rig->parsed;
    size_t there = buffer_length(&rig->wire) - rig->parsed;
    if (there < 9) return false;
    *frame = (struct frame){
        .length = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2],
        .type = bytes[3],
        .flags = bytes[4],
        .id = (uint32_t)(bytes[5] & 127) << 24 | (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 8 | bytes[8],
        .payload = bytes + 9,
    };
    if (there < 9 + frame->length) return false;
    rig->parsed += 9 + frame->length;
    return true;
}

static inline uint32_t read_number(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Skips frames up to the next of that type. */
static inline bool find_frame(struct rig *rig, int type, struct frame *frame) {
    while (next_frame(rig, frame)) {
        if (frame->type == type) return true;
    }
    return false;
}

static inline struct frame wait_frame_(struct rig *rig, int type, const char *file, int line) {
    struct frame frame;
    uint64_t deadline = clock_monotonic() + 30 * NS_PER_S;
    while (!find_frame(rig, type, &frame)) {
        if (rig->has_peer_closed || clock_monotonic() > deadline) check_failed(file, line, "the frame has come");
        turn(rig);
    }
    return frame;
}
#define wait_frame(rig, type) wait_frame_(rig, type, __FILE__, __LINE__)

/* How many SETTINGS of ours it has acknowledged, in all. */
static inline unsigned settings_acknowledged(struct rig *rig) {
    struct frame frame;
    size_t parsed = rig->parsed;
    unsigned count = 0;
    rig->parsed = 0;
    while (next_frame(rig, &frame)) count += frame.type == SETTINGS && (frame.flags & ACK);
    rig->parsed = parsed;
    return count;
}

/* The session has worked through all that was sent before: it acknowledges SETTINGS in order. Consumes no frame. */
static inline void settle(struct rig *rig) {
    put_frame(rig, SETTINGS, 0, 0, NULL, 0);
    rig->settings_sent++;
    WAIT(rig, rig->has_peer_closed || settings_acknowledged(rig) == rig->settings_sent);
}

/* The exchange that was opened as number `index`, from 0. */
static inline struct exchange *exchange_at(struct side *side, size_t index) {
    struct list *node = side->exchanges.next;
    while (index-- && node != &side->exchanges) node = node->next;
    CHECK(node != &side->exchanges);
    return container_of(node, struct exchange, node);
}

#define FIELD(n, v) {.name = n, .value = v, .name_length = sizeof n - 1, .value_length = sizeof v - 1}
static const struct http_header ok_headers[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
static const struct http_header ok_trailers[] = {FIELD("grpc-status", "0")};
static const struct http_header post_headers[] = {FIELD(":method", "POST"), FIELD(":scheme", "http"),
                                                  FIELD(":path", "/a.B/C"), FIELD(":authority", "a")};

/* Opens a stream of the client's; NULL when the session takes none. */
static inline struct exchange *client_open(struct rig *rig, bool has_body) {
    struct exchange *exchange = exchange_new(&rig->client);
    exchange->stream = http_session_open(rig->client.session, post_headers, 4, has_body, exchange);
    if (exchange->stream) return exchange;
    rig->client.opened--;
    list_remove(&exchange->node);
    free(exchange);
    return NULL;
}

static inline void send_large(struct exchange *exchange, struct message *message, size_t length) {
    exchange->large = message_ref(message);
    exchange->large_left = length;
    http_stream_resume(exchange->stream);
}

/* An open stream with more to send than any socket takes, to a peer whose windows are wide open. */
static inline struct exchange *start_large_answer(struct rig *rig, struct side *side) {
    put_preface(rig);
    put_frame(rig, SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    put_number(rig, WINDOW_UPDATE, 0, 0x7fff0000);
    put_request(rig, 1, END_STREAM);
    WAIT(rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    struct message *message = message_new(1 << 20);
    message->length = 1 << 20;
    memset(message->data, 'm', 1 << 20);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    send_large(exchange, message, 1 << 29);
    message_unref(&message);
    return exchange;
}
#endif
