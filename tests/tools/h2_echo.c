/* h2_echo - the room http/ alone as a server: every request is answered with its own body, at once.
 *
 * For measuring what a message costs below the call, and for conformance tools. It knows just enough of gRPC's
 * framing for two more methods: .../AccumulateNumbers answers running sums, .../GreetServerStream repeats its
 * message a thousand times. Prints the address that it listens on.
 *
 *   h2_echo [PORT] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/loop.h"

enum kind { ECHO, SUM, REPEAT };

struct exchange {
    struct http_stream *stream;
    struct buffer in, out;
    enum kind kind;
    int64_t sum;
};

static struct loop *loop;
static struct http_worker *worker;

#define HEADER(n, v) {.name = n, .value = v, .name_length = sizeof n - 1, .value_length = sizeof v - 1}
static const struct http_header response[] = {HEADER(":status", "200"), HEADER("content-type", "application/grpc")};
static const struct http_header trailers[] = {HEADER("grpc-status", "0")};

static enum kind kind_of(const struct http_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (headers[i].name_length != 5 || memcmp(headers[i].name, ":path", 5) != 0) continue;
        if (memmem(headers[i].value, headers[i].value_length, "/AccumulateNumbers", 18)) return SUM;
        if (memmem(headers[i].value, headers[i].value_length, "/GreetServerStream", 18)) return REPEAT;
    }
    return ECHO;
}

static void on_request(struct http_session *session, struct http_stream *stream, const struct http_header *headers,
                       size_t count, bool is_end, bool is_too_large) {
    (void)session;
    (void)is_too_large;
    struct exchange *exchange = memory_new(sizeof *exchange);
    exchange->stream = stream;
    exchange->kind = kind_of(headers, count);
    http_stream_set_user(stream, exchange);
    http_stream_respond(stream, response, 2, false);
    if (is_end) {
        if (exchange->kind == ECHO) buffer_append_text(&exchange->out, "hello\n");
        http_stream_finish(stream, trailers, 1);
    }
}

static void answer_sum(struct exchange *exchange, const uint8_t *message, size_t length) {
    uint64_t number = 0;
    if (length > 1 && message[0] == 8)
        for (size_t i = 1, shift = 0; i < length && shift < 64; i++, shift += 7)
            number |= (uint64_t)(message[i] & 127) << shift;
    exchange->sum += (int64_t)number;
    uint8_t reply[16] = {0};
    size_t end = 5;
    uint64_t rest = (uint64_t)exchange->sum;
    if (rest) reply[end++] = 8;
    for (; rest >= 128; rest >>= 7) reply[end++] = (uint8_t)(rest | 128);
    if (rest) reply[end++] = (uint8_t)rest;
    reply[4] = (uint8_t)(end - 5);
    buffer_append(&exchange->out, reply, end);
}

static void answer_whole_messages(struct exchange *exchange) {
    while (buffer_length(&exchange->in) >= 5) {
        const uint8_t *bytes = buffer_bytes(&exchange->in);
        size_t length = (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
        if (buffer_length(&exchange->in) < 5 + length) return;
        if (exchange->kind == SUM) answer_sum(exchange, bytes + 5, length);
        else
            for (int i = 0; i < 1000; i++) buffer_append(&exchange->out, bytes, 5 + length);
        buffer_take(&exchange->in, 5 + length);
    }
}

static void on_data(void *user, const uint8_t *bytes, size_t length) {
    struct exchange *exchange = user;
    if (exchange->kind == ECHO) {
        buffer_append(&exchange->out, bytes, length);
    } else {
        buffer_append(&exchange->in, bytes, length);
        answer_whole_messages(exchange);
    }
    http_stream_consumed(exchange->stream, length);
    http_stream_resume(exchange->stream);
}

static void on_end(void *user, const struct http_header *fields, size_t count) {
    (void)fields;
    (void)count;
    struct exchange *exchange = user;
    http_stream_finish(exchange->stream, trailers, 1);
}

static void on_close(void *user, uint32_t error, bool is_connection) {
    (void)error;
    (void)is_connection;
    struct exchange *exchange = user;
    buffer_free(&exchange->in);
    buffer_free(&exchange->out);
    free(exchange);
}

static size_t body_ready(void *user) { return buffer_length(&((struct exchange *)user)->out); }

static void body_give(void *user, size_t length, struct http_output *output) {
    struct exchange *exchange = user;
    http_output_copy(output, buffer_bytes(&exchange->out), length);
    buffer_take(&exchange->out, length);
    if (!buffer_length(&exchange->out) && exchange->out.capacity > 4096) buffer_free(&exchange->out);
}

static void after_read(struct http_session *session) { (void)session; }

static void on_session_end(struct http_session *session, const char *reason) {
    (void)session;
    if (getenv("H2_ECHO_VERBOSE")) fprintf(stderr, "closed: %s\n", reason);
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
    .headers = 64 * 1024,
    .streams = 10000,
    .stream_window = 1 << 20,
    .connection_window = 1 << 26,
    .settings_timeout = 10 * NS_PER_S,
    .write_timeout = 60 * NS_PER_S,
    .least_ping_interval = 5 * NS_PER_S,
    .pings_without_streams = true,
};

static void on_accept(void *context, struct listener *listener, int fd, bool expects_proxy_header) {
    (void)context;
    (void)listener;
    (void)expects_proxy_header;
    struct http_session *session = http_session_new(worker, true, &limits, &events, NULL);
    struct connection_options options = {0};
    http_session_attach(session, connection_accepted(loop, fd, &options, &http_connection_events, session));
}

static void on_signal(void *context, int number) {
    (void)context;
    (void)number;
    loop_stop(loop);
}

int main(int argc, char **argv) {
    net_prepare_process();
    loop = loop_new();
    worker = http_worker_new(loop);
    struct error error;
    struct listener_options options = {
        .host = "127.0.0.1", .port = argc > 1 ? argv[1] : "0", .backlog = 4096, .proxy_from = NULL};
    struct listener *listener = listener_open(loop, &options, on_accept, NULL, &error);
    if (!listener) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%s\n", listener_address(listener));
    fflush(stdout);
    struct signal_watch *watch = signal_watch_new(loop, SIGTERM, on_signal, NULL);
    loop_run(loop);
    listener_close(&listener);
    signal_watch_free(&watch);
    http_worker_free(&worker);
    loop_free(&loop);
    return 0;
}
