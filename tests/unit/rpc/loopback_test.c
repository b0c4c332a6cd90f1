/* Client and server calls of one process over a real socket: rpc/ on the real rooms below it. */
#include "base/clock.h"
#include "base/memory.h"
#include "check.h"
#include "net/listener.h"
#include "net/loop.h"
#include "rpc/rpc.h"

static struct loop *loop;
static struct rpc *server, *client_side;
static struct router *router;
static struct listener *listener;
static struct rpc_client *client;

/* ---- the server: echoes; "Hold" only keeps its call ---- */

static void nothing(struct call *call) { (void)call; }
static void closed(struct call *call, enum status status, const char *text) {
    (void)call, (void)status, (void)text;
}

static void echo(struct call *call) {
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
static const struct call_handler echo_handler = {
    .on_open = nothing, .on_readable = echo, .on_writable = echo, .on_close = closed};

static struct call *held;
static enum status held_status;
static bool held_drains;
static void hold(struct call *call) {
    held = call;
    call_send_headers(call);
}
static void hold_drains(struct call *call) {
    held_drains = true;
    call_finish(call, STATUS_ABORTED, "draining", NULL, 0);
}
static void hold_closed(struct call *call, enum status status, const char *text) {
    (void)call, (void)text;
    held = NULL;
    held_status = status;
}
static const struct call_handler hold_handler = {.on_open = hold,
                                                 .on_readable = nothing,
                                                 .on_writable = nothing,
                                                 .on_drain = hold_drains,
                                                 .on_close = hold_closed};

/* Replies at once, and fails after its client has had the headers and some turns have passed. */
static struct timer late_timer;
static struct call *late_call;
static bool late_has_closed;
static void fail_late(struct timer *timer) {
    (void)timer;
    call_finish(late_call, STATUS_INTERNAL, "too late", NULL, 0);
}
static void late(struct call *call) {
    CHECK(call_send_bytes(call, "reply", 5));
    CHECK(!call_is_full(call));
    late_call = call;
    timer_init(&late_timer, fail_late);
    timer_start(loop, &late_timer, loop_now(loop) + 20 * NS_PER_MS);
}
static void late_closed(struct call *call, enum status status, const char *text) {
    (void)status, (void)text;
    late_has_closed = true;
    CHECK_INT(call->messages_out, 0);
}
static const struct call_handler late_handler = {
    .on_open = late, .on_readable = nothing, .on_writable = nothing, .on_close = late_closed};

static const struct method unary = {.full_name = "test.Service/Unary"};
static const struct method stream = {
    .full_name = "test.Service/Stream", .is_client_streaming = true, .is_server_streaming = true};
static const struct method late_method = {.full_name = "test.Service/Late"};
static const struct method hold_method = {
    .full_name = "test.Service/Hold", .is_client_streaming = true, .is_server_streaming = true};

/* ---- the client: sends so many messages of a size, checks what comes back ---- */

struct asker {
    struct call *call;
    size_t size, to_send, sent, received;
    uint8_t *payload;
    bool has_headers, is_closed;
    enum status status;
    char text[512];
};

static void ask_more(struct call *call) {
    struct asker *asker = call->data;
    while (asker->sent < asker->to_send && !call_is_full(call)) {
        asker->payload[0] = (uint8_t)asker->sent++;
        CHECK(call_send_bytes(call, asker->payload, asker->size));
    }
    if (asker->sent == asker->to_send && asker->to_send) call_half_close(call);
}
static void ask_readable(struct call *call) {
    struct asker *asker = call->data;
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE) {
        CHECK_INT(message.length, asker->size);
        CHECK_INT(message.data[0], (uint8_t)asker->received++);
        CHECK(memcmp(message.data + 1, asker->payload + 1, asker->size - 1) == 0);
    }
}
static void ask_headers(struct call *call) { ((struct asker *)call->data)->has_headers = true; }
static void ask_closed(struct call *call, enum status status, const char *text) {
    struct asker *asker = call->data;
    asker->is_closed = true;
    asker->status = status;
    snprintf(asker->text, sizeof asker->text, "%s", text);
}
static const struct call_handler asker_handler = {
    .on_readable = ask_readable, .on_writable = ask_more, .on_headers = ask_headers, .on_close = ask_closed};

static const struct call_limits limits = {.message = 4 << 20, .buffered_per_stream = 64 << 10};

static void ask(struct asker *asker, const struct method *method, size_t messages, size_t size,
                uint64_t timeout) {
    *asker = (struct asker){.size = size, .to_send = messages, .payload = memory_new(size + 1)};
    for (size_t i = 0; i < size; i++) asker->payload[i] = (uint8_t)(i * 7);
    asker->call = rpc_client_open(client, method, NULL, timeout, &asker_handler, asker, &limits);
    ask_more(asker->call);
}

/* ---- running ---- */

static bool (*awaited)(void *context);
static void *awaited_context;
static uint64_t give_up;
static struct timer look_timer;

static void look(struct timer *timer) {
    if (awaited(awaited_context)) {
        loop_stop(loop);
        return;
    }
    CHECK(loop_now(loop) < give_up);
    timer_start(loop, timer, loop_now(loop) + NS_PER_MS);
}

static void wait_for(bool (*condition)(void *context), void *context) {
    awaited = condition;
    awaited_context = context;
    give_up = clock_monotonic() + 20 * NS_PER_S;
    timer_start(loop, &look_timer, clock_monotonic());
    loop_run(loop);
}

static bool is_closed(void *context) { return ((struct asker *)context)->is_closed; }
static bool has_headers(void *context) { return ((struct asker *)context)->has_headers; }
static bool is_let_go(void *context) { return (void)context, held == NULL; }
static bool has_no_connections(void *context) {
    (void)context;
    return !rpc_counters(server)->connections && !rpc_counters(client_side)->connections;
}

static void on_accept(void *context, struct listener *from, int fd, bool expects_proxy_header) {
    (void)context, (void)from, (void)expects_proxy_header;
    rpc_accept(server, &(struct rpc_accepted){.fd = fd});
}

static void start(void) {
    struct error error;
    struct rpc_limits all = {.http = {.headers = 8192,
                                      .streams = 100,
                                      .stream_window = 65535,
                                      .connection_window = 1 << 20,
                                      .settings_timeout = 10 * NS_PER_S,
                                      .write_timeout = 10 * NS_PER_S}};
    loop = loop_new();
    timer_init(&look_timer, look);
    server = rpc_new(loop, &all);
    client_side = rpc_new(loop, &all);
    router = router_new(1, NULL, NULL);
    router_add(router, &unary, &echo_handler, NULL, &limits);
    router_add(router, &stream, &echo_handler, NULL, &limits);
    router_add(router, &late_method, &late_handler, NULL, &limits);
    router_add(router, &hold_method, &hold_handler, NULL, &limits);
    rpc_set_router(server, router);
    listener = listener_open(loop, &(struct listener_options){.host = "127.0.0.1", .port = "0"}, on_accept,
                             NULL, &error);
    CHECK(listener);
    client = rpc_client_new(client_side, &(struct rpc_client_options){.address = listener_address(listener)},
                            &error);
    CHECK(client);
}

static void stop(void) {
    rpc_client_free(&client);
    rpc_abort_all(client_side);
    wait_for(has_no_connections, NULL);
    CHECK_INT(rpc_counters(server)->calls, 0);
    CHECK_INT(rpc_counters(server)->buffered, 0);
    CHECK_INT(rpc_counters(client_side)->buffered, 0);
    if (listener) listener_close(&listener);
    timer_stop(loop, &look_timer);
    rpc_free(&client_side);
    rpc_free(&server);
    router_free(&router);
    loop_free(&loop);
}

static void echoes(const struct method *method, size_t messages, size_t size) {
    struct asker asker;
    ask(&asker, method, messages, size, 0);
    wait_for(is_closed, &asker);
    CHECK_STR(asker.text, "");
    CHECK_INT(asker.status, STATUS_OK);
    CHECK_INT(asker.received, messages);
    free(asker.payload);
}

static void messages_come_back_as_they_were_sent(void) {
    start();
    echoes(&unary, 1, 1);
    echoes(&unary, 1, 4 << 20);
    echoes(&stream, 5000, 40);
    echoes(&stream, 300, 20000);
    echoes(&stream, 5, 3 << 20);
    stop();
}

static void many_calls_share_a_connection(void) {
    enum { CALLS = 90 };
    static struct asker askers[CALLS];
    start();
    for (int i = 0; i < CALLS; i++) ask(&askers[i], &stream, 20, (size_t)(i * i + 1), 0);
    for (int i = 0; i < CALLS; i++) {
        wait_for(is_closed, &askers[i]);
        CHECK_INT(askers[i].status, STATUS_OK);
        CHECK_INT(askers[i].received, 20);
        free(askers[i].payload);
    }
    CHECK_INT(rpc_counters(server)->connections, 1);
    stop();
}

static void the_callers_deadline_ends_both_sides(void) {
    struct asker asker;
    start();
    ask(&asker, &hold_method, 0, 1, 100 * NS_PER_MS);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_DEADLINE_EXCEEDED);
    wait_for(is_let_go, NULL);
    CHECK(held_status == STATUS_DEADLINE_EXCEEDED || held_status == STATUS_CANCELLED);
    free(asker.payload);
    stop();
}

static void a_cancel_reaches_the_server(void) {
    struct asker asker;
    start();
    ask(&asker, &hold_method, 0, 1, 0);
    wait_for(has_headers, &asker);
    call_reset(asker.call, HTTP_CANCEL);
    wait_for(is_let_go, NULL);
    CHECK_INT(held_status, STATUS_CANCELLED);
    CHECK_INT(asker.status, STATUS_CANCELLED);
    free(asker.payload);
    stop();
}

static void a_drain_lets_calls_end(void) {
    struct asker asker;
    start();
    ask(&asker, &hold_method, 0, 1, 0);
    wait_for(has_headers, &asker);
    rpc_drain(server);
    wait_for(is_closed, &asker);
    CHECK(held_drains);
    CHECK_INT(asker.status, STATUS_ABORTED);
    CHECK_STR(asker.text, "draining");
    wait_for(has_no_connections, NULL);
    free(asker.payload);
    stop();
}

static void what_is_not_there_has_a_status(void) {
    static const struct method nope = {.full_name = "test.Service/Nope"};
    struct asker asker;
    start();
    ask(&asker, &nope, 1, 1, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_UNIMPLEMENTED);
    CHECK_STR(asker.text, "unknown method Nope for service test.Service");
    free(asker.payload);
    rpc_abort_all(server);
    listener_close(&listener);
    wait_for(has_no_connections, NULL);
    ask(&asker, &unary, 1, 1, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_UNAVAILABLE);
    CHECK(strstr(asker.text, "refused"));
    free(asker.payload);
    stop();
}

static void the_one_reply_of_a_call_that_fails_is_not_sent(void) {
    struct asker asker;
    start();
    ask(&asker, &late_method, 1, 1, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_INTERNAL);
    CHECK_STR(asker.text, "too late");
    CHECK_INT(asker.received, 0);
    CHECK(late_has_closed);
    free(asker.payload);
    stop();
}

int main(void) {
    net_prepare_process();
    RUN(messages_come_back_as_they_were_sent);
    RUN(many_calls_share_a_connection);
    RUN(the_callers_deadline_ends_both_sides);
    RUN(a_cancel_reaches_the_server);
    RUN(a_drain_lets_calls_end);
    RUN(the_one_reply_of_a_call_that_fails_is_not_sent);
    RUN(what_is_not_there_has_a_status);
    return 0;
}
