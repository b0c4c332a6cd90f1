/* websocket/deflate.h - permessage-deflate (RFC 7692), each message by itself: what is agreed, and the compression.
 *
 * Without context takeover, in both directions. So a connection keeps no windows, 300 KiB of them otherwise, and a
 * message can wait as small as its sender has made it until somebody wants it. */
#ifndef TIDEWIRE_WEBSOCKET_DEFLATE_H
#define TIDEWIRE_WEBSOCKET_DEFLATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct message;

struct websocket_deflation {
    uint8_t window_bits;  /* of what we compress, 9…15; 0: nothing is compressed */
    bool is_window_asked; /* the offer names it, so the answer must (section 7.1.2.1) */
};

/* The first offer in the value of sec-websocket-extensions that can be taken. */
bool websocket_take_offer(const char *value, size_t length, struct websocket_deflation *taken);
/* Appends the value of the answer's header. */
void websocket_write_answer(struct buffer *out, const struct websocket_deflation *taken);

/* The windows; one a worker, for all connections. */
struct websocket_deflater;
struct websocket_deflater *websocket_deflater_new(void);
void websocket_deflater_free(struct websocket_deflater **deflater);
/* Appends the compressed bytes. */
void websocket_deflate(struct websocket_deflater *deflater, unsigned window_bits, const void *data, size_t length,
                       struct buffer *out);

enum websocket_inflated { WEBSOCKET_INFLATED, WEBSOCKET_BROKEN, WEBSOCKET_INFLATED_TOO_LARGE };
/* On WEBSOCKET_INFLATED a message with one reference. Stops at the first byte beyond `limit`. */
enum websocket_inflated websocket_inflate(struct websocket_deflater *deflater, const uint8_t *data, size_t length,
                                          size_t limit, struct message **out);
#endif
