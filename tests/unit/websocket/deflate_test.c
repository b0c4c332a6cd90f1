#include "websocket/deflate.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/message.h"
#include "check.h"

static struct websocket_deflater *deflater;

/* ---- what is agreed ---- */

static void check_offer(const char *offer, const char *expected) {
    struct websocket_deflation taken;
    struct buffer answer = {0};
    if (websocket_take_offer(offer, strlen(offer), &taken)) websocket_write_answer(&answer, &taken);
    buffer_append_byte(&answer, 0);
    if (strcmp((const char *)buffer_bytes(&answer), expected)) fprintf(stderr, "%s:\n", offer);
    CHECK_STR((const char *)buffer_bytes(&answer), expected);
    buffer_free(&answer);
}

#define ANSWER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

static void offers_are_taken(void) {
    check_offer("permessage-deflate", ANSWER);
    check_offer("Permessage-Deflate", ANSWER);
    check_offer("permessage-deflate; client_max_window_bits", ANSWER);
    check_offer("permessage-deflate;client_max_window_bits=8 ; server_no_context_takeover", ANSWER);
    check_offer("permessage-deflate; client_no_context_takeover; server_max_window_bits=15",
                ANSWER "; server_max_window_bits=15"); /* section 7.1.2.1: the answer takes it by naming it */
    check_offer("permessage-deflate; server_max_window_bits=9", ANSWER "; server_max_window_bits=9");
    check_offer("permessage-deflate; server_max_window_bits=\"10\"", ANSWER "; server_max_window_bits=10");
    check_offer("x-other; a=b, permessage-deflate; server_max_window_bits=8, permessage-deflate", ANSWER);
}

static void offers_that_cannot_be_are_declined(void) {
    check_offer("", "");
    check_offer("x-webkit-deflate-frame", "");
    check_offer("permessage-deflate; server_max_window_bits=8", "");
    check_offer("permessage-deflate; server_max_window_bits=16", "");
    check_offer("permessage-deflate; server_max_window_bits=09", "");
    check_offer("permessage-deflate; server_max_window_bits", "");
    check_offer("permessage-deflate; client_max_window_bits=7", "");
    check_offer("permessage-deflate; client_max_window_bits=", "");
    check_offer("permessage-deflate; client_max_window_bits; client_max_window_bits", "");
    check_offer("permessage-deflate; server_no_context_takeover=1", "");
    check_offer("permessage-deflate; unknown", "");
    check_offer("permessage-deflate;;", "");
}

/* ---- compression ---- */

static void inflated(const void *data, size_t length, const void *expected, size_t expected_length) {
    struct message *message = NULL;
    CHECK_INT(websocket_inflate(deflater, data, length, 1 << 26, &message), WEBSOCKET_INFLATED);
    CHECK_MEM(message->data, message->length, expected, expected_length);
    message_unref(&message);
}

#define INFLATED(data, expected) inflated(data, sizeof(data) - 1, expected, sizeof(expected) - 1)

/* The examples of RFC 7692 section 7.2.3. */
static void the_examples_of_the_standard_are_read(void) {
    INFLATED("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    INFLATED("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"); /* a block without compression */
    INFLATED("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello");             /* a last block */
    INFLATED("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello");
    INFLATED("\x00", "");
}

static void what_was_deflated_is_inflated(void) {
    enum { SIZE = 1 << 20 };
    char *data = memory_new(SIZE);
    uint32_t random = 1;
    for (size_t i = 0; i < SIZE; i++) data[i] = (char)(i < SIZE / 2 ? 'a' + i % 7 : (random = random * 1664525 + 1013904223) >> 24);
    static const size_t lengths[] = {0, 1, 2, 63, 64, 1000, 65535, SIZE};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (unsigned bits = 9; bits <= 15; bits++) {
            struct buffer out = {0};
            websocket_deflate(deflater, bits, data, lengths[i], &out);
            inflated(buffer_bytes(&out), buffer_length(&out), data, lengths[i]);
            buffer_free(&out);
        }
    }
    free(data);
}

static void a_bomb_stops_at_the_limit(void) {
    char *zeros = memory_new(1 << 22);
    struct buffer out = {0};
    struct message *message = NULL;
    websocket_deflate(deflater, 15, zeros, 1 << 22, &out);
    CHECK(buffer_length(&out) < 8192);
    CHECK_INT(websocket_inflate(deflater, buffer_bytes(&out), buffer_length(&out), (1 << 22) - 1, &message),
              WEBSOCKET_INFLATED_TOO_LARGE);
    CHECK_INT(websocket_inflate(deflater, buffer_bytes(&out), buffer_length(&out), 1 << 22, &message), WEBSOCKET_INFLATED);
    CHECK_INT(message->length, 1 << 22);
    message_unref(&message);
    CHECK_INT(websocket_inflate(deflater, buffer_bytes(&out), buffer_length(&out), 0, &message),
              WEBSOCKET_INFLATED_TOO_LARGE);
    buffer_free(&out);
    free(zeros);
}

static void what_is_broken_is_said_to_be(void) {
    static const struct {
        const char *bytes;
        size_t length;
    } broken[] = {{"\xff\xff\xff\xff", 4}, {"\x07", 1}, {"\xf2\x48\xcd", 3}, {"\x00\x09\x00\xf6\xff\x48", 6}};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct message *message = NULL;
        CHECK_INT(websocket_inflate(deflater, (const uint8_t *)broken[i].bytes, broken[i].length, 1000, &message),
                  WEBSOCKET_BROKEN);
    }
}

int main(void) {
    deflater = websocket_deflater_new();
    RUN(offers_are_taken);
    RUN(offers_that_cannot_be_are_declined);
    RUN(the_examples_of_the_standard_are_read);
    RUN(what_was_deflated_is_inflated);
    RUN(a_bomb_stops_at_the_limit);
    RUN(what_is_broken_is_said_to_be);
    websocket_deflater_free(&deflater);
    return 0;
}
