/* websocket/utf8.c - see utf8.h */
#include "websocket/utf8.h"

#include <string.h>

/* How many bytes of plain ASCII stand at the beginning, eight at a time. */
static size_t skip_plain(const uint8_t *bytes, size_t length) {
    size_t at = 0;
    uint64_t word;
    for (; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080)) break;
    }
    return at;
}

/* RFC 3629 section 4: what follows the first byte, without overlong forms, surrogates and what is beyond U+10FFFF. */
static bool begin(struct utf8 *utf8, uint8_t byte) {
    utf8->least = 0x80;
    utf8->most = 0xBF;
    if (byte < 0x80) utf8->due = 0;
    else if (byte < 0xC2 || byte > 0xF4) return false;
    else utf8->due = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    if (byte == 0xE0) utf8->least = 0xA0;
    if (byte == 0xED) utf8->most = 0x9F;
    if (byte == 0xF0) utf8->least = 0x90;
    if (byte == 0xF4) utf8->most = 0x8F;
    return true;
}

bool utf8_check(struct utf8 *utf8, const void *data, size_t length) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length;) {
        if (!utf8->due) i += skip_plain(bytes + i, length - i);
        if (i == length) break;
        uint8_t byte = bytes[i++];
        if (!utf8->due) {
            if (!begin(utf8, byte)) return false;
        } else if (byte < utf8->least || byte > utf8->most) {
            return false;
        } else {
            utf8->due--;
            utf8->least = 0x80;
            utf8->most = 0xBF;
        }
    }
    return true;
}
