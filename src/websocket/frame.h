/* websocket/frame.h - the frames that a server sends (RFC 6455 section 5.2): never masked, never fragmented. */
#ifndef TIDEWIRE_WEBSOCKET_FRAME_H
#define TIDEWIRE_WEBSOCKET_FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum websocket_opcode {
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum { WEBSOCKET_HEAD_MOST = 10, WEBSOCKET_REASON_MOST = 123 };

/* Writes the head of a frame with so much payload; returns its length. `is_compressed`: by permessage-deflate. */
size_t websocket_write_head(uint8_t head[WEBSOCKET_HEAD_MOST], enum websocket_opcode opcode, bool is_compressed,
                            size_t length);
/* Appends a frame with at most 125 bytes. */
void websocket_write_control(struct buffer *out, enum websocket_opcode opcode, const void *payload, size_t length);
/* Appends a close frame; the reason must be UTF-8, and is cut to what such a frame holds, at the end of a character.
 * WEBSOCKET_NO_STATUS: one that says nothing. */
void websocket_write_close(struct buffer *out, int code, const char *reason, size_t length);
#endif
