/* websocket/frame.c - see frame.h */
#include "websocket/frame.h"

#include "websocket/reader.h"

enum { FIN = 0x80, RSV1 = 0x40 };

size_t websocket_write_head(uint8_t head[WEBSOCKET_HEAD_MOST], enum websocket_opcode opcode, bool is_compressed,
                            size_t length) {
    head[0] = (uint8_t)(FIN | (is_compressed ? RSV1 : 0) | opcode);
    if (length < 126) {
        head[1] = (uint8_t)length;
        return 2;
    }
    size_t bytes = length < 65536 ? 2 : 8;
    head[1] = bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < bytes; i++) head[2 + i] = (uint8_t)((uint64_t)length >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}

void websocket_write_control(struct buffer *out, enum websocket_opcode opcode, const void *payload, size_t length) {
    uint8_t head[WEBSOCKET_HEAD_MOST];
    buffer_append(out, head, websocket_write_head(head, opcode, false, length));
    buffer_append(out, payload, length);
}

static size_t cut(const char *text, size_t length) {
    if (length <= WEBSOCKET_REASON_MOST) return length;
    length = WEBSOCKET_REASON_MOST;
    while (length && ((uint8_t)text[length] & 0xC0) == 0x80) length--;
    return length;
}

void websocket_write_close(struct buffer *out, int code, const char *reason, size_t length) {
    uint8_t payload[2 + WEBSOCKET_REASON_MOST];
    if (code == WEBSOCKET_NO_STATUS) {
        websocket_write_control(out, WEBSOCKET_CLOSE, "", 0);
        return;
    }
    length = cut(reason, length);
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    if (length) memcpy(payload + 2, reason, length);
    websocket_write_control(out, WEBSOCKET_CLOSE, payload, 2 + length);
}
