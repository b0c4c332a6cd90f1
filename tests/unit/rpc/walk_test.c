#include "rpc/walk.h"

#include "meter_rig.h"
#include "raw_rig.h"

/* So many messages of a hundred bytes, prefix and all; each differs from the one before. */
enum { FRAMED = 100 };
static struct buffer sent;
static void compose(int count) {
    uint8_t payload[FRAMED - MESSAGE_PREFIX];
    buffer_clear(&sent);
    for (int i = 0; i < count; i++) {
        memset(payload, i + 1, sizeof payload);
        fake_frame(&sent, payload, sizeof payload, 0);
    }
}

#define BEGIN(...) begin_limited(&(struct config_limit){__VA_ARGS__})
static void begin_limited(const struct config_limit *limit) {
    limits.named = metered.named;
    limits.service = "legacy.*";
    raw_book = metered_open(limit, 1, NULL);
    begin();
    PASS(false);
    respond(4, fine, false);
}

static void finish(void) {
    stop();
    limit_book_free(&metered.book);
    buffer_free(&sent);
}

static void all_crossed(const struct http_stream *stream) {
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), buffer_bytes(&sent), buffer_length(&sent));
}

static void whole_messages_cross_each_at_its_time(void) {
    BEGIN(.messages_per_second = PER_SECOND(10), .messages_burst = 2);
    compose(5);
    fake_receive(client, buffer_bytes(&sent), 5 * FRAMED, true);
    for (int crossed = 2; crossed <= 5; crossed++) {
        CHECK_INT(buffer_length(&server->body), crossed * FRAMED);
        if (crossed < 5) CHECK_INT(client->consumed, 0); /* it has ended: its window is of no use */
        CHECK(server->is_finished == (crossed == 5));
        CHECK_INT(rpc_counters(fake_rpc)->buffered, (5 - crossed) * FRAMED);
        fake_advance(99 * NS_PER_MS);
        CHECK_INT(buffer_length(&server->body), crossed * FRAMED);
        fake_advance(NS_PER_MS);
    }
    all_crossed(server);
    trailers(3, ok);
    CHECK(ends == 1 && ended == STATUS_OK);
    finish();
}

static void the_window_opens_behind_what_has_left(void) {
    BEGIN(.messages_per_second = PER_SECOND(10));
    compose(3);
    fake_receive(client, buffer_bytes(&sent), 3 * FRAMED, false);
    for (int crossed = 1; crossed <= 3; crossed++) {
        CHECK_INT(client->consumed, crossed * FRAMED);
        fake_advance(100 * NS_PER_MS);
    }
    fake_stream_close(client, HTTP_CANCEL, false);
    finish();
}

static void an_answers_end_waits_behind_what_is_held(void) {
    BEGIN(.messages_per_second = PER_SECOND(10), .messages_burst = 2, .direction = LIMIT_RESPONSE);
    compose(4);
    fake_receive(client, "\0\0\0\0\0", 5, true); /* what it asks is not limited */
    CHECK(server->is_finished);
    fake_receive(server, buffer_bytes(&sent), 4 * FRAMED, false);
    trailers(3, ok);
    CHECK(server->is_closed && !client->is_finished && ends == 0);
    CHECK_INT(buffer_length(&client->body), 2 * FRAMED);
    fake_advance(100 * NS_PER_MS);
    CHECK(!client->is_finished);
    fake_advance(100 * NS_PER_MS);
    all_crossed(client);
    CHECK_STR(fake_text(&client->trailers), "grpc-status: 0\nx-end: z\ngrpc-status-details-bin: CAUSAmhp\n");
    CHECK(ends == 1 && ended == STATUS_OK && client->is_closed && client->reset < 0);
    finish();
}

static void a_hard_limit_ends_both_behind_what_it_let_through(void) {
    for (int is_answer = 0; is_answer < 2; is_answer++) {
        BEGIN(.messages_per_second = PER_SECOND(10), .messages_burst = 2, .action = LIMIT_HARD, .direction = LIMIT_BOTH);
        struct http_stream *from = is_answer ? server : client, *to = is_answer ? client : server;
        compose(3);
        fake_receive(from, buffer_bytes(&sent), 2 * FRAMED + 50, false);
        CHECK_INT(server->reset, HTTP_CANCEL);
        CHECK(strstr(fake_text(&client->trailers), "grpc-status: 8\ngrpc-message: limit \"strict\": more than 10 messages a "
                                                   "second; retry in 100 ms\ngrpc-status-details-bin: "));
        if (is_answer) CHECK_MEM(buffer_bytes(&to->body), buffer_length(&to->body), buffer_bytes(&sent), 2 * FRAMED);
        CHECK(ends == 1 && ended == STATUS_RESOURCE_EXHAUSTED);
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
        finish();
    }
}

static uint32_t seed = 11;
static uint32_t any(uint32_t below) {
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

/* Cuts of every size, in prefixes too; peers that take now a little, now much. */
static void bytes_cross_in_order_at_the_rate(void) {
    enum { COUNT = 60 };
    for (int round = 0; round < 200; round++) {
        BEGIN(.messages_per_second = PER_SECOND(100), .messages_burst = 5, .direction = LIMIT_BOTH);
        struct http_stream *from = round % 2 ? client : server, *to = round % 2 ? server : client;
        uint64_t began = fake_loop.now;
        uint32_t most = 1 + any(round % 5 ? 300 : 7);
        size_t done = 0, length = COUNT * FRAMED;
        compose(COUNT);
        to->window = 0;
        while (done < length) {
            size_t step = 1 + any(most);
            if (step > length - done) step = length - done;
            fake_receive(from, buffer_bytes(&sent) + done, step, false);
            done += step;
            if (any(3)) to->window += any(2 * most);
            if (any(4) == 0) fake_advance(any(40) * NS_PER_MS);
            CHECK(buffer_length(&to->body) <= (5 + (fake_loop.now - began) / (10 * NS_PER_MS)) * FRAMED);
            CHECK_INT(rpc_counters(fake_rpc)->buffered, done - buffer_length(&to->body));
        }
        to->window = SIZE_MAX;
        if (any(2)) {
            if (round % 2) fake_end(from);
            else trailers(3, ok);
        }
        for (int i = 0; i < COUNT; i++) fake_advance(10 * NS_PER_MS);
        all_crossed(to);
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
        if (!client->is_closed) fake_stream_close(client, HTTP_CANCEL, false);
        finish();
    }
}

static void a_part_of_a_prefix_is_the_other_ends_to_judge(void) {
    BEGIN(.messages_per_second = PER_SECOND(10));
    fake_receive(client, "\0\0\0\0\1x\0\0", 8, true);
    CHECK_MEM(buffer_bytes(&server->body), buffer_length(&server->body), "\0\0\0\0\1x\0\0", 8);
    CHECK(server->is_finished);
    trailers(3, ok);
    finish();
}

static void empty_messages_count_too(void) {
    BEGIN(.messages_per_second = PER_SECOND(10), .messages_burst = 2);
    fake_receive(client, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15, false);
    CHECK_INT(buffer_length(&server->body), 10);
    fake_advance(100 * NS_PER_MS);
    CHECK_INT(buffer_length(&server->body), 15);
    fake_stream_close(client, HTTP_CANCEL, false);
    finish();
}

/* However a call ends, what waited in it is gone. */
static void nothing_is_left_of_what_was_held(void) {
    for (int how = 0; how < 5; how++) {
        BEGIN(.messages_per_second = PER_SECOND(1), .direction = LIMIT_BOTH, .age = how == 3 ? 2 * NS_PER_S : 0);
        compose(9);
        fake_receive(client, buffer_bytes(&sent), 9 * FRAMED, true);
        fake_receive(server, buffer_bytes(&sent), 9 * FRAMED, false);
        if (how == 4) trailers(3, ok);
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 16 * FRAMED);
        if (how == 0 || how == 4) fake_stream_close(client, HTTP_CANCEL, false);
        if (how == 1) fake_stream_close(server, HTTP_INTERNAL_ERROR, false);
        if (how == 2) fake_stream_close(server, HTTP_NO_ERROR, true);
        if (how == 3) fake_advance(2 * NS_PER_S);
        fake_turn();
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
        CHECK_INT(rpc_counters(fake_rpc)->calls, 0);
        finish();
    }
}

static void idle_is_measured_in_messages_that_cross(void) {
    BEGIN(.idle = 10 * NS_PER_S);
    compose(2);
    fake_advance(9 * NS_PER_S);
    fake_receive(server, buffer_bytes(&sent), FRAMED, false);
    fake_advance(9 * NS_PER_S);
    fake_receive(client, buffer_bytes(&sent), 50, false); /* no message yet */
    CHECK(ends == 0);
    fake_advance(NS_PER_S);
    CHECK(ends == 1 && ended == STATUS_RESOURCE_EXHAUSTED);
    finish();
}

/* The size that the prefix says counts, before the bytes of the message have come. */
static void a_message_that_is_too_large_crosses_in_no_direction(void) {
    for (int is_answer = 0; is_answer < 2; is_answer++) {
        limits = (struct call_limits){.passed_message = 95, .buffered_per_stream = 10000, .service = "legacy.*"};
        begin();
        PASS(false);
        respond(4, fine, false);
        compose(2);
        fake_receive(is_answer ? server : client, buffer_bytes(&sent), 2 * FRAMED, false);
        struct http_stream *to = is_answer ? client : server;
        all_crossed(to);
        fake_receive(is_answer ? server : client, "\0\0\0\0\x60", 5, false);
        CHECK_STR(fake_text(&client->trailers), "grpc-status: 8\ngrpc-message: message larger than max (96 vs. 95)\n");
        CHECK_INT(server->reset, HTTP_CANCEL);
        CHECK(ends == 1 && ended == STATUS_RESOURCE_EXHAUSTED);
        all_crossed(to);
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
        stop();
    }
    limits.passed_message = 0;
    buffer_free(&sent);
}

/* Behind a part of a message a status would be a wrong end of that message, which has a second for the rest. */
static void an_end_waits_for_the_message_that_crosses(void) {
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        BEGIN(.messages_per_second = PER_SECOND(10), .messages_burst = 2, .action = LIMIT_HARD);
        compose(3);
        fake_receive(server, buffer_bytes(&sent), FRAMED + 50, false);
        fake_receive(client, buffer_bytes(&sent), 3 * FRAMED, true);
        CHECK(!client->is_closed && !client->is_finished && ends == 0);
        CHECK_INT(buffer_length(&server->body), 2 * FRAMED);
        fake_advance(NS_PER_S - 1);
        CHECK(!client->is_closed && !server->is_finished);
        if (is_cut) fake_advance(1);
        else fake_receive(server, (uint8_t *)buffer_bytes(&sent) + FRAMED + 50, FRAMED + 50, false);
        CHECK_INT(client->reset, is_cut ? HTTP_ENHANCE_YOUR_CALM : -1);
        size_t crossed = is_cut ? FRAMED + 50 : 2 * FRAMED;
        CHECK_MEM(buffer_bytes(&client->body), buffer_length(&client->body), buffer_bytes(&sent), crossed);
        CHECK(is_cut || strstr(fake_text(&client->trailers), "grpc-status-details-bin: "));
        CHECK(ends == 1 && ended == STATUS_RESOURCE_EXHAUSTED);
        CHECK(strstr(ended_text, "limit \"strict\": more than 10 messages a second"));
        CHECK_INT(server->reset, HTTP_CANCEL);
        CHECK_INT(buffer_length(&server->body), 2 * FRAMED);
        CHECK_INT(limit_table_figures(metered_table(0)).ended, 1);
        CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
        finish();
    }
}

/* Who takes a part of a message and then no more is not open for ever. */
static void age_and_silence_cut_a_message_that_does_not_cross(void) {
    for (int is_age = 0; is_age < 2; is_age++) {
        BEGIN(.age = is_age ? 5 * NS_PER_S : 0, .idle = is_age ? 0 : 5 * NS_PER_S);
        compose(1);
        fake_receive(server, buffer_bytes(&sent), 50, false);
        fake_advance(5 * NS_PER_S);
        CHECK(!client->is_closed && ends == 0);
        fake_advance(NS_PER_S);
        CHECK_INT(client->reset, HTTP_ENHANCE_YOUR_CALM);
        CHECK(ends == 1 && ended == STATUS_RESOURCE_EXHAUSTED);
        finish();
    }
}

/* An attempt that is made again loses nothing of what was held. */
static void another_attempt_has_everything_again(void) {
    BEGIN(.messages_per_second = PER_SECOND(10), .messages_burst = 2);
    stop();
    begin();
    tries_again = true;
    replay = 1000;
    PASS(false);
    struct http_stream *first = server;
    compose(4);
    fake_receive(client, buffer_bytes(&sent), 4 * FRAMED, true);
    fake_stream_close(first, HTTP_REFUSED_STREAM, false);
    fake_turn();
    CHECK(rpc_call_attach(opened, to_server));
    server = container_of(back->streams.prev, struct http_stream, node);
    fake_turn();
    CHECK_INT(buffer_length(&server->body), 2 * FRAMED);
    fake_advance(100 * NS_PER_MS);
    fake_advance(100 * NS_PER_MS);
    all_crossed(server);
    CHECK(server->is_finished);
    respond(4, fine, false);
    trailers(3, ok);
    CHECK(ends == 1 && ended == STATUS_OK);
    finish();
    fake_stream_free(first);
}

int main(void) {
    RUN(whole_messages_cross_each_at_its_time);
    RUN(the_window_opens_behind_what_has_left);
    RUN(an_answers_end_waits_behind_what_is_held);
    RUN(a_hard_limit_ends_both_behind_what_it_let_through);
    RUN(bytes_cross_in_order_at_the_rate);
    RUN(a_part_of_a_prefix_is_the_other_ends_to_judge);
    RUN(empty_messages_count_too);
    RUN(nothing_is_left_of_what_was_held);
    RUN(idle_is_measured_in_messages_that_cross);
    RUN(a_message_that_is_too_large_crosses_in_no_direction);
    RUN(an_end_waits_for_the_message_that_crosses);
    RUN(age_and_silence_cut_a_message_that_does_not_cross);
    RUN(another_attempt_has_everything_again);
    return 0;
}
