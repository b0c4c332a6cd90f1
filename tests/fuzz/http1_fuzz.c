/* Any bytes from a client of HTTP/1: no crash, no leak, every request that was told is closed exactly once; and what is
 * told and answered does not depend on how the network cuts the bytes.
 *
 * The first two bytes choose how the bytes are cut the second time, and whether the user may do anything at any moment
 * (then only once, as the cut may matter to it); the third what it does. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { MEETS_TROUBLE = 1, CLOSES_WINDOW = 2, UPGRADES = 4 };

struct exchange {
    struct http_stream *stream;
    struct buffer body;
    bool has_ended, is_answered;
};

static struct loop *loop;
static struct http_worker *worker;
static struct http_session *session;
static struct buffer told, answered; /* of a conversation */
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
static const struct http_header headers_of_answer[] = {FIELD(":status", "200"), FIELD("x-odd", "a\r\nb: c")};
static const struct http_header length_of_answer[] = {FIELD(":status", "200"), FIELD("content-length", "12")};
static const struct http_header trailers_of_answer[] = {FIELD("grpc-status", "0")};

/* ---- a user that may do anything ---- */

static void act(struct exchange *exchange) {
    struct http_stream *stream = exchange->stream;
    switch (choose(14)) {
    case 0: http_stream_respond(stream, headers_of_answer, 2, choose(4) == 0); break;
    case 1: http_stream_respond(stream, length_of_answer, 2, false); break;
    case 2: http_stream_respond_whole(stream, headers_of_answer, 1 + choose(2), "0123456789", choose(11)); break;
    case 3: http_stream_upgrade(stream, trailers_of_answer, 1); break;
    case 4: http_stream_finish(stream, trailers_of_answer, choose(2)); break;
    case 5: http_stream_consumed(stream, choose(3000)); break;
    case 6: http_stream_widen(stream, choose(1 << 20)); break;
    case 7:
        buffer_append(&exchange->body, "hello, hello", 12);
        http_stream_resume(stream);
        break;
    case 8: http_session_set_window_open(session, choose(2)); break;
    case 9:
        if (choose(8) == 0) http_stream_reset(stream, HTTP_CANCEL);
        break;
    case 10:
        if (choose(8) == 0) http_session_drain(session, "drain");
        break;
    case 11:
        if (choose(16) == 0) http_session_close(session, HTTP_INTERNAL_ERROR, "close");
        break;
    default: break;
    }
}

/* ---- one that does the same whenever the bytes come ---- */

/* A piece of the name and its value, or of a body, as it was told. */
static void note(char kind, const void *bytes, size_t length) {
    buffer_append_byte(&told, (uint8_t)kind);
    buffer_append(&told, bytes, length);
}

static void note_header(const struct http_header *header) {
    must(header->name_length && header->value);
    must(!memchr(header->value, '\n', header->value_length) && !memchr(header->value, '\r', header->value_length));
    note('\n', header->name, header->name_length);
    note('=', header->value, header->value_length);
}

static void answer(struct exchange *exchange) {
    if (exchange->is_answered) return;
    exchange->is_answered = true;
    http_stream_respond(exchange->stream, headers_of_answer, 2, false);
    http_stream_finish(exchange->stream, trailers_of_answer, 1);
}

static void serve(struct exchange *exchange) {
    if (flags & MEETS_TROUBLE) act(exchange);
    else if (exchange->has_ended) answer(exchange);
}

static bool has_protocol(const struct http_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (headers[i].name_length == 9 && memcmp(headers[i].name, ":protocol", 9) == 0) return true;
    return false;
}

static void upgrade(struct exchange *exchange) {
    exchange->is_answered = true;
    exchange->has_ended = false;
    http_stream_upgrade(exchange->stream, NULL, 0);
}

static void on_request(struct http_session *s, struct http_stream *stream, const struct http_header *headers,
                       size_t count, bool is_end, bool is_too_large) {
    must(s == session && !is_too_large && http_stream_version(stream) < HTTP_2 && count >= 3);
    note('(', "", 0);
    for (size_t i = 0; i < count; i++) note_header(&headers[i]);
    note(')', "", 0);
    struct exchange *exchange = memory_new(sizeof *exchange);
    exchange->stream = stream;
    exchange->has_ended = is_end;
    http_stream_set_user(stream, exchange);
    open_exchanges++;
    must(open_exchanges == 1); /* one at a time */
    if ((flags & UPGRADES) && has_protocol(headers, count)) upgrade(exchange);
    serve(exchange);
}

static void on_data(void *user, const uint8_t *bytes, size_t length) {
    struct exchange *exchange = user;
    must(bytes && length);
    buffer_append(&told, bytes, length);
    if (!(flags & MEETS_TROUBLE) || choose(4)) http_stream_consumed(exchange->stream, length);
    serve(exchange);
}

static void on_end(void *user, const struct http_header *fields, size_t count) {
    struct exchange *exchange = user;
    (void)fields;
    must(!exchange->has_ended && count == 0);
    exchange->has_ended = true;
    note('.', "", 0);
    serve(exchange);
}

static void on_close(void *user, uint32_t error, bool is_connection) {
    struct exchange *exchange = user;
    (void)is_connection;
    if (flags & MEETS_TROUBLE) act(exchange);
    if (error != HTTP_NO_ERROR) note('!', "", 0);
    open_exchanges--;
    buffer_free(&exchange->body);
    free(exchange);
}

static void after_read(struct http_session *s) { must(s == session); }

static void on_session_end(struct http_session *s, const char *reason) {
    must(s == session && reason && *reason && open_exchanges == 0);
    session = NULL;
}

static size_t body_ready(void *user) {
    const struct exchange *exchange = user;
    return buffer_length(&exchange->body);
}

static void body_give(void *user, size_t length, struct http_output *output) {
    struct exchange *exchange = user;
    must(length && length <= buffer_length(&exchange->body));
    http_output_copy(output, buffer_bytes(&exchange->body), length);
    buffer_take(&exchange->body, length);
}

static const struct http_events events = {
    .on_request = on_request,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .after_read = after_read,
    .on_session_end = on_session_end,
    .body_ready = body_ready,
    .body_give = body_give,
};

static const struct http_limits limits = {
    .headers = 1000,
    .stream_window = 500,
    .connection_window = 65535,
    .settings_timeout = 100 * NS_PER_S,
    .write_timeout = 100 * NS_PER_S,
};

/* ---- a conversation ---- */

static void prepare(void) {
    net_prepare_process();
    loop = loop_new();
    worker = http_worker_new(loop);
}

static int start(void) {
    int fds[2];
    struct connection_options options = {0};
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    session = http_session_new(worker, true, &limits, &events, NULL);
    http_session_attach(session, connection_accepted(loop, fds[0], &options, &http_connection_events, session));
    if ((flags & (CLOSES_WINDOW | MEETS_TROUBLE)) == (CLOSES_WINDOW | MEETS_TROUBLE))
        http_session_set_window_open(session, false);
    return fds[1];
}

static bool read_away(int fd) {
    static uint8_t bytes[65536];
    ssize_t length;
    bool has_read = false;
    while ((length = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        buffer_append(&answered, bytes, (size_t)length);
        has_read = true;
    }
    return has_read;
}

/* Pieces of `cut` bytes, or whatever the socket takes when it is 0. */
static void converse(const uint8_t *bytes, size_t length, size_t cut) {
    buffer_clear(&told);
    buffer_clear(&answered);
    buffer_append_byte(&answered, '^');
    note('^', "", 0);
    int fd = start();
    loop_turn(loop);
    for (int idle = 0; length && session && idle < 50; idle++) {
        size_t piece = cut && cut < length ? cut : length;
        ssize_t sent = send(fd, bytes, piece, MSG_NOSIGNAL);
        if (sent > 0) bytes += sent, length -= (size_t)sent, idle = 0;
        loop_turn(loop);
        read_away(fd);
    }
    for (int idle = 0; idle < 4; idle++) {
        loop_turn(loop);
        if (read_away(fd)) idle = 0;
    }
    close(fd);
    for (int i = 0; session; i++) {
        must(i < 1000);
        loop_turn(loop);
    }
    loop_turn(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 3 || length > 20000) return 0;
    if (!loop) prepare();
    size_t cut = bytes[0] ? bytes[0] : 1;
    flags = bytes[1];
    seed = bytes[2];
    if (length >= 6 && memcmp(bytes + 3, "PRI", 3) == 0) return 0; /* HTTP/2 */
    converse(bytes + 3, length - 3, (flags & MEETS_TROUBLE) ? cut : 0);
    if (flags & MEETS_TROUBLE) return 0;
    char *first_told = memory_copy(buffer_bytes(&told), buffer_length(&told));
    char *first_answered = memory_copy(buffer_bytes(&answered), buffer_length(&answered));
    size_t told_length = buffer_length(&told), answered_length = buffer_length(&answered);
    converse(bytes + 3, length - 3, cut);
    must(told_length == buffer_length(&told) && memcmp(first_told, buffer_bytes(&told), told_length) == 0);
    must(answered_length == buffer_length(&answered) &&
         memcmp(first_answered, buffer_bytes(&answered), answered_length) == 0);
    free(first_told);
    free(first_answered);
    return 0;
}
