/* websocket/utf8.h - whether bytes are UTF-8 (RFC 3629), as they come. */
#ifndef TIDEWIRE_WEBSOCKET_UTF8_H
#define TIDEWIRE_WEBSOCKET_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is due of a character that has begun. Zeroed: at the beginning of one. */
struct utf8 {
    uint8_t due;         /* so many bytes more */
    uint8_t least, most; /* the next one is between these */
};

/* False at the first byte that cannot be; the state is of no use then. */
bool utf8_check(struct utf8 *utf8, const void *bytes, size_t length);
static inline bool utf8_is_whole(const struct utf8 *utf8) { return utf8->due == 0; }
#endif
