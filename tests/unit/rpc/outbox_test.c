#include "rpc/outbox.h"

#include <malloc.h>

#include "check.h"
#include "http/stream.h"

struct http_output {
    struct buffer bytes;
    size_t referenced;
};
void http_output_copy(struct http_output *output, const void *bytes, size_t length) {
    buffer_append(&output->bytes, bytes, length);
}
void http_output_reference(struct http_output *output, const void *bytes, size_t length,
                           struct message *keep) {
    CHECK((const uint8_t *)bytes >= keep->prefix &&
          (const uint8_t *)bytes + length <= keep->data + keep->length);
    output->referenced += length;
    http_output_copy(output, bytes, length);
}

static uint32_t state = 1;
static uint32_t any(uint32_t below) {
    state = state * 1103515245 + 12345;
    return (state >> 8) % below;
}

static void expect(struct buffer *expected, const uint8_t *bytes, size_t length, bool is_compressed) {
    uint8_t prefix[5] = {is_compressed, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                         (uint8_t)(length >> 8), (uint8_t)length};
    buffer_append(expected, prefix, 5);
    buffer_append(expected, bytes, length);
}

static uint32_t whole_messages_behind(const struct buffer *all, size_t given) {
    uint32_t count = 0;
    for (size_t at = 0; at < buffer_length(all);) {
        const uint8_t *p = buffer_bytes(all) + at;
        at += 5 + ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]);
        if (at > given) count++;
    }
    return count;
}

/* Some that stand behind each other; not always from the first on. */
static void add_run(struct outbox *outbox, struct outbox_pool *pool, const uint8_t *bytes, struct buffer *expected) {
    struct buffer framed = {0};
    uint32_t count = 1 + any(20), skipped = any(count);
    size_t from = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = any(any(10) ? 100 : 1000);
        if (i == skipped) from = buffer_length(&framed);
        expect(&framed, bytes, length, false);
        if (i >= skipped) expect(expected, bytes, length, false);
    }
    struct message *run = message_copy(buffer_bytes(&framed), buffer_length(&framed));
    outbox_add_run(outbox, pool, run, from, run->length, count - skipped);
    message_unref(&run);
    buffer_free(&framed);
}

/* Messages go in by all four ways and come out in pieces of any length. */
static void what_goes_in_comes_out(void) {
    static const uint32_t sizes[] = {0, 1, 30, 127, 250, 1023, 1024, 3000, 4096, 20000};
    static uint8_t bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
    for (int round = 0; round < 200; round++) {
        struct outbox_pool pool;
        struct outbox outbox = {0};
        struct http_output output = {0};
        struct buffer expected = {0};
        outbox_pool_init(&pool);
        for (int step = 0; step < 60; step++) {
            uint32_t length = sizes[any(10)];
            if (any(2)) length = any(length + 1);
            switch (any(6)) {
            case 4: add_run(&outbox, &pool, bytes, &expected); break;
            case 0: {
                bool is_compressed = any(2);
                CHECK_INT(outbox_add_copy(&outbox, &pool, bytes, length, is_compressed), length + 5);
                expect(&expected, bytes, length, is_compressed);
                break;
            }
            case 1: {
                struct message *message = message_copy(bytes, length);
                outbox_add_reference(&outbox, &pool, message);
                message_unref(&message);
                expect(&expected, bytes, length, false);
                break;
            }
            case 2: {
                struct buffer *out = outbox_begin(&outbox, &pool);
                for (uint32_t at = 0; at < length; at += 100)
                    buffer_append(out, bytes + at, length - at < 100 ? length - at : 100);
                CHECK_INT(outbox_end(&outbox), length + 5);
                expect(&expected, bytes, length, false);
                break;
            }
            case 3:
                buffer_append(outbox_begin(&outbox, &pool), bytes, length);
                outbox_abandon(&outbox, &pool);
                break;
            default:
                outbox_give(&outbox, &pool, any((uint32_t)outbox.bytes + 1), &output);
                break;
            }
            CHECK_INT(outbox.bytes, buffer_length(&expected) - buffer_length(&output.bytes));
            CHECK_INT(outbox.messages, whole_messages_behind(&expected, buffer_length(&output.bytes)));
        }
        outbox_give(&outbox, &pool, outbox.bytes, &output);
        CHECK_MEM(buffer_bytes(&output.bytes), buffer_length(&output.bytes), buffer_bytes(&expected),
                  buffer_length(&expected));
        CHECK_INT(outbox.messages, 0);
        CHECK(!outbox.first && !outbox.last); /* a drained one owns nothing */
        outbox_pool_clear(&pool);
        buffer_free(&expected);
        buffer_free(&output.bytes);
    }
}

/* They have no prefixes that leave, and are counted all the same. */
static void packed_messages_come_out_as_they_went_in(void) {
    enum { MOST = 500 };
    static uint8_t bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)any(256);
    for (int round = 0; round < 100; round++) {
        struct outbox_pool pool;
        struct outbox outbox = {0};
        struct http_output output = {0};
        struct buffer expected = {0};
        size_t ends[MOST], count = 0, gone = 0;
        outbox_pool_init(&pool);
        while (count < MOST) {
            uint32_t length = 1 + (any(20) ? any(30) : any(sizeof bytes));
            CHECK_INT(outbox_add_packed(&outbox, &pool, message_copy(bytes, length)), length);
            buffer_append(&expected, bytes, length);
            ends[count++] = buffer_length(&expected);
            if (any(3)) outbox_give(&outbox, &pool, any((uint32_t)outbox.bytes + 1), &output);
            size_t given = buffer_length(&output.bytes);
            while (gone < count && ends[gone] <= given) gone++;
            CHECK_INT(outbox.bytes, buffer_length(&expected) - given);
            CHECK_INT(outbox.messages, count - gone);
            bool has_begun = gone < count && given > (gone ? ends[gone - 1] : 0);
            CHECK_INT(outbox.left, has_begun ? ends[gone] - given : 0);
            if (!outbox.bytes) CHECK(!outbox.first && !outbox.last);
        }
        if (round % 2) outbox_give(&outbox, &pool, outbox.bytes, &output);
        CHECK_MEM(buffer_bytes(&output.bytes), buffer_length(&output.bytes), buffer_bytes(&expected),
                  buffer_length(&output.bytes));
        outbox_clear(&outbox, &pool);
        outbox_pool_clear(&pool);
        buffer_free(&expected);
        buffer_free(&output.bytes);
    }
}

/* What is counted of them is their bytes. (A sanitizer's memory is not seen here.) */
static void small_packed_messages_take_little_more_than_their_bytes(void) {
    enum { COUNT = 20000 };
    struct outbox_pool pool;
    struct outbox outbox = {0};
    outbox_pool_init(&pool);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < COUNT; i++) outbox_add_packed(&outbox, &pool, message_copy("\x82\1a", 3));
    CHECK_INT(outbox.bytes, COUNT * 3);
    CHECK(mallinfo2().uordblks - before < COUNT * 3 * 4);
    outbox_clear(&outbox, &pool);
    outbox_pool_clear(&pool);
}

/* Whatever they look like: nothing is taken for a message. */
static void raw_bytes_come_out_as_they_went_in(void) {
    static uint8_t bytes[40000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)any(256);
    for (int round = 0; round < 200; round++) {
        struct outbox_pool pool;
        struct outbox outbox = {.is_raw = true};
        struct http_output output = {0};
        outbox_pool_init(&pool);
        size_t in = 0, out = 0;
        while (out < sizeof bytes) {
            size_t length = any(3) ? any(100) : any(5000);
            if (length > sizeof bytes - in) length = sizeof bytes - in;
            if (length) outbox_add_raw(&outbox, &pool, bytes + in, length);
            in += length;
            CHECK_INT(outbox.bytes, in - out);
            length = any((uint32_t)(in - out) + 1);
            if (in == sizeof bytes) length = in - out;
            outbox_give(&outbox, &pool, length, &output);
            out += length;
            if (!outbox.bytes) CHECK(!outbox.first);
        }
        CHECK_MEM(buffer_bytes(&output.bytes), buffer_length(&output.bytes), bytes, sizeof bytes);
        CHECK(output.referenced > 0 && outbox.messages == 0);
        buffer_free(&output.bytes);
        outbox_pool_clear(&pool);
    }
}

/* What waits is counted by its own bytes; so no more than a few times of that may be kept for it. */
static void a_small_part_does_not_keep_a_large_run(void) {
    static const uint8_t bytes[16 * 1024];
    struct outbox_pool pool;
    struct outbox outbox = {0};
    struct message *run = message_copy(bytes, sizeof bytes);
    outbox_pool_init(&pool);
    outbox_add_run(&outbox, &pool, run, 1000, 1000 + sizeof bytes / 4 - 5, 1);
    CHECK_INT(run->references, 1);
    outbox_add_run(&outbox, &pool, run, 0, sizeof bytes / 2, 1);
    CHECK_INT(run->references, 2);
    CHECK_INT(outbox.bytes, sizeof bytes / 4 - 5 + sizeof bytes / 2);
    outbox_clear(&outbox, &pool);
    CHECK_INT(run->references, 1);
    message_unref(&run);
    outbox_pool_clear(&pool);
}

static void clearing_frees_everything(void) {
    struct outbox_pool pool;
    struct outbox outbox = {0};
    struct message *message = message_copy("abc", 3);
    outbox_pool_init(&pool);
    outbox_add_copy(&outbox, &pool, "x", 1, false);
    outbox_add_reference(&outbox, &pool, message);
    outbox_clear(&outbox, &pool);
    CHECK_INT(message->references, 1);
    CHECK_INT(outbox.bytes, 0);
    CHECK_INT(outbox.messages, 0);
    message_unref(&message);
    outbox_pool_clear(&pool);
}

int main(void) {
    RUN(what_goes_in_comes_out);
    RUN(packed_messages_come_out_as_they_went_in);
    RUN(small_packed_messages_take_little_more_than_their_bytes);
    RUN(raw_bytes_come_out_as_they_went_in);
    RUN(a_small_part_does_not_keep_a_large_run);
    RUN(clearing_frees_everything);
    return 0;
}
