/* base/log_format.c - see log_format.h. By hand, because printf would be most of an access line's price. */
#include "base/log_format.h"

#include <string.h>
#include <time.h>

static const char digit_pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
    "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
    "888990919293949596979899";

static void put_digits(char *at, unsigned number, int count) {
    for (int i = count; i-- > 0; number /= 10) at[i] = (char)('0' + number % 10);
}

void log_put_time(struct buffer *out, struct log_clock *clock, uint64_t wall_ns) {
    int64_t second = (int64_t)(wall_ns / 1000000000);
    if (second != clock->second || !clock->text[0]) {
        time_t time = (time_t)second;
        struct tm utc;
        gmtime_r(&time, &utc);
        strftime(clock->text, sizeof clock->text, "%Y-%m-%dT%H:%M:%S.000Z", &utc);
        clock->second = second;
    }
    put_digits(clock->text + LOG_STAMP_LENGTH - 4, (unsigned)(wall_ns / 1000000 % 1000), 3);
    buffer_append(out, clock->text, LOG_STAMP_LENGTH);
}

void log_put_number(struct buffer *out, uint64_t number) {
    char digits[20], *at = digits + sizeof digits;
    for (; number >= 100; number /= 100) memcpy(at -= 2, digit_pairs + number % 100 * 2, 2);
    if (number >= 10)
        memcpy(at -= 2, digit_pairs + number * 2, 2);
    else
        *--at = (char)('0' + number);
    buffer_append(out, at, (size_t)(digits + sizeof digits - at));
}

void log_put_duration(struct buffer *out, uint64_t ns) {
    log_put_number(out, ns / 1000000);
    char decimals[4] = ".";
    put_digits(decimals + 1, (unsigned)(ns / 1000 % 1000), 3);
    buffer_append(out, decimals, sizeof decimals);
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* The high bit of each of eight bytes that needs a second look: what is not printable ASCII, quotes, backslashes.
 * The subtractions set the high bit of a byte that is too small; a borrow can only err towards the second look. */
static uint64_t not_plain(uint64_t word) {
    uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\'), del = word ^ EACH_BYTE(0x7f);
    uint64_t found = word | (word - EACH_BYTE(0x20)) | (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1)) |
                     (del - EACH_BYTE(1));
    return found & EACH_BYTE(0x80);
}

static bool are_plain(const char *bytes) { return !not_plain(load(bytes)); }

/* Besides, no space and no '='. */
static bool are_bare(const char *bytes) {
    uint64_t word = load(bytes), equals = word ^ EACH_BYTE('=');
    uint64_t found = (word - EACH_BYTE(0x21)) | (equals - EACH_BYTE(1));
    return !(not_plain(word) | (found & EACH_BYTE(0x80)));
}

/* Bytes of the UTF-8 sequence that begins with a byte above 0x7f; 0 when it is none (RFC 3629, section 4). */
static size_t utf8_length(const uint8_t *byte, size_t left) {
    size_t length = byte[0] < 0xc2 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf5 ? 4 : 0;
    if (!length || left < length) return 0;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80) return 0;
    bool is_overlong = (byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xf0 && byte[1] < 0x90);
    bool is_surrogate = byte[0] == 0xed && byte[1] > 0x9f, is_beyond = byte[0] == 0xf4 && byte[1] > 0x8f;
    return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

static char *put(char *at, const char *text, size_t length) {
    memcpy(at, text, length);
    return at + length;
}

static char *put_escape(char *at, uint8_t byte) {
    static const char short_names[] = "btn\0fr";
    if (byte == '"' || byte == '\\') return *at++ = '\\', *at++ = (char)byte, at;
    if (byte >= '\b' && byte <= '\r' && short_names[byte - '\b'])
        return *at++ = '\\', *at++ = short_names[byte - '\b'], at;
    at = put(at, "\\u00", 4);
    *at++ = "0123456789abcdef"[byte >> 4];
    *at++ = "0123456789abcdef"[byte & 15];
    return at;
}

/* One character that is not plain: writes it and says how many bytes it took. */
static size_t put_character(char **at, const uint8_t *byte, size_t left, bool is_quoted) {
    if (byte[0] < 0x80) {
        bool is_control = byte[0] < 0x20 || byte[0] == 0x7f;
        if (!is_quoted && byte[0] == '\n')
            *at = put(*at, "\n    ", 5);
        else if (is_control || (is_quoted && (byte[0] == '"' || byte[0] == '\\')))
            *at = put_escape(*at, byte[0]);
        else
            *(*at)++ = (char)byte[0];
        return 1;
    }
    size_t length = utf8_length(byte, left);
    if (!length) return *at = put(*at, "\xef\xbf\xbd", 3), 1;
    if (byte[0] == 0xc2 && byte[1] < 0xa0)
        return *at = put_escape(*at, byte[1]), 2; /* a control above ASCII */
    *at = put(*at, (const char *)byte, length);
    return length;
}

static void put_characters(struct buffer *out, const char *bytes, size_t length, bool is_quoted) {
    bool is_cut = length > LOG_LONGEST_VALUE;
    if (is_cut) length = LOG_LONGEST_VALUE;
    char *start = (char *)buffer_reserve(out, length * 6 + 8), *at = start;
    for (size_t i = 0; i < length;) {
        if (length - i >= 8 && are_plain(bytes + i))
            at = put(at, bytes + i, 8), i += 8;
        else
            i += put_character(&at, (const uint8_t *)bytes + i, length - i, is_quoted);
    }
    if (is_cut) at = put(at, "…", sizeof "…" - 1);
    buffer_commit(out, (size_t)(at - start));
}

void log_put_string(struct buffer *out, const char *bytes, size_t length) {
    buffer_append_byte(out, '"');
    put_characters(out, bytes, length, true);
    buffer_append_byte(out, '"');
}

void log_put_sentence(struct buffer *out, const char *bytes, size_t length) {
    put_characters(out, bytes, length, false);
}

static bool is_bare(const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        while (length - i >= 8 && are_bare(bytes + i)) i += 8;
        if (i == length) break;
        uint8_t byte = (uint8_t)bytes[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\') return false;
    }
    return length > 0 && length <= LOG_LONGEST_VALUE;
}

void log_put_word(struct buffer *out, const char *bytes, size_t length) {
    if (is_bare(bytes, length))
        buffer_append(out, bytes, length);
    else
        log_put_string(out, bytes, length);
}

static size_t count_digits(const char *at, const char *end) {
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9') at++;
    return (size_t)(at - start);
}

bool log_is_json_literal(const char *bytes, size_t length) {
    const char *at = bytes, *end = bytes + length;
    if ((length == 4 && (!memcmp(at, "true", 4) || !memcmp(at, "null", 4))) ||
        (length == 5 && !memcmp(at, "false", 5)))
        return true;
    if (at < end && *at == '-') at++;
    size_t whole = count_digits(at, end);
    if (!whole || (whole > 1 && *at == '0')) return false;
    at += whole;
    if (at < end && *at == '.') {
        size_t decimals = count_digits(++at, end);
        if (!decimals) return false;
        at += decimals;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        size_t exponent = count_digits(at, end);
        if (!exponent) return false;
        at += exponent;
    }
    return at == end;
}
