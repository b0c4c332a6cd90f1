/* upstream/opening.c: attempts of one call, to a server whose every frame the test says. */
#include "kit.h"

static struct fake fake;
static struct asked one;

static void add_literal(struct buffer *block, const char *name, const char *value) {
    buffer_append_byte(block, 0); /* HPACK: literal, not indexed, new name */
    buffer_append_byte(block, (uint8_t)strlen(name));
    buffer_append_text(block, name);
    buffer_append_byte(block, (uint8_t)strlen(value));
    buffer_append_text(block, value);
}

/* A failure in one header block; `pushback` may be NULL. */
static void fail(uint32_t id, const char *status, const char *pushback, bool is_repeated) {
    struct buffer block = {0};
    buffer_append_byte(&block, 0x88); /* :status 200 */
    add_literal(&block, "content-type", "application/grpc");
    add_literal(&block, "grpc-status", status);
    if (pushback) add_literal(&block, "grpc-retry-pushback-ms", pushback);
    if (is_repeated) add_literal(&block, "grpc-retry-pushback-ms", pushback);
    fake_say(&fake, F_HEADERS, 5, id, buffer_bytes(&block), buffer_length(&block));
    buffer_free(&block);
}

static void headers(uint32_t id) {
    struct buffer block = {0};
    buffer_append_byte(&block, 0x88);
    add_literal(&block, "content-type", "application/grpc");
    fake_say(&fake, F_HEADERS, 4, id, buffer_bytes(&block), buffer_length(&block));
    buffer_free(&block);
}

/* The bytes of all DATA frames of a stream. */
static void data_of(uint32_t id, struct buffer *data) {
    buffer_clear(data);
    fake_has(&fake, F_DATA, id);
    const uint8_t *at = buffer_bytes(&fake.seen) + 24, *end = buffer_bytes(&fake.seen) + buffer_length(&fake.seen);
    while (at + 9 <= end) {
        size_t length = (size_t)(at[0] << 16 | at[1] << 8 | at[2]);
        if (at[3] == F_DATA && at[8] == id) buffer_append(data, at + 9, length);
        at += 9 + length;
    }
}

#define POLICY "retry { attempts = 3 backoff = 10ms on = { UNAVAILABLE, ABORTED } }"

static void start(const char *more) {
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" %s }", fake.address, more);
    ask(&one, "u", "x");
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_DATA, 1));
}
static void stop(void) {
    fake_stop(&fake);
    kit_stop();
}

static void a_pushback_is_waited_for(void) {
    start(POLICY);
    uint64_t before = clock_monotonic();
    fail(1, "14", "120", false);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 3));
    uint64_t waited = clock_monotonic() - before;
    CHECK(waited >= 120 * NS_PER_MS);
    CHECK(!one.is_closed);
    stop();
}

static void a_pushback_that_forbids_or_makes_no_sense_ends_the_call(void) {
    static const char *const values[] = {"-1", "soon", "", "99999999999", "5"};
    for (int i = 0; i < 5; i++) {
        start(POLICY);
        fail(1, "14", values[i], i == 4 /* said twice */);
        WAIT_FOR(one.is_closed);
        expect(&one, STATUS_UNAVAILABLE);
        CHECK(!fake_has(&fake, F_HEADERS, 3));
        stop();
    }
}

static void only_the_statuses_of_the_policy_are_tried_again(void) {
    start(POLICY);
    fail(1, "10", NULL, false);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 3));
    fail(3, "9", NULL, false);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_FAILED_PRECONDITION);
    stop();
}

/* What was sent before and what is sent between and after attempts: each attempt has all of it, once and in order. */
static void every_attempt_has_every_message_once(void) {
    struct buffer data = {0};
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" " POLICY " }", fake.address);
    ask_with(&one, "u", &kit_echo_method, NULL, 0);
    call_send_bytes(one.call, "a", 1);
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_DATA, 1));
    call_send_bytes(one.call, "b", 1);
    WAIT_FOR((data_of(1, &data), buffer_length(&data) == 12));
    fail(1, "14", NULL, false);
    for (int i = 0; i < 3; i++) turn();
    call_send_bytes(one.call, "c", 1);
    static const char all[] = "\0\0\0\0\1a\0\0\0\0\1b\0\0\0\0\1c\0\0\0\0\1d";
    WAIT_FOR((data_of(3, &data), buffer_length(&data) == 18));
    CHECK_MEM(buffer_bytes(&data), buffer_length(&data), all, 18);
    fake_reset(&fake, 3, 7); /* refused: not seen */
    WAIT_FOR((data_of(5, &data), buffer_length(&data) == 18));
    call_send_bytes(one.call, "d", 1);
    WAIT_FOR((data_of(5, &data), buffer_length(&data) == 24));
    CHECK_MEM(buffer_bytes(&data), buffer_length(&data), all, 24);
    headers(5);
    WAIT_FOR(one.has_headers);
    fake_reset(&fake, 5, 7); /* too late for another attempt */
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK(!fake_has(&fake, F_HEADERS, 7));
    buffer_free(&data);
    stop();
}

static struct asked again[6];

/* Opens another call; its stream has this id. */
static void ask_again(int i, uint32_t id) {
    ask_with(&again[i], "u", &kit_echo_method, NULL, 0);
    WAIT_FOR(fake_has(&fake, F_HEADERS, id));
}

static void retries_stop_while_half_of_the_tokens_are_gone(void) {
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" retry { attempts = 5 backoff = 1ms tokens = 4 refill = 50 } }", fake.address);
    ask_with(&one, "u", &kit_echo_method, NULL, 0);
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 1));
    fail(1, "14", NULL, false); /* 3 are left */
    WAIT_FOR(fake_has(&fake, F_HEADERS, 3));
    fail(3, "14", NULL, false); /* 2: not more than half */
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_INT(counts_of("u").retries, 1);

    ask_again(0, 5);
    fail(5, "9", NULL, false); /* no status that is retried: it costs nothing */
    WAIT_FOR(again[0].is_closed);
    for (uint32_t i = 1; i < 4; i++) { /* 3.5 */
        ask_again((int)i, 5 + 2 * i);
        fail(5 + 2 * i, "0", NULL, false); /* no failure: a call without replies */
        WAIT_FOR(again[i].is_closed);
        expect(&again[i], STATUS_OK);
    }
    ask_again(4, 13);
    fail(13, "14", NULL, false); /* 2.5 */
    WAIT_FOR(fake_has(&fake, F_HEADERS, 15));
    fail(15, "9", "-1", false); /* a pushback that forbids another costs one, too: 1.5 */
    WAIT_FOR(again[4].is_closed);
    ask_again(5, 17);
    fail(17, "14", NULL, false);
    WAIT_FOR(again[5].is_closed);
    CHECK_INT(counts_of("u").retries, 2);
    stop();
}

static void a_call_that_is_cancelled_between_attempts_is_over(void) {
    start("retry { attempts = 3 backoff = 200ms }");
    fail(1, "14", NULL, false);
    WAIT_FOR(counts_of("u").retries == 1);
    CHECK_INT(counts_of("u").waiting, 1);
    call_reset(one.call, 8);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_CANCELLED);
    CHECK_INT(counts_of("u").waiting, 0);
    stop();
}

static void a_deadline_ends_the_attempts(void) {
    kit_start();
    fake_start(&fake);
    CONFIGURE("upstream u { target = \"%s\" retry { attempts = 5 backoff = 10s backoff_most = 10s } }", fake.address);
    ask_with(&one, "u", &kit_echo_method, NULL, 150 * NS_PER_MS);
    WAIT_FOR(fake_accept(&fake));
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 1));
    fail(1, "14", NULL, false);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_DEADLINE_EXCEEDED);
    stop();
}

static void a_reset_mid_message_is_told(void) {
    start("");
    headers(1);
    fake_say(&fake, F_DATA, 0, 1, "\0\0\0\0\5he", 7);
    WAIT_FOR(one.has_headers);
    fake_reset(&fake, 1, 2);
    WAIT_FOR(one.is_closed);
    expect(&one, STATUS_INTERNAL);
    CHECK_INT(one.messages, 0);
    stop();
}

static void one_that_complains_of_pings_gets_half_as_many(void) {
    static const uint8_t goaway[] = {0, 0, 0, 0, 0, 0, 0, 11, 't', 'o', 'o', '_', 'm', 'a', 'n',
                                     'y', '_', 'p', 'i', 'n', 'g', 's'};
    start("keepalive { interval = 150ms timeout = 10s }");
    uint64_t before = clock_monotonic();
    WAIT_FOR(fake_has(&fake, F_PING, 0));
    CHECK(clock_monotonic() - before > 100 * NS_PER_MS);
    fake_say(&fake, F_GOAWAY, 0, 0, goaway, sizeof goaway);
    struct fake first = fake;
    fake.seen = (struct buffer){0};
    WAIT_FOR(fake_accept(&fake)); /* nobody has looked at the call: it is made again */
    close(first.fd);
    buffer_free(&first.seen);
    fake_settings(&fake);
    WAIT_FOR(fake_has(&fake, F_HEADERS, 1));
    before = clock_monotonic();
    WAIT_FOR(fake_has(&fake, F_PING, 0));
    CHECK(clock_monotonic() - before > 250 * NS_PER_MS);
    call_reset(one.call, 8);
    WAIT_FOR(one.is_closed);
    stop();
}

int main(void) {
    RUN(a_pushback_is_waited_for);
    RUN(a_pushback_that_forbids_or_makes_no_sense_ends_the_call);
    RUN(only_the_statuses_of_the_policy_are_tried_again);
    RUN(every_attempt_has_every_message_once);
    RUN(retries_stop_while_half_of_the_tokens_are_gone);
    RUN(a_call_that_is_cancelled_between_attempts_is_over);
    RUN(a_deadline_ends_the_attempts);
    RUN(a_reset_mid_message_is_told);
    RUN(one_that_complains_of_pings_gets_half_as_many);
    return 0;
}
