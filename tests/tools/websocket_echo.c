/* tests/tools/websocket_echo.c - a server of WebSockets that sends back each message as it came: what test suites of the
 * protocol want to talk to, which know nothing of JSON and protobuf. Everything is the gateway's, but that what is in the
 * messages is not looked at, and that an empty text is a message.
 *
 *   websocket_echo     prints "listening on 127.0.0.1:PORT". TERM ends. /test.Echo/Text takes texts, /test.Echo/Binary
 *                      binary messages. */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "net/listener.h"
#include "rpc/call_private.h"
#include "rpc/coding.h"
#include "rpc/websocket.h"

static struct rpc *rpc;

static void echo(struct rpc_call *call, const void *data, size_t length) {
    account_charge(call, coding_pack(call, data, length, 0));
    if (call->stream) http_stream_resume(call->stream);
}

static void readable(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    struct call_message message;
    enum call_next next = CALL_EMPTY;
    while (!call_is_full(public) && (next = call_receive(public, &message)) == CALL_MESSAGE)
        echo(call, message.data, message.length);
    if (next != CALL_END) return;
    echo(call, NULL, 0);
    call->inbound.is_ended = call->is_end_told = false;
}

static void open_text(struct call *public) { rpc_call_of(public)->reads_json = false; }

static void open_binary(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    call->reads_json = false;
    call->codec = CODEC_PROTO;
    call->edge->websocket->form = WEBSOCKET_PROTO;
}

static void closed(struct call *call, enum status status, const char *text) { (void)call, (void)status, (void)text; }

static const struct call_handler text = {
    .on_open = open_text, .on_readable = readable, .on_writable = readable, .on_close = closed};
static const struct call_handler binary = {
    .on_open = open_binary, .on_readable = readable, .on_writable = readable, .on_close = closed};

static const struct method methods[] = {
    {.full_name = "test.Echo/Text", .is_client_streaming = true, .is_server_streaming = true},
    {.full_name = "test.Echo/Binary", .is_client_streaming = true, .is_server_streaming = true},
};

static const struct rpc_limits limits = {
    .http = {.headers = 64 * 1024, .streams = 100, .stream_window = 256 * 1024, .connection_window = 1024 * 1024,
             .settings_timeout = 10 * NS_PER_S, .write_timeout = 60 * NS_PER_S, .stalled = 10 * NS_PER_S},
    .buffered_per_connection = 64 * 1024 * 1024,
    .buffered_total = 256 * 1024 * 1024,
    .stalled = 30 * NS_PER_S,
};
static const struct call_limits call_limits = {.message = 16 * 1024 * 1024, .buffered_per_stream = 256 * 1024};

static void on_accept(void *context, struct listener *listener, int fd, bool expects_proxy_header) {
    (void)context, (void)listener, (void)expects_proxy_header;
    rpc_accept(rpc, &(struct rpc_accepted){.fd = fd});
}

static void on_signal(void *context, int number) {
    (void)number;
    rpc_abort_all(rpc);
    loop_stop(context);
}

int main(void) {
    struct error error;
    net_prepare_process();
    if (!log_start(LOG_INFO, LOG_TEXT, false, NULL, &error)) return 1;
    struct loop *loop = loop_new();
    rpc = rpc_new(loop, &limits);
    struct router *router = router_new(1, NULL, NULL);
    router_add(router, &methods[0], &text, NULL, &call_limits);
    router_add(router, &methods[1], &binary, NULL, &call_limits);
    rpc_set_router(rpc, router);
    struct listener_options options = {.host = "127.0.0.1", .port = "0", .backlog = 1024};
    struct listener *listener = listener_open(loop, &options, on_accept, NULL, &error);
    if (!listener) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("listening on %s\n", listener_address(listener));
    fflush(stdout);
    struct signal_watch *watch = signal_watch_new(loop, SIGTERM, on_signal, loop);
    loop_run(loop);
    signal_watch_free(&watch);
    listener_close(&listener);
    rpc_free(&rpc);
    router_free(&router);
    loop_free(&loop);
    log_stop();
    return 0;
}
