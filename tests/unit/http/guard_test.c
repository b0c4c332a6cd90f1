#include "http/rig.h"

/* The session has given up on its peer, for that error and with that text. */
static void check_goaway(struct rig *rig, uint32_t error, const char *text) {
    struct frame frame = wait_frame(rig, GOAWAY);
    CHECK_INT(read_number(frame.payload + 4), error);
    if (text) CHECK_MEM(frame.payload + 8, frame.length - 8, text, strlen(text));
    WAIT(rig, rig->has_peer_closed);
}

static void put_ping(struct rig *rig, const void *payload) { put_frame(rig, PING, 0, 0, payload, 8); }

static void a_third_hasty_ping_is_too_many(void) {
    struct rig rig;
    rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    for (int i = 0; i < 3; i++) { /* the first has no predecessor; two strikes are forgiven */
        put_ping(&rig, "12345678");
        wait_frame(&rig, PING);
    }
    settle(&rig);
    CHECK(!rig.has_peer_closed);
    put_ping(&rig, "12345678");
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, "too_many_pings");
    rig_close(&rig);
}

static void strikes_are_forgotten_when_data_has_been_sent(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    for (int i = 0; i < 5; i++) {
        buffer_append_text(&exchange->body, "data");
        http_stream_resume(exchange->stream);
        wait_frame(&rig, DATA);
        for (int ping = 0; ping < 3; ping++) { /* one is excused, two are strikes */
            put_ping(&rig, "12345678");
            wait_frame(&rig, PING);
        }
    }
    rig_close(&rig);
}

static void pings_at_the_allowed_pace_are_welcome(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.least_ping_interval = 10 * NS_PER_MS;
    rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    for (int i = 0; i < 8; i++) {
        uint64_t next = clock_monotonic() + 15 * NS_PER_MS;
        put_ping(&rig, "12345678");
        wait_frame(&rig, PING);
        WAIT(&rig, clock_monotonic() > next);
    }
    settle(&rig);
    CHECK(!rig.has_peer_closed);
    rig_close(&rig);
}

static void lone_pings_need_permission(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.least_ping_interval = 1;
    limits.pings_without_streams = false;
    rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    for (int i = 0; i < 4; i++) put_ping(&rig, "12345678");
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, "too_many_pings");
    rig_close(&rig);
}

static void pings_that_follow_our_data_are_excused(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    for (int i = 0; i < 100; i++) {
        buffer_append_text(&exchange->body, "data");
        http_stream_resume(exchange->stream);
        wait_frame(&rig, DATA);
        put_ping(&rig, "12345678");
        wait_frame(&rig, PING);
    }
    rig_close(&rig);
}

static void bandwidth_pings_that_follow_the_peers_data_are_excused(void) {
    static const uint8_t payload[8] = {2, 4, 16, 16, 9, 14, 7, 7};
    struct rig rig;
    rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    for (int i = 0; i < 100; i++) {
        put_frame(&rig, DATA, 0, 1, "x", 1);
        put_ping(&rig, payload);
        wait_frame(&rig, PING);
    }
    for (int i = 0; i < 4; i++) put_ping(&rig, payload); /* without any data they are pings like others */
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, "too_many_pings");
    rig_close(&rig);
}

static void a_ping_flood_ends_where_no_pace_is_policed_too(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.least_ping_interval = 0;
    rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    for (int i = 0; i < 500; i++) put_ping(&rig, "12345678");
    settle(&rig);
    CHECK(!rig.has_peer_closed);
    for (int i = 0; i < 20000 && !rig.has_peer_closed; i++) put_ping(&rig, "12345678");
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, NULL);
    rig_close(&rig);
}

static void pings_for_each_burst_of_data_are_borne_where_no_pace_is_policed(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.least_ping_interval = 0;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    for (int i = 0; i < 3000; i++) {
        buffer_append_text(&exchange->body, "data");
        http_stream_resume(exchange->stream);
        wait_frame(&rig, DATA);
        put_ping(&rig, "12345678");
        wait_frame(&rig, PING);
    }
    CHECK(!rig.has_peer_closed);
    rig_close(&rig);
}

/* Floods of one frame: `few` of them are nothing, `many` end the connection with that text. */
struct flood {
    const char *text;
    int type, flags;
    uint32_t id;
    const void *payload;
    size_t length;
    int few, many;
};

static void run_flood(const struct flood *flood) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    for (int i = 0; i < flood->few; i++)
        put_frame(&rig, flood->type, flood->flags, flood->id, flood->payload, flood->length);
    WAIT(&rig, side->opened == 1);
    for (int i = 0; i < 10; i++) turn(&rig);
    CHECK(!rig.has_peer_closed);
    for (int i = 0; i < flood->many && !rig.has_peer_closed; i++)
        put_frame(&rig, flood->type, flood->flags, flood->id, flood->payload, flood->length);
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, flood->text);
    rig_close(&rig);
}

static void floods_of_useless_frames_end_the_connection(void) {
    static const struct flood floods[] = {
        {"too many settings", SETTINGS, 0, 0, NULL, 0, 50, 1000},
        {"too many priority frames", PRIORITY, 0, 3, "\0\0\0\0\x10", 5, 1000, 100000},
        {"too many empty frames", DATA, 0, 1, NULL, 0, 500, 50000},
        {"too many window updates", WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4, 2000, 200000},
        {"too many window updates", WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4, 2000, 200000},
        {"too many pings", PING, ACK, 0, "12345678", 8, 100, 50000},
        {"too many useless frames", 200, 0, 0, "x", 1, 5000, 200000},
    };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) run_flood(&floods[i]);
}

static void window_updates_that_follow_data_are_earned(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    for (int i = 0; i < 20000; i++) { /* a client that gives back each message by itself */
        buffer_append_text(&exchange->body, "m");
        http_stream_resume(exchange->stream);
        struct frame frame = wait_frame(&rig, DATA);
        put_number(&rig, WINDOW_UPDATE, 0, frame.length);
        put_number(&rig, WINDOW_UPDATE, 1, frame.length);
        buffer_clear(&rig.wire);
        rig.parsed = 0;
    }
    rig_close(&rig);
}

static void rapid_resets_end_the_connection(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    for (uint32_t id = 1; id < 200000 && !rig.has_peer_closed; id += 2) {
        put_request(&rig, id, END_STREAM);
        put_number(&rig, RST_STREAM, id, HTTP_CANCEL);
    }
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, "too many resets");
    CHECK(side->opened > 5000);
    rig_close(&rig);
}

static void resets_by_who_passes_on_the_calls_of_many_are_free(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    http_session_set_relay(side->session);
    for (uint32_t id = 1; id < 60000 && !rig.has_peer_closed; id += 2) {
        put_request(&rig, id, END_STREAM);
        put_number(&rig, RST_STREAM, id, HTTP_CANCEL);
    }
    CHECK(!rig.has_peer_closed);
    CHECK(side->opened > 20000);
    rig_close(&rig);
}

static void answer_with_headers(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event == ON_REQUEST) http_stream_respond(exchange->stream, ok_headers, 2, false);
}

static void calls_cancelled_after_their_headers_are_no_rapid_resets(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    side->on_event = answer_with_headers;
    put_preface(&rig);
    for (uint32_t id = 1; id < 40000; id += 2) {
        put_request(&rig, id, END_STREAM);
        put_number(&rig, RST_STREAM, id, HTTP_CANCEL);
    }
    WAIT(&rig, side->closed == 20000);
    CHECK(!rig.has_peer_closed);
    rig_close(&rig);
}

/* "MadeYouReset": the peer commits faults for which the server must reset the stream. */
static void faults_that_make_us_reset_end_the_connection(void) {
    static const uint8_t no_path[] = {0x83, 0x86};
    static const uint8_t with_length[] = {0x83, 0x86, 0x84, 0x01, 1, 'a', 0x0f, 13, 1, '1'}; /* content-length: 1 */
    struct http_limits limits = usual_limits;
    limits.streams = 20000;
    for (int kind = 0; kind < 3; kind++) {
        struct rig rig;
        rig_open_one(&rig, &limits, true);
        put_preface(&rig);
        for (uint32_t id = 1; id < 40000 && !rig.has_peer_closed; id += 2) {
            if (kind == 0) {
                put_frame(&rig, HEADERS, END_STREAM | END_HEADERS, id, no_path, sizeof no_path);
            } else if (kind == 1) {
                put_frame(&rig, HEADERS, END_HEADERS, id, with_length, sizeof with_length);
                put_frame(&rig, DATA, END_STREAM, id, "too long", 8);
            } else {
                put_request(&rig, id, 0);
                put_number(&rig, WINDOW_UPDATE, id, 0x7fffffff);
            }
        }
        check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, NULL);
        rig_close(&rig);
    }
}

static void frames_that_break_the_protocol_end_the_connection(void) {
    static const struct { uint32_t error; int type, flags; uint32_t id; const char *payload; size_t length; } cases[] = {
        {HTTP_PROTOCOL_ERROR, WINDOW_UPDATE, 0, 1, "\0\0\0\0", 4},
        {HTTP_FLOW_CONTROL_ERROR, WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},
        {HTTP_PROTOCOL_ERROR, DATA, 0, 0, "x", 1},
        {HTTP_PROTOCOL_ERROR, HEADERS, END_HEADERS, 2, (const char *)request_block, 6},
        {HTTP_PROTOCOL_ERROR, PRIORITY, 0, 0, "\0\0\0\0\x10", 5},
        {HTTP_FRAME_SIZE_ERROR, PRIORITY, 0, 1, "x", 1},
        {HTTP_FRAME_SIZE_ERROR, PING, 0, 0, "x", 1},
        {HTTP_FRAME_SIZE_ERROR, SETTINGS, 0, 0, "x", 1},
        {HTTP_PROTOCOL_ERROR, CONTINUATION, 0, 1, "x", 1},
        {HTTP_PROTOCOL_ERROR, PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x83", 5},
        {9 /* COMPRESSION_ERROR */, HEADERS, END_HEADERS, 3, "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig rig;
        struct side *side = rig_open_one(&rig, &usual_limits, true);
        put_preface(&rig);
        put_request(&rig, 1, 0);
        settle(&rig);
        put_frame(&rig, cases[i].type, cases[i].flags, cases[i].id, cases[i].payload, cases[i].length);
        check_goaway(&rig, cases[i].error, NULL);
        close(rig.fd);
        rig.fd = -1;
        WAIT(&rig, !side->session);
        CHECK(exchange_at(side, 0)->is_connection);
        CHECK_INT(exchange_at(side, 0)->error, cases[i].error);
        rig_close(&rig);
    }
}

static void answer_all(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event == ON_REQUEST) http_stream_respond(exchange->stream, ok_headers, 2, true);
}

/* Stream 1 was ended by its peer, and is closed. */
static void open_ended(struct rig *rig, bool is_reset) {
    struct side *side = rig_open_one(rig, &usual_limits, true);
    put_preface(rig);
    if (!is_reset) side->on_event = answer_all;
    put_request(rig, 1, is_reset ? 0 : END_STREAM);
    WAIT(rig, side->opened == 1);
    if (is_reset) put_number(rig, RST_STREAM, 1, HTTP_CANCEL);
    WAIT(rig, side->closed == 1);
}

static void a_client_may_not_go_on_with_a_stream_that_it_has_ended(void) {
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        struct rig rig;
        open_ended(&rig, is_reset);
        put_frame(&rig, DATA, END_STREAM, 1, "x", 1);
        check_goaway(&rig, HTTP_STREAM_CLOSED, NULL);
        rig_close(&rig);
        open_ended(&rig, is_reset);
        put_request(&rig, 1, END_STREAM);
        check_goaway(&rig, HTTP_STREAM_CLOSED, NULL);
        rig_close(&rig);
    }
}

static void put_end(struct rig *rig, uint32_t id) {
    put_frame(rig, HEADERS, END_HEADERS | END_STREAM, id, response_block, sizeof response_block);
    put_frame(rig, RST_STREAM, 0, id, "\0\0\0", 4);
}

/* As grpc++ does when a deadline and its handler end a call at once. */
static void a_server_may_end_a_stream_twice_but_not_for_ever(void) {
    struct rig rig;
    rig_open_one(&rig, &usual_limits, false);
    struct exchange *ended = client_open(&rig, false), *other = client_open(&rig, false);
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    WAIT(&rig, rig.wire.end > 24);
    rig.parsed = 24;
    wait_frame(&rig, HEADERS);
    put_end(&rig, 1);
    WAIT(&rig, ended->is_closed);
    put_end(&rig, 1);
    put_frame(&rig, DATA, 0, 1, "x", 1);
    put_frame(&rig, HEADERS, END_HEADERS | END_STREAM, 3, response_block, sizeof response_block);
    WAIT(&rig, other->is_closed || rig.has_peer_closed);
    CHECK(other->has_ended && !rig.has_peer_closed);
    for (int i = 0; i < 30000 && !rig.has_peer_closed; i++) put_frame(&rig, DATA, 0, 1, "x", 1);
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, "too many frames for closed streams");
    rig_close(&rig);
}

static void a_reset_counts_from_where_it_stands_in_the_bytes(void) {
    struct rig rig;
    struct buffer bytes = {0};
    rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    frame_build(&bytes, HEADERS, END_HEADERS, 1, request_block, sizeof request_block);
    frame_build(&bytes, DATA, 0, 1, "x", 1);
    frame_build(&bytes, RST_STREAM, 0, 1, "\0\0\0\x8", 4);
    put_bytes(&rig, buffer_bytes(&bytes), buffer_length(&bytes));
    settle(&rig);
    CHECK(!rig.has_peer_closed);
    buffer_clear(&bytes);
    frame_build(&bytes, HEADERS, END_HEADERS, 3, request_block, sizeof request_block);
    frame_build(&bytes, RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    frame_build(&bytes, DATA, 0, 3, "x", 1);
    put_bytes(&rig, buffer_bytes(&bytes), buffer_length(&bytes));
    check_goaway(&rig, HTTP_STREAM_CLOSED, NULL);
    buffer_free(&bytes);
    rig_close(&rig);
}

static void what_was_on_its_way_to_a_stream_that_we_ended_is_ignored(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    side->on_event = answer_all;
    put_preface(&rig);
    for (uint32_t id = 1; id < 100; id += 2) put_request(&rig, id, 0);
    WAIT(&rig, side->closed == 50);
    for (uint32_t id = 1; id < 100; id += 2) {
        put_frame(&rig, DATA, 0, id, "x", 1);
        if (id % 3 == 0) put_frame(&rig, DATA, END_STREAM, id, "x", 1);
        else if (id % 3 == 1) put_frame(&rig, HEADERS, END_HEADERS | END_STREAM, id, request_block + 3, 3);
        else put_number(&rig, RST_STREAM, id, HTTP_CANCEL);
        put_number(&rig, WINDOW_UPDATE, id, 1);
    }
    put_request(&rig, 101, 0);
    WAIT(&rig, side->opened == 51);
    settle(&rig);
    CHECK(!rig.has_peer_closed);
    rig_close(&rig);
}

static void streams_are_opened_in_order(void) {
    static const struct { uint32_t first, second; int flags; bool is_refused; } cases[] = {
        {5, 3, END_STREAM, true}, {5, 1, END_STREAM, true}, {5, 3, 0, true},
        {1, 1, 0, true},          {1, 3, 0, false},         {3, 7, END_STREAM, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig rig;
        struct side *side = rig_open_one(&rig, &usual_limits, true);
        side->on_event = answer_all;
        put_preface(&rig);
        put_request(&rig, cases[i].first, 0);
        WAIT(&rig, side->closed == 1);
        put_request(&rig, cases[i].second, cases[i].flags);
        if (cases[i].is_refused) check_goaway(&rig, HTTP_PROTOCOL_ERROR, NULL);
        else WAIT(&rig, side->opened == 2);
        rig_close(&rig);
    }
}

static void a_frame_is_looked_at_however_reads_cut_it(void) {
    for (size_t cut = 0; cut <= 14; cut++) {
        struct rig rig;
        struct buffer bytes = {0};
        rig_open_one(&rig, &usual_limits, true);
        put_preface(&rig);
        frame_build(&bytes, PING, ACK, 0, "12345678", 8);
        frame_build(&bytes, PRIORITY, 0, 3, "\0\0\0\5\x10", 5);
        put_bytes(&rig, buffer_bytes(&bytes), buffer_length(&bytes));
        settle(&rig);
        buffer_clear(&bytes);
        frame_build(&bytes, PRIORITY, 0, 3, "\0\0\0\3\x10", 5);
        for (size_t i = 0; i < buffer_length(&bytes) && !rig.has_peer_closed; i++) {
            put_bytes(&rig, buffer_bytes(&bytes) + i, 1);
            if (i < cut) turn(&rig);
        }
        check_goaway(&rig, HTTP_PROTOCOL_ERROR, "a stream that depends on itself");
        buffer_free(&bytes);
        rig_close(&rig);
    }
}

static void a_window_update_of_nothing_is_refused_for_any_stream(void) {
    struct rig rig;
    open_ended(&rig, false);
    put_number(&rig, WINDOW_UPDATE, 1, 0);
    check_goaway(&rig, HTTP_PROTOCOL_ERROR, NULL);
    rig_close(&rig);
}

static void a_flood_of_continuations_ends_the_connection(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_frame(&rig, HEADERS, 0, 1, request_block, sizeof request_block);
    for (int i = 0; i < 1000 && !rig.has_peer_closed; i++) put_frame(&rig, CONTINUATION, 0, 1, NULL, 0);
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, NULL);
    CHECK_INT(side->opened, 0);
    rig_close(&rig);
}

static void a_long_list_of_settings_ends_the_connection(void) {
    struct rig rig;
    rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    uint8_t settings[33 * 6];
    for (int i = 0; i < 33; i++) memcpy(settings + i * 6, "\0\4\0\0\xff\xff", 6);
    put_frame(&rig, SETTINGS, 0, 0, settings, sizeof settings);
    check_goaway(&rig, HTTP_ENHANCE_YOUR_CALM, NULL);
    rig_close(&rig);
}

static void a_peer_that_takes_no_answers_is_not_read_from(void) {
    enum { REQUESTS = 20000 };
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.streams = REQUESTS + 1;
    struct side *side = rig_open_one(&rig, &limits, true);
    side->on_event = answer_with_headers;
    put_preface(&rig);
    put_frame(&rig, SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    put_number(&rig, WINDOW_UPDATE, 0, 0x7fff0000);
    put_request(&rig, 1, END_STREAM);
    WAIT(&rig, side->opened == 1);
    struct message *message = message_new(1 << 20);
    message->length = 1 << 20;
    memset(message->data, 'm', 1 << 20);
    send_large(exchange_at(side, 0), message, 8 << 20);
    message_unref(&message);
    WAIT_BY(turn_without_reading, &rig, connection_kept(http_session_connection(side->session)) > 0);

    struct buffer requests = {0};
    for (uint32_t i = 0; i < REQUESTS; i++)
        frame_build(&requests, HEADERS, END_STREAM | END_HEADERS, 2 * i + 3, request_block, sizeof request_block);
    for (int still = 0; still < 50; still++) { /* until it has taken nothing for many turns */
        ssize_t sent = send(rig.fd, buffer_bytes(&requests), buffer_length(&requests), MSG_NOSIGNAL);
        if (sent > 0) buffer_take(&requests, (size_t)sent), still = 0;
        turn_without_reading(&rig);
    }
    CHECK(buffer_length(&requests) > 0);
    CHECK(side->opened < 10000); /* a socket's read or two beyond the bound */

    put_bytes(&rig, buffer_bytes(&requests), buffer_length(&requests));
    WAIT(&rig, side->opened == REQUESTS + 1);
    WAIT(&rig, exchange_at(side, 0)->large_left == 0);
    buffer_free(&requests);
    rig_close(&rig);
}

int main(void) {
    RUN(a_third_hasty_ping_is_too_many);
    RUN(strikes_are_forgotten_when_data_has_been_sent);
    RUN(pings_at_the_allowed_pace_are_welcome);
    RUN(lone_pings_need_permission);
    RUN(pings_that_follow_our_data_are_excused);
    RUN(pings_for_each_burst_of_data_are_borne_where_no_pace_is_policed);
    RUN(bandwidth_pings_that_follow_the_peers_data_are_excused);
    RUN(a_ping_flood_ends_where_no_pace_is_policed_too);
    RUN(floods_of_useless_frames_end_the_connection);
    RUN(window_updates_that_follow_data_are_earned);
    RUN(rapid_resets_end_the_connection);
    RUN(resets_by_who_passes_on_the_calls_of_many_are_free);
    RUN(calls_cancelled_after_their_headers_are_no_rapid_resets);
    RUN(faults_that_make_us_reset_end_the_connection);
    RUN(frames_that_break_the_protocol_end_the_connection);
    RUN(a_client_may_not_go_on_with_a_stream_that_it_has_ended);
    RUN(a_server_may_end_a_stream_twice_but_not_for_ever);
    RUN(a_reset_counts_from_where_it_stands_in_the_bytes);
    RUN(what_was_on_its_way_to_a_stream_that_we_ended_is_ignored);
    RUN(streams_are_opened_in_order);
    RUN(a_frame_is_looked_at_however_reads_cut_it);
    RUN(a_window_update_of_nothing_is_refused_for_any_stream);
    RUN(a_flood_of_continuations_ends_the_connection);
    RUN(a_long_list_of_settings_ends_the_connection);
    RUN(a_peer_that_takes_no_answers_is_not_read_from);
    return 0;
}
