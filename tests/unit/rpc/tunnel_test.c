/* Two sessions over one connection: calls in both directions, back-pressure, and every way to an end. */
#include "tunnel_rig.h"

/* ---- calls ---- */

static void calls_go_in_both_directions(void) {
    start();
    echoes(rpc_a, direct, 3, 10);
    CHECK_STR(node_seen, "a"); /* b has set it, for the whole connection */
    echoes(rpc_b, reverse, 3, 10);
    CHECK_STR(node_seen, "b");
    echoes(rpc_b, reverse, 5000, 40);
    echoes(rpc_b, reverse, 300, 20000);
    CHECK_INT(call_siblings(link_at_a), 0);
    struct asker asker;
    ask_to_hold(&asker, rpc_a, direct);
    CHECK_INT(call_siblings(link_at_a), 1);
    CHECK_INT(call_siblings(link_at_b), 1);
    call_reset(asker.call, HTTP_CANCEL);
    stop();
}

static void large_messages_come_back_as_they_were_sent(void) {
    start();
    echoes(rpc_b, reverse, 8, 1 << 20);
    echoes(rpc_b, reverse, 3, 5 << 20);
    echoes(rpc_b, reverse, 40, 65536);
    echoes(rpc_a, direct, 4, 1 << 20);
    stop();
}

static void many_streams_of_both_directions_go_together(void) {
    enum { CALLS = 150 };
    static struct asker askers[2][CALLS];
    start();
    for (int i = 0; i < CALLS; i++) {
        ask(&askers[0][i], rpc_a, direct, &echo_method, 20, (size_t)(i * i + 1));
        ask(&askers[1][i], rpc_b, reverse, &echo_method, 20, (size_t)(i * i + 1));
    }
    for (int i = 0; i < 2 * CALLS; i++) {
        struct asker *asker = &askers[i % 2][i / 2];
        wait_for(is_closed, asker);
        CHECK_INT(asker->status, STATUS_OK);
        CHECK_INT(asker->received, 20);
    }
    CHECK_INT(rpc_counters(rpc_a)->connections, 2);
    CHECK_INT(rpc_counters(rpc_b)->connections, 2);
    stop();
}

static void who_serves_is_told_when_the_last_call_has_gone(void) {
    struct asker one, other;
    start();
    CHECK_INT(rpc_tunnel_streams(served), 0);
    ask_to_hold(&one, rpc_b, reverse);
    ask_to_hold(&other, rpc_b, reverse);
    CHECK_INT(rpc_tunnel_streams(served), 2);
    call_reset(one.call, HTTP_CANCEL);
    echoes(rpc_b, reverse, 1, 1);
    CHECK_INT(rpc_tunnel_streams(served), 1);
    CHECK_INT(served_end.idles, 0);
    call_finish(held, STATUS_OK, NULL, NULL, 0);
    wait_for(is_closed, &other);
    echoes(rpc_a, direct, 1, 1);
    CHECK_INT(served_end.idles, 1);
    CHECK_INT(rpc_tunnel_streams(served), 0);
    stop();
}

/* ---- back-pressure ---- */

/* A call whose server takes nothing stops at its windows; others of the tunnel go on. */
static void a_call_that_takes_nothing_stops_itself_alone(void) {
    struct asker stuck = {.keeps_open = true};
    start();
    ask_with(&stuck, rpc_b, reverse, &hold_method, 100000, 1000);
    wait_until_still();
    CHECK(stuck.sent < 400);
    CHECK(rpc_counters(rpc_a)->buffered < 300000);
    CHECK(rpc_counters(rpc_b)->buffered < 300000);
    echoes(rpc_b, reverse, 200, 20000);
    echoes(rpc_a, direct, 200, 20000);
    call_reset(stuck.call, HTTP_CANCEL);
    wait_for(is_let_go, NULL);
    stop();
}

enum {
    QUEUE_LEAST = 128 * 1024,       /* it goes on below half of its bound */
    QUEUE_MOST = 512 * 1024 + 4096, /* of the Link call: its bound, and one gathered write */
};

static size_t pending(struct call *call) {
    size_t messages, bytes;
    call_pending(call, &messages, &bytes);
    return bytes;
}

static struct asker crowd[40];
enum { CROWD = 40, MESSAGES = 100 };

static void expect_all_echoed(void) {
    for (int i = 0; i < CROWD; i++) {
        wait_for(is_closed, &crowd[i]);
        CHECK_INT(crowd[i].status, STATUS_OK);
        CHECK_INT(crowd[i].received, MESSAGES);
    }
}

/* The connection takes nothing: what is sent in the tunnel waits for it, in bounds, and then all comes. */
static void a_connection_that_takes_nothing_stops_the_client_in_the_tunnel(void) {
    size_t queued = 0;
    start_without_tunnel(true);
    make_tunnel();
    relay.is_stopped = true;
    for (int i = 0; i < CROWD; i++) ask(&crowd[i], rpc_b, reverse, &echo_method, MESSAGES, 10000);
    wait_until_still();
    for (int i = 0; i < CROWD; i++) {
        queued += pending(crowd[i].call);
        CHECK(crowd[i].sent < MESSAGES / 2);
    }
    CHECK(pending(link_at_b) > QUEUE_LEAST);
    CHECK(pending(link_at_b) <= QUEUE_MOST);
    CHECK_INT(rpc_counters(rpc_b)->buffered, queued + pending(link_at_b));
    relay.is_stopped = false;
    expect_all_echoed();
    stop();
}

/* The same with the answers, which the server in the tunnel cannot send. */
static void a_connection_that_takes_nothing_stops_the_server_in_the_tunnel(void) {
    size_t most = 0;
    start_without_tunnel(true);
    make_tunnel();
    for (int i = 0; i < CROWD; i++) ask(&crowd[i], rpc_b, reverse, &echo_method, MESSAGES, 10000);
    relay.way[0].is_stopped = true; /* from a to b */
    wait_until_still();
    CHECK(crowd[0].sent < MESSAGES);
    CHECK(pending(link_at_a) > 0); /* as much as b could ask: the windows for that come the way that is stopped */
    CHECK(pending(link_at_a) <= QUEUE_MOST);
    most = CROWD * 3 * limits.buffered_per_stream + QUEUE_MOST; /* queue, window, a message that is put together */
    CHECK(rpc_counters(rpc_a)->buffered <= most);
    relay.way[0].is_stopped = false;
    expect_all_echoed();
    stop();
}

static bool have_all_left(void *context) {
    (void)context;
    for (int i = 0; i < CROWD; i++) {
        CHECK(!crowd[i].is_closed);
        if (crowd[i].sent < crowd[i].to_send || pending(crowd[i].call)) return false;
    }
    return true;
}

/* Nothing comes back that could wake the session: the room in the call does. */
static void room_in_the_call_wakes_the_session(void) {
    start_without_tunnel(true);
    make_tunnel();
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct asker){.keeps_open = true};
        ask_with(&crowd[i], rpc_b, reverse, &hold_method, 0, 10000);
        wait_for(has_headers, &crowd[i]);
    }
    relay.is_stopped = true;
    for (int i = 0; i < CROWD; i++) {
        crowd[i].to_send = 6;
        ask_more(crowd[i].call);
    }
    wait_until_still();
    CHECK(pending(link_at_b) > QUEUE_LEAST);
    relay.is_stopped = false;
    wait_for(have_all_left, NULL);
    rpc_link_close(reverse, "enough");
    for (int i = 0; i < CROWD; i++) wait_for(is_closed, &crowd[i]);
    stop();
}

/* ---- the end in peace ---- */

static bool has_no_calls(void *context) { return rpc_counters(context)->calls == 0; }
static bool is_closing(void *context) { return rpc_link_is_closing(context); }

static void a_served_tunnel_that_drains_lets_calls_end(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_tunnel_drain(served);
    wait_for(is_closing, reverse);
    CHECK(!asker.is_closed && !reverse_end.is_gone);
    call_finish(held, STATUS_ABORTED, "done", NULL, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_ABORTED);
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    CHECK_STR(served_end.reason, "graceful_stop");
    wait_for(has_no_calls, rpc_a); /* the Link call has ended too, */
    wait_for(has_no_calls, rpc_b);
    CHECK_INT(rpc_counters(rpc_a)->calls_ended[STATUS_OK], 1); /* and well */
    echoes(rpc_a, direct, 1, 1);
    stop();
}

static void a_link_in_a_tunnel_that_drains_lets_calls_end(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_link_drain(reverse, "no more of it");
    CHECK_INT(rpc_link_room(reverse), 0);
    call_finish(held, STATUS_ABORTED, "done", NULL, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_ABORTED);
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    wait_for(has_no_calls, rpc_a);
    wait_for(has_no_calls, rpc_b);
    CHECK_INT(rpc_counters(rpc_b)->calls_ended[STATUS_OK], 1);
    echoes(rpc_a, direct, 1, 1);
    stop();
}

/* A request that has left when the other end decides to go is refused unseen, so that it can be made again. */
static void a_call_that_races_a_drain_is_not_lost(void) {
    struct asker askers[100];
    start_without_tunnel(true);
    make_tunnel();
    relay.is_stopped = true;
    rpc_tunnel_drain(served);
    for (int i = 0; i < 100; i++) ask(&askers[i], rpc_b, reverse, &echo_method, 1, 10);
    relay.is_stopped = false;
    for (int i = 0; i < 100; i++) {
        wait_for(is_closed, &askers[i]);
        CHECK(askers[i].status == STATUS_OK || askers[i].outcome.is_unseen);
    }
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    stop();
}

static void the_dialler_can_end_everything_in_peace(void) {
    start();
    echoes(rpc_b, reverse, 1, 1);
    rpc_link_drain(direct, "idle"); /* behind the Link call */
    rpc_tunnel_drain(served);
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    wait_for(is_gone, &direct_end);
    CHECK_STR(direct_end.reason, "idle");
    wait_for(is_quiet, NULL);
    CHECK_INT(rpc_counters(rpc_a)->calls_ended[STATUS_OK], 2);
    stop();
}

static void a_process_that_ends_tells_the_calls_in_its_tunnels(struct rpc *ender, struct rpc *client,
                                                               struct rpc_link *link) {
    struct asker asker;
    ask_to_hold(&asker, client, link);
    rpc_end_all(ender, "the server is shutting down", 10 * NS_PER_S);
    uint64_t before = loop_update_now(loop);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_UNAVAILABLE);
    CHECK_STR(asker.text, "the server is shutting down");
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    wait_for(is_gone, &direct_end);
    CHECK(loop_update_now(loop) - before < 8 * NS_PER_S);
}
static void a_drain_leaves_internal_connections_alone(void) {
    const struct rpc_link_options options = {.name = "b", .authority = "b"};
    struct link_end end = {.is_gone = false};
    struct asker before, after;
    int fds[2];
    start();
    make_pair(fds);
    rpc_accept(rpc_b, &(struct rpc_accepted){.fd = fds[1], .is_internal = true});
    struct rpc_link *link = rpc_link_over_fd(rpc_a, fds[0], &options, &link_events, &end);
    ask_to_hold(&before, rpc_a, link);
    rpc_drain(rpc_b);
    wait_for(is_closing, direct);
    ask(&after, rpc_a, link, &echo_method, 1, 1);
    wait_for(is_closed, &after);
    CHECK_INT(after.status, STATUS_OK);
    CHECK(!before.is_closed && !end.is_gone);
    call_reset(before.call, HTTP_CANCEL);
    rpc_link_free(&link);
    stop();
}

static void the_dialler_s_end_tells_the_calls_in_its_tunnel(void) {
    start();
    rpc_link_drain(direct, "over"); /* its owner does, as the tunnel's call is on it */
    a_process_that_ends_tells_the_calls_in_its_tunnels(rpc_a, rpc_b, reverse);
    stop();
}
static void the_acceptor_s_end_tells_the_calls_in_its_tunnel(void) {
    start();
    a_process_that_ends_tells_the_calls_in_its_tunnels(rpc_b, rpc_b, reverse);
    stop();
}

/* ---- other ends ---- */

static void expect_lost(struct asker *asker) {
    wait_for(is_closed, asker);
    CHECK_INT(asker->status, STATUS_UNAVAILABLE);
    CHECK(asker->outcome.is_lost);
    wait_for(is_let_go, NULL);
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    wait_for(has_no_calls, rpc_a);
    wait_for(has_no_calls, rpc_b);
}

static void closing_a_served_tunnel_fails_its_calls(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_tunnel_close(served, "no use");
    expect_lost(&asker);
    CHECK_STR(served_end.reason, "no use");
    CHECK(strstr(reverse_end.reason, "no use"));
    echoes(rpc_a, direct, 1, 1);
    stop();
}

static void closing_a_link_in_a_tunnel_fails_its_calls(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_link_close(reverse, "no use");
    expect_lost(&asker);
    CHECK(strstr(served_end.reason, "no use"));
    echoes(rpc_a, direct, 1, 1);
    stop();
}

static void letting_go_of_both_ends_lets_calls_end(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_link_free(&reverse);
    rpc_tunnel_free(&served);
    echoes(rpc_a, direct, 1, 1);
    CHECK(!asker.is_closed);
    call_finish(held, STATUS_OK, NULL, NULL, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_OK);
    wait_for(has_no_calls, rpc_a);
    wait_for(has_no_calls, rpc_b);
    CHECK(!served_end.is_gone && !reverse_end.is_gone);
    stop();
}

static void a_cancel_of_the_call_ends_the_tunnel(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    call_reset(link_at_a, HTTP_CANCEL);
    expect_lost(&asker);
    CHECK(strstr(reverse_end.reason, "lost, or cut by the peer"));
    CHECK(strstr(served_end.reason, "CANCELLED"));
    echoes(rpc_a, direct, 1, 1);
    stop();
}

static void an_answer_to_the_call_ends_the_tunnel(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    call_finish(link_at_b, STATUS_ABORTED, "superseded", NULL, 0);
    expect_lost(&asker);
    CHECK(strstr(served_end.reason, "ABORTED: superseded"));
    echoes(rpc_a, direct, 1, 1);
    stop();
}

static void a_half_close_of_the_call_ends_the_tunnel(void) {
    struct asker asker;
    start();
    ask_to_hold(&asker, rpc_b, reverse);
    call_half_close(link_at_a);
    expect_lost(&asker);
    CHECK_STR(reverse_end.reason, "closed by the peer");
    CHECK_STR(served_end.reason, "closed by the peer");
    stop();
}

static void the_loss_of_the_connection_ends_the_tunnel_at_both_ends(void) {
    struct asker reversed, forward;
    start_without_tunnel(true);
    make_tunnel();
    ask_to_hold(&reversed, rpc_b, reverse);
    ask_to_hold(&forward, rpc_a, direct);
    shutdown(relay.way[0].from, SHUT_RDWR);
    shutdown(relay.way[1].from, SHUT_RDWR);
    expect_lost(&reversed);
    wait_for(is_closed, &forward);
    CHECK_INT(forward.status, STATUS_UNAVAILABLE);
    wait_for(is_gone, &direct_end);
    stop();
}

static void everything_can_go_in_any_moment(void) {
    for (int turns = 0; turns < 40; turns++) {
        struct asker askers[4];
        start();
        for (int i = 0; i < 4; i++)
            ask(&askers[i], i % 2 ? rpc_a : rpc_b, i % 2 ? direct : reverse, &echo_method, 50, 30000);
        for (int i = 0; i < turns; i++) loop_turn(loop);
        if (turns % 2) rpc_abort_all(rpc_a);
        else rpc_abort_all(rpc_b);
        for (int i = 0; i < 4; i++) wait_for(is_closed, &askers[i]);
        stop();
    }
}

/* rpc_free() in the middle of it all. */
static void a_worker_that_goes_takes_its_tunnels_with_it(void) {
    struct asker asker;
    start();
    ask(&asker, rpc_b, reverse, &echo_method, 1000, 30000);
    for (int i = 0; i < 5; i++) loop_turn(loop);
    rpc_link_free(&reverse);
    rpc_free(&rpc_b);
    CHECK(asker.is_closed);
    rpc_tunnel_free(&served);
    rpc_link_free(&direct);
    rpc_free(&rpc_a);
    timer_stop(loop, &look_timer);
    router_free(&routes);
    router_free(&link_routes);
    loop_free(&loop);
}

int main(void) {
    net_prepare_process();
    RUN(calls_go_in_both_directions);
    RUN(large_messages_come_back_as_they_were_sent);
    RUN(many_streams_of_both_directions_go_together);
    RUN(who_serves_is_told_when_the_last_call_has_gone);
    RUN(a_call_that_takes_nothing_stops_itself_alone);
    RUN(a_connection_that_takes_nothing_stops_the_client_in_the_tunnel);
    RUN(a_connection_that_takes_nothing_stops_the_server_in_the_tunnel);
    RUN(room_in_the_call_wakes_the_session);
    RUN(a_served_tunnel_that_drains_lets_calls_end);
    RUN(a_link_in_a_tunnel_that_drains_lets_calls_end);
    RUN(a_call_that_races_a_drain_is_not_lost);
    RUN(the_dialler_can_end_everything_in_peace);
    RUN(a_drain_leaves_internal_connections_alone);
    RUN(the_dialler_s_end_tells_the_calls_in_its_tunnel);
    RUN(the_acceptor_s_end_tells_the_calls_in_its_tunnel);
    RUN(closing_a_served_tunnel_fails_its_calls);
    RUN(closing_a_link_in_a_tunnel_fails_its_calls);
    RUN(letting_go_of_both_ends_lets_calls_end);
    RUN(a_cancel_of_the_call_ends_the_tunnel);
    RUN(an_answer_to_the_call_ends_the_tunnel);
    RUN(a_half_close_of_the_call_ends_the_tunnel);
    RUN(the_loss_of_the_connection_ends_the_tunnel_at_both_ends);
    RUN(everything_can_go_in_any_moment);
    RUN(a_worker_that_goes_takes_its_tunnels_with_it);
    return 0;
}
