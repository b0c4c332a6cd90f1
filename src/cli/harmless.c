/* cli/harmless.c - see harmless.h */
#include "cli/harmless.h"

#include <string.h>

#include "schema/codec.h"

/* How many bytes the character at `at` has; 0: it is a control character, or no character. The controls of U+0080 to
 * U+009F are commands too: U+009B begins what ESC [ does. */
static size_t harmless_length(const char *at, size_t left) {
    unsigned char first = (unsigned char)*at;
    if (first < 0x80) return first >= 0x20 && first != 0x7f;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    bool is_control = first == 0xc2 && left > 1 && (unsigned char)at[1] < 0xa0;
    return length <= left && !is_control && codec_is_utf8(at, length) ? length : 0;
}

void harmless_append(struct buffer *out, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        size_t whole = harmless_length(text + i, length - i);
        if (whole) buffer_append(out, text + i, whole);
        else buffer_format(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
        i += whole ? whole : 1;
    }
}

void harmless_print(FILE *file, const char *text) {
    struct buffer line = {0};
    harmless_append(&line, text, strlen(text));
    buffer_append_byte(&line, '\n');
    fwrite(buffer_bytes(&line), 1, buffer_length(&line), file);
    buffer_free(&line);
}
