/* tests/tools/rpc_echo.c - a gRPC server over rpc/ with handlers in C: what clients can be tried on, and what
 * the rooms below scripts cost by themselves.
 *
 *   rpc_echo [PORT [NAME=VALUE…]]    message, stream, connection, total: limits in bytes; stalled: in
 * milliseconds
 *
 * Prints "listening on 127.0.0.1:PORT". TERM drains, a second TERM ends at once. Services:
 *   test.Echo/Unary, /Stream, /ServerStream, /ClientStream   each message comes back
 *   test.Echo/Fail         status, text and details from the request's metadata
 *   test.Echo/Hang         never answers; /HangUnary the same with one request
 *   greet.GreetService/…, tutorial.NumberService/…, chat.ChatService/Chat   the seeds' services */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/listener.h"
#include "net/loop.h"
#include "rpc/rpc.h"

struct server {
    struct loop *loop;
    struct rpc *rpc;
    struct router *router;
    struct listener *listener;
    struct list room; /* chat members */
    bool is_draining;
};
static struct server server;

/* ---- handlers ---- */

static void nothing(struct call *call) { (void)call; }

static void closed(struct call *call, enum status status, const char *text) {
    (void)call, (void)status, (void)text;
}

static void echo_readable(struct call *call) {
    struct call_message message;
    enum call_next next = CALL_EMPTY;
    while (!call_is_full(call) && (next = call_receive(call, &message)) == CALL_MESSAGE) {
        if (message.owner)
            call_send(call, message.owner);
        else
            call_send_bytes(call, message.data, message.length);
    }
    if (next == CALL_END) call_finish(call, STATUS_OK, NULL, NULL, 0);
}

static void copy_headers(struct call *call) {
    size_t place = 0;
    const struct metadata_entry *entry;
    while ((entry = metadata_find(call->metadata, "x-echo-header", 13, &place)))
        metadata_add(call_headers(call), entry->name, entry->name_length, entry->value, entry->value_length);
    place = 0;
    while ((entry = metadata_find(call->metadata, "x-echo-trailer-bin", 18, &place)))
        metadata_add(call_trailers(call), entry->name, entry->name_length, entry->value, entry->value_length);
}

static void echo_open(struct call *call) {
    copy_headers(call);
    if (call->method->is_server_streaming && call->method->is_client_streaming) call_send_headers(call);
}

static const struct call_handler echo = {
    .on_open = echo_open, .on_readable = echo_readable, .on_writable = echo_readable, .on_close = closed};

static void fail_open(struct call *call) {
    size_t place = 0;
    const struct metadata_entry *code = metadata_find(call->metadata, "x-code", 6, &place);
    place = 0;
    const struct metadata_entry *text = metadata_find(call->metadata, "x-text-bin", 10, &place);
    place = 0;
    const struct metadata_entry *details = metadata_find(call->metadata, "x-details-bin", 13, &place);
    copy_headers(call);
    call_finish(call, code ? (enum status)atoi(code->value) : STATUS_UNKNOWN, text ? text->value : "",
                details ? details->value : NULL, details ? details->value_length : 0);
}

static const struct call_handler fail = {
    .on_open = fail_open, .on_readable = nothing, .on_writable = nothing, .on_close = closed};
static const struct call_handler hang = {
    .on_open = nothing, .on_readable = nothing, .on_writable = nothing, .on_close = closed};

static void repeat(struct call *call, size_t times) {
    struct call_message message;
    if (call_receive(call, &message) != CALL_MESSAGE) return;
    for (size_t i = 0; i < times; i++) {
        struct buffer *out = call_begin_message(call);
        if (!out) return;
        buffer_append(out, message.data, message.length);
        call_end_message(call);
    }
    call_finish(call, STATUS_OK, NULL, NULL, 0);
}
static void greet_open(struct call *call) { repeat(call, 1000); }
static const struct call_handler greet_server_stream = {
    .on_open = greet_open, .on_readable = nothing, .on_writable = nothing, .on_close = closed};

static void sum_readable(struct call *call) {
    struct call_message message;
    enum call_next next;
    uint64_t sum = (uintptr_t)call->data;
    while ((next = call_receive(call, &message)) == CALL_MESSAGE) {
        uint64_t number = 0;
        for (size_t i = 1; i < message.length && i < 11; i++)
            number |= (uint64_t)(message.data[i] & 127) << (7 * (i - 1));
        sum += number;
        struct buffer *out = call_begin_message(call);
        if (!out) return;
        uint8_t *at = buffer_reserve(out, 11);
        size_t length = 0;
        if (sum) {
            at[length++] = 8;
            uint64_t left = sum;
            do at[length++] = (uint8_t)(left | 128);
            while (left >>= 7);
            at[length - 1] &= 127;
        }
        buffer_commit(out, length);
        call_end_message(call);
    }
    call->data = (void *)(uintptr_t)sum;
    if (next == CALL_END) call_finish(call, STATUS_OK, NULL, NULL, 0);
}
static const struct call_handler sum = {
    .on_open = nothing, .on_readable = sum_readable, .on_writable = nothing, .on_close = closed};

struct member {
    struct list node;
    struct call *call;
};

static void chat_open(struct call *call) {
    struct member *member = memory_new(sizeof *member);
    member->call = call;
    call->data = member;
    list_append(&server.room, &member->node);
    call_send_headers(call);
}
static void chat_readable(struct call *call) {
    struct call_message incoming;
    enum call_next next;
    while ((next = call_receive(call, &incoming)) == CALL_MESSAGE) {
        struct message *message = message_copy(incoming.data, incoming.length);
        for (struct list *node = server.room.next; node != &server.room; node = node->next)
            call_send(container_of(node, struct member, node)->call, message);
        message_unref(&message);
    }
    if (next == CALL_END) call_finish(call, STATUS_OK, NULL, NULL, 0);
}
static void chat_closed(struct call *call, enum status status, const char *text) {
    struct member *member = call->data;
    (void)status, (void)text;
    list_remove(&member->node);
    free(member);
}
static const struct call_handler chat = {
    .on_open = chat_open, .on_readable = chat_readable, .on_writable = nothing, .on_close = chat_closed};

/* ---- services ---- */

static const struct {
    struct method method;
    const struct call_handler *handler;
} methods[] = {
    {{.full_name = "test.Echo/Unary"}, &echo},
    {{.full_name = "test.Echo/Stream", .is_client_streaming = true, .is_server_streaming = true}, &echo},
    {{.full_name = "test.Echo/ServerStream", .is_server_streaming = true}, &echo},
    {{.full_name = "test.Echo/ClientStream", .is_client_streaming = true}, &echo},
    {{.full_name = "test.Echo/Fail", .is_client_streaming = true, .is_server_streaming = true}, &fail},
    {{.full_name = "test.Echo/Hang", .is_client_streaming = true, .is_server_streaming = true}, &hang},
    {{.full_name = "test.Echo/HangUnary"}, &hang},
    {{.full_name = "greet.GreetService/Greet"}, &echo},
    {{.full_name = "greet.GreetService/GreetStream",
      .is_client_streaming = true,
      .is_server_streaming = true},
     &echo},
    {{.full_name = "greet.GreetService/GreetServerStream", .is_server_streaming = true},
     &greet_server_stream},
    {{.full_name = "tutorial.NumberService/AccumulateNumbers",
      .is_client_streaming = true,
      .is_server_streaming = true},
     &sum},
    {{.full_name = "chat.ChatService/Chat", .is_client_streaming = true, .is_server_streaming = true}, &chat},
};

static struct rpc_limits limits = {
    .http = {.headers = 64 * 1024,
             .streams = 2000,
             .stream_window = 256 * 1024,
             .connection_window = 1024 * 1024,
             .least_ping_interval = NS_PER_S,
             .pings_without_streams = true,
             .settings_timeout = 10 * NS_PER_S,
             .write_timeout = 60 * NS_PER_S},
    .buffered_per_connection = 16 * 1024 * 1024,
    .buffered_total = 256 * 1024 * 1024,
    .stalled = 30 * NS_PER_S,
};
static struct call_limits call_limits = {.message = 4 * 1024 * 1024, .buffered_per_stream = 256 * 1024};

static void set_limit(const char *text) {
    const char *value = strchr(text, '=');
    if (!value) return;
    uint64_t number = strtoull(value + 1, NULL, 10);
    size_t length = (size_t)(value - text);
    if (!strncmp(text, "message", length)) call_limits.message = number;
    if (!strncmp(text, "stream", length)) call_limits.buffered_per_stream = number;
    if (!strncmp(text, "connection", length)) limits.buffered_per_connection = number;
    if (!strncmp(text, "total", length)) limits.buffered_total = number;
    if (!strncmp(text, "stalled", length)) limits.stalled = number * NS_PER_MS;
}

/* ---- the process ---- */

static void on_accept(void *context, struct listener *listener, int fd, bool expects_proxy_header) {
    (void)context, (void)listener;
    rpc_accept(server.rpc, &(struct rpc_accepted){.fd = fd, .reads_proxy_header = expects_proxy_header});
}

static void look(struct timer *timer) {
    if (rpc_counters(server.rpc)->connections)
        timer_start(server.loop, timer, loop_now(server.loop) + 20 * NS_PER_MS);
    else
        loop_stop(server.loop);
}
static struct timer look_timer = {.fire = look};

static void on_signal(void *context, int number) {
    (void)context, (void)number;
    if (server.is_draining) {
        rpc_abort_all(server.rpc);
        loop_stop(server.loop);
        return;
    }
    server.is_draining = true;
    listener_close(&server.listener);
    rpc_drain(server.rpc);
    timer_start(server.loop, &look_timer, loop_now(server.loop));
}

int main(int count, char **arguments) {
    struct error error;
    net_prepare_process();
    if (!log_start(LOG_INFO, LOG_TEXT, getenv("ACCESS") != NULL, getenv("LOG"), &error)) return 1;
    for (int i = 2; i < count; i++) set_limit(arguments[i]);
    server.loop = loop_new();
    list_init(&server.room);
    server.rpc = rpc_new(server.loop, &limits);
    server.router = router_new(1, NULL, NULL);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        router_add(server.router, &methods[i].method, methods[i].handler, NULL, &call_limits);
    rpc_set_router(server.rpc, server.router);
    struct listener_options options = {
        .host = "127.0.0.1", .port = count > 1 ? arguments[1] : "0", .backlog = 1024};
    server.listener = listener_open(server.loop, &options, on_accept, NULL, &error);
    if (!server.listener) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("listening on %s\n", listener_address(server.listener));
    fflush(stdout);
    struct signal_watch *watch = signal_watch_new(server.loop, SIGTERM, on_signal, NULL);
    loop_run(server.loop);
    const struct rpc_counters *counters = rpc_counters(server.rpc);
    fprintf(stderr, "calls %" PRIu64 ", open %" PRIu64 ", buffered %" PRIu64 ", limited %" PRIu64 "\n",
            counters->calls_started, counters->calls, counters->buffered, counters->limited);
    signal_watch_free(&watch);
    timer_stop(server.loop, &look_timer);
    if (server.listener) listener_close(&server.listener);
    rpc_free(&server.rpc);
    router_free(&server.router);
    loop_free(&server.loop);
    log_stop();
    return 0;
}
