/* Any bytes from a peer, to a server or a client session whose user does anything that it may at any moment: no crash,
 * no leak, and every stream that was told is closed exactly once.
 *
 * The first three bytes choose: the role and whether the usual beginning is put in front; how the bytes are cut; what
 * the user does. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/message.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { IS_CLIENT = 1, HAS_BEGINNING = 2, MEETS_TROUBLE = 4, CLOSES_WINDOW = 8 };

struct exchange {
    struct http_stream *stream;
    size_t waiting; /* bytes that it wants to send */
    bool has_ended, is_closed;
};

static struct loop *loop;
static struct http_worker *worker;
static struct http_session *session;
static struct message *message;
static uint8_t flags;
static uint32_t seed;
static size_t open_exchanges;

static void must(bool condition) {
    if (!condition) abort();
}

static uint32_t choose(uint32_t ways) {
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % ways;
}

#define FIELD(n, v) {.name = n, .value = v, .name_length = sizeof n - 1, .value_length = sizeof v - 1}
static const struct http_header response[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
static const struct http_header trailers[] = {FIELD("grpc-status", "0")};
static const struct http_header request[] = {FIELD(":method", "POST"), FIELD(":scheme", "http"),
                                             FIELD(":path", "/a.B/C"), FIELD(":authority", "a")};

static void open_stream(void) {
    struct exchange *exchange = memory_new(sizeof *exchange);
    exchange->waiting = choose(40000);
    exchange->stream = http_session_open(session, request, 4, choose(2), exchange);
    if (exchange->stream) open_exchanges++;
    else free(exchange);
}

static void act(struct exchange *exchange) {
    struct http_stream *stream = exchange->stream;
    switch (choose((flags & MEETS_TROUBLE) ? 13 : 4)) {
    case 0:
        http_stream_respond(stream, response, 2, false);
        exchange->waiting += choose(3000);
        http_stream_resume(stream);
        break;
    case 1:
        http_stream_respond(stream, response, 2, false);
        http_stream_finish(stream, trailers, choose(2));
        break;
    case 2: http_stream_consumed(stream, choose(1000)); break;
    case 3: exchange->waiting += choose(70000), http_stream_resume(stream); break;
    case 12: http_stream_widen(stream, choose(1 << 21)); break;
    case 4: http_stream_reset(stream, HTTP_CANCEL); break;
    case 5: http_stream_respond(stream, response, 2, true); break;
    case 6: http_session_drain(session, "drain"); break;
    case 7: http_session_close(session, HTTP_INTERNAL_ERROR, "close"); break;
    case 8: http_session_set_window_open(session, choose(2)); break;
    case 9: open_stream(); break;
    default: break;
    }
}

static void on_request(struct http_session *s, struct http_stream *stream, const struct http_header *headers,
                       size_t count, bool is_end, bool is_too_large) {
    must(s == session && !(flags & IS_CLIENT));
    (void)is_too_large;
    if (choose(16) == 0) { /* answered at once, and forgotten */
        http_stream_respond(stream, headers, count < 3 ? count : 3, true);
        return;
    }
    struct exchange *exchange = memory_new(sizeof *exchange);
    exchange->stream = stream;
    exchange->has_ended = is_end;
    open_exchanges++;
    http_stream_set_user(stream, exchange);
    act(exchange);
}

static void on_response(void *user, const struct http_header *headers, size_t count, bool is_end) {
    struct exchange *exchange = user;
    must(!exchange->is_closed && !exchange->has_ended);
    for (size_t i = 0; i < count; i++) must(headers[i].name && headers[i].value);
    exchange->has_ended = is_end;
    act(exchange);
}

static void on_data(void *user, const uint8_t *bytes, size_t length) {
    struct exchange *exchange = user;
    must(!exchange->is_closed && !exchange->has_ended && bytes && length);
    if (choose(4)) http_stream_consumed(exchange->stream, length);
    act(exchange);
}

static void on_end(void *user, const struct http_header *fields, size_t count) {
    struct exchange *exchange = user;
    (void)fields;
    (void)count;
    must(!exchange->is_closed && !exchange->has_ended);
    exchange->has_ended = true;
    act(exchange);
}

static void on_close(void *user, uint32_t error, bool is_connection) {
    struct exchange *exchange = user;
    (void)error;
    (void)is_connection;
    must(!exchange->is_closed);
    exchange->is_closed = true;
    act(exchange);
    open_exchanges--;
    free(exchange);
}

static void after_read(struct http_session *s) {
    must(s == session);
    if (flags & IS_CLIENT && choose(3) == 0) open_stream();
}

static void on_session_end(struct http_session *s, const char *reason) {
    must(s == session && reason && *reason && open_exchanges == 0);
    session = NULL;
}

static size_t body_ready(void *user) {
    struct exchange *exchange = user;
    must(!exchange->is_closed);
    if ((flags & MEETS_TROUBLE) && choose(20) == 0) act(exchange);
    return exchange->waiting;
}

static void body_give(void *user, size_t length, struct http_output *output) {
    struct exchange *exchange = user;
    must(!exchange->is_closed && length <= exchange->waiting);
    exchange->waiting -= length;
    while (length) {
        size_t piece = 1 + choose((uint32_t)(length < message->length ? length : message->length));
        if (piece > 1024) http_output_reference(output, message->data, piece, message);
        else http_output_copy(output, message->data, piece);
        length -= piece;
    }
    if ((flags & MEETS_TROUBLE) && choose(20) == 0) act(exchange);
}

static const struct http_events events = {
    .on_request = on_request,
    .on_response = on_response,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .after_read = after_read,
    .on_session_end = on_session_end,
    .body_ready = body_ready,
    .body_give = body_give,
};

static const struct http_limits limits = {
    .headers = 2000,
    .streams = 20,
    .stream_window = 5000,
    .connection_window = 65535,
    .least_ping_interval = 5 * NS_PER_S,
    .settings_timeout = 10 * NS_PER_S,
    .write_timeout = 10 * NS_PER_S,
};

static void prepare(void) {
    net_prepare_process();
    loop = loop_new();
    worker = http_worker_new(loop);
    message = message_new(5000);
    message->length = 5000;
    memset(message->data, 'm', message->length);
}

static int start(void) {
    int fds[2];
    struct connection_options options = {0};
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    session = http_session_new(worker, !(flags & IS_CLIENT), &limits, &events, NULL);
    http_session_attach(session, connection_accepted(loop, fds[0], &options, &http_connection_events, session));
    if (flags & IS_CLIENT) open_stream();
    if (flags & CLOSES_WINDOW) http_session_set_window_open(session, false);
    return fds[1];
}

static void read_away(int fd) {
    static uint8_t bytes[65536];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
}

/* Pieces of `cut` bytes, or whatever the socket takes when it is 0. */
static void send_cut(int fd, const uint8_t *bytes, size_t length, size_t cut) {
    for (int idle = 0; length && session && idle < 50; idle++) {
        size_t piece = cut && cut < length ? cut : length;
        ssize_t sent = send(fd, bytes, piece, MSG_NOSIGNAL);
        if (sent > 0) bytes += sent, length -= (size_t)sent, idle = 0;
        loop_turn(loop);
        if (choose(3)) read_away(fd);
    }
}

static void send_beginning(int fd) {
    static const char server[] = "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0";
    static const char client[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    if (flags & IS_CLIENT) send_cut(fd, (const uint8_t *)server, sizeof server - 1, 0);
    else send_cut(fd, (const uint8_t *)client, sizeof client - 1, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 3 || length > 100000) return 0;
    if (!loop) prepare();
    flags = bytes[0];
    seed = bytes[2];
    int fd = start();
    loop_turn(loop);
    if (flags & HAS_BEGINNING) send_beginning(fd);
    send_cut(fd, bytes + 3, length - 3, bytes[1]);
    for (int i = 0; i < 3; i++) {
        loop_turn(loop);
        read_away(fd);
    }
    close(fd);
    for (int i = 0; session; i++) {
        must(i < 1000);
        loop_turn(loop);
    }
    loop_turn(loop);
    must(message->references == 1);
    return 0;
}
