/* http/http1_check.c - each byte of the framing, before the library has it: RFC 9112 to the letter, and no more of it
 * than clients send. */
#include <string.h>

#include "base/hex.h"
#include "http/http1_private.h"

enum {
    FIELD_OVERHEAD = 32,    /* as in HTTP/2 */
    METHOD_MOST = 32,
    SIZE_MOST = 16,         /* digits of a chunk's size */
    EXTENSION_MOST = 4096,  /* bytes of all extensions of a message */
};

void http1_check_begin(struct http1_check *check, uint64_t most, bool is_first) {
    *check = (struct http1_check){.most = most, .may_be_blank = !is_first};
}

void http1_check_body(struct http1_check *check, bool is_chunked, uint64_t length) {
    check->left = length;
    check->line = 0;
    check->place = is_chunked ? HTTP1_SIZE : length ? HTTP1_BODY : HTTP1_END;
}

bool http1_check_refuse(struct http1_check *check, int status, const char *fault) {
    check->status = (uint16_t)status;
    check->fault = fault;
    return false;
}

bool http1_is_token(uint8_t byte) {
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') return true;
    return (byte >= '0' && byte <= '9') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static bool is_visible(uint8_t byte) { return byte > ' ' && byte < 0x7f; }
static bool is_text(uint8_t byte) { return (byte >= ' ' && byte != 0x7f) || byte == '\t'; }

static bool bad(struct http1_check *check, const char *fault) { return http1_check_refuse(check, 400, fault); }

static bool go(struct http1_check *check, enum http1_place place) {
    check->place = (uint8_t)place;
    check->line = 0;
    return true;
}

static bool expect(struct http1_check *check, uint8_t byte, uint8_t wanted, enum http1_place place) {
    if (byte == wanted) return go(check, place);
    return bad(check, wanted == '\n' ? "a CR without LF" : "a chunk is longer than its size");
}

static bool count(struct http1_check *check, uint64_t bytes) {
    check->counted += bytes;
    if (check->counted <= check->most) return true;
    return check->place == HTTP1_TARGET ? http1_check_refuse(check, 414, "the request line is too long")
                                        : http1_check_refuse(check, 431, "the headers are too large");
}

static bool in_method(struct http1_check *check, uint8_t byte) {
    if (byte == ' ' && check->line) return go(check, HTTP1_TARGET);
    if (!http1_is_token(byte)) return bad(check, "the request line is malformed");
    return ++check->line <= METHOD_MOST || http1_check_refuse(check, 501, "no method has such a long name");
}

static bool in_target(struct http1_check *check, uint8_t byte) {
    if (byte == ' ' && check->line) return go(check, HTTP1_VERSION);
    if (!is_visible(byte)) return bad(check, "the request line is malformed");
    check->line = 1;
    return count(check, 1);
}

static bool in_version(struct http1_check *check, uint8_t byte) {
    static const char form[] = "HTTP/#.#\r";
    char wanted = form[check->line];
    if (wanted == '\r' && byte == '\r') return go(check, HTTP1_VERSION_LF);
    if (wanted == 'H' && byte != 'H' && !check->may_be_blank)
        return http1_check_refuse(check, HTTP1_WORDLESS, "the client doesn't speak HTTP");
    if (wanted == '#' ? byte < '0' || byte > '9' : byte != wanted) return bad(check, "the request line is malformed");
    if (check->line == 5 && byte != '1') return http1_check_refuse(check, 505, "HTTP/1.1 and HTTP/2 are spoken here");
    if (check->line == 7) check->minor = (uint8_t)(byte - '0');
    check->line++;
    return check->minor < 2 || http1_check_refuse(check, 505, "HTTP/1.1 and HTTP/2 are spoken here");
}

static bool at_field(struct http1_check *check, uint8_t byte) {
    if (byte == '\r') return go(check, HTTP1_LAST_LF);
    if (byte == ' ' || byte == '\t') return bad(check, "a header line is folded");
    if (!http1_is_token(byte)) return bad(check, "the name of a header is malformed");
    go(check, HTTP1_NAME);
    return count(check, FIELD_OVERHEAD + 1);
}

static bool in_name(struct http1_check *check, uint8_t byte) {
    if (byte == ':') return go(check, HTTP1_VALUE);
    if (byte == ' ' || byte == '\t') return bad(check, "a blank before a header's colon");
    return http1_is_token(byte) ? count(check, 1) : bad(check, "the name of a header is malformed");
}

static bool in_value(struct http1_check *check, uint8_t byte) {
    if (byte == '\r') return go(check, HTTP1_VALUE_LF);
    if (byte == '\n') return bad(check, "a LF without CR");
    return is_text(byte) ? count(check, 1) : bad(check, "a control byte in a header");
}

static bool in_size(struct http1_check *check, uint8_t byte) {
    int digit = hex_value((char)byte);
    if (digit < 0 && check->line) {
        if (byte == '\r') return go(check, HTTP1_SIZE_LF);
        if (byte == ';') return go(check, HTTP1_EXTENSION);
    }
    if (digit < 0 || check->line == SIZE_MOST || check->left >> 56)
        return bad(check, "the size of a chunk is malformed");
    if (!check->line++) check->left = 0;
    check->left = check->left << 4 | (uint64_t)digit;
    return true;
}

static bool in_extension(struct http1_check *check, uint8_t byte) {
    if (byte == '\r') return go(check, HTTP1_SIZE_LF);
    if (!is_text(byte) || byte >= 0x80) return bad(check, "a chunk's extension is malformed");
    return ++check->extension <= EXTENSION_MOST || bad(check, "the chunks' extensions are too long");
}

static bool after_size(struct http1_check *check, uint8_t byte) {
    if (check->left || byte != '\n') return expect(check, byte, '\n', HTTP1_CHUNK);
    check->is_trailer = true;
    check->counted = 0;
    return go(check, HTTP1_FIELD);
}

static bool step(struct http1_check *check, uint8_t byte) {
    switch ((enum http1_place)check->place) {
    case HTTP1_BEFORE:
        if (byte == '\r' && check->may_be_blank) return go(check, HTTP1_BEFORE_LF);
        go(check, HTTP1_METHOD);
        return in_method(check, byte);
    case HTTP1_BEFORE_LF: check->may_be_blank = false; return expect(check, byte, '\n', HTTP1_BEFORE);
    case HTTP1_METHOD: return in_method(check, byte);
    case HTTP1_TARGET: return in_target(check, byte);
    case HTTP1_VERSION: return in_version(check, byte);
    case HTTP1_VERSION_LF: return expect(check, byte, '\n', HTTP1_FIELD);
    case HTTP1_FIELD: return at_field(check, byte);
    case HTTP1_NAME: return in_name(check, byte);
    case HTTP1_VALUE: return in_value(check, byte);
    case HTTP1_VALUE_LF: return expect(check, byte, '\n', HTTP1_FIELD);
    case HTTP1_LAST_LF: return expect(check, byte, '\n', check->is_trailer ? HTTP1_END : HTTP1_HEAD_END);
    case HTTP1_SIZE: return in_size(check, byte);
    case HTTP1_EXTENSION: return in_extension(check, byte);
    case HTTP1_SIZE_LF: return after_size(check, byte);
    case HTTP1_CHUNK_CR: return expect(check, byte, '\r', HTTP1_CHUNK_LF);
    case HTTP1_CHUNK_LF: check->left = 0; return expect(check, byte, '\n', HTTP1_SIZE);
    default: return false;
    }
}

/* What is not framing is passed over. */
static size_t skip(struct http1_check *check, size_t length) {
    size_t passed = check->left < length ? (size_t)check->left : length;
    check->left -= passed;
    if (!check->left) go(check, check->place == HTTP1_CHUNK ? HTTP1_CHUNK_CR : HTTP1_END);
    return passed;
}

size_t http1_check(struct http1_check *check, const uint8_t *bytes, size_t length) {
    size_t at = 0;
    while (at < length && check->place != HTTP1_HEAD_END && check->place != HTTP1_END) {
        if (check->place == HTTP1_CHUNK || check->place == HTTP1_BODY) {
            at += skip(check, length - at);
        } else {
            if (!step(check, bytes[at])) return at;
            at++;
        }
    }
    return at;
}
