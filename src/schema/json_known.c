/* schema/json_known.c - see json_known.h */
#include "schema/json_known.h"

#include <string.h>
#include <time.h>

enum { NANOS_PER_SECOND = 1000 * 1000 * 1000 };
static const int64_t first_second = -62135596800, last_second = 253402300799; /* 0001-01-01 and 9999-12-31 */
static const int64_t longest_duration = 315576000000;                         /* seconds */

/* A piece of text that is taken from the front. */
struct piece {
    const char *at, *end;
};

static bool take(struct piece *text, char c) {
    if (text->at == text->end || *text->at != c) return false;
    text->at++;
    return true;
}

/* Exactly so many digits, that make a number from least to most. */
static bool take_number(struct piece *text, int digits, int least, int most, int *value) {
    *value = 0;
    for (; digits; digits--, text->at++) {
        if (text->at == text->end || *text->at < '0' || *text->at > '9') return false;
        *value = *value * 10 + (*text->at - '0');
    }
    return *value >= least && *value <= most;
}

/* ".5": one to nine digits; none at all is fine too. */
static bool take_fraction(struct piece *text, int32_t *nanos) {
    *nanos = 0;
    if (!take(text, '.')) return true;
    const char *start = text->at;
    int32_t unit = NANOS_PER_SECOND;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        unit /= 10;
        if (!unit) return false;
        *nanos += (*text->at - '0') * unit;
    }
    return text->at > start;
}

/* "Z" or "+05:30". */
static bool take_offset(struct piece *text, int *seconds) {
    int hours, minutes;
    *seconds = 0;
    if (take(text, 'Z')) return true;
    bool is_west = take(text, '-');
    if (!is_west && !take(text, '+')) return false;
    if (!take_number(text, 2, 0, 23, &hours) || !take(text, ':') || !take_number(text, 2, 0, 59, &minutes))
        return false;
    *seconds = (hours * 60 + minutes) * (is_west ? -60 : 60);
    return true;
}

static bool take_date_and_time(struct piece *text, struct tm *t) {
    if (!take_number(text, 4, 1, 9999, &t->tm_year) || !take(text, '-') ||
        !take_number(text, 2, 1, 12, &t->tm_mon) || !take(text, '-') ||
        !take_number(text, 2, 1, 31, &t->tm_mday) || !take(text, 'T') ||
        !take_number(text, 2, 0, 23, &t->tm_hour) || !take(text, ':') ||
        !take_number(text, 2, 0, 59, &t->tm_min) || !take(text, ':') ||
        !take_number(text, 2, 0, 59, &t->tm_sec))
        return false;
    t->tm_year -= 1900;
    t->tm_mon -= 1;
    return true;
}

const char *json_read_timestamp(const char *text, size_t length, int64_t *seconds, int32_t *nanos) {
    static const char fault[] = "expected a time like \"2024-05-06T07:08:09.5Z\"";
    struct piece piece = {text, text + length};
    struct tm t = {0};
    int offset;
    if (!take_date_and_time(&piece, &t) || !take_fraction(&piece, nanos) || !take_offset(&piece, &offset) ||
        piece.at != piece.end)
        return fault;
    int day = t.tm_mday;
    *seconds = timegm(&t); /* makes the 1st of March of the 30th of February */
    if (t.tm_mday != day) return "the month has no such day";
    *seconds -= offset;
    return *seconds < first_second || *seconds > last_second ? "the time is before year 1 or after 9999"
                                                             : NULL;
}

/* In groups of three digits, as few as it takes. */
static void write_fraction(struct buffer *out, int nanos) {
    if (!nanos) return;
    if (nanos % 1000)
        buffer_format(out, ".%09d", nanos);
    else if (nanos % (1000 * 1000))
        buffer_format(out, ".%06d", nanos / 1000);
    else
        buffer_format(out, ".%03d", nanos / (1000 * 1000));
}

const char *json_write_timestamp(struct buffer *out, int64_t seconds, int64_t nanos) {
    if (seconds < first_second || seconds > last_second) return "the time is before year 1 or after 9999";
    if (nanos < 0 || nanos >= NANOS_PER_SECOND) return "the nanoseconds are out of range";
    time_t time = seconds;
    struct tm t;
    gmtime_r(&time, &t);
    buffer_format(out, "%04d-%02d-%02dT%02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                  t.tm_min, t.tm_sec);
    write_fraction(out, (int)nanos);
    buffer_append_byte(out, 'Z');
    return NULL;
}

const char *json_read_duration(const char *text, size_t length, int64_t *seconds, int32_t *nanos) {
    static const char fault[] = "expected a duration like \"1.5s\"";
    struct piece piece = {text, text + length};
    bool is_negative = take(&piece, '-');
    const char *start = piece.at;
    *seconds = 0;
    for (; piece.at < piece.end && *piece.at >= '0' && *piece.at <= '9'; piece.at++)
        if (*seconds <= longest_duration) *seconds = *seconds * 10 + (*piece.at - '0');
    if (piece.at == start || !take_fraction(&piece, nanos) || !take(&piece, 's') || piece.at != piece.end)
        return fault;
    if (*seconds > longest_duration) return "the duration is longer than 10000 years";
    if (is_negative) *seconds = -*seconds, *nanos = -*nanos;
    return NULL;
}

const char *json_write_duration(struct buffer *out, int64_t seconds, int64_t nanos) {
    if (seconds < -longest_duration || seconds > longest_duration)
        return "the duration is longer than 10000 years";
    if (nanos <= -NANOS_PER_SECOND || nanos >= NANOS_PER_SECOND) return "the nanoseconds are out of range";
    if ((seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return "seconds and nanoseconds differ in sign";
    buffer_format(out, "%s%lld", seconds < 0 || nanos < 0 ? "-" : "",
                  (long long)(seconds < 0 ? -seconds : seconds));
    write_fraction(out, (int)(nanos < 0 ? -nanos : nanos));
    buffer_append_byte(out, 's');
    return NULL;
}

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

bool json_read_mask_path(struct buffer *out, const char *text, size_t length) {
    if (!length) return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '_') return false;
        if (is_upper(text[i])) buffer_append_byte(out, '_');
        buffer_append_byte(out, (uint8_t)(is_upper(text[i]) ? text[i] - 'A' + 'a' : text[i]));
    }
    return true;
}

bool json_write_mask_path(struct buffer *out, const char *path, size_t length) {
    if (!length) return false;
    for (size_t i = 0; i < length; i++) {
        if (is_upper(path[i]) || path[i] == ',') return false;
        if (path[i] != '_') {
            buffer_append_byte(out, (uint8_t)path[i]);
            continue;
        }
        if (++i == length || !is_lower(path[i])) return false;
        buffer_append_byte(out, (uint8_t)(path[i] - 'a' + 'A'));
    }
    return true;
}
