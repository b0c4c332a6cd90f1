/* The bytes of a gRPC stream, cut anywhere, against a handler that takes them at any time: what it gets is
 * what a plain reading of all bytes together gives, faults come where that reading has them, and nothing is
 * left buffered.
 *
 * Input: one byte of options, then steps: a number below 200 sends that many of the bytes that follow as one
 * DATA frame; from 200 on: the read ends, a message is taken, the stream ends. */
#include "rpc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 600, READ_ENDS = 200, TAKES = 230, ENDS = 254 };
static const struct call_limits fuzz_limits = {.message = LIMIT};

struct expected {
    struct buffer messages;
    enum status fault; /* OK: none */
};

static struct expected read_plainly(const struct buffer *all, bool is_ended) {
    struct expected expected = {.fault = STATUS_OK};
    const uint8_t *at = buffer_length(all) ? buffer_bytes(all) : NULL;
    size_t left = buffer_length(all);
    while (left >= 5) {
        size_t length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
        if (at[0] != 0)
            expected.fault = STATUS_INTERNAL;
        else if (length > LIMIT)
            expected.fault = STATUS_RESOURCE_EXHAUSTED;
        if (expected.fault != STATUS_OK) return expected;
        if (left - 5 < length) break;
        buffer_append(&expected.messages, at, 5 + length);
        at += 5 + length;
        left -= 5 + length;
    }
    if (left && is_ended) expected.fault = STATUS_INTERNAL;
    return expected;
}

static void take(struct record *record) {
    if (record->call) record_take(record);
}

static void end_read(struct http_stream *stream) {
    fake_read_done(stream->session);
    fake_turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 20000) return 0;
    const struct rpc_limits limits = {.buffered_per_connection = data[0] & 4 ? 1000 : 0};
    struct record record = {.is_idle = data[0] & 1, .is_many = true};
    struct buffer all = {0};
    bool is_ended = false;
    fake_start(&limits);
    router_add(fake_router, &record_stream, &record_handler, &record, &fuzz_limits);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    end_read(stream);
    for (size_t at = 1; at < size && !stream->is_closed && !is_ended; at++) {
        if (data[at] < READ_ENDS) {
            size_t length = data[at] < size - at - 1 ? data[at] : size - at - 1;
            fake_data(stream, data + at + 1, length);
            buffer_append(&all, data + at + 1, length);
            at += length;
        } else if (data[at] < TAKES) {
            end_read(stream);
        } else if (data[at] < ENDS) {
            take(&record);
        } else {
            fake_end(stream);
            is_ended = true;
        }
    }
    end_read(stream);
    if (record.is_idle && record.call) {
        while (record_take(&record) == CALL_MESSAGE) {
        }
        fake_turn();
    }
    struct expected expected = read_plainly(&all, is_ended);
    size_t received = buffer_length(&record.received), whole = buffer_length(&expected.messages);
    /* A handler that did not ask in time gets less of what stood before a fault, never more. */
    CHECK(received == whole || (expected.fault != STATUS_OK && record.is_idle && received < whole));
    CHECK(!received ||
          memcmp(buffer_bytes(&record.received), buffer_bytes(&expected.messages), received) == 0);
    CHECK_INT(record.closed, expected.fault != STATUS_OK);
    if (record.closed) CHECK_INT(record.status, expected.fault);
    CHECK(stream->consumed <= stream->session->received || stream->is_closed);
    if (!record.closed && !is_ended && !limits.buffered_per_connection)
        CHECK_INT(stream->consumed, buffer_length(&all));
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&all);
    buffer_free(&expected.messages);
    record_free(&record);
    return 0;
}
