/* How many bytes of HTTP/1 are taken, kept and given when one of the two sides is behind; and how it ends. */
#include "http/http1_kit.h"

#define HOST "Host: a\r\n\r\n"
#define ASK "GET /empty HTTP/1.1\r\n" HOST
#define WAITING "GET /wait HTTP/1.1\r\n" HOST
#define UPGRADE(path) "GET " path " HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: b\r\n" HOST
#define TEXT "content-type: text/plain\r\n"
#define CLOSE "connection: close\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\n" TEXT "content-length: 0\r\n\r\n"
#define LAST_ANSWER "HTTP/1.1 200 OK\r\n" TEXT "content-length: 0\r\n" CLOSE "\r\n"
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: b\r\n\r\n"
#define TOLD(status, length, text)                                                                                    \
    "HTTP/1.1 " status "\r\n" TEXT "content-length: " length "\r\n" CLOSE "\r\n" text ".\n"

#define TEN(text) text text text text text text text text text text
#define BULK TEN(TEN(TEN("x")))

enum { READ = 64 * 1024 /* the most that one read of the socket brings */ };

static void wait_for_end(struct rig *rig, struct side *side, const char *reason) {
    expect_close(rig);
    close(rig->fd);
    rig->fd = -1;
    WAIT(rig, !side->session);
    CHECK_STR(side->reason, reason);
}

static struct exchange *await_request(struct rig *rig, size_t index) {
    WAIT(rig, rig->server.opened > index);
    return exchange_at(&rig->server, index);
}

static void respond(struct exchange *exchange) { http_stream_respond(exchange->stream, text_headers, 2, true); }

static void request(struct rig *rig, const char *before, const char *piece, size_t times, const char *after) {
    struct buffer text = {0};
    buffer_append_text(&text, before);
    while (times--) buffer_append_text(&text, piece);
    buffer_append_text(&text, after);
    put_bytes(rig, buffer_bytes(&text), buffer_length(&text));
    buffer_free(&text);
}

/* Sends until nothing is taken any more; how many bytes were. */
static size_t send_all_that_is_taken(struct rig *rig, const char *piece, size_t most) {
    size_t sent = 0, length = strlen(piece);
    for (int idle = 0; idle < 20 && sent < most;) {
        ssize_t taken = send(rig->fd, piece + sent % length, length - sent % length, MSG_NOSIGNAL);
        if (taken > 0) sent += (size_t)taken;
        idle = taken > 0 ? 0 : idle + 1;
        turn(rig);
    }
    return sent;
}

/* ---- one after the other ---- */

static void requests_that_come_at_once_have_their_turns(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    put_text(&rig, WAITING WAITING ASK WAITING);
    for (size_t i = 0; i < 2; i++) {
        struct exchange *exchange = await_request(&rig, i);
        expect_nothing_more(&rig);
        CHECK_INT(side->opened, i + 1); /* the next one waits */
        CHECK_INT(http_stream_id(exchange->stream), i + 1);
        respond(exchange);
        expect_answer(&rig, ANSWER);
    }
    expect_answer(&rig, ANSWER);
    respond(await_request(&rig, 3));
    expect_answer(&rig, ANSWER);
    rig_close(&rig);
}

static void what_comes_early_is_bounded(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    put_text(&rig, WAITING);
    struct exchange *first = await_request(&rig, 0);
    int small = 4096;
    CHECK(setsockopt(rig.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    size_t sent = send_all_that_is_taken(&rig, ASK, 16 << 20);
    CHECK(sent > 16 * 1024);
    CHECK(sent < 16 * 1024 + READ + 512 * 1024); /* and what the kernel keeps */
    CHECK_INT(side->opened, 1);
    respond(first);
    expect_answer(&rig, ANSWER);
    for (size_t i = 0; i < sent / strlen(ASK); i++) expect_answer(&rig, ANSWER);
    CHECK_INT(side->opened, 1 + sent / strlen(ASK));
    rig_close(&rig);
}

static struct side *busy; /* the other connection of the thread */
static size_t served_before;

static void count_what_was_served_before(struct side *side, enum event event, struct exchange *exchange) {
    if (event == ON_REQUEST) served_before = busy->opened;
    answer_by_path(side, event, exchange);
}

static void many_requests_at_once_keep_no_other_connection_waiting(void) {
    struct rig one, other;
    busy = http1_open(&one, &usual_limits);
    put_text(&one, ASK);
    expect_answer(&one, ANSWER);
    rig_open_beside(&other, &usual_limits, &one);
    rig_start_one(&other, &other.server);
    other.server.on_event = count_what_was_served_before;
    put_text(&other, ASK);
    expect_answer(&other, ANSWER);
    request(&one, "", ASK, 100, "");
    put_text(&other, ASK);
    expect_answer(&other, ANSWER);
    CHECK(served_before <= 2);
    for (int i = 0; i < 100; i++) expect_answer(&one, ANSWER);
    rig_close(&other);
    rig_close(&one);
}

/* ---- a user that does not take ---- */

static void a_user_that_takes_nothing_stops_the_client(void) {
    static const char *const heads[] = {"POST /wait HTTP/1.1\r\nContent-Length: 16777216\r\n" HOST, UPGRADE("/up-only")};
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.stream_window = 20000;
        limits.write_timeout = NS_PER_MS; /* a client that may not send is not late */
        http1_open(&rig, &limits);
        put_text(&rig, heads[i]);
        struct exchange *exchange = await_request(&rig, 0);
        exchange->keeps_window = true;
        if (i) {
            http_stream_upgrade(exchange->stream, NULL, 0);
            exchange->has_ended = false;
            expect_answer(&rig, SWITCHED);
        }
        size_t sent = send_all_that_is_taken(&rig, BULK, 16 << 20);
        CHECK(sent < 1 << 20);
        size_t there = buffer_length(&exchange->received);
        CHECK(there >= limits.stream_window && there < limits.stream_window + READ);
        uint64_t later = clock_monotonic() + 20 * NS_PER_MS;
        WAIT(&rig, clock_monotonic() > later);
        CHECK_INT(buffer_length(&exchange->received), there);
        http_stream_consumed(exchange->stream, there - limits.stream_window); /* not enough yet */
        for (int j = 0; j < 5; j++) turn(&rig);
        CHECK_INT(buffer_length(&exchange->received), there);
        http_stream_consumed(exchange->stream, limits.stream_window);
        exchange->keeps_window = false;
        WAIT(&rig, buffer_length(&exchange->received) == sent);
        CHECK(!exchange->is_closed);
        rig_close(&rig);
    }
}

static void a_wider_window_lets_more_in(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.stream_window = 10000;
    http1_open(&rig, &limits);
    put_text(&rig, "POST /wait HTTP/1.1\r\nContent-Length: 16777216\r\n" HOST);
    struct exchange *exchange = await_request(&rig, 0);
    exchange->keeps_window = true;
    send_all_that_is_taken(&rig, BULK, 16 << 20);
    size_t there = buffer_length(&exchange->received);
    http_stream_widen(exchange->stream, (uint32_t)there); /* no more than it has */
    for (int i = 0; i < 5; i++) turn(&rig);
    CHECK_INT(buffer_length(&exchange->received), there);
    http_stream_widen(exchange->stream, (uint32_t)there + 1);
    WAIT(&rig, buffer_length(&exchange->received) > there);
    http_stream_widen(exchange->stream, UINT32_MAX); /* the connection's is the most */
    send_all_that_is_taken(&rig, BULK, 16 << 20);
    there = buffer_length(&exchange->received);
    CHECK(there >= limits.connection_window && there < limits.connection_window + READ);
    rig_close(&rig);
}

static void a_closed_window_of_the_connection_stops_it_too(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.connection_window = 100000;
    struct side *side = http1_open(&rig, &limits);
    put_text(&rig, "POST /wait HTTP/1.1\r\nContent-Length: 16777216\r\n" HOST);
    struct exchange *exchange = await_request(&rig, 0); /* gives its own window back at once */
    http_session_set_window_open(side->session, false);
    size_t sent = send_all_that_is_taken(&rig, BULK, 16 << 20), there = buffer_length(&exchange->received);
    CHECK(sent > there && there >= limits.connection_window && there < limits.connection_window + READ);
    http_session_set_window_open(side->session, true);
    WAIT(&rig, buffer_length(&exchange->received) == sent);
    rig_close(&rig);
}

/* ---- a client that does not take ---- */

static void a_client_that_does_not_read_is_sent_no_more(void) {
    static const char *const heads[] = {"GET /open HTTP/1.1\r\n" HOST, "GET /open HTTP/1.0\r\n\r\n", UPGRADE("/up")};
    enum { MOST = 1 << 24 };
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        http1_open(&rig, &usual_limits);
        put_text(&rig, heads[i]);
        struct exchange *exchange = await_request(&rig, 0);
        struct message *message = message_new(1 << 20);
        message->length = 1 << 20;
        memset(message->data, 'm', 1 << 20);
        send_large(exchange, message, MOST);
        message_unref(&message);
        size_t before = 0;
        while (before != exchange->large_left) { /* until nothing moves */
            before = exchange->large_left;
            for (int j = 0; j < 20; j++) turn_without_reading(&rig);
        }
        CHECK(MOST - exchange->large_left < 2 << 20);
        http_stream_finish(exchange->stream, NULL, 0);
        size_t received = 0;
        while (exchange->large_left || received < MOST) { /* and then all of it */
            turn(&rig);
            received += buffer_length(&rig.wire);
            buffer_clear(&rig.wire);
        }
        WAIT(&rig, i == 0 || rig.has_peer_closed);
        CHECK(received < MOST + MOST / 100);
        rig_close(&rig);
    }
}

/* Answers are pulled a few at a time, so that a client which pipelines and does not read keeps no more than these. */
static void answers_that_nobody_reads_hold_up_the_next_request(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    static const char ask[] = ASK;
    size_t sent = 0, length = strlen(ask);
    for (int idle = 0; idle < 20 && sent < 16 << 20;) {
        ssize_t taken = send(rig.fd, ask + sent % length, length - sent % length, MSG_NOSIGNAL);
        if (taken > 0) sent += (size_t)taken;
        idle = taken > 0 ? 0 : idle + 1;
        turn_without_reading(&rig);
    }
    CHECK(sent < 4 << 20);
    CHECK(side->opened < sent / length);
    for (size_t i = 0; i < sent / length; i++) expect_answer(&rig, ANSWER);
    rig_close(&rig);
}

/* ---- sizes ---- */

struct size {
    const char *before, *piece, *after, *refusal;
    size_t fits, over; /* so many pieces; `over` 0: one more than fits */
};

/* The limit is 1000 bytes, of the target and of names, values and 32 for each field (their blanks count too). */
static const struct size sizes[] = {
    {"GET /", "x", " HTTP/1.1\r\nHost: a\r\n\r\n", TOLD("414 URI Too Long", "30", "the request line is too long"), 1000 - 1 - 38, 1000},
    {"GET /wait HTTP/1.1\r\nHost: a\r\nX: ", "x", "\r\n\r\n",
     TOLD("431 Request Header Fields Too Large", "27", "the headers are too large"), 1000 - 5 - 38 - 34},
    {"GET /wait HTTP/1.1\r\nHost: a\r\n", "x:\r\n", "\r\n",
     TOLD("431 Request Header Fields Too Large", "27", "the headers are too large"), (1000 - 5 - 38) / 33},
    {"GET /wait HTTP/1.1\r\nHost: a\r\n", "x", ":\r\n\r\n",
     TOLD("431 Request Header Fields Too Large", "27", "the headers are too large"), 1000 - 5 - 38 - 32},
    {"POST /wait HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n", "x:\r\n", "\r\n",
     TOLD("431 Request Header Fields Too Large", "27", "the headers are too large"), 1000 / 33},
    {"POST /wait HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n", "1;x\r\n.\r\n", "0\r\n\r\n",
     TOLD("400 Bad Request", "37", "the chunks' extensions are too long"), 4096},
};

static void each_size_has_its_limit(void) {
    struct http_limits limits = usual_limits;
    limits.headers = 1000;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct size *size = &sizes[i];
        struct rig rig;
        http1_open(&rig, &limits);
        request(&rig, size->before, size->piece, size->fits, size->after);
        struct exchange *exchange = await_request(&rig, 0);
        WAIT(&rig, exchange->has_ended);
        expect_nothing_more(&rig);
        rig_close(&rig);
        struct side *side = http1_open(&rig, &limits);
        request(&rig, size->before, size->piece, size->over ? size->over : size->fits + 1, "");
        expect_answer(&rig, size->refusal);
        expect_close(&rig);
        CHECK(!side->opened || exchange_at(side, 0)->error == HTTP_PROTOCOL_ERROR);
        rig_close(&rig);
    }
}

static void a_fault_in_a_body_is_said_unless_the_answer_has_begun(void) {
    static const char body[] = " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "nonsense";
    struct rig rig;
    http1_open(&rig, &usual_limits);
    request(&rig, "POST /wait", body, 1, "");
    expect_answer(&rig, TOLD("400 Bad Request", "34", "the size of a chunk is malformed"));
    wait_for_end(&rig, &rig.server, "the size of a chunk is malformed");
    rig_close(&rig);
    http1_open(&rig, &usual_limits);
    request(&rig, "POST /open", body, 1, "");
    wait_for_end(&rig, &rig.server, "the size of a chunk is malformed");
    CHECK_INT(exchange_at(&rig.server, 0)->error, HTTP_PROTOCOL_ERROR);
    rig_close(&rig);
}

/* ---- the body of a request that is answered ---- */

/* A streamed answer that has begun, and ends while the request goes on. */
static void answer_early(struct rig *rig, struct side *side, size_t number) {
    request(rig, "POST /open HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST, "400\r\n", 1, "");
    expect_answer(rig, "HTTP/1.1 200 OK\r\n" TEXT "transfer-encoding: chunked\r\n\r\n");
    http_stream_finish(exchange_at(side, number)->stream, NULL, 0);
    expect_answer(rig, "0\r\n\r\n");
}

static void a_small_rest_of_a_body_is_thrown_away(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    request(&rig, "POST /empty HTTP/1.1\r\nContent-Length: 65536\r\n" HOST, "0123456789abcdef", 4096, ASK);
    expect_answer(&rig, ANSWER ANSWER);
    request(&rig, "POST /empty HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST, "1\r\nx\r\n", 100, "0\r\n\r\n" ASK);
    expect_answer(&rig, ANSWER ANSWER);
    answer_early(&rig, side, 4);
    request(&rig, "", "0123456789abcdef", 64, "\r\n0\r\nX: y\r\n\r\n" ASK);
    expect_answer(&rig, ANSWER);
    rig_close(&rig);
}

/* The client is told in time: it has sent nothing more here. */
static void a_large_or_unknown_rest_ends_the_connection_as_the_answer_says(void) {
    static const char *const framing[] = {"Content-Length: 65537\r\n", "Transfer-Encoding: chunked\r\n"};
    for (int i = 0; i < 2; i++) {
        for (int is_whole = 0; is_whole < 2; is_whole++) {
            struct rig rig;
            http1_open(&rig, &usual_limits);
            request(&rig, is_whole ? "POST /headers HTTP/1.1\r\n" : "POST /empty HTTP/1.1\r\n", framing[i], 1, HOST);
            WAIT(&rig, rig.has_peer_closed);
            buffer_append_byte(&rig.wire, 0);
            CHECK(strstr((const char *)buffer_bytes(&rig.wire), "\r\n" CLOSE));
            rig.parsed = buffer_length(&rig.wire);
            wait_for_end(&rig, &rig.server, "the last answer is given");
            rig_close(&rig);
        }
    }
}

static void a_large_rest_behind_a_streamed_answer_ends_the_connection(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    answer_early(&rig, side, 0);
    request(&rig, "", "0123456789abcdef", 64, "\r\n");
    while (!rig.has_peer_closed) {
        request(&rig, "", "400\r\n", 1, "");
        request(&rig, "", "0123456789abcdef", 64, "\r\n");
        turn(&rig);
    }
    wait_for_end(&rig, &rig.server, "the client goes on with a request that is answered");
    rig_close(&rig);
}

/* A second answer would be taken for that of the next request. */
static void a_fault_in_the_rest_of_a_body_has_no_answer(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    answer_early(&rig, side, 0);
    request(&rig, "", "0123456789abcdef", 64, "\r\nnonsense" ASK);
    wait_for_end(&rig, side, "the size of a chunk is malformed");
    CHECK_INT(side->opened, 1);
    rig_close(&rig);
}

/* ---- "100 Continue" ---- */

static void a_client_that_asks_is_told_to_go_on_unless_it_is_answered(void) {
    static const char head[] = " HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n" HOST;
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    request(&rig, "POST /echo", head, 1, "");
    expect_answer(&rig, "HTTP/1.1 100 Continue\r\n\r\n");
    expect_nothing_more(&rig);
    put_text(&rig, "ab" ASK);
    expect_answer(&rig, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" ANSWER);
    request(&rig, "POST /open", head, 1, ""); /* its answer says enough */
    expect_answer(&rig, "HTTP/1.1 200 OK\r\n" TEXT "transfer-encoding: chunked\r\n" CLOSE "\r\n");
    expect_nothing_more(&rig);
    http_stream_finish(exchange_at(side, 2)->stream, NULL, 0);
    expect_answer(&rig, "0\r\n\r\n");
    wait_for_end(&rig, side, "the last answer is given");
    rig_close(&rig);
}

/* ---- upgrades ---- */

static void what_comes_behind_an_upgrade_is_for_whoever_serves_it(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    put_text(&rig, UPGRADE("/wait") "GET / ");
    struct exchange *exchange = await_request(&rig, 0);
    CHECK(exchange->has_ended);
    put_text(&rig, "HTTP/1.1\r\n");
    for (int i = 0; i < 5; i++) turn(&rig);
    CHECK_INT(buffer_length(&exchange->received), 0); /* it is not decided yet what that is */
    exchange->has_ended = false;
    http_stream_upgrade(exchange->stream, ok_trailers, 1);
    expect_answer(&rig, "HTTP/1.1 101 Switching Protocols\r\ngrpc-status: 0\r\nconnection: upgrade\r\nupgrade: b\r\n\r\n");
    WAIT(&rig, buffer_length(&exchange->received) == 16);
    put_text(&rig, "more");
    WAIT(&rig, buffer_length(&exchange->received) == 20);
    CHECK_MEM(buffer_bytes(&exchange->received), 20, "GET / HTTP/1.1\r\nmore", 20);
    send_body(exchange, "bytes");
    expect_answer(&rig, "bytes");
    close(rig.fd);
    rig.fd = -1;
    WAIT(&rig, !side->session);
    CHECK(!exchange->has_ended && exchange->is_connection);
    rig_close(&rig);
}

static void what_is_not_upgraded_is_a_request_like_any_other(void) {
    struct rig rig;
    http1_open(&rig, &usual_limits);
    put_text(&rig, UPGRADE("/wait") ASK);
    struct exchange *exchange = await_request(&rig, 0);
    respond(exchange);
    expect_answer(&rig, ANSWER ANSWER);
    put_text(&rig, WAITING);
    exchange = await_request(&rig, 2);
    http_stream_upgrade(exchange->stream, NULL, 0); /* it has not asked for that */
    expect_nothing_more(&rig);
    respond(exchange);
    expect_answer(&rig, ANSWER);
    rig_close(&rig);
}

/* ---- the end ---- */

static void a_drained_connection_ends_with_its_exchange(void) {
    struct rig rig;
    struct side *side = http1_open(&rig, &usual_limits);
    put_text(&rig, ASK);
    expect_answer(&rig, ANSWER);
    http_session_drain(side->session, "enough");
    wait_for_end(&rig, side, "enough"); /* between two requests */
    rig_close(&rig);

    side = http1_open(&rig, &usual_limits);
    put_text(&rig, WAITING ASK);
    struct exchange *exchange = await_request(&rig, 0);
    http_session_drain(side->session, "enough");
    expect_nothing_more(&rig);
    respond(exchange);
    expect_answer(&rig, LAST_ANSWER);
    wait_for_end(&rig, side, "enough");
    CHECK_INT(side->opened, 1);
    rig_close(&rig);

    side = http1_open(&rig, &usual_limits);
    put_text(&rig, "GET /emp"); /* will be answered, too */
    for (int i = 0; i < 5; i++) turn(&rig);
    http_session_drain(side->session, "enough");
    put_text(&rig, "ty HTTP/1.1\r\n" HOST);
    expect_answer(&rig, LAST_ANSWER);
    wait_for_end(&rig, side, "enough");
    rig_close(&rig);

    side = http1_open(&rig, &usual_limits);
    put_text(&rig, "POST /empty HTTP/1.1\r\nContent-Length: 4\r\n" HOST);
    expect_answer(&rig, ANSWER);
    http_session_drain(side->session, "enough"); /* while the rest of its body is thrown away */
    expect_nothing_more(&rig);
    put_text(&rig, "body");
    wait_for_end(&rig, side, "enough");
    rig_close(&rig);

    side = http1_open(&rig, &usual_limits);
    put_text(&rig, "GET /open HTTP/1.1\r\n" HOST);
    expect_answer(&rig, "HTTP/1.1 200 OK\r\n" TEXT "transfer-encoding: chunked\r\n\r\n");
    http_session_drain(side->session, "enough");
    send_body(exchange_at(side, 0), "12345");
    http_stream_finish(exchange_at(side, 0)->stream, NULL, 0);
    expect_answer(&rig, "5\r\n12345\r\n0\r\n\r\n");
    wait_for_end(&rig, side, "enough");
    rig_close(&rig);
}

static void half_an_answer_is_not_taken_for_a_whole_one(void) {
    static const char *const paths[] = {"reset", "close"};
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        struct side *side = http1_open(&rig, &usual_limits);
        put_text(&rig, "GET /open HTTP/1.1\r\n" HOST);
        struct exchange *exchange = await_request(&rig, 0);
        send_body(exchange, "1234");
        expect_answer(&rig, "HTTP/1.1 200 OK\r\n" TEXT "transfer-encoding: chunked\r\n\r\n4\r\n1234\r\n");
        if (strcmp(paths[i], "reset") == 0) http_stream_reset(exchange->stream, HTTP_CANCEL);
        else http_session_close(side->session, HTTP_INTERNAL_ERROR, "a fault");
        wait_for_end(&rig, side, i ? "a fault" : "an exchange was broken off");
        CHECK_INT(exchange->error, i ? HTTP_INTERNAL_ERROR : HTTP_CANCEL);
        rig_close(&rig);
    }
}

static void a_client_that_goes_cancels(void) {
    static const char *const requests[] = {WAITING, "POST /wait HTTP/1.1\r\nContent-Length: 5\r\n" HOST "he",
                                           "GET /open HTTP/1.1\r\n" HOST, WAITING ASK};
    for (int i = 0; i < 4; i++) {
        struct rig rig;
        struct side *side = http1_open(&rig, &usual_limits);
        put_text(&rig, requests[i]);
        struct exchange *exchange = await_request(&rig, 0);
        close(rig.fd);
        rig.fd = -1;
        WAIT(&rig, !side->session);
        CHECK(exchange->is_closed && exchange->is_connection);
        CHECK_INT(side->opened, 1);
        rig_close(&rig);
    }
}

int main(void) {
    RUN(requests_that_come_at_once_have_their_turns);
    RUN(what_comes_early_is_bounded);
    RUN(many_requests_at_once_keep_no_other_connection_waiting);
    RUN(a_user_that_takes_nothing_stops_the_client);
    RUN(a_wider_window_lets_more_in);
    RUN(a_closed_window_of_the_connection_stops_it_too);
    RUN(a_client_that_does_not_read_is_sent_no_more);
    RUN(answers_that_nobody_reads_hold_up_the_next_request);
    RUN(each_size_has_its_limit);
    RUN(a_fault_in_a_body_is_said_unless_the_answer_has_begun);
    RUN(a_small_rest_of_a_body_is_thrown_away);
    RUN(a_large_or_unknown_rest_ends_the_connection_as_the_answer_says);
    RUN(a_large_rest_behind_a_streamed_answer_ends_the_connection);
    RUN(a_fault_in_the_rest_of_a_body_has_no_answer);
    RUN(a_client_that_asks_is_told_to_go_on_unless_it_is_answered);
    RUN(what_comes_behind_an_upgrade_is_for_whoever_serves_it);
    RUN(what_is_not_upgraded_is_a_request_like_any_other);
    RUN(a_drained_connection_ends_with_its_exchange);
    RUN(half_an_answer_is_not_taken_for_a_whole_one);
    RUN(a_client_that_goes_cancels);
    return 0;
}
