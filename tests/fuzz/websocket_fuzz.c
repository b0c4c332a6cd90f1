/* The frames of a WebSocket: however the bytes are cut, the same is read, up to the same fault; and an offer of
 * compression, and a compressed message, harm nothing. The first byte says how, the rest is the input. */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/message.h"
#include "check.h"
#include "websocket/deflate.h"
#include "websocket/frame.h"
#include "websocket/reader.h"
#include "websocket/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LIMIT = 1 << 16 };

struct record {
    struct buffer said;
    bool is_in_message, has_closed;
};

static void on_begin(void *context, bool is_text, bool is_compressed) {
    struct record *record = context;
    CHECK(!record->is_in_message && !record->has_closed);
    record->is_in_message = true;
    buffer_append_byte(&record->said, (uint8_t)(is_text | is_compressed << 1));
}
static void on_payload(void *context, const uint8_t *bytes, size_t length) {
    struct record *record = context;
    CHECK(record->is_in_message && length);
    buffer_append(&record->said, bytes, length);
}
static void on_end(void *context) {
    struct record *record = context;
    CHECK(record->is_in_message);
    record->is_in_message = false;
    buffer_append_byte(&record->said, '>');
}
static void on_ping(void *context, const uint8_t *bytes, size_t length) {
    struct record *record = context;
    CHECK(length <= 125);
    websocket_write_control(&record->said, WEBSOCKET_PONG, bytes, length);
}
static void on_pong(void *context) { buffer_append_byte(&((struct record *)context)->said, '.'); }
static void on_close(void *context, int code, const char *reason, size_t length) {
    struct record *record = context;
    CHECK(code >= 1000 && code < 5000 && length <= WEBSOCKET_REASON_MOST);
    record->has_closed = true;
    websocket_write_close(&record->said, code, reason, length);
}

static const struct websocket_events events = {on_begin, on_payload, on_end, on_ping, on_pong, on_close};

static int read_all(struct record *record, const uint8_t *bytes, size_t size, size_t step, bool may_compress) {
    struct websocket_reader *reader = websocket_reader_new(&events, record, may_compress);
    const char *text = NULL;
    int code = 0;
    for (size_t at = 0; at < size; at += step) {
        bool is_fine = websocket_read(reader, bytes + at, size - at < step ? size - at : step, &code, &text);
        CHECK(is_fine == !text && is_fine == !code);
    }
    websocket_reader_free(&reader);
    return code;
}

static void read_frames(const uint8_t *bytes, size_t size, bool may_compress) {
    struct record whole = {0}, cut = {0};
    int code = read_all(&whole, bytes, size, size ? size : 1, may_compress);
    CHECK(code == read_all(&cut, bytes, size, 1, may_compress));
    /* A text's fault may be seen in the middle of a piece, of which nothing is handed on then. */
    size_t both = buffer_length(&whole.said);
    CHECK(code == WEBSOCKET_BAD_DATA ? both <= buffer_length(&cut.said) : both == buffer_length(&cut.said));
    CHECK(!both || !memcmp(buffer_bytes(&whole.said), buffer_bytes(&cut.said), both));
    buffer_free(&whole.said);
    buffer_free(&cut.said);
}

static void take_offer(const uint8_t *bytes, size_t size) {
    struct websocket_deflation taken;
    if (websocket_take_offer((const char *)bytes, size, &taken))
        CHECK(taken.window_bits >= 9 && taken.window_bits <= 15);
}

static void inflate_and_back(struct websocket_deflater *deflater, const uint8_t *bytes, size_t size) {
    struct message *message = NULL, *again = NULL;
    struct buffer out = {0};
    if (websocket_inflate(deflater, bytes, size, LIMIT, &message) != WEBSOCKET_INFLATED) return;
    CHECK(message->length <= LIMIT);
    websocket_deflate(deflater, 9, message->data, message->length, &out);
    CHECK(websocket_inflate(deflater, buffer_bytes(&out), buffer_length(&out), LIMIT, &again) == WEBSOCKET_INFLATED);
    CHECK(again->length == message->length && !memcmp(again->data, message->data, message->length));
    buffer_free(&out);
    message_unref(&message);
    message_unref(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct websocket_deflater *deflater;
    if (!deflater) deflater = websocket_deflater_new();
    if (!size) return 0;
    if (bytes[0] % 4 < 2) read_frames(bytes + 1, size - 1, bytes[0] % 2);
    else if (bytes[0] % 4 == 2) take_offer(bytes + 1, size - 1);
    else inflate_and_back(deflater, bytes + 1, size - 1);
    return 0;
}
