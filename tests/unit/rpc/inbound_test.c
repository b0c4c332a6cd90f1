#include "record.h"

/* Messages of many sizes, framed. */
static struct buffer stream_of_messages(void) {
    static const size_t sizes[] = {0, 1, 2, 5, 0, 40, 300, 7, 1030, 0, 3};
    struct buffer out = {0};
    uint8_t bytes[2048];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizes[i]; j++) bytes[j] = (uint8_t)(i * 31 + j);
        fake_frame(&out, bytes, sizes[i], 0);
    }
    return out;
}

static void arrives_whole(size_t first, size_t second, bool is_one_read) {
    struct record record = {0};
    struct buffer all = stream_of_messages();
    size_t length = buffer_length(&all);
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    size_t cuts[] = {0, first, second, length};
    for (int i = 0; i < 3; i++) {
        fake_data(stream, buffer_bytes(&all) + cuts[i], cuts[i + 1] - cuts[i]);
        if (!is_one_read) fake_read_done(stream->session);
    }
    fake_end(stream);
    fake_read_done(stream->session);
    CHECK_MEM(buffer_bytes(&record.received), buffer_length(&record.received), buffer_bytes(&all), length);
    CHECK_INT(record.messages, 11);
    CHECK(strstr(record.events, "end "));
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&all);
    record_free(&record);
}

static void messages_arrive_whole_wherever_the_bytes_are_cut(void) {
    struct buffer all = stream_of_messages();
    size_t length = buffer_length(&all);
    buffer_free(&all);
    for (size_t first = 0; first <= length; first++) {
        arrives_whole(first, first, false);
        arrives_whole(first, first + (length - first) / 3, true);
        arrives_whole(first, first + 1 <= length ? first + 1 : first, false);
    }
}

static void messages_arrive_whole_byte_by_byte(void) {
    struct record record = {0};
    struct buffer all = stream_of_messages();
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    for (size_t i = 0; i < buffer_length(&all); i++) fake_receive(stream, buffer_bytes(&all) + i, 1, false);
    CHECK_MEM(buffer_bytes(&record.received), buffer_length(&record.received), buffer_bytes(&all),
              buffer_length(&all));
    CHECK_INT(stream->consumed, buffer_length(&all));
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&all);
    record_free(&record);
}

/* A handler that takes one message at a time, while reads come and go. */
static void what_is_not_taken_survives_the_read(void) {
    struct record record = {.is_idle = true};
    struct buffer all = stream_of_messages();
    size_t length = buffer_length(&all);
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    for (size_t at = 0; at < length; at += 37) {
        fake_receive(stream, buffer_bytes(&all) + at, length - at < 37 ? length - at : 37, false);
        if (at % 2) record_take(&record);
    }
    fake_receive(stream, NULL, 0, true);
    while (record_take(&record) == CALL_MESSAGE) fake_turn();
    CHECK_MEM(buffer_bytes(&record.received), buffer_length(&record.received), buffer_bytes(&all), length);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&all);
    record_free(&record);
}

static void receive_frames(struct http_stream *stream, const struct buffer *all, size_t frame, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) fake_data(stream, buffer_bytes(all) + i * frame, frame);
    fake_read_done(stream->session);
}

/* More than a turn takes, in small frames, while some of what came before is still there. */
static void many_messages_of_a_read_keep_their_order(bool is_idle) {
    enum { MESSAGES = 1000, FIRST_READ = 600, TAKEN_BETWEEN = 300 };
    struct record record = {.is_idle = is_idle};
    struct buffer all = {0};
    for (uint32_t i = 0; i < MESSAGES; i++) fake_frame(&all, &i, sizeof i, 0);
    size_t length = buffer_length(&all), frame = length / MESSAGES;
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    receive_frames(stream, &all, frame, 0, FIRST_READ);
    for (int i = 0; is_idle && i < TAKEN_BETWEEN; i++) CHECK_INT(record_take(&record), CALL_MESSAGE);
    receive_frames(stream, &all, frame, FIRST_READ, MESSAGES);
    fake_end(stream);
    fake_read_done(stream->session);
    while (is_idle && record_take(&record) == CALL_MESSAGE) fake_turn();
    CHECK_INT(record.messages, MESSAGES);
    CHECK_MEM(buffer_bytes(&record.received), buffer_length(&record.received), buffer_bytes(&all), length);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&all);
    record_free(&record);
}

static void many_messages_of_a_read_keep_their_order_at_once_and_later(void) {
    many_messages_of_a_read_keep_their_order(false);
    many_messages_of_a_read_keep_their_order(true);
}

/* What has been taken leaves the copies that are kept, although there is always something behind it. */
static void a_handler_that_is_always_behind_keeps_no_more_than_what_waits(void) {
    enum { WAITING = 200, ROUNDS = 500 };
    struct record record = {.is_idle = true};
    struct buffer all = {0};
    for (uint32_t i = 0; i < WAITING; i++) fake_frame(&all, &i, sizeof i, 0);
    size_t length = buffer_length(&all), frame = length / WAITING;
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    receive_frames(stream, &all, frame, 0, WAITING);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WAITING - 1; i++) CHECK_INT(record_take(&record), CALL_MESSAGE);
        receive_frames(stream, &all, frame, 1, WAITING);
        CHECK(rpc_counters(fake_rpc)->buffered <= 4 * length);
    }
    while (record_take(&record) == CALL_MESSAGE) fake_turn();
    CHECK_INT(record.messages, WAITING + ROUNDS * (WAITING - 1));
    CHECK_MEM(buffer_bytes(&record.received), length, buffer_bytes(&all), length);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&all);
    record_free(&record);
}

static void a_handler_is_told_again_only_after_it_has_asked_in_vain(void) {
    struct record record = {.is_idle = true};
    struct buffer one = {0};
    fake_start(NULL);
    record_serve(&record);
    fake_frame(&one, "abc", 3, 0);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(stream, buffer_bytes(&one), buffer_length(&one), false);
    fake_receive(stream, buffer_bytes(&one), buffer_length(&one), false);
    CHECK_STR(record.events, "open readable ");
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    fake_receive(stream, buffer_bytes(&one), buffer_length(&one), false);
    CHECK_STR(record.events, "open readable ");
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    CHECK_INT(record_take(&record), CALL_EMPTY);
    fake_receive(stream, buffer_bytes(&one), buffer_length(&one), false);
    CHECK_STR(record.events, "open readable readable ");
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&one);
    record_free(&record);
}

static void window_comes_back_only_for_what_is_taken(void) {
    struct record record = {.is_idle = true};
    struct buffer bytes = {0};
    char text[1000] = {0};
    fake_start(NULL);
    record_serve(&record);
    fake_frame(&bytes, text, 100, 0);
    fake_frame(&bytes, text, 200, 0);
    fake_frame(&bytes, text, 1000, 0);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(stream, buffer_bytes(&bytes), 105 + 205 + 500, false);
    CHECK_INT(stream->consumed, 0); /* nothing of the third either: two whole ones wait before it */
    record_take(&record);
    fake_turn();
    CHECK_INT(stream->consumed, 105);
    record_take(&record);
    fake_turn();
    CHECK_INT(stream->consumed, 105 + 205 + 500); /* now the third is the only one */
    fake_receive(stream, buffer_bytes(&bytes) + 105 + 205 + 500, 400, false);
    CHECK_INT(stream->consumed, 105 + 205 + 900);
    fake_receive(stream, buffer_bytes(&bytes) + 105 + 205 + 900, 105, false);
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    fake_turn();
    CHECK_INT(stream->consumed, buffer_length(&bytes));
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&bytes);
    record_free(&record);
}

/* Without it a peer that is given back the bytes of each unfinished message would never have to stop. */
static uint32_t widened_by(uint32_t length) {
    struct record record = {0};
    uint8_t prefix[] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(stream, prefix, 4, false);
    CHECK_INT(stream->widened, 0);
    fake_receive(stream, prefix + 4, 1, false);
    uint32_t widened = stream->widened;
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
    return widened;
}

static void a_large_message_widens_the_window_up_to_what_may_be_buffered(void) {
    CHECK_INT(widened_by(9999), 9999);
    CHECK_INT(widened_by(100000), record_limits.buffered_per_stream);
}

static void a_second_large_message_waits_for_the_first_to_be_taken(void) {
    struct record record = {.is_idle = true};
    struct buffer bytes = {0};
    char *text = memory_new(50000);
    fake_start(NULL);
    record_serve(&record);
    fake_frame(&bytes, text, 50000, 0);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    for (size_t at = 0; at < 50005; at += 10001)
        fake_receive(stream, buffer_bytes(&bytes) + at, 10001, false);
    CHECK_INT(stream->consumed, 50005);
    for (size_t at = 0; at < 40004; at += 10001)
        fake_receive(stream, buffer_bytes(&bytes) + at, 10001, false);
    CHECK_INT(stream->consumed, 50005);
    CHECK_INT(record_take(&record), CALL_MESSAGE);
    fake_turn();
    CHECK_INT(stream->consumed, 50005 + 40004);
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&bytes);
    free(text);
    record_free(&record);
}

static void what_is_taken_outside_of_a_handler_is_released_in_the_same_turn(void) {
    struct record record = {.is_idle = true};
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(stream, "\0\0\0\0\3a", 6, false);
    fake_receive(stream, "bc", 2, false);
    struct call_message message;
    CHECK_INT(call_receive(record.call, &message), CALL_MESSAGE);
    CHECK(message.owner);
    struct message *kept = message_ref(message.owner);
    CHECK_INT(kept->references, 2);
    fake_turn();
    CHECK_INT(kept->references, 1);
    CHECK_MEM(kept->data, kept->length, "abc", 3);
    message_unref(&kept);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void faulty(const void *bytes, size_t length, bool is_end, enum status status, const char *text,
                   size_t before) {
    struct record record = {0};
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(stream, bytes, length, is_end);
    CHECK_INT(record.closed, 1);
    CHECK_INT(record.status, status);
    CHECK_STR(record.text, text);
    CHECK_INT(record.messages, before);
    CHECK(!strstr(record.events, "end "));
    char expected[64];
    snprintf(expected, sizeof expected, "grpc-status: %d\n", status);
    CHECK(strstr(fake_text(&stream->headers), expected));
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void broken_framing_ends_the_call_after_the_messages_before_it(void) {
    faulty("\0\0\0\0\1a\2\0\0\0\1b", 12, false, STATUS_INTERNAL, "a message has the unknown flags 2", 1);
    faulty("\0\0\0\0\1a\1\0\0\0\1b", 12, false, STATUS_INTERNAL,
           "a message is marked as compressed, but no grpc-encoding was sent", 1);
    faulty("\0\0\1\x86\xA1", 5, false, STATUS_RESOURCE_EXHAUSTED,
           "received message larger than max (100001 vs. 100000)", 0);
    faulty("\0\0\0\0\1a\0\0\0", 9, true, STATUS_INTERNAL, "the stream ended inside of a message", 1);
    faulty("\0\0\0\0\2a", 6, true, STATUS_INTERNAL, "the stream ended inside of a message", 0);
}

/* One read may bring many frames: the fault is only told after the last. */
static void nothing_behind_a_fault_is_kept(void) {
    struct record record = {0};
    fake_start(NULL);
    record_serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_data(stream, "\0\0\1", 3);
    fake_data(stream, "\x86\xA1", 2); /* too large by one */
    fake_data(stream, "payload", 7);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    fake_read_done(stream->session);
    fake_turn();
    CHECK_INT(record.messages, 0);
    CHECK_INT(record.status, STATUS_RESOURCE_EXHAUSTED);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void a_message_of_the_limit_passes(void) {
    struct record record = {0};
    struct buffer bytes = {0};
    char *text = memory_new(100000);
    fake_start(NULL);
    record_serve(&record);
    fake_frame(&bytes, text, 100000, 0);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(stream, buffer_bytes(&bytes), 16384, false);
    fake_receive(stream, buffer_bytes(&bytes) + 16384, buffer_length(&bytes) - 16384, true);
    CHECK_INT(record.messages, 1);
    CHECK_INT(record.owned, 1);
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&bytes);
    free(text);
    record_free(&record);
}

/* Memory is taken for what has come, not for what a prefix announces. */
static void an_announced_message_takes_no_memory(void) {
    struct record record = {0};
    fake_start(NULL);
    record_serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *streams[50];
    for (int i = 0; i < 50; i++) {
        streams[i] = fake_request(session, "/test.Service/Stream", false, NULL);
        record.call = NULL;
        fake_receive(streams[i], "\0\0\1\x86\xA0xyz", 8, false);
    }
    CHECK(rpc_counters(fake_rpc)->buffered <= 50 * 256);
    CHECK(rpc_counters(fake_rpc)->buffered > 0);
    fake_stop();
    for (int i = 0; i < 50; i++) fake_stream_free(streams[i]);
    record_free(&record);
}

int main(void) {
    RUN(messages_arrive_whole_wherever_the_bytes_are_cut);
    RUN(messages_arrive_whole_byte_by_byte);
    RUN(what_is_not_taken_survives_the_read);
    RUN(many_messages_of_a_read_keep_their_order_at_once_and_later);
    RUN(a_handler_that_is_always_behind_keeps_no_more_than_what_waits);
    RUN(a_handler_is_told_again_only_after_it_has_asked_in_vain);
    RUN(window_comes_back_only_for_what_is_taken);
    RUN(a_large_message_widens_the_window_up_to_what_may_be_buffered);
    RUN(a_second_large_message_waits_for_the_first_to_be_taken);
    RUN(what_is_taken_outside_of_a_handler_is_released_in_the_same_turn);
    RUN(broken_framing_ends_the_call_after_the_messages_before_it);
    RUN(nothing_behind_a_fault_is_kept);
    RUN(a_message_of_the_limit_passes);
    RUN(an_announced_message_takes_no_memory);
    return 0;
}
