/* websocket/reader.h - the bytes of a client's WebSocket (RFC 6455), taken apart: messages, pings, the close.
 *
 * wslay reads the frames' heads and takes the masks off; the rules above frames are kept here: which frames may follow
 * which, UTF-8 over all of a text, what a close may say. Payload is handed on as it comes, so a message takes no memory
 * here, however long it says it is. */
#ifndef TIDEWIRE_WEBSOCKET_READER_H
#define TIDEWIRE_WEBSOCKET_READER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 6455 section 7.4 */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_NO_STATUS = 1005, /* a close that says none; never sent */
    WEBSOCKET_BAD_DATA = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_LARGE = 1009,
    WEBSOCKET_INTERNAL_ERROR = 1011,
};

/* Called from websocket_read(); websocket_reader_stop() may be, the reader may not be freed. Bytes are borrowed. */
struct websocket_events {
    /* A message begins. Its payload follows in pieces, then its end. `is_compressed`: by permessage-deflate, and a text
     * is checked by whoever inflates it. */
    void (*on_begin)(void *context, bool is_text, bool is_compressed);
    void (*on_payload)(void *context, const uint8_t *bytes, size_t length);
    void (*on_end)(void *context);
    void (*on_ping)(void *context, const uint8_t *bytes, size_t length);
    void (*on_pong)(void *context);
    /* The last event. `code`: one that a peer may send, or WEBSOCKET_NO_STATUS. */
    void (*on_close)(void *context, int code, const char *reason, size_t length);
};

struct websocket_reader;

struct websocket_reader *websocket_reader_new(const struct websocket_events *events, void *context, bool may_compress);
void websocket_reader_free(struct websocket_reader **reader);
/* All of the bytes. False: the client has broken the rules, now or before; *code and *text (constant) say how. */
bool websocket_read(struct websocket_reader *reader, const uint8_t *bytes, size_t length, int *code, const char **text);
/* What follows is passed over. */
void websocket_reader_stop(struct websocket_reader *reader);
#endif
