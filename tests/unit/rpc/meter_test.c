#include "rpc/meter.h"

#include "meter_rig.h"
#include "record.h"
#include "rpc/call_private.h"

static struct record record;
static struct http_session *session;
static struct http_stream *streams[8]; /* of this test */
static size_t stream_count;

#define BEGIN(...) begin((const struct config_limit[]){__VA_ARGS__}, \
                         sizeof(const struct config_limit[]){__VA_ARGS__} / sizeof(struct config_limit))
static void begin(const struct config_limit *limits, size_t count) {
    struct call_limits call_limits = record_limits;
    record = (struct record){.is_many = true};
    stream_count = 0;
    fake_peer = "192.0.2.1:4711";
    fake_start(NULL);
    router_set_limits(fake_router, metered_open(limits, count, NULL));
    call_limits.named = metered.named;
    call_limits.service = "test.Service";
    router_add(fake_router, &record_unary, &record_handler, &record, &call_limits);
    router_add(fake_router, &record_stream, &record_handler, &record, &call_limits);
    session = fake_accept();
}

static void stop(void) {
    fake_stop();
    for (size_t i = 0; i < stream_count; i++) fake_stream_free(streams[i]);
    limit_book_free(&metered.book);
    record_free(&record);
}

static struct http_stream *open_on(struct http_session *on, const char *method, const char *user) {
    struct http_stream *stream = user ? fake_request(on, method, false, "x-user", user, NULL)
                                      : fake_request(on, method, false, NULL);
    CHECK(stream_count < sizeof streams / sizeof *streams);
    streams[stream_count++] = stream;
    fake_read_done(on);
    fake_turn();
    return stream;
}
static struct http_stream *open_stream(void) { return open_on(session, "/test.Service/Stream", NULL); }

/* So many messages of one byte each, which count up over all tests. */
static uint8_t next_byte, first_byte;
static void send_messages(struct http_stream *stream, int count, bool is_end) {
    struct buffer frames = {0};
    for (int i = 0; i < count; i++, next_byte++) fake_frame(&frames, &next_byte, 1, 0);
    fake_receive(stream, buffer_bytes(&frames), buffer_length(&frames), is_end);
    buffer_free(&frames);
}

static void send_large(struct http_stream *stream, size_t length) {
    static uint8_t bytes[5000];
    struct buffer frame = {0};
    fake_frame(&frame, bytes, length, 0);
    fake_receive(stream, buffer_bytes(&frame), buffer_length(&frame), false);
    buffer_free(&frame);
}

static bool is_refused(const struct http_stream *stream) {
    return strstr(fake_text(&stream->headers), "grpc-status: 8\n") != NULL;
}
static bool has_ended(const struct http_stream *stream) {
    return is_refused(stream) || strstr(fake_text(&stream->trailers), "grpc-status: 8\n");
}
static bool says(const struct http_stream *stream, const char *text) {
    return strstr(fake_text(&stream->headers), text) || strstr(fake_text(&stream->trailers), text);
}

/* ---- what a limit does */

static void a_soft_limit_lets_each_message_wait_for_its_token(void) {
    BEGIN({.messages_per_second = PER_SECOND(10), .messages_burst = 2});
    record.is_echo = true;
    struct http_stream *stream = open_stream();
    first_byte = next_byte;
    send_messages(stream, 5, true);
    CHECK_INT(record.messages, 2);
    for (size_t expected = 3; expected <= 5; expected++) {
        fake_advance(99 * NS_PER_MS);
        CHECK_INT(record.messages, expected - 1);
        fake_advance(NS_PER_MS);
        CHECK_INT(record.messages, expected);
    }
    for (int i = 0; i < 5; i++) CHECK_INT(buffer_bytes(&record.received)[6 * i + 5], (uint8_t)(first_byte + i));
    CHECK_INT(buffer_length(&stream->body), 30);
    CHECK_STR(fake_text(&stream->trailers), "grpc-status: 0\n");
    CHECK_INT(limit_table_figures(metered_table(0)).delayed, 3);
    stop();
}

static void the_window_of_what_waits_stays_closed(void) {
    BEGIN({.messages_per_second = PER_SECOND(1)});
    struct http_stream *stream = open_stream();
    send_large(stream, 3000);
    CHECK_INT(stream->consumed, 3005);
    send_large(stream, 4000);
    CHECK_INT(stream->consumed, 3005);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 4005);
    fake_advance(NS_PER_S);
    CHECK_INT(stream->consumed, 7010);
    stop();
}

static void a_hard_limit_ends_the_call_and_says_when_to_come_again(void) {
    BEGIN({.messages_per_second = PER_SECOND(10), .messages_burst = 2, .action = LIMIT_HARD});
    struct http_stream *stream = open_stream(), *other = open_stream();
    send_messages(stream, 5, false);
    CHECK_INT(record.messages, 2);
    CHECK(is_refused(stream) && stream->is_closed);
    CHECK(says(stream, "grpc-message: limit \"strict\": more than 10 messages a second; retry in 100 ms\n"));
    CHECK(says(stream, "grpc-retry-pushback-ms: 100\n") && says(stream, "grpc-status-details-bin: "));
    send_messages(other, 2, false);
    CHECK_INT(record.messages, 4);
    CHECK(!has_ended(other));
    CHECK_INT(limit_table_figures(metered_table(0)).ended, 1);
    CHECK_INT(rpc_counters(fake_rpc)->limited, 1);
    stop();
}

/* The trailers of a stream that has answered say the same, but a client must not send again what was answered. */
static void behind_an_answer_there_is_no_pushback(void) {
    BEGIN({.messages_per_second = PER_SECOND(10), .action = LIMIT_HARD});
    record.is_echo = true;
    struct http_stream *stream = open_stream();
    send_messages(stream, 1, false);
    send_messages(stream, 1, false);
    CHECK(has_ended(stream) && !is_refused(stream));
    CHECK(says(stream, "grpc-status-details-bin: ") && !says(stream, "pushback"));
    CHECK_INT(buffer_length(&stream->body), 6);
    stop();
}

static void messages_in_all_are_counted_to_the_last(void) {
    BEGIN({.messages = 3});
    struct http_stream *stream = open_stream();
    send_messages(stream, 3, false);
    CHECK(record.messages == 3 && !has_ended(stream));
    send_messages(stream, 1, false);
    CHECK(record.messages == 3 && says(stream, "limit \"strict\": more than 3 messages\n"));
    stop();
}

static void bytes_count_with_their_prefix(void) {
    BEGIN({.bytes_per_second = 1000});
    struct http_stream *stream = open_stream();
    send_large(stream, 495);
    send_large(stream, 496); /* 1001 bytes */
    CHECK_INT(record.messages, 1);
    fake_advance(NS_PER_MS);
    CHECK_INT(record.messages, 2);
    stop();
}

/* One that is larger than the bucket needs a full one; those behind it wait for what it has taken in advance. */
static void a_message_larger_than_the_bucket_passes_a_full_one(void) {
    BEGIN({.bytes_per_second = 1000});
    struct http_stream *stream = open_stream();
    send_large(stream, 2995);
    CHECK_INT(record.messages, 1);
    send_large(stream, 995);
    fake_advance(3 * NS_PER_S - NS_PER_MS);
    CHECK_INT(record.messages, 1);
    fake_advance(NS_PER_MS);
    CHECK_INT(record.messages, 2);
    CHECK(!has_ended(stream));
    stop();
}

/* ---- what the handler sends */

static void a_soft_limit_makes_the_handler_wait(void) {
    BEGIN({.messages_per_second = PER_SECOND(10), .direction = LIMIT_RESPONSE});
    record.is_many = false;
    struct http_stream *stream = open_stream();
    CHECK(!call_is_full(record.call) && call_send_bytes(record.call, "a", 1));
    CHECK(call_is_full(record.call));
    fake_advance(99 * NS_PER_MS);
    CHECK_STR(record.events, "open ");
    fake_advance(NS_PER_MS);
    CHECK_STR(record.events, "open writable ");
    CHECK(!call_is_full(record.call) && call_send_bytes(record.call, "b", 1));
    send_messages(stream, 5, false); /* requests are not counted */
    CHECK_INT(record.messages, 5);
    CHECK(!has_ended(stream));
    stop();
}

/* Whoever does not ask for room owes the tokens. */
static void what_is_sent_without_asking_is_owed(void) {
    BEGIN({.messages_per_second = PER_SECOND(10), .direction = LIMIT_RESPONSE});
    open_stream();
    for (int i = 0; i < 5; i++) CHECK(call_send_bytes(record.call, "a", 1));
    CHECK(call_is_full(record.call));
    fake_advance(499 * NS_PER_MS);
    CHECK(call_is_full(record.call));
    fake_advance(NS_PER_MS);
    CHECK(!call_is_full(record.call));
    stop();
}

/* What is published goes out in runs of many messages at once: not to those whose messages are counted. */
static void messages_that_are_counted_go_in_no_run(void) {
    struct message *run = message_new(12);
    memcpy(run->data, "\0\0\0\0\1a\0\0\0\0\1b", run->length = 12);
    BEGIN({.messages_per_second = PER_SECOND(10), .direction = LIMIT_RESPONSE});
    open_stream();
    CHECK(!call_takes_runs(record.call) && !call_send_run(record.call, run, 0, 12, 2));
    stop();
    BEGIN({.messages_per_second = PER_SECOND(10), .idle = 10 * NS_PER_S});
    struct http_stream *stream = open_stream();
    fake_advance(9 * NS_PER_S);
    CHECK(call_takes_runs(record.call) && call_send_run(record.call, run, 0, 12, 2));
    fake_advance(9 * NS_PER_S);
    CHECK(!has_ended(stream)); /* it was not silent */
    stop();
    message_unref(&run);
}

static void a_hard_limit_ends_a_handler_that_sends_too_fast(void) {
    BEGIN({.messages_per_second = PER_SECOND(10), .messages_burst = 2, .direction = LIMIT_RESPONSE, .action = LIMIT_HARD});
    record.is_many = false;
    struct http_stream *stream = open_stream();
    CHECK(call_send_bytes(record.call, "a", 1) && call_send_bytes(record.call, "b", 1));
    CHECK(!call_send_bytes(record.call, "c", 1));
    fake_turn();
    CHECK(has_ended(stream));
    CHECK_INT(buffer_length(&stream->body), 12); /* what it let through */
    CHECK_INT(record.status, STATUS_RESOURCE_EXHAUSTED);
    stop();
}

/* ---- time */

static void idle_is_measured_in_messages(void) {
    BEGIN({.idle = 10 * NS_PER_S});
    struct http_stream *stream = open_stream();
    fake_advance(9 * NS_PER_S);
    send_messages(stream, 1, false);
    fake_advance(9 * NS_PER_S);
    fake_receive(stream, "\0\0\0\0\7half", 9, false); /* bytes, but no message */
    CHECK(!has_ended(stream));
    fake_advance(NS_PER_S - 1);
    CHECK(!has_ended(stream));
    fake_advance(1);
    CHECK(has_ended(stream) && says(stream, "limit \"strict\": no message for 10 s\n"));
    stop();
}

static void a_message_that_is_sent_is_no_silence(void) {
    BEGIN({.idle = 10 * NS_PER_S});
    struct http_stream *stream = open_stream();
    fake_advance(9 * NS_PER_S);
    call_send_bytes(record.call, "a", 1);
    fake_advance(9 * NS_PER_S);
    CHECK(!has_ended(stream));
    fake_advance(NS_PER_S);
    CHECK(has_ended(stream));
    stop();
}

/* The client has said something: that nobody listens is not its silence. */
static void a_message_that_waits_for_its_handler_is_no_silence(void) {
    BEGIN({.idle = 10 * NS_PER_S});
    record.is_idle = true;
    struct http_stream *stream = open_stream();
    send_messages(stream, 1, false);
    fake_advance(25 * NS_PER_S);
    fake_advance(10 * NS_PER_S);
    CHECK(!has_ended(stream));
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    fake_advance(10 * NS_PER_S);
    CHECK(has_ended(stream));
    stop();
}

static void a_stream_of_that_age_ends_behind_what_it_has_sent(void) {
    BEGIN({.age = 10 * NS_PER_S}, {.age = 20 * NS_PER_S});
    struct http_stream *stream = open_stream();
    stream->window = 3;
    call_send_bytes(record.call, "abc", 3);
    for (int i = 0; i < 9; i++) {
        fake_advance(NS_PER_S);
        send_messages(stream, 1, false);
    }
    CHECK(stream->reset < 0 && !stream->is_finished);
    fake_advance(NS_PER_S);
    CHECK(!stream->is_closed && stream->is_finished);
    stream->window = 100;
    fake_turn();
    CHECK_INT(buffer_length(&stream->body), 8);
    CHECK(has_ended(stream) && says(stream, "the stream has been open for 10 s\n"));
    stop();
}

/* ---- who is counted together */

static void streams_that_are_open_are_counted_and_forgotten(void) {
    BEGIN({.per = LIMIT_PER_PEER, .streams = 2});
    struct http_stream *first = open_stream();
    open_stream();
    struct http_stream *third = open_stream();
    CHECK(is_refused(third) && says(third, "limit \"strict\": 2 streams are open; retry in 1000 ms\n"));
    CHECK(says(third, "grpc-retry-pushback-ms: 1000\n"));
    CHECK_INT(rpc_counters(fake_rpc)->calls, 2);
    CHECK_INT(limit_table_figures(metered_table(0)).refused, 1);
    fake_stream_close(first, HTTP_CANCEL, false);
    fake_turn();
    CHECK(!is_refused(open_stream()));
    stop();
}

static void streams_that_begin_are_counted_by_the_second(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .streams_per_second = PER_SECOND(0.5), .streams_burst = 2});
    open_stream();
    open_stream();
    struct http_stream *third = open_stream();
    CHECK(is_refused(third) && says(third, "more than 0.5 streams a second; retry in 2000 ms\n"));
    fake_advance(2 * NS_PER_S);
    CHECK(!is_refused(open_stream()));
    stop();
}

/* Protocols in which a status is no header say it in theirs. */
static void whatever_is_spoken_is_told_when_to_come_again(void) {
    static const struct { const char *method, *type; } cases[] = {
        {"/test.Service/Unary", "application/proto"}, {"/test.Service/Stream", "application/connect+proto"}};
    BEGIN({.per = LIMIT_PER_SERVICE, .streams_per_second = PER_SECOND(0.5)});
    open_stream();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_stream *stream = fake_request(session, cases[i].method, false, "content-type", cases[i].type, NULL);
        streams[stream_count++] = stream;
        fake_turn();
        CHECK(memmem(buffer_bytes(&stream->body), buffer_length(&stream->body), "google.rpc.RetryInfo", 20));
        CHECK(memmem(buffer_bytes(&stream->body), buffer_length(&stream->body), "retry in 2000 ms", 16));
    }
    CHECK(strstr(fake_text(&streams[1]->headers), ":status: 429\n"));
    stop();
}

/* A limit that refuses gives back what those before it have counted. */
static void a_refused_stream_counts_nowhere(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .streams = 2}, {.name = (char *)(uintptr_t)"second", .per = LIMIT_PER_PEER, .streams = 1});
    struct http_stream *first = open_stream();
    CHECK(says(open_stream(), "limit \"second\": 1 streams are open"));
    fake_stream_close(first, HTTP_CANCEL, false);
    fake_turn();
    fake_peer = "192.0.2.2:1";
    struct http_session *elsewhere = fake_accept();
    CHECK(!is_refused(open_stream()));
    CHECK(!is_refused(open_on(elsewhere, "/test.Service/Stream", NULL)));
    stop();
}

static void a_peer_is_an_address_or_a_network(void) {
    static const struct {
        const char *one, *other;
        bool is_same;
    } cases[] = {
        {"192.0.2.1:1", "192.0.2.1:2", true},
        {"192.0.2.1:1", "192.0.2.10:1", false},
        {"[2001:db8::1]:1", "[2001:db8::2:3]:1", true},
        {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
        {"[fe80::1%eth0]:1", "[fe80::2]:1", true},
        {"[::ffff:192.0.2.1]:1", "192.0.2.1:2", true},
        {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
        {"unix", "unix", true},
        {"", "192.0.2.1:1", false},
        {"[an address that is longer than any that there could be in the world]:1", "192.0.2.1:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BEGIN({.per = LIMIT_PER_PEER, .streams = 1});
        fake_peer = cases[i].one;
        open_stream();
        fake_peer = cases[i].other;
        CHECK_INT(is_refused(open_on(fake_accept(), "/test.Service/Stream", NULL)), cases[i].is_same);
        stop();
    }
}

static void metadata_tells_users_apart(void) {
    BEGIN({.per = LIMIT_PER_METADATA, .streams = 1});
    open_on(session, "/test.Service/Stream", "ann");
    CHECK(is_refused(open_on(session, "/test.Service/Stream", "ann")));
    CHECK(!is_refused(open_on(session, "/test.Service/Stream", "an")));
    CHECK(!is_refused(open_on(session, "/test.Service/Stream", NULL)));
    CHECK(is_refused(open_on(session, "/test.Service/Stream", "")));
    CHECK_INT(limit_table_keys(metered_table(0)), 3);
    stop();
}

/* More users than the table has room for share one bucket: a stranger takes none from those who are there. */
static void users_without_room_are_one(void) {
    BEGIN({.per = LIMIT_PER_METADATA, .streams = 1, .keys = 2});
    open_on(session, "/test.Service/Stream", "ann");
    open_on(session, "/test.Service/Stream", "bob");
    CHECK(!is_refused(open_on(session, "/test.Service/Stream", "carl")));
    CHECK(is_refused(open_on(session, "/test.Service/Stream", "dora")));
    CHECK(is_refused(open_on(session, "/test.Service/Stream", "ann")));
    CHECK_INT(limit_table_keys(metered_table(0)), 2);
    CHECK_INT(limit_table_figures(metered_table(0)).crowded, 2);
    fake_stream_close(streams[0], HTTP_CANCEL, false);
    fake_turn();
    CHECK(!is_refused(open_on(session, "/test.Service/Stream", "eve")));
    stop();
}

static void a_connection_counts_for_itself(void) {
    BEGIN({.per = LIMIT_PER_CONNECTION, .messages = 3});
    struct http_stream *one = open_stream(), *other = open_stream();
    struct http_stream *elsewhere = open_on(fake_accept(), "/test.Service/Stream", NULL);
    send_messages(one, 2, false);
    send_messages(other, 2, false);
    CHECK(!has_ended(one) && has_ended(other) && !says(other, "grpc-status-details-bin"));
    send_messages(elsewhere, 3, false);
    CHECK(!has_ended(elsewhere));
    CHECK_INT(record.messages, 6);
    stop();
}

/* However many wait for the same bucket, each has a time of its own. */
static void streams_that_share_a_bucket_take_turns(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .messages_per_second = PER_SECOND(10)});
    struct http_stream *one = open_stream(), *other = open_stream();
    send_messages(one, 3, false);
    send_messages(other, 3, false);
    for (size_t expected = 1; expected <= 6; expected++) {
        CHECK_INT(record.messages, expected);
        fake_advance(100 * NS_PER_MS);
    }
    stop();
}

static void what_a_call_has_reserved_comes_back_when_it_ends(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .messages_per_second = PER_SECOND(1)});
    struct http_stream *one = open_stream(), *other = open_stream();
    send_messages(one, 2, false);
    CHECK_INT(record.messages, 1);
    fake_stream_close(one, HTTP_CANCEL, false);
    fake_turn();
    send_messages(other, 1, false);
    fake_advance(NS_PER_S);
    CHECK_INT(record.messages, 2);
    stop();
}

static void a_unary_request_waits_before_its_handler_hears_of_it(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .messages_per_second = PER_SECOND(1)});
    record.is_echo = true;
    struct http_stream *one = open_on(session, "/test.Service/Unary", NULL);
    struct http_stream *other = open_on(session, "/test.Service/Unary", NULL);
    send_messages(one, 1, true);
    send_messages(other, 1, true);
    CHECK(one->is_closed && !other->has_headers && record.messages == 1);
    fake_advance(NS_PER_S);
    CHECK(other->is_closed && record.messages == 2);
    CHECK_STR(fake_text(&other->trailers), "grpc-status: 0\n");
    stop();
}

static void a_unary_request_that_is_one_too_many_is_never_heard_of(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .messages_per_second = PER_SECOND(1), .action = LIMIT_HARD});
    record.is_many = false;
    send_messages(open_stream(), 1, false);
    struct http_stream *stream = open_on(session, "/test.Service/Unary", NULL);
    send_messages(stream, 1, true);
    CHECK(is_refused(stream) && stream->is_closed && says(stream, "grpc-retry-pushback-ms: 1000\n"));
    CHECK_STR(record.events, "open readable ");
    stop();
}

static void the_tightest_of_several_counts(void) {
    BEGIN({.name = (char *)(uintptr_t)"wide", .messages_per_second = PER_SECOND(10)},
          {.name = (char *)(uintptr_t)"tight", .per = LIMIT_PER_SERVICE, .messages_per_second = PER_SECOND(2)});
    struct http_stream *stream = open_stream();
    send_messages(stream, 2, false);
    fake_advance(499 * NS_PER_MS);
    CHECK_INT(record.messages, 1);
    fake_advance(NS_PER_MS);
    CHECK_INT(record.messages, 2);
    CHECK_INT(limit_table_figures(metered_table(0)).delayed, 0);
    CHECK_INT(limit_table_figures(metered_table(1)).delayed, 1);
    stop();
}

/* ---- books */

static void a_reload_goes_on_with_what_was_counted(void) {
    BEGIN({.per = LIMIT_PER_SERVICE, .streams = 1});
    struct limit_book *before = metered.book;
    struct config_limit wider = {.per = LIMIT_PER_SERVICE, .streams = 2}, other = {.per = LIMIT_PER_PEER, .streams = 2};
    open_stream();
    struct limit_table *table = metered_table(0);
    struct limit_book *after = metered_open(&wider, 1, before);
    CHECK(metered_table(0) == table);
    struct limit_book *elsewhere = metered_open(&other, 1, after);
    CHECK(metered_table(0) != table); /* another scope counts something else */
    limit_book_free(&elsewhere);
    limit_book_free(&after);
    metered.book = before;
    stop();
}

/* Whatever comes when: never more than the bucket allows, all of it in order, and none of it later than it must. */
static void random_traffic_keeps_the_rate(void) {
    uint32_t seed = 5;
    for (int round = 0; round < 30; round++) {
        BEGIN({.per = LIMIT_PER_SERVICE, .messages_per_second = PER_SECOND(100), .messages_burst = 7});
        struct http_stream *one = open_stream(), *other = open_stream();
        uint64_t began = fake_loop.now;
        size_t sent = 0;
        first_byte = next_byte;
        while (sent < 200) {
            seed = seed * 1103515245 + 12345;
            int count = (int)(seed >> 16) % 5;
            send_messages(seed >> 30 ? one : other, count, false);
            sent += (size_t)count;
            fake_advance((seed >> 8) % 30 * NS_PER_MS);
            CHECK(record.messages <= 7 + (fake_loop.now - began) / (10 * NS_PER_MS));
        }
        for (int i = 0; i < 300 && record.messages < sent; i++) fake_advance(10 * NS_PER_MS);
        CHECK_INT(record.messages, sent);
        stop();
    }
}

static void details_are_a_status_with_a_retry_info(void) {
    static const uint8_t expected[] = "\x08\x08\x12\x04soon\x1a\x34\n(type.googleapis.com/google.rpc.RetryInfo"
                                      "\x12\x08\n\x06\x08\x01\x10\xc0\x84\x3d";
    struct meter_verdict verdict = {.retry = 1000008000, .text = "soon"};
    uint8_t details[METER_DETAILS_MOST];
    size_t length = meter_write_details(&verdict, details);
    CHECK_INT(meter_pushback_ms(&verdict), 1001);
    CHECK_MEM(details, length, expected, sizeof expected - 1);
    verdict.retry = RETRY_NEVER;
    CHECK_INT(meter_write_details(&verdict, details), 0);
    memset(verdict.text, 'x', sizeof verdict.text - 1);
    verdict.retry = UINT64_MAX - 1;
    CHECK(meter_write_details(&verdict, details) < METER_DETAILS_MOST);
    CHECK_INT(meter_pushback_ms(&verdict), INT32_MAX);
}

int main(void) {
    RUN(a_soft_limit_lets_each_message_wait_for_its_token);
    RUN(the_window_of_what_waits_stays_closed);
    RUN(a_hard_limit_ends_the_call_and_says_when_to_come_again);
    RUN(behind_an_answer_there_is_no_pushback);
    RUN(messages_in_all_are_counted_to_the_last);
    RUN(bytes_count_with_their_prefix);
    RUN(a_message_larger_than_the_bucket_passes_a_full_one);
    RUN(a_soft_limit_makes_the_handler_wait);
    RUN(what_is_sent_without_asking_is_owed);
    RUN(messages_that_are_counted_go_in_no_run);
    RUN(a_hard_limit_ends_a_handler_that_sends_too_fast);
    RUN(idle_is_measured_in_messages);
    RUN(a_message_that_is_sent_is_no_silence);
    RUN(a_message_that_waits_for_its_handler_is_no_silence);
    RUN(a_stream_of_that_age_ends_behind_what_it_has_sent);
    RUN(streams_that_are_open_are_counted_and_forgotten);
    RUN(streams_that_begin_are_counted_by_the_second);
    RUN(whatever_is_spoken_is_told_when_to_come_again);
    RUN(a_refused_stream_counts_nowhere);
    RUN(a_peer_is_an_address_or_a_network);
    RUN(metadata_tells_users_apart);
    RUN(users_without_room_are_one);
    RUN(a_connection_counts_for_itself);
    RUN(streams_that_share_a_bucket_take_turns);
    RUN(what_a_call_has_reserved_comes_back_when_it_ends);
    RUN(a_unary_request_waits_before_its_handler_hears_of_it);
    RUN(a_unary_request_that_is_one_too_many_is_never_heard_of);
    RUN(the_tightest_of_several_counts);
    RUN(a_reload_goes_on_with_what_was_counted);
    RUN(random_traffic_keeps_the_rate);
    RUN(details_are_a_status_with_a_retry_info);
    return 0;
}
