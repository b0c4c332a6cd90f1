/* upstream/health.c, by a server whose health the test decides. */
#include "kit.h"

static struct server a, b;
static struct asked one;

static uint8_t verdicts[2]; /* of a and b: ServingStatus; 255: the call fails with UNAVAILABLE */
static size_t checks[2];
static char asked_for[64];
static bool is_silent;

static void check(struct call *call) {
    size_t index = (size_t)(uintptr_t)call->route->data;
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE)
        snprintf(asked_for, sizeof asked_for, "%.*s", message.length > 2 ? (int)message.length - 2 : 0,
                 message.data + 2);
    checks[index]++;
    const uint8_t reply[2] = {8, verdicts[index]};
    if (is_silent) return;
    if (verdicts[index] != 255) call_send_bytes(call, reply, 2);
    call_finish(call, verdicts[index] == 255 ? STATUS_UNAVAILABLE : STATUS_OK, NULL, NULL, 0);
}
static const struct call_handler check_handler = {
    .on_open = check, .on_readable = kit_nothing, .on_writable = kit_nothing, .on_close = kit_closed};
static const struct method check_method = {.full_name = "grpc.health.v1.Health/Check"};

/* Whoever watches a. */
static struct call *watcher;
static size_t watches;

static void watch(struct call *call) {
    watcher = call;
    watches++;
    call_send_bytes(call, (const uint8_t[]){8, verdicts[0]}, 2);
}
static void watch_closed(struct call *call, enum status status, const char *text) {
    (void)status, (void)text;
    if (watcher == call) watcher = NULL;
}
static const struct call_handler watch_handler = {
    .on_open = watch, .on_readable = kit_nothing, .on_writable = kit_nothing, .on_close = watch_closed};
static const struct method watch_method = {.full_name = "grpc.health.v1.Health/Watch", .is_server_streaming = true};

static void say(uint8_t verdict) {
    verdicts[0] = verdict;
    call_send_bytes(watcher, &(const uint8_t[]){8, verdict}[0], 2);
}

static void start(bool has_health) {
    kit_start();
    server_start(&a, "0", 100);
    server_start(&b, "0", 100);
    verdicts[0] = verdicts[1] = 1;
    checks[0] = checks[1] = 0;
    is_silent = false;
    if (!has_health) return;
    router_add(a.router, &check_method, &check_handler, (void *)0, &kit_limits);
    router_add(b.router, &check_method, &check_handler, (void *)1, &kit_limits);
}
static void stop(void) {
    server_stop(&b);
    kit_stop_with(&a);
}

#define HEALTH_IN(timeout) \
    "health { service = \"pkg.Numbers\" interval = 20ms timeout = " timeout " unhealthy = 2 healthy = 3 }"
#define HEALTH HEALTH_IN("10s")

static void configure(void) {
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } " HEALTH " }", a.address, b.address);
}

static void an_unhealthy_target_is_left_out_until_it_is_well(void) {
    start(true);
    configure();
    WAIT_FOR(checks[0] && checks[1]);
    CHECK_STR(asked_for, "pkg.Numbers");
    verdicts[0] = 2;
    WAIT_FOR(target_of("u", 0).is_unhealthy);
    for (int i = 0; i < 6; i++) {
        ask_and_wait(&one, "u", "x");
        expect(&one, STATUS_OK);
    }
    CHECK_INT(a.served, 0);
    CHECK_INT(b.served, 6);
    size_t before = checks[0];
    verdicts[0] = 1;
    WAIT_FOR(!target_of("u", 0).is_unhealthy);
    CHECK(checks[0] >= before + 3);
    for (int i = 0; i < 6; i++) ask_and_wait(&one, "u", "x");
    CHECK_INT(a.served, 3);
    stop();
}

static void without_a_healthy_target_calls_fail_at_once(void) {
    start(true);
    configure();
    verdicts[0] = 2, verdicts[1] = 255;
    WAIT_FOR(target_of("u", 0).is_unhealthy && target_of("u", 1).is_unhealthy);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_STR(one.text, "upstream u: no target is healthy");
    stop();
}

static void a_check_without_an_answer_counts_as_failed(void) {
    start(true);
    is_silent = true;
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } " HEALTH_IN("50ms") " }", a.address, b.address);
    WAIT_FOR(target_of("u", 0).is_unhealthy && target_of("u", 1).is_unhealthy);
    stop();
}

static void a_server_without_health_is_healthy(void) {
    start(false);
    configure();
    WAIT_FOR(target_of("u", 0).calls >= 5 && target_of("u", 1).calls >= 5);
    CHECK(!target_of("u", 0).is_unhealthy && !target_of("u", 1).is_unhealthy);
    stop();
}

static void a_dead_target_becomes_unhealthy_without_any_call(void) {
    start(true);
    CONFIGURE("upstream u { target = { \"%s\", \"%s\" } backoff = 10ms backoff_most = 10ms " HEALTH " }", a.address,
              b.address);
    WAIT_FOR(checks[1]);
    char *port = memory_copy_string(strrchr(b.address, ':') + 1);
    server_stop(&b);
    WAIT_FOR(target_of("u", 1).is_unhealthy);
    CHECK(!target_of("u", 0).is_unhealthy);
    server_start(&b, port, 100);
    router_add(b.router, &check_method, &check_handler, (void *)1, &kit_limits);
    WAIT_FOR(!target_of("u", 1).is_unhealthy);
    free(port);
    stop();
}

static void checks_end_with_the_upstream_and_with_a_drain(void) {
    start(true);
    configure();
    WAIT_FOR(checks[0] && checks[1]);
    struct upstream_set *before = set;
    CONFIGURE("upstream v { target = \"%s\" " HEALTH " }", a.address);
    upstream_set_free(&before);
    WAIT_FOR(rpc_counters(b.rpc)->connections == 0);
    upstreams_drain(upstreams);
    WAIT_FOR(rpc_counters(a.rpc)->connections == 0 && rpc_counters(rpc)->connections == 0);
    stop();
}

#define WATCHED(more) "upstream u { target = { \"%s\", \"%s\" } " more " health { timeout = 10s " INTERVAL " } }"

/* One check in the beginning, and none for the rest of the test. */
#define INTERVAL "interval = 1h"
static void a_watch_tells_at_once(void) {
    start(true);
    watches = 0;
    router_add(a.router, &watch_method, &watch_handler, NULL, &kit_limits);
    CONFIGURE(WATCHED(""), a.address, b.address);
    WAIT_FOR(watcher && checks[1]);
    CHECK_INT(target_of("u", 0).streams, 0);
    CHECK(!target_of("u", 0).is_unhealthy);
    say(2);
    WAIT_FOR(target_of("u", 0).is_unhealthy);
    for (int i = 0; i < 4; i++) ask_and_wait(&one, "u", "x");
    CHECK_INT(a.served, 0);
    say(1);
    WAIT_FOR(!target_of("u", 0).is_unhealthy);
    CHECK_INT(checks[0], 1);
    CHECK_INT(watches, 1);
    upstreams_drain(upstreams);
    WAIT_FOR(!watcher);
    stop();
}
#undef INTERVAL

/* A connection that is too old goes behind its last call: that is not the watch, which begins again on the next. */
#define INTERVAL "interval = 20ms"
static void a_watch_keeps_no_connection(void) {
    start(true);
    watches = 0;
    router_add(a.router, &watch_method, &watch_handler, NULL, &kit_limits);
    CONFIGURE(WATCHED("max_age = 100ms"), a.address, b.address);
    WAIT_FOR(watches >= 3);
    WAIT_FOR(target_of("u", 0).connections <= 1);
    CHECK(a.accepted >= 3);
    stop();
}

static void a_watch_can_be_left_out(void) {
    start(true);
    watches = 0;
    router_add(a.router, &watch_method, &watch_handler, NULL, &kit_limits);
    CONFIGURE(WATCHED("") , a.address, b.address);
    WAIT_FOR(watches == 1);
    struct upstream_set *before = set;
    CONFIGURE("upstream u { target = \"%s\" health { watch = off interval = 20ms } }", a.address);
    upstream_set_free(&before);
    size_t checked = checks[0];
    WAIT_FOR(checks[0] > checked + 3);
    CHECK_INT(watches, 1);
    stop();
}

int main(void) {
    RUN(a_watch_tells_at_once);
    RUN(a_watch_keeps_no_connection);
    RUN(a_watch_can_be_left_out);
    RUN(an_unhealthy_target_is_left_out_until_it_is_well);
    RUN(without_a_healthy_target_calls_fail_at_once);
    RUN(a_check_without_an_answer_counts_as_failed);
    RUN(a_server_without_health_is_healthy);
    RUN(a_dead_target_becomes_unhealthy_without_any_call);
    RUN(checks_end_with_the_upstream_and_with_a_drain);
    return 0;
}
