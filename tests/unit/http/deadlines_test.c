#include "http/rig.h"

/* Where the test has to be faster than a clock of the session: a busy machine may keep it waiting for a while. */
#define SOON (500 * NS_PER_MS)

static void wait_for_end(struct rig *rig, struct side *side, const char *reason) {
    WAIT(rig, rig->has_peer_closed);
    close(rig->fd);
    rig->fd = -1;
    WAIT(rig, !side->session);
    CHECK_STR(side->reason, reason);
}

static void a_preface_must_come_in_time(void) {
    for (size_t length = 0; length <= 24; length += 12) { /* nothing, a part, all but the SETTINGS */
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.settings_timeout = 50 * NS_PER_MS;
        struct side *side = rig_open_one(&rig, &limits, true);
        uint64_t start = clock_monotonic();
        put_bytes(&rig, client_magic, length);
        wait_for_end(&rig, side, "no preface and settings in time");
        CHECK(clock_monotonic() - start >= limits.settings_timeout);
        rig_close(&rig);
    }
}

static void settings_must_be_acknowledged_in_time(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = 50 * NS_PER_MS;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_bytes(&rig, client_magic, 24);
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    put_request(&rig, 1, 0);
    struct frame frame = wait_frame(&rig, GOAWAY);
    CHECK_INT(read_number(frame.payload + 4), HTTP_SETTINGS_TIMEOUT);
    wait_for_end(&rig, side, "no preface and settings in time");
    rig_close(&rig);
}

static void a_header_block_must_be_finished_in_time(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = 50 * NS_PER_MS;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_frame(&rig, HEADERS, 0, 1, request_block, sizeof request_block);
    wait_for_end(&rig, side, "an unfinished header block");
    rig_close(&rig);
}

static int loans_back;
static void count_back(void *owner) { *(int *)owner += 1; }

static void lend_text(struct side *side, enum event event, struct exchange *exchange) {
    static const char text[] = "a text that is lent";
    if (event != ON_REQUEST) return;
    const struct http_loan loan = {text, sizeof text - 1, count_back, &loans_back};
    http_stream_set_user(exchange->stream, NULL);
    int before = loans_back;
    http_stream_respond_loan(exchange->stream, ok_headers, 2, &loan);
    CHECK_INT(loans_back, before); /* no copy */
    exchange->is_closed = true;
    side->closed++;
}

static void a_whole_answer_that_nobody_takes_is_given_up(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.stalled = 100 * NS_PER_MS;
    loans_back = 0;
    struct side *side = rig_open_one(&rig, &limits, true);
    side->on_event = lend_text;
    put_preface(&rig);
    put_frame(&rig, SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    rig.settings_sent++;
    uint64_t start = clock_monotonic();
    put_request(&rig, 1, END_STREAM);
    put_request(&rig, 3, END_STREAM);
    for (uint32_t id = 1; id <= 3; id += 2) {
        struct frame reset = wait_frame(&rig, RST_STREAM);
        CHECK_INT(reset.id, id);
        CHECK_INT(read_number(reset.payload), HTTP_ENHANCE_YOUR_CALM);
    }
    CHECK(clock_monotonic() - start >= limits.stalled);
    WAIT(&rig, http_session_stream_count(side->session) == 0);
    CHECK_INT(loans_back, 2);
    put_frame(&rig, SETTINGS, 0, 0, "\0\4\0\0\1\0", 6); /* the connection goes on */
    rig.settings_sent++;
    put_request(&rig, 5, END_STREAM);
    CHECK_INT(wait_frame(&rig, DATA).id, 5);
    WAIT(&rig, loans_back == 3);
    put_request(&rig, 7, 0); /* the answer has left, and the request does not end */
    CHECK_INT(wait_frame(&rig, RST_STREAM).id, 7);
    WAIT(&rig, loans_back == 4);
    rig_close(&rig);
}

static void whoever_is_in_time_hears_nothing_of_it(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = SOON;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_frame(&rig, HEADERS, 0, 1, request_block, 3);
    settle(&rig); /* the CONTINUATION is owed: SETTINGS in between would be a fault */
    CHECK(rig.has_peer_closed);
    rig_close(&rig);

    side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_frame(&rig, HEADERS, 0, 1, request_block, 3);
    turn(&rig);
    put_frame(&rig, CONTINUATION, END_HEADERS, 1, request_block + 3, sizeof request_block - 3);
    WAIT(&rig, side->opened == 1);
    uint64_t later = clock_monotonic() + 2 * limits.settings_timeout;
    WAIT(&rig, clock_monotonic() > later);
    settle(&rig);
    CHECK(!rig.has_peer_closed);
    rig_close(&rig);
}

static void a_block_whose_stream_is_reset_meanwhile_is_owed_no_more(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = SOON;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    put_frame(&rig, HEADERS, END_STREAM, 1, "\x00\x01t\x01u", 5); /* trailers, to be continued */
    WAIT(&rig, side->opened == 1);
    http_stream_reset(exchange_at(side, 0)->stream, HTTP_CANCEL);
    WAIT(&rig, side->closed == 1);
    put_frame(&rig, CONTINUATION, END_HEADERS, 1, "\x00\x01v\x01w", 5);
    uint64_t later = clock_monotonic() + 2 * limits.settings_timeout;
    WAIT(&rig, clock_monotonic() > later);
    put_request(&rig, 3, 0);
    WAIT(&rig, side->opened == 2);
    CHECK_STR(exchange_at(side, 1)->headers, ":method: POST\n:scheme: http\n:path: /\n:authority: a\n");
    rig_close(&rig);
}

static void a_peer_that_takes_nothing_is_cut_off(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.write_timeout = 100 * NS_PER_MS;
    struct side *side = rig_open_one(&rig, &limits, true);
    struct exchange *exchange = start_large_answer(&rig, side);
    WAIT_BY(turn_without_reading, &rig, !side->session);
    CHECK_STR(side->reason, "the peer takes no bytes");
    CHECK((1 << 29) - exchange->large_left < 2 << 20); /* what was pulled meanwhile is bounded */
    rig_close(&rig);
}

/* For three times what a peer has that takes nothing. False, when the machine itself has been too slow for the peer. */
static bool a_peer_reads_slowly(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.write_timeout = 2 * SOON;
    struct side *side = rig_open_one(&rig, &limits, true);
    start_large_answer(&rig, side);
    static uint8_t bytes[8192];
    uint64_t last = clock_monotonic(), end = last + 3 * limits.write_timeout, longest = 0;
    while (side->session && last < end) {
        uint64_t now = clock_monotonic();
        turn_without_reading(&rig);
        if (now < last + limits.write_timeout / 8) continue;
        recv(rig.fd, bytes, sizeof bytes, 0);
        now = clock_monotonic();
        if (now - last > longest) longest = now - last;
        last = now;
    }
    if (!side->session && clock_monotonic() - last > longest) longest = clock_monotonic() - last;
    bool was_in_time = longest < limits.write_timeout / 2;
    CHECK(side->session || !was_in_time);
    if (side->session) CHECK_STR(side->reason, "");
    rig_close(&rig);
    return was_in_time;
}

static void a_slow_peer_is_not_cut_off(void) {
    for (int i = 0; i < 5; i++)
        if (a_peer_reads_slowly()) return;
    fprintf(stderr, "  this machine cannot tell: it stands still for longer than the peer may\n");
}

static void an_idle_connection_is_drained(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.idle = 50 * NS_PER_MS;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    uint64_t later = clock_monotonic() + 3 * limits.idle;
    WAIT(&rig, clock_monotonic() > later);
    settle(&rig);
    CHECK(!rig.has_peer_closed); /* a stream is open */
    put_number(&rig, RST_STREAM, 1, HTTP_CANCEL);
    struct frame frame = wait_frame(&rig, GOAWAY);
    CHECK_INT(read_number(frame.payload + 4), HTTP_NO_ERROR);
    frame = wait_frame(&rig, PING);
    put_frame(&rig, PING, ACK, 0, frame.payload, 8);
    wait_for_end(&rig, side, "max_idle");
    rig_close(&rig);
}

static void a_silent_peer_is_asked_and_lives_when_it_answers(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.keepalive_interval = 30 * NS_PER_MS;
    limits.keepalive_timeout = SOON;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    for (int i = 0; i < 5; i++) {
        struct frame frame = wait_frame(&rig, PING);
        CHECK_INT(frame.flags, 0);
        put_frame(&rig, PING, ACK, 0, frame.payload, 8);
    }
    CHECK(side->session);
    wait_frame(&rig, PING);
    WAIT(&rig, !side->session); /* no answer */
    CHECK_STR(side->reason, "the peer doesn't answer pings");
    rig_close(&rig);
}

static void a_client_without_streams_asks_only_where_it_may(void) {
    for (int may = 0; may < 2; may++) {
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.keepalive_interval = 20 * NS_PER_MS;
        limits.keepalive_timeout = 10 * NS_PER_S;
        limits.pings_without_streams = may;
        rig_open_one(&rig, &limits, false);
        put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
        put_frame(&rig, SETTINGS, ACK, 0, NULL, 0);
        WAIT(&rig, buffer_length(&rig.wire) > 24);
        rig.parsed = 24;
        struct frame frame;
        uint64_t later = clock_monotonic() + 200 * NS_PER_MS;
        if (may) wait_frame(&rig, PING);
        else WAIT(&rig, clock_monotonic() > later);
        CHECK(may || !find_frame(&rig, PING, &frame));
        rig_close(&rig);
    }
}

int main(void) {
    RUN(a_preface_must_come_in_time);
    RUN(settings_must_be_acknowledged_in_time);
    RUN(a_header_block_must_be_finished_in_time);
    RUN(whoever_is_in_time_hears_nothing_of_it);
    RUN(a_block_whose_stream_is_reset_meanwhile_is_owed_no_more);
    RUN(a_whole_answer_that_nobody_takes_is_given_up);
    RUN(a_peer_that_takes_nothing_is_cut_off);
    RUN(a_slow_peer_is_not_cut_off);
    RUN(an_idle_connection_is_drained);
    RUN(a_silent_peer_is_asked_and_lives_when_it_answers);
    RUN(a_client_without_streams_asks_only_where_it_may);
    return 0;
}
