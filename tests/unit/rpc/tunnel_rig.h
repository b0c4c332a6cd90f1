/* tunnel_rig.h - two gateways in one loop, over one connection: "a" has dialled, "b" has accepted. `direct` is a's link
 * to b, `reverse` b's link to a, inside of the Link call that a makes on `direct`. */
#ifndef TIDEWIRE_TESTS_TUNNEL_RIG_H
#define TIDEWIRE_TESTS_TUNNEL_RIG_H
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "check.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/loop.h"
#include "rpc/rpc.h"
#include "rpc/tunnel.h"

struct link_end { /* what the owner of a link or of a served tunnel is told */
    bool is_gone, is_idle;
    int idles;
    char reason[512];
};

static struct loop *loop;
static struct rpc *rpc_a, *rpc_b;
static struct router *routes, *link_routes;
static struct rpc_link *direct, *reverse;
static struct rpc_tunnel *served; /* by a */
static struct link_end direct_end, reverse_end, served_end;
static struct call *link_at_a, *link_at_b; /* the Link call, as given to the tunnels */
static char node_seen[64];
static const struct call_limits limits = {.message = 8 << 20, .buffered_per_stream = 64 << 10};

/* ---- waiting ---- */

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
    timer_start(loop, timer, loop_now(loop) + NS_PER_MS / 4);
}

static void wait_for(bool (*condition)(void *context), void *context) {
    awaited = condition;
    awaited_context = context;
    give_up = clock_monotonic() + 30 * NS_PER_S;
    timer_start(loop, &look_timer, clock_monotonic());
    loop_run(loop);
}

/* What both have sent, taken and hold has not changed for so many turns of the loop. Time would say less: a busy machine
 * may stop us for any of it. */
enum { QUIET_TURNS = 300 };
static struct {
    uint64_t sum;
    int turns;
} quiet;
static bool is_still(void *context) {
    uint64_t sum = rpc_counters(rpc_a)->buffered * 3 + rpc_counters(rpc_b)->buffered;
    (void)context;
    if (sum != quiet.sum) quiet.turns = 0;
    quiet.sum = sum;
    return ++quiet.turns > QUIET_TURNS;
}
static void wait_until_still(void) {
    quiet.turns = 0;
    wait_for(is_still, NULL);
}

/* ---- what both serve: an echo; "Hold" answers nothing, takes nothing, and ends when it is told ---- */

static const struct method echo_method = {
    .full_name = "test.Service/Echo", .is_client_streaming = true, .is_server_streaming = true};
static const struct method hold_method = {
    .full_name = "test.Service/Hold", .is_client_streaming = true, .is_server_streaming = true};

static void nothing(struct call *call) { (void)call; }
static void closed(struct call *call, enum status status, const char *text) {
    (void)call, (void)status, (void)text;
}

static void note_node(struct call *call) {
    snprintf(node_seen, sizeof node_seen, "%s", call_node(call) ? call_node(call) : "nobody");
}
static void echo(struct call *call) {
    struct call_message message;
    enum call_next next = CALL_EMPTY;
    while (!call_is_full(call) && (next = call_receive(call, &message)) == CALL_MESSAGE) {
        if (message.owner) call_send(call, message.owner);
        else call_send_bytes(call, message.data, message.length);
    }
    if (next == CALL_END) call_finish(call, STATUS_OK, NULL, NULL, 0);
}
static const struct call_handler echo_handler = {
    .on_open = note_node, .on_readable = echo, .on_writable = echo, .on_close = closed};

static struct call *held;
static enum status held_status;
static void hold(struct call *call) {
    held = call;
    call_send_headers(call);
}
static void hold_closed(struct call *call, enum status status, const char *text) {
    (void)text;
    if (held == call) held = NULL;
    held_status = status;
}
static const struct call_handler hold_handler = {
    .on_open = hold, .on_readable = nothing, .on_writable = nothing, .on_close = hold_closed};

/* ---- calls on a link: some messages of a size are sent, and checked as they come back ---- */

struct asker {
    struct call *call;
    size_t size, to_send, sent, received;
    uint8_t *payload;
    bool is_idle; /* takes nothing */
    bool keeps_open;
    bool has_headers, is_over, is_closed;
    enum status status;
    struct rpc_outcome outcome;
    char text[512];
};

static void ask_more(struct call *call) {
    struct asker *asker = call->data;
    while (asker->sent < asker->to_send && !call_is_full(call)) {
        asker->payload[0] = (uint8_t)asker->sent++;
        CHECK(call_send_bytes(call, asker->payload, asker->size));
    }
    if (asker->sent == asker->to_send && !asker->keeps_open) call_half_close(call);
}
static void ask_readable(struct call *call) {
    struct asker *asker = call->data;
    struct call_message message;
    while (!asker->is_idle && call_receive(call, &message) == CALL_MESSAGE) {
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
    free(asker->payload);
}
static const struct call_handler asker_handler = {
    .on_readable = ask_readable, .on_writable = ask_more, .on_headers = ask_headers, .on_close = ask_closed};

static bool no_failure_is_mended(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    return false;
}
static void ask_over(void *context, const struct rpc_outcome *outcome) {
    struct asker *asker = context;
    asker->is_over = true;
    asker->outcome = *outcome;
}
static const struct rpc_opener opener = {.on_failure = no_failure_is_mended, .on_over = ask_over};
static void forget(void *context, const struct rpc_outcome *outcome) { (void)context, (void)outcome; }
static const struct rpc_opener forgetful = {.on_failure = no_failure_is_mended, .on_over = forget};

static bool has_room(void *context) { return rpc_link_room(context) > 0; }
static bool is_closed(void *context) { return ((struct asker *)context)->is_closed; }
static bool has_headers(void *context) { return ((struct asker *)context)->has_headers; }
static bool is_gone(void *context) { return ((struct link_end *)context)->is_gone; }
static bool is_held(void *context) { return (void)context, held != NULL; }
static bool is_let_go(void *context) { return (void)context, held == NULL; }

/* On a link that has room. */
static void ask_with(struct asker *asker, struct rpc *rpc, struct rpc_link *link, const struct method *method,
                     size_t messages, size_t size) {
    asker->size = size;
    asker->to_send = messages;
    asker->payload = memory_new(size + 1);
    for (size_t i = 0; i < size; i++) asker->payload[i] = (uint8_t)(i * 7 + i / 256);
    const struct rpc_request request = {
        .method = method, .handler = &asker_handler, .data = asker, .limits = &limits};
    asker->call = rpc_call_open(rpc, &request, &opener, asker, 0);
    wait_for(has_room, link);
    CHECK(rpc_call_attach(asker->call, link));
    ask_more(asker->call);
}
static void ask(struct asker *asker, struct rpc *rpc, struct rpc_link *link, const struct method *method,
                size_t messages, size_t size) {
    *asker = (struct asker){.call = NULL};
    ask_with(asker, rpc, link, method, messages, size);
}
/* One that stays, with its headers there and held by its server. */
static void ask_to_hold(struct asker *asker, struct rpc *rpc, struct rpc_link *link) {
    held = NULL;
    *asker = (struct asker){.keeps_open = true};
    ask_with(asker, rpc, link, &hold_method, 0, 1);
    wait_for(has_headers, asker);
    CHECK(is_held(NULL));
}
static void echoes(struct rpc *rpc, struct rpc_link *link, size_t messages, size_t size) {
    struct asker asker;
    ask(&asker, rpc, link, &echo_method, messages, size);
    wait_for(is_closed, &asker);
    CHECK_STR(asker.text, "");
    CHECK_INT(asker.status, STATUS_OK);
    CHECK_INT(asker.received, messages);
}

/* ---- the two ends of the Link call ---- */

static void link_changed(void *context) { (void)context; }
static void link_gone(void *context, const char *reason) {
    struct link_end *end = context;
    CHECK(!end->is_gone);
    end->is_gone = true;
    snprintf(end->reason, sizeof end->reason, "%s", reason);
}
static void tunnel_idle(void *context) { ((struct link_end *)context)->idles++; }
static const struct rpc_link_events link_events = {link_changed, link_gone};
static const struct rpc_tunnel_events tunnel_events = {tunnel_idle, link_gone};

/* b's */
static const char *nonsense; /* that b sends on the Link call, instead of making a tunnel of it */
static uint64_t setup_time = 10 * NS_PER_S;
static void link_open(struct call *call) {
    const struct rpc_link_options options = {.name = "a", .authority = "a", .connect_timeout = setup_time};
    link_at_b = call;
    if (nonsense) {
        call_send_bytes(call, nonsense, strlen(nonsense));
        return;
    }
    call_set_node(call, "a");
    reverse = rpc_tunnel_link(call, &options, &link_events, &reverse_end);
}
static void must_not_be_told(struct call *call, enum status status, const char *text) {
    (void)call;
    if (nonsense) return;
    fprintf(stderr, "%s: %s\n", status_name(status), text);
    check_failed(__FILE__, __LINE__, "the handler before the tunnel was told");
}
static const struct call_handler link_server = {
    .on_open = link_open, .on_readable = nothing, .on_writable = nothing, .on_close = must_not_be_told};

/* a's */
static void link_headers(struct call *call) {
    const struct rpc_tunnel_options options = {.node = "b"};
    served = rpc_tunnel_serve(call, &options, &tunnel_events, &served_end);
}
static const struct call_handler link_client = {.on_readable = nothing,
                                                .on_writable = nothing,
                                                .on_headers = link_headers,
                                                .on_close = must_not_be_told};
static bool is_tunnel_there(void *context) {
    (void)context;
    return served && reverse && rpc_link_is_ready(reverse);
}

/* ---- the connection between them, through hands that can be held still ---- */

struct pipe_end {
    int from, to;
    bool is_stopped;
    struct buffer bytes;
};
static struct {
    struct pipe_end way[2];
    struct timer timer;
    bool is_stopped, is_used;
} relay;

static void relay_one(struct pipe_end *end) {
    uint8_t bytes[65536];
    if (!buffer_length(&end->bytes)) {
        ssize_t length = recv(end->from, bytes, sizeof bytes, MSG_DONTWAIT);
        if (length > 0) buffer_append(&end->bytes, bytes, (size_t)length);
        if (length == 0) shutdown(end->to, SHUT_WR);
    }
    if (!buffer_length(&end->bytes)) return;
    ssize_t sent =
        send(end->to, buffer_bytes(&end->bytes), buffer_length(&end->bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) buffer_take(&end->bytes, (size_t)sent);
}
static void relay_some(struct timer *timer) {
    for (int i = 0; i < 4 && !relay.is_stopped; i++) {
        if (!relay.way[0].is_stopped) relay_one(&relay.way[0]);
        if (!relay.way[1].is_stopped) relay_one(&relay.way[1]);
    }
    timer_start(loop, timer, loop_now(loop) + NS_PER_MS / 4);
}

static void make_pair(int fds[2]) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}

static void connect_through_relay(int *at_a, int *at_b) {
    int one[2], other[2];
    make_pair(one);
    make_pair(other);
    *at_a = one[0];
    *at_b = other[0];
    relay.is_used = true;
    relay.is_stopped = false;
    relay.way[0] = (struct pipe_end){.from = one[1], .to = other[1]};
    relay.way[1] = (struct pipe_end){.from = other[1], .to = one[1]};
    timer_init(&relay.timer, relay_some);
    timer_start(loop, &relay.timer, loop_now(loop));
}

/* ---- beginning and end ---- */

/* A link of one to the other. */
static struct rpc_link *connect_two(struct rpc *client, int at_client, struct rpc *server, int at_server,
                                    struct router *router, struct link_end *end) {
    const struct rpc_link_options options = {.name = "b", .authority = "b", .connect_timeout = 10 * NS_PER_S};
    rpc_accept(server, &(struct rpc_accepted){.fd = at_server, .router = router});
    struct rpc_link *link = rpc_link_over_fd(client, at_client, &options, &link_events, end);
    wait_for(has_room, link);
    return link;
}

static struct rpc_limits all_limits = {.http = {.headers = 8192,
                                                      .streams = 200,
                                                      .stream_window = 65535,
                                                      .connection_window = 16 << 20,
                                                      .settings_timeout = 10 * NS_PER_S,
                                                      .write_timeout = 20 * NS_PER_S},
                                             .buffered_per_connection = 64 << 20,
                                             .buffered_total = 256 << 20};

static void start_without_tunnel(bool is_through_relay) {
    int fds[2];
    loop = loop_new();
    timer_init(&look_timer, look);
    rpc_a = rpc_new(loop, &all_limits);
    rpc_b = rpc_new(loop, &all_limits);
    routes = router_new(1, NULL, NULL);
    router_add(routes, &echo_method, &echo_handler, NULL, &limits);
    router_add(routes, &hold_method, &hold_handler, NULL, &limits);
    link_routes = router_new(1, NULL, NULL); /* of the accepted connection alone */
    router_add(link_routes, &rpc_tunnel_method, &link_server, NULL, &rpc_tunnel_limits);
    router_add(link_routes, &echo_method, &echo_handler, NULL, &limits);
    router_add(link_routes, &hold_method, &hold_handler, NULL, &limits);
    rpc_set_router(rpc_a, routes);
    rpc_set_router(rpc_b, routes);
    direct_end = reverse_end = served_end = (struct link_end){.is_gone = false};
    link_at_a = link_at_b = held = NULL;
    if (is_through_relay) connect_through_relay(&fds[0], &fds[1]);
    else make_pair(fds);
    direct = connect_two(rpc_a, fds[0], rpc_b, fds[1], link_routes, &direct_end);
}

static void make_tunnel(void) {
    const struct rpc_request request = {
        .method = &rpc_tunnel_method, .handler = &link_client, .limits = &rpc_tunnel_limits};
    link_at_a = rpc_call_open(rpc_a, &request, &forgetful, NULL, 0);
    CHECK(rpc_call_attach(link_at_a, direct));
    wait_for(is_tunnel_there, NULL);
}

static void start(void) {
    start_without_tunnel(false);
    make_tunnel();
}

static bool is_quiet(void *context) {
    (void)context;
    return !rpc_counters(rpc_a)->connections && !rpc_counters(rpc_b)->connections;
}

static void stop(void) {
    rpc_link_free(&reverse);
    rpc_tunnel_free(&served);
    rpc_link_free(&direct);
    rpc_abort_all(rpc_a);
    rpc_abort_all(rpc_b);
    if (relay.is_used) relay.is_stopped = false;
    wait_for(is_quiet, NULL);
    CHECK_INT(rpc_counters(rpc_a)->calls, 0);
    CHECK_INT(rpc_counters(rpc_b)->calls, 0);
    CHECK_INT(rpc_counters(rpc_a)->buffered, 0);
    CHECK_INT(rpc_counters(rpc_b)->buffered, 0);
    if (relay.is_used) {
        timer_stop(loop, &relay.timer);
        for (int i = 0; i < 2; i++) {
            close(relay.way[i].from);
            buffer_free(&relay.way[i].bytes);
        }
        relay.is_used = false;
    }
    timer_stop(loop, &look_timer);
    rpc_free(&rpc_a);
    rpc_free(&rpc_b);
    router_free(&routes);
    router_free(&link_routes);
    loop_free(&loop);
}
#endif
