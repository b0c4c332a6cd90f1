/* What a client of HTTP/1 does slowly, or not at all. */
#include "http/http1_kit.h"

#define SOON NS_PER_S /* where the test has to be faster than a clock of the session */
#define BRIEF (50 * NS_PER_MS)
#define ASK "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"
#define POST_CHUNKED(path) "POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n"
#define LATE(length, text)                                                                                            \
    "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\ncontent-length: " length                             \
    "\r\nconnection: close\r\n\r\n" text ".\n"
#define LATE_HEAD LATE("41", "the request's head did not come in time")
#define LATE_BODY LATE("41", "the request's body did not come in time")

static void wait_for_end(struct rig *rig, struct side *side, const char *reason) {
    expect_close(rig);
    close(rig->fd);
    rig->fd = -1;
    WAIT(rig, !side->session);
    CHECK_STR(side->reason, reason);
}

static void pass(struct rig *rig, uint64_t time) {
    uint64_t later = clock_monotonic() + time;
    WAIT(rig, clock_monotonic() > later);
}

static void a_head_that_trickles_is_given_up(void) {
    static const char head[] = "GET /empty HTTP/1.1\r\nHost: a\r\nX-Long: ";
    static const char *const before[] = {"", ASK, ASK "\r\n"};
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.settings_timeout = BRIEF;
        struct side *side = http1_open(&rig, &limits);
        put_text(&rig, before[i]);
        if (i) expect_answer(&rig, ANSWER);
        uint64_t start = clock_monotonic();
        for (size_t at = 0; !rig.has_peer_closed; at++) { /* each byte may come when it likes: all of it counts */
            put_bytes(&rig, at < sizeof head - 1 ? head + at : "x", 1);
            pass(&rig, 2 * NS_PER_MS);
        }
        CHECK(clock_monotonic() - start < 10 * NS_PER_S);
        CHECK_INT(side->opened, i ? 1 : 0);
        expect_answer(&rig, LATE_HEAD);
        wait_for_end(&rig, side, "the request's head did not come in time");
        rig_close(&rig);
    }
}

static void the_first_request_is_due_from_the_beginning(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = BRIEF;
    struct side *side = http1_open(&rig, &limits);
    wait_for_end(&rig, side, "no preface and settings in time");
    rig_close(&rig);
}

static void whoever_is_in_time_hears_nothing_of_it(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = limits.write_timeout = SOON;
    http1_open(&rig, &limits);
    put_text(&rig, "GET /empty HT");
    for (int i = 0; i < 3; i++) turn(&rig);
    put_text(&rig, "TP/1.1\r\nHost: a\r\n\r\n");
    expect_answer(&rig, ANSWER);
    put_text(&rig, POST("/echo", "2") "a");
    for (int i = 0; i < 3; i++) turn(&rig);
    put_text(&rig, "b");
    expect_answer(&rig, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
    pass(&rig, SOON + SOON / 4);
    put_text(&rig, ASK);
    expect_answer(&rig, ANSWER);
    rig_close(&rig);
}

static void a_body_that_stops_is_given_up(void) {
    static const char *const requests[] = {POST("/none-yet", "5") "hell", POST_CHUNKED("/none-yet") "5\r\nhell",
                                           POST_CHUNKED("/none-yet") "5", POST_CHUNKED("/none-yet") "5\r\nhello",
                                           POST_CHUNKED("/none-yet") "0\r\n"};
    for (int i = 0; i < 5; i++) {
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.write_timeout = BRIEF;
        struct side *side = http1_open(&rig, &limits);
        put_text(&rig, requests[i]);
        expect_answer(&rig, LATE_BODY);
        CHECK_INT(exchange_at(side, 0)->error, HTTP_PROTOCOL_ERROR);
        wait_for_end(&rig, side, "the request's body did not come in time");
        rig_close(&rig);
    }
}

static void a_slow_body_and_a_pause_between_chunks_are_not(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.write_timeout = SOON;
    struct side *side = http1_open(&rig, &limits);
    put_text(&rig, POST_CHUNKED("/echo") "8\r\n");
    for (int i = 0; i < 8; i++) {
        put_text(&rig, "x");
        pass(&rig, SOON / 6);
    }
    put_text(&rig, "\r\n");
    pass(&rig, SOON + SOON / 4); /* a stream of messages may wait for the next */
    CHECK(side->session && !side->closed);
    put_text(&rig, "0\r\n\r\n");
    expect_answer(&rig, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nxxxxxxxx\r\n0\r\n\r\n");
    rig_close(&rig);
}

/* An early answer stands; what the client still owes of its body keeps the connection for a while only. */
static void the_rest_of_an_answered_request_is_waited_for_briefly(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.settings_timeout = BRIEF;
    struct side *side = http1_open(&rig, &limits);
    put_text(&rig, POST_CHUNKED("/open") "5\r\n");
    expect_answer(&rig, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n");
    http_stream_finish(exchange_at(side, 0)->stream, NULL, 0);
    expect_answer(&rig, "0\r\n\r\n");
    while (!rig.has_peer_closed) {
        put_text(&rig, "hello\r\n5\r\n");
        pass(&rig, 2 * NS_PER_MS);
    }
    wait_for_end(&rig, side, "the rest of a request did not come in time");
    rig_close(&rig);
}

static void a_connection_between_two_requests_is_closed_after_a_while(void) {
    static const char *const after[] = {"", "\r", "\r\n"}; /* some clients send that behind a body */
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.idle = BRIEF;
        struct side *side = http1_open(&rig, &limits);
        put_text(&rig, ASK);
        expect_answer(&rig, ANSWER);
        for (const char *byte = after[i]; *byte; byte++) {
            put_bytes(&rig, byte, 1);
            for (int j = 0; j < 3; j++) turn(&rig);
        }
        wait_for_end(&rig, side, "max_idle");
        rig_close(&rig);
    }
}

static void an_exchange_is_no_idle_time(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.idle = BRIEF;
    struct side *side = http1_open(&rig, &limits);
    put_text(&rig, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    WAIT(&rig, side->opened == 1);
    pass(&rig, 3 * limits.idle);
    CHECK(side->session && !rig.has_peer_closed);
    http_stream_finish(exchange_at(side, 0)->stream, NULL, 0);
    expect_answer(&rig, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    wait_for_end(&rig, side, "max_idle");
    rig_close(&rig);
}

static struct exchange *answer_at_large(struct rig *rig, struct side *side, const char *request) {
    put_text(rig, request);
    WAIT(rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    struct message *message = message_new(1 << 20);
    message->length = 1 << 20;
    memset(message->data, 'm', 1 << 20);
    send_large(exchange, message, 1 << 29);
    message_unref(&message);
    return exchange;
}

static void a_client_that_takes_nothing_is_cut_off(void) {
    static const char *const requests[] = {"GET /open HTTP/1.1\r\nHost: a\r\n\r\n", "GET /open HTTP/1.0\r\n\r\n",
                                           "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.write_timeout = 100 * NS_PER_MS;
        struct side *side = http1_open(&rig, &limits);
        struct exchange *exchange = answer_at_large(&rig, side, requests[i]);
        WAIT_BY(turn_without_reading, &rig, !side->session);
        CHECK_STR(side->reason, "the peer takes no bytes");
        CHECK((1 << 29) - exchange->large_left < 2 << 20); /* what was pulled meanwhile is bounded */
        rig_close(&rig);
    }
}

static void a_slow_client_is_not_cut_off(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.write_timeout = 2 * SOON;
    struct side *side = http1_open(&rig, &limits);
    answer_at_large(&rig, side, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    static uint8_t bytes[8192];
    uint64_t end = clock_monotonic() + 2 * limits.write_timeout, next = 0;
    while (clock_monotonic() < end) {
        turn_without_reading(&rig);
        if (clock_monotonic() < next) continue;
        next = clock_monotonic() + limits.write_timeout / 8;
        if (recv(rig.fd, bytes, sizeof bytes, 0) == 0) break;
    }
    CHECK_STR(side->reason, "");
    CHECK(side->session);
    rig_close(&rig);
}

int main(void) {
    RUN(a_head_that_trickles_is_given_up);
    RUN(the_first_request_is_due_from_the_beginning);
    RUN(whoever_is_in_time_hears_nothing_of_it);
    RUN(a_body_that_stops_is_given_up);
    RUN(a_slow_body_and_a_pause_between_chunks_are_not);
    RUN(the_rest_of_an_answered_request_is_waited_for_briefly);
    RUN(a_connection_between_two_requests_is_closed_after_a_while);
    RUN(an_exchange_is_no_idle_time);
    RUN(a_client_that_takes_nothing_is_cut_off);
    RUN(a_slow_client_is_not_cut_off);
    return 0;
}
