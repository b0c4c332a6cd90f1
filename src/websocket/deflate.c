/* websocket/deflate.c - see deflate.h */
#include "websocket/deflate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/message.h"

/* ---- what is agreed (section 7.1) ---- */

struct text {
    const char *data;
    size_t length;
};

static struct text trim(const char *data, size_t length) {
    while (length && (*data == ' ' || *data == '\t')) data++, length--;
    while (length && (data[length - 1] == ' ' || data[length - 1] == '\t')) length--;
    return (struct text){data, length};
}

/* What stands before the separator, or all of it; moves `text` behind it. A quoted string has no part in any value that
 * could be taken. */
static struct text cut(struct text *text, char separator) {
    const char *at = text->length ? memchr(text->data, separator, text->length) : NULL;
    size_t length = at ? (size_t)(at - text->data) : text->length;
    struct text before = trim(text->data, length);
    text->data += at ? length + 1 : length;
    text->length -= at ? length + 1 : length;
    return before;
}

static bool is(struct text text, const char *word) {
    return text.length == strlen(word) && !strncasecmp(text.data, word, text.length);
}

struct offer {
    unsigned server_bits;
    bool has_server_bits, has_client_bits, has_server_takeover, has_client_takeover;
};

/* 8 to 15, without a zero in front; also as a quoted string. 0: it is none of these. */
static unsigned read_bits(struct text value) {
    if (value.length >= 2 && value.data[0] == '"' && value.data[value.length - 1] == '"')
        value = (struct text){value.data + 1, value.length - 2};
    if (value.length == 1 && (value.data[0] == '8' || value.data[0] == '9')) return (unsigned)(value.data[0] - '0');
    if (value.length == 2 && value.data[0] == '1' && value.data[1] >= '0' && value.data[1] <= '5')
        return 10 + (unsigned)(value.data[1] - '0');
    return 0;
}

static bool once(bool *is_there) {
    bool was_there = *is_there;
    *is_there = true;
    return !was_there;
}

/* False: the parameter is unknown, stands twice, or says something that cannot be; the offer is declined then. */
static bool take_parameter(struct offer *offer, struct text parameter) {
    bool has_value = parameter.length && memchr(parameter.data, '=', parameter.length);
    struct text value = parameter, name = cut(&value, '=');
    value = trim(value.data, value.length);
    if (is(name, "server_no_context_takeover")) return !has_value && once(&offer->has_server_takeover);
    if (is(name, "client_no_context_takeover")) return !has_value && once(&offer->has_client_takeover);
    if (is(name, "client_max_window_bits")) return (!has_value || read_bits(value)) && once(&offer->has_client_bits);
    if (!is(name, "server_max_window_bits")) return false;
    offer->server_bits = read_bits(value);
    return offer->server_bits > 8 && once(&offer->has_server_bits); /* zlib has no window of 8 bits */
}

static bool take(struct text text, struct websocket_deflation *taken) {
    struct offer offer = {.server_bits = 15};
    if (!is(cut(&text, ';'), "permessage-deflate")) return false;
    while (text.length)
        if (!take_parameter(&offer, cut(&text, ';'))) return false;
    *taken = (struct websocket_deflation){(uint8_t)offer.server_bits, offer.has_server_bits};
    return true;
}

bool websocket_take_offer(const char *value, size_t length, struct websocket_deflation *taken) {
    struct text offers = {value, length};
    while (offers.length)
        if (take(cut(&offers, ','), taken)) return true;
    return false;
}

void websocket_write_answer(struct buffer *out, const struct websocket_deflation *taken) {
    buffer_append_text(out, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    if (taken->is_window_asked) buffer_format(out, "; server_max_window_bits=%u", taken->window_bits);
}

/* ---- compression ---- */

enum { LEVEL = 4, MEMORY_LEVEL = 6, LEAST_BITS = 9, MOST_BITS = 15 };

static const uint8_t tail[] = {0x00, 0x00, 0xFF, 0xFF}; /* that a sender leaves away: section 7.2.1 */

struct websocket_deflater {
    z_stream *deflate[MOST_BITS - LEAST_BITS + 1]; /* by window; set up at the first use */
    z_stream *inflate;
};

struct websocket_deflater *websocket_deflater_new(void) { return memory_new(sizeof(struct websocket_deflater)); }

void websocket_deflater_free(struct websocket_deflater **handle) {
    struct websocket_deflater *deflater = *handle;
    *handle = NULL;
    if (!deflater) return;
    for (int i = 0; i <= MOST_BITS - LEAST_BITS; i++) {
        if (deflater->deflate[i]) deflateEnd(deflater->deflate[i]);
        free(deflater->deflate[i]);
    }
    if (deflater->inflate) inflateEnd(deflater->inflate);
    free(deflater->inflate);
    free(deflater);
}

static z_stream *deflater_of(struct websocket_deflater *deflater, unsigned window_bits) {
    z_stream **at = &deflater->deflate[window_bits - LEAST_BITS];
    if (*at) {
        deflateReset(*at);
        return *at;
    }
    *at = memory_new(sizeof **at);
    if (deflateInit2(*at, LEVEL, Z_DEFLATED, -(int)window_bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    return *at;
}

static z_stream *inflater_of(struct websocket_deflater *deflater) {
    if (deflater->inflate) {
        inflateReset(deflater->inflate);
        return deflater->inflate;
    }
    deflater->inflate = memory_new(sizeof *deflater->inflate);
    if (inflateInit2(deflater->inflate, -MOST_BITS) != Z_OK) abort();
    return deflater->inflate;
}

void websocket_deflate(struct websocket_deflater *deflater, unsigned window_bits, const void *data, size_t length,
                       struct buffer *out) {
    z_stream *z = deflater_of(deflater, window_bits);
    size_t before = buffer_length(out);
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)length;
    do {
        size_t room = deflateBound(z, z->avail_in) + 16;
        z->next_out = buffer_reserve(out, room);
        z->avail_out = (uInt)room;
        deflate(z, Z_SYNC_FLUSH);
        buffer_commit(out, room - z->avail_out);
    } while (!z->avail_out);
    if (buffer_length(out) - before > sizeof tail) out->end -= sizeof tail;
}

/* zlib tells by these bits that it stands behind a block, with nothing left of the last byte. */
static bool is_behind_block(const z_stream *z) { return (z->data_type & 128) && !(z->data_type & 7); }

/* All that the input says. False: it is broken. Stops when there is one byte more than the limit. */
static bool inflate_more(z_stream *z, const uint8_t *data, size_t length, size_t limit, struct message **message,
                         bool *is_whole) {
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)length;
    for (;;) {
        struct message *m = *message;
        if (m->length == m->capacity) *message = m = message_grow(m, limit);
        z->next_out = m->data + m->length;
        z->avail_out = m->capacity - m->length;
        int state = inflate(z, Z_SYNC_FLUSH);
        m->length = m->capacity - z->avail_out;
        if (m->length > limit || state == Z_BUF_ERROR) return true;
        if (state != Z_OK && state != Z_STREAM_END) return false;
        *is_whole = is_behind_block(z);
        if (state == Z_STREAM_END) inflateReset(z); /* section 7.2.3.5: a last block need not be the last */
        if (!z->avail_in && z->avail_out) return true;
    }
}

enum websocket_inflated websocket_inflate(struct websocket_deflater *deflater, const uint8_t *data, size_t length,
                                          size_t limit, struct message **out) {
    z_stream *z = inflater_of(deflater);
    if (limit > UINT32_MAX - 1) limit = UINT32_MAX - 1;
    size_t first = length < 64 ? 256 : length * 4;
    struct message *message = message_new(first > limit + 1 ? limit + 1 : first);
    bool is_whole = false, is_fine = inflate_more(z, data, length, limit, &message, &is_whole);
    if (is_fine && message->length <= limit) is_fine = inflate_more(z, tail, sizeof tail, limit, &message, &is_whole);
    bool is_too_large = message->length > limit;
    if (is_fine && !is_too_large && is_whole) {
        message_set_prefix(message, 0);
        *out = message;
        return WEBSOCKET_INFLATED;
    }
    message_unref(&message);
    return is_too_large ? WEBSOCKET_INFLATED_TOO_LARGE : WEBSOCKET_BROKEN;
}
