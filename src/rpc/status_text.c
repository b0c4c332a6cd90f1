/* rpc/status_text.c - see status_text.h */
#include "rpc/status_text.h"

#include <stdbool.h>

#include "base/hex.h"
#include "schema/json_text.h"

/* The length of the UTF-8 character at `text`, or 0 when there is none (RFC 3629: no surrogates, no overlong
 * forms). */
static size_t character_length(const uint8_t *text, size_t length) {
    uint8_t first = text[0];
    if (first < 0x80) return 1;
    size_t need = first >= 0xC2 && first <= 0xDF   ? 2
                  : (first & 0xF0) == 0xE0         ? 3
                  : first >= 0xF0 && first <= 0xF4 ? 4
                                                   : 0;
    if (!need || need > length) return 0;
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (text[1] < low || text[1] > high) return 0;
    for (size_t i = 2; i < need; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    return need;
}

static bool is_plain(uint8_t byte) { return byte >= 0x20 && byte <= 0x7E && byte != '%'; }

size_t status_text_encode(char *out, size_t most, const char *text, size_t length) {
    static const char digits[] = "0123456789ABCDEF";
    static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};
    const uint8_t *in = (const uint8_t *)text;
    size_t written = 0;
    while (length) {
        size_t step = character_length(in, length), bytes = step;
        const uint8_t *from = in;
        if (!step) {
            step = 1;
            from = replacement;
            bytes = sizeof replacement;
        }
        size_t need = is_plain(*from) ? 1 : 3 * bytes;
        if (written + need > most) break;
        if (need == 1) {
            out[written++] = (char)*from;
        } else {
            for (size_t i = 0; i < bytes; i++) {
                out[written++] = '%';
                out[written++] = digits[from[i] >> 4];
                out[written++] = digits[from[i] & 15];
            }
        }
        in += step;
        length -= step;
    }
    return written;
}

void status_text_clean(struct buffer *out, const char *text, size_t length) {
    while (length) {
        size_t step = character_length((const uint8_t *)text, length);
        if (step)
            buffer_append(out, text, step);
        else
            buffer_append_text(out, "\xEF\xBF\xBD");
        if (!step) step = 1;
        text += step;
        length -= step;
    }
}

void status_text_quote(struct buffer *out, const char *text, size_t length) {
    struct buffer clean = {0};
    status_text_clean(&clean, text, length);
    size_t size = buffer_length(&clean); /* of nothing there is no memory */
    json_quote(out, size ? buffer_bytes(&clean) : NULL, size);
    buffer_free(&clean);
}

void status_text_decode(struct buffer *out, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        int high = -1, low = -1;
        if (text[i] == '%' && length - i > 2) {
            high = hex_value(text[i + 1]);
            low = hex_value(text[i + 2]);
        }
        if (high < 0 || low < 0) {
            buffer_append_byte(out, (uint8_t)text[i]);
        } else {
            buffer_append_byte(out, (uint8_t)(high << 4 | low));
            i += 2;
        }
    }
}

enum status status_of_http(int http_status) {
    switch (http_status) {
    case 400:
        return STATUS_INTERNAL;
    case 401:
        return STATUS_UNAUTHENTICATED;
    case 403:
        return STATUS_PERMISSION_DENIED;
    case 404:
        return STATUS_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return STATUS_UNAVAILABLE;
    default:
        return STATUS_UNKNOWN;
    }
}

enum status status_of_reset(uint32_t http_error) {
    switch (http_error) {
    case 0:  /* NO_ERROR */
    case 1:  /* PROTOCOL_ERROR */
    case 2:  /* INTERNAL_ERROR */
    case 3:  /* FLOW_CONTROL_ERROR */
    case 4:  /* SETTINGS_TIMEOUT */
    case 5:  /* STREAM_CLOSED */
    case 6:  /* FRAME_SIZE_ERROR */
    case 9:  /* COMPRESSION_ERROR */
    case 10: /* CONNECT_ERROR */
    case 13: /* HTTP_1_1_REQUIRED */
        return STATUS_INTERNAL;
    case 7: /* REFUSED_STREAM */
        return STATUS_UNAVAILABLE;
    case 8: /* CANCEL */
        return STATUS_CANCELLED;
    case 11: /* ENHANCE_YOUR_CALM */
        return STATUS_RESOURCE_EXHAUSTED;
    case 12: /* INADEQUATE_SECURITY */
        return STATUS_PERMISSION_DENIED;
    default:
        return STATUS_UNKNOWN;
    }
}

int status_parse(const char *text, size_t length) {
    if (length == 0 || length > 3) return -1;
    int value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value < STATUS_COUNT ? value : STATUS_UNKNOWN;
}
