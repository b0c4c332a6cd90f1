/* upstream/: calls over real sockets, to servers that behave and to some that do not. */
#include "kit.h"

static struct server a, b, c;
static struct asked one, two, many[200];

/* ---- recycling ---- */

static void calls_wait_for_one_dial_and_share_one_connection(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" linger = 50ms }", a.address);
    for (int i = 0; i < 20; i++) ask(&many[i], "u", "hello");
    CHECK_INT(counts_of("u").waiting, 20);
    CHECK(target_of("u", 0).is_connecting);
    for (int i = 0; i < 20; i++) {
        WAIT_FOR(many[i].is_closed);
        expect(&many[i], STATUS_OK);
        CHECK_STR(many[i].received, "hello,");
    }
    CHECK_INT(a.accepted, 1);
    CHECK_INT(target_of("u", 0).dials, 1);
    CHECK_INT(target_of("u", 0).connections, 1);
    CHECK_INT(counts_of("u").streams, 0);
    WAIT_FOR(target_of("u", 0).connections == 0); /* the linger is over */
    WAIT_FOR(rpc_counters(a.rpc)->connections == 0 && rpc_counters(rpc)->connections == 0);
    ask_and_wait(&one, "u", "again");
    expect(&one, STATUS_OK);
    CHECK_INT(a.accepted, 2);
    kit_stop_with(&a);
}

static void a_call_within_the_linger_keeps_the_connection(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" linger = 2s }", a.address);
    for (int i = 0; i < 4; i++) {
        uint64_t until = clock_monotonic() + 700 * NS_PER_MS;
        ask_and_wait(&one, "u", "x");
        WAIT_FOR(clock_monotonic() > until);
    }
    CHECK_INT(a.accepted, 1);
    kit_stop_with(&a);
}

static void a_thousand_streams_share_one_connection_which_goes_with_the_last(void) {
    static struct asked crowd[KIT_MOST_HELD];
    kit_start();
    server_start(&a, "0", KIT_MOST_HELD);
    CONFIGURE("upstream u { target = \"%s\" linger = 50ms }", a.address);
    for (int i = 0; i < KIT_MOST_HELD; i++) hold(&crowd[i], "u");
    WAIT_FOR(a.held_count == KIT_MOST_HELD);
    CHECK_INT(a.accepted, 1);
    CHECK_INT(counts_of("u").streams, KIT_MOST_HELD);
    CHECK_INT(counts_of("u").connections, 1);
    for (int i = 0; i < KIT_MOST_HELD; i++) call_reset(crowd[i].call, 8);
    WAIT_FOR(rpc_counters(rpc)->connections == 0 && rpc_counters(a.rpc)->connections == 0);
    CHECK_INT(rpc_counters(rpc)->calls, 0);
    CHECK_INT(rpc_counters(rpc)->buffered, 0);
    CHECK_INT(counts_of("u").streams, 0);
    kit_stop_with(&a);
}

static void the_servers_limit_of_streams_opens_more_connections_up_to_ours(void) {
    kit_start();
    server_start(&a, "0", 3);
    CONFIGURE("upstream u { target = \"%s\" connections = 2 linger = 0 }", a.address);
    for (int i = 0; i < 8; i++) hold(&many[i], "u");
    WAIT_FOR(a.held_count == 6);
    CHECK_INT(a.accepted, 2);
    CHECK_INT(target_of("u", 0).streams, 6);
    CHECK_INT(counts_of("u").waiting, 2);
    call_finish(a.held[0], STATUS_OK, NULL, NULL, 0);
    WAIT_FOR(counts_of("u").waiting == 1);
    CHECK_INT(a.accepted, 2);
    for (int i = 0; i < 8; i++)
        if (many[i].call) call_reset(many[i].call, 8);
    WAIT_FOR(target_of("u", 0).connections == 0);
    CHECK_INT(counts_of("u").waiting, 0);
    kit_stop_with(&a);
}

static void an_own_limit_of_streams_counts_too(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" streams = 2 }", a.address);
    for (int i = 0; i < 6; i++) hold(&many[i], "u");
    WAIT_FOR(a.held_count == 6);
    CHECK_INT(a.accepted, 3);
    kit_stop_with(&a);
}

static void an_aged_connection_finishes_its_calls_and_takes_no_more(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" max_age = 50ms }", a.address);
    hold(&one, "u");
    WAIT_FOR(one.has_headers);
    uint64_t until = clock_monotonic() + 70 * NS_PER_MS;
    WAIT_FOR(clock_monotonic() > until);
    ask_and_wait(&two, "u", "x");
    expect(&two, STATUS_OK);
    CHECK_INT(a.accepted, 2);
    CHECK(!one.is_closed);
    call_finish(a.held[0], STATUS_OK, NULL, NULL, 0);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
}

/* ---- failing ---- */

static void a_target_that_nobody_listens_on_is_unavailable_with_the_reason(void) {
    kit_start();
    char *address = closed_address();
    CONFIGURE("upstream u { target = \"%s\" backoff = 1s }", address);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_UNAVAILABLE);
    CHECK(strstr(one.text, "Connection refused") && strstr(one.text, address));
    CHECK(target_of("u", 0).is_in_backoff);
    ask_and_wait(&two, "u", "x"); /* in backoff: at once, without another dial */
    expect(&two, STATUS_UNAVAILABLE);
    CHECK(strstr(two.text, "Connection refused"));
    CHECK_INT(target_of("u", 0).dials, 1);
    WAIT_FOR(!target_of("u", 0).is_in_backoff);
    ask_and_wait(&two, "u", "x");
    CHECK_INT(target_of("u", 0).dials, 2);
    CHECK_INT(counts_of("u").refused, 3);
    free(address);
    kit_stop();
}

static void calls_that_wait_are_served_when_the_target_comes(void) {
    kit_start();
    char *address = closed_address();
    CONFIGURE("upstream u { target = \"%s\" backoff = 20ms wait = on }", address);
    ask(&one, "u", "patience");
    WAIT_FOR(target_of("u", 0).dial_failures >= 3);
    CHECK(!one.is_closed);
    server_start(&a, strrchr(address, ':') + 1, 100);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_OK);
    CHECK_STR(one.received, "patience,");
    free(address);
    kit_stop_with(&a);
}

static void a_call_that_waits_ends_at_its_deadline_or_when_it_is_cancelled(void) {
    kit_start();
    char *address = closed_address();
    CONFIGURE("upstream u { target = \"%s\" backoff = 20ms wait = on }", address);
    ask_with(&one, "u", &kit_echo_method, NULL, 60 * NS_PER_MS);
    ask_with(&two, "u", &kit_echo_method, NULL, 0);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_DEADLINE_EXCEEDED);
    CHECK(!two.is_closed);
    call_reset(two.call, 8);
    WAIT_FOR(two.is_closed);
    expect(&two, STATUS_CANCELLED);
    CHECK_INT(counts_of("u").waiting, 0);
    free(address);
    kit_stop();
}

static void a_server_that_says_nothing_runs_into_the_connect_timeout(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" connect_timeout = 80ms }", fake.address);
    ask(&one, "u", "x");
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK(strstr(one.text, "connecting took too long"));
    fake_stop(&fake);
    kit_stop();
}

static void a_failed_target_is_replaced_by_another_before_anybody_notices(void) {
    kit_start();
    char *address = closed_address();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } backoff = 10s }", address, a.address);
    for (int i = 0; i < 10; i++) {
        ask_and_wait(&one, "u", "x");
        expect(&one, STATUS_OK);
    }
    CHECK_INT(target_of("u", 0).dials, 1);
    CHECK_INT(a.served, 10);
    free(address);
    kit_stop_with(&a);
}

static void too_many_waiting_calls_are_refused(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" waiting = 2 }", fake.address);
    for (int i = 0; i < 3; i++) ask(&many[i], "u", "x");
    WAIT_FOR(many[2].is_closed);
    expect(&many[2], STATUS_UNAVAILABLE);
    CHECK_STR(many[2].text, "too many calls wait for a connection");
    CHECK(!many[0].is_closed && !many[1].is_closed);
    fake_stop(&fake);
    kit_stop();
}

static void a_call_that_need_not_wait_is_not_refused_however_many_wait(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" waiting = 0 }", a.address);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_UNAVAILABLE);
    CHECK(strstr(one.text, "too many calls wait"));
    WAIT_FOR(target_of("u", 0).connections == 1);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
}

static void a_lost_connection_ends_its_calls_and_no_others(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } }", a.address, b.address);
    for (int i = 0; i < 4; i++) {
        hold(&many[i], "u");
        WAIT_FOR(many[i].has_headers);
    }
    WAIT_FOR(target_of("u", 0).connections + target_of("u", 1).connections == 2);
    for (int i = 4; i < 8; i++) {
        hold(&many[i], "u");
        WAIT_FOR(many[i].has_headers);
    }
    CHECK(a.held_count && b.held_count);
    size_t lost = a.held_count, kept = b.held_count, closed = 0;
    rpc_abort_all(a.rpc);
    WAIT_FOR(target_of("u", 0).connections == 0);
    for (int i = 0; i < 20; i++) turn();
    for (int i = 0; i < 8; i++) {
        if (!many[i].is_closed) continue;
        closed++;
        expect(&many[i], STATUS_UNAVAILABLE);
    }
    CHECK_INT(closed, lost);
    CHECK_INT(b.held_count, kept);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_OK);
    server_stop(&b);
    kit_stop_with(&a);
}

/* ---- GOAWAY and refused streams ---- */

static void a_goaway_is_obeyed_and_what_it_left_out_is_made_again(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" connections = 1 }", fake.address);
    for (int i = 0; i < 3; i++) ask(&many[i], "u", "x"); /* streams 1, 3, 5 */
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 5));
    struct fake first = fake;
    fake.seen = (struct buffer){0};
    fake_goaway(&first, 1); /* 3 and 5 were not looked at */
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 3));
    WAIT_FOR(fake_has(&fake, F_DATA, 3));
    CHECK(!fake_has(&fake, F_HEADERS, 5));
    for (int i = 0; i < 3; i++) CHECK(!many[i].is_closed);
    CHECK_INT(counts_of("u").retries, 2);
    fake_hang_up(&first); /* the first call was on it, and may have been seen */
    WAIT_FOR(many[0].is_closed);
    expect(&many[0], STATUS_UNAVAILABLE);
    CHECK(!many[1].is_closed && !many[2].is_closed);
    buffer_free(&first.seen);
    fake_stop(&fake);
    kit_stop();
}

static void a_server_that_sends_everybody_away_is_not_dialled_without_a_pause(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" backoff = 10s }", fake.address);
    ask(&one, "u", "x");
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    fake_goaway(&fake, 0);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_INT(target_of("u", 0).dials, 1);
    CHECK_INT(target_of("u", 0).dial_failures, 1);
    CHECK(target_of("u", 0).is_in_backoff);
    fake_stop(&fake);
    kit_stop();
}

static void a_refused_stream_is_made_again_a_few_times(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" }", fake.address);
    ask(&one, "u", "x");
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    uint32_t id = 1;
    while (!one.is_closed) {
        WAIT_FOR(one.is_closed || fake_has(&fake, F_HEADERS, id));
        if (one.is_closed) break;
        fake_reset(&fake, id, 7);
        id += 2;
        CHECK(id < 20);
    }
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_INT(id, 13); /* the first and five more */
    fake_stop(&fake);
    kit_stop();
}

static void a_call_that_may_have_been_seen_is_not_made_again(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" }", fake.address);
    ask(&one, "u", "x");
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 1));
    fake_reset(&fake, 1, 2);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_INTERNAL);
    CHECK(!fake_has(&fake, F_HEADERS, 3));
    fake_stop(&fake);
    kit_stop();
}

static void a_stream_that_sent_more_than_is_kept_is_not_made_again(void) {
    struct fake fake;
    char *large = memory_new(30000);
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" retry { buffer = 1KiB } }", fake.address);
    memset(large, 'x', 29999);
    ask(&one, "u", large);
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_DATA, 1));
    fake_reset(&fake, 1, 7);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    fake_stop(&fake);
    kit_stop();
    free(large);
}

static void a_silent_server_is_found_out_by_a_ping(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" keepalive { interval = 50ms timeout = 50ms } }", fake.address);
    ask(&one, "u", "x");
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_PING, 0));
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK(strstr(one.text, "pings"));
    fake_stop(&fake);
    kit_stop();
}

/* ---- retries ---- */

static void a_policy_makes_failed_calls_again_with_all_that_was_sent(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" retry { attempts = 3 backoff = 10ms } }", a.address);
    a.refuse_status = STATUS_UNAVAILABLE;
    a.refusals = 2;
    ask_and_wait(&one, "u", "payload");
    expect(&one, STATUS_OK);
    CHECK_STR(one.received, "payload,");
    CHECK_INT(a.served, 3);
    CHECK_STR(a.seen, ";payload,");
    a.refusals = 3;
    ask_and_wait(&two, "u", "payload");
    expect(&two, STATUS_UNAVAILABLE);
    CHECK_STR(two.text, "not now");
    CHECK_INT(a.served, 6);
    a.refuse_status = STATUS_INVALID_ARGUMENT; /* not in `on` */
    a.refusals = 1;
    ask_and_wait(&two, "u", "payload");
    expect(&two, STATUS_INVALID_ARGUMENT);
    CHECK_INT(a.served, 7);
    kit_stop_with(&a);
}

static void without_a_policy_a_failure_is_the_answer(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" }", a.address);
    a.refuse_status = STATUS_UNAVAILABLE;
    a.refusals = 1;
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_INT(a.served, 1);
    kit_stop_with(&a);
}

static void a_retry_goes_to_another_target(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } retry { attempts = 2 backoff = 10ms } }", a.address, b.address);
    a.refuse_status = STATUS_UNAVAILABLE;
    a.refusals = 1000;
    for (int i = 0; i < 10; i++) {
        ask_and_wait(&one, "u", "x");
        expect(&one, STATUS_OK);
    }
    CHECK(a.served >= 1);
    CHECK_INT(b.served, 10);
    server_stop(&b);
    kit_stop_with(&a);
}

static void an_answer_that_has_begun_is_never_made_again(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" retry { attempts = 3 backoff = 10ms } }", a.address);
    hold(&one, "u");
    WAIT_FOR(one.has_headers);
    call_finish(a.held[0], STATUS_UNAVAILABLE, "later", NULL, 0);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_INT(a.served, 1);
    kit_stop_with(&a);
}

/* ---- balancing ---- */

static void round_robin_is_even_once_all_are_connected(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    server_start(&c, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\", \"%s\" } }", a.address, b.address, c.address);
    ask_and_wait(&one, "u", "x");
    for (int i = 0; i < 2; i++) ask_and_wait(&one, "u", "x");
    WAIT_FOR(target_of("u", 0).connections + target_of("u", 1).connections + target_of("u", 2).connections == 3);
    a.served = b.served = c.served = 0;
    for (int i = 0; i < 30; i++) {
        ask_and_wait(&one, "u", "x");
        expect(&one, STATUS_OK);
    }
    CHECK(a.served == 10 && b.served == 10 && c.served == 10);
    server_stop(&b);
    server_stop(&c);
    kit_stop_with(&a);
}

static void least_streams_fills_the_emptier_target(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } balance = least-streams }", a.address, b.address);
    for (int i = 0; i < 10; i++) {
        hold(&many[i], "u");
        WAIT_FOR(many[i].has_headers);
    }
    WAIT_FOR(target_of("u", 0).connections + target_of("u", 1).connections == 2);
    for (int i = 10; i < 20; i++) {
        hold(&many[i], "u");
        WAIT_FOR(many[i].has_headers);
    }
    CHECK(a.held_count == 10 && b.held_count == 10);
    server_stop(&b);
    kit_stop_with(&a);
}

static size_t hashed_to(const char *user) {
    struct metadata metadata = {0};
    size_t before = a.served;
    metadata_add(&metadata, "x-user", 6, user, strlen(user));
    ask_with(&one, "u", &kit_echo_method, &metadata, 0);
    call_half_close(one.call);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_OK);
    metadata_clear(&metadata);
    return a.served - before;
}

static void a_hash_keeps_users_on_their_target(void) {
    size_t to_a = 0;
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } balance = hash hash_key = x-user }", a.address, b.address);
    for (int i = 0; i < 40; i++) {
        char user[16];
        snprintf(user, sizeof user, "user-%d", i);
        size_t first = hashed_to(user);
        to_a += first;
        for (int j = 0; j < 3; j++) CHECK_INT(hashed_to(user), first);
    }
    CHECK(to_a > 5 && to_a < 35);
    server_stop(&b);
    kit_stop_with(&a);
}

/* ---- verdicts ---- */

static void a_target_whose_calls_fail_is_left_out_for_a_while(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } eject { failures = 3 time = 1s } }", a.address, b.address);
    a.refuse_status = STATUS_UNAVAILABLE;
    a.refusals = 3;
    for (int i = 0; i < 20 && !target_of("u", 0).is_ejected; i++) ask_and_wait(&one, "u", "x");
    CHECK(target_of("u", 0).is_ejected);
    size_t served = a.served;
    for (int i = 0; i < 6; i++) {
        ask_and_wait(&one, "u", "x");
        expect(&one, STATUS_OK);
    }
    CHECK_INT(a.served, served);
    WAIT_FOR(!target_of("u", 0).is_ejected);
    for (int i = 0; i < 6; i++) ask_and_wait(&one, "u", "x");
    CHECK_INT(a.served, served + 3);
    server_stop(&b);
    kit_stop_with(&a);
}

static void who_asks_for_little_time_leaves_nobody_out(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } eject { failures = 2 } }", a.address, b.address);
    for (int i = 0; i < 8; i++) {
        ask_with(&one, "u", &kit_echo_method, NULL, 20 * NS_PER_MS); /* and asks nothing: there is no answer */
        WAIT_FOR(one.is_closed);
        expect(&one, STATUS_DEADLINE_EXCEEDED);
    }
    CHECK(a.served && b.served);
    CHECK_INT(target_of("u", 0).failures + target_of("u", 1).failures, 0);
    CHECK(!target_of("u", 0).is_ejected && !target_of("u", 1).is_ejected);
    server_stop(&b);
    kit_stop_with(&a);
}

#define SILENCE "upstream u { target = { \"%s\", \"%s\" } eject { failures = 2 silence = 20ms } }"

/* A call that asks nothing, and gets no answer. */
static void wait_in_vain(struct asked *asked, uint64_t timeout) {
    ask_with(asked, "u", &kit_echo_method, NULL, timeout);
    WAIT_FOR(asked->is_closed);
    expect(asked, STATUS_DEADLINE_EXCEEDED);
}

static void a_target_that_lets_deadlines_pass_is_left_out(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE(SILENCE, a.address, b.address);
    wait_in_vain(&one, 500 * NS_PER_MS); /* they are connected now */
    for (int i = 0; i < 3; i++) wait_in_vain(&one, 50 * NS_PER_MS);
    CHECK(target_of("u", 0).is_ejected != target_of("u", 1).is_ejected); /* not all of them */
    server_stop(&b);
    kit_stop_with(&a);
}

static void a_target_that_answers_others_meanwhile_is_not_silent(void) {
    static struct asked slow[6];
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE(SILENCE, a.address, b.address);
    ask_and_wait(&one, "u", "x");
    ask_and_wait(&one, "u", "x");
    for (int i = 0; i < 6; i++) ask_with(&slow[i], "u", &kit_echo_method, NULL, 500 * NS_PER_MS); /* three each */
    ask_and_wait(&one, "u", "x");
    ask_and_wait(&one, "u", "x");
    for (int i = 0; i < 6; i++) WAIT_FOR(slow[i].is_closed);
    CHECK(!target_of("u", 0).is_ejected && !target_of("u", 1).is_ejected);
    server_stop(&b);
    kit_stop_with(&a);
}

/* A client counts its deadline, too, and its cancel may come first. */
static void a_cancel_at_the_deadline_is_one(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" eject { silence = 20ms } }", a.address);
    ask_and_wait(&one, "u", "x");
    for (int i = 0; i < 2; i++) { /* long before it, and behind nine tenths */
        ask_with(&one, "u", &kit_echo_method, NULL, i ? 500 * NS_PER_MS : 100 * NS_PER_S);
        uint64_t until = clock_monotonic() + 460 * NS_PER_MS;
        WAIT_FOR(one.is_closed || clock_monotonic() >= until);
        if (!one.is_closed) call_reset(one.call, 8);
        WAIT_FOR(one.is_closed);
        CHECK_INT(target_of("u", 0).failures, i);
    }
    kit_stop_with(&a);
}

static void the_only_target_is_never_ejected(void) {
    kit_start();
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" eject { failures = 2 most = 100 } }", a.address);
    a.refuse_status = STATUS_UNAVAILABLE;
    a.refusals = 5;
    for (int i = 0; i < 5; i++) ask_and_wait(&one, "u", "x");
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
}

/* ---- reload and the end ---- */

static void a_reload_keeps_unchanged_upstreams_and_lets_changed_ones_finish(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" }\nupstream v { target = \"%s\" }", a.address, b.address);
    hold(&one, "u");
    hold(&two, "v");
    WAIT_FOR(one.has_headers && two.has_headers);
    struct upstream_set *before = set;
    CONFIGURE("upstream u { target = \"%s\" }\nupstream v { target = \"%s\" linger = 1s }", a.address, b.address);
    CHECK(upstream_set_find(set, "u") == upstream_set_find(before, "u"));
    CHECK(upstream_set_find(set, "v") != upstream_set_find(before, "v"));
    upstream_set_free(&before);
    ask_and_wait(&many[0], "u", "x");
    ask_and_wait(&many[1], "v", "x");
    expect(&many[0], STATUS_OK);
    expect(&many[1], STATUS_OK);
    CHECK_INT(a.accepted, 1);
    CHECK_INT(b.accepted, 2);
    CHECK(!one.is_closed && !two.is_closed);
    call_finish(b.held[0], STATUS_OK, NULL, NULL, 0);
    WAIT_FOR(two.is_closed);
    expect(&two, STATUS_OK);
    WAIT_FOR(rpc_counters(b.rpc)->connections == 1); /* the old one has gone with its last call */
    server_stop(&b);
    kit_stop_with(&a);
}

static void a_drain_closes_what_is_idle_and_lets_the_rest_finish(void) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" }\nupstream v { target = \"%s\" }", a.address, b.address);
    ask_and_wait(&one, "u", "x");
    hold(&two, "v");
    WAIT_FOR(two.has_headers);
    upstreams_drain(upstreams);
    WAIT_FOR(rpc_counters(a.rpc)->connections == 0);
    CHECK_INT(rpc_counters(b.rpc)->connections, 1);
    ask_and_wait(&one, "u", "x"); /* what still runs may still call */
    expect(&one, STATUS_OK);
    call_finish(b.held[0], STATUS_OK, NULL, NULL, 0);
    WAIT_FOR(two.is_closed && rpc_counters(rpc)->connections == 0);
    expect(&two, STATUS_OK);
    server_stop(&b);
    kit_stop_with(&a);
}

static void a_drain_gives_up_a_dial_that_nobody_waits_for(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" }\nupstream v { target = \"%s\" }", fake.address, fake.address);
    ask(&one, "u", "x");
    ask(&two, "v", "x");
    call_reset(one.call, 8);
    WAIT_FOR(one.is_closed);
    CHECK(target_of("u", 0).is_connecting); /* the next call may want it */
    upstreams_drain(upstreams);
    WAIT_FOR(!target_of("u", 0).is_connecting);
    CHECK_INT(target_of("u", 0).dial_failures, 0);
    CHECK(target_of("v", 0).is_connecting);
    call_reset(two.call, 8);
    WAIT_FOR(rpc_counters(rpc)->connections == 0);
    fake_stop(&fake);
    kit_stop();
}

static void the_end_cuts_calls_that_run_and_calls_that_wait(void) {
    struct fake fake;
    kit_start();
    fake_start(&fake);
    server_start(&a, "0", 100);
    CONFIGURE("upstream u { target = \"%s\" }\nupstream v { target = \"%s\" }", a.address, fake.address);
    hold(&one, "u");
    ask(&two, "v", "x");
    WAIT_FOR(one.has_headers);
    kit_stop_with(&a);
    CHECK(one.is_closed && two.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    expect(&two, STATUS_UNAVAILABLE);
    fake_stop(&fake);
}

int main(void) {
    RUN(calls_wait_for_one_dial_and_share_one_connection);
    RUN(a_call_within_the_linger_keeps_the_connection);
    RUN(a_thousand_streams_share_one_connection_which_goes_with_the_last);
    RUN(the_servers_limit_of_streams_opens_more_connections_up_to_ours);
    RUN(an_own_limit_of_streams_counts_too);
    RUN(an_aged_connection_finishes_its_calls_and_takes_no_more);
    RUN(a_target_that_nobody_listens_on_is_unavailable_with_the_reason);
    RUN(calls_that_wait_are_served_when_the_target_comes);
    RUN(a_call_that_waits_ends_at_its_deadline_or_when_it_is_cancelled);
    RUN(a_server_that_says_nothing_runs_into_the_connect_timeout);
    RUN(a_failed_target_is_replaced_by_another_before_anybody_notices);
    RUN(too_many_waiting_calls_are_refused);
    RUN(a_call_that_need_not_wait_is_not_refused_however_many_wait);
    RUN(a_lost_connection_ends_its_calls_and_no_others);
    RUN(a_goaway_is_obeyed_and_what_it_left_out_is_made_again);
    RUN(a_server_that_sends_everybody_away_is_not_dialled_without_a_pause);
    RUN(a_refused_stream_is_made_again_a_few_times);
    RUN(a_call_that_may_have_been_seen_is_not_made_again);
    RUN(a_stream_that_sent_more_than_is_kept_is_not_made_again);
    RUN(a_silent_server_is_found_out_by_a_ping);
    RUN(a_policy_makes_failed_calls_again_with_all_that_was_sent);
    RUN(without_a_policy_a_failure_is_the_answer);
    RUN(a_retry_goes_to_another_target);
    RUN(an_answer_that_has_begun_is_never_made_again);
    RUN(round_robin_is_even_once_all_are_connected);
    RUN(least_streams_fills_the_emptier_target);
    RUN(a_hash_keeps_users_on_their_target);
    RUN(a_target_whose_calls_fail_is_left_out_for_a_while);
    RUN(who_asks_for_little_time_leaves_nobody_out);
    RUN(a_target_that_lets_deadlines_pass_is_left_out);
    RUN(a_target_that_answers_others_meanwhile_is_not_silent);
    RUN(a_cancel_at_the_deadline_is_one);
    RUN(the_only_target_is_never_ejected);
    RUN(a_reload_keeps_unchanged_upstreams_and_lets_changed_ones_finish);
    RUN(a_drain_closes_what_is_idle_and_lets_the_rest_finish);
    RUN(a_drain_gives_up_a_dial_that_nobody_waits_for);
    RUN(the_end_cuts_calls_that_run_and_calls_that_wait);
    return 0;
}
