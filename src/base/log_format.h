/* base/log_format.h - the pieces of a log line, appended to a buffer. Private to the log.
 *
 * Whatever bytes come in, what goes out is UTF-8 without control characters: a value can't end a line, forge
 * another or move a terminal's cursor. */
#ifndef TIDEWIRE_BASE_LOG_FORMAT_H
#define TIDEWIRE_BASE_LOG_FORMAT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
    LOG_LONGEST_VALUE = 8192,     /* bytes of one value; the rest is cut and "…" says so */
    LOG_LONGEST_LINE = 64 * 1024, /* a line that has become longer takes no more fields */
    LOG_STAMP_LENGTH = sizeof "2026-01-31T00:00:00.000Z" - 1
};

/* The text of the second that was written last; one for each thread. */
struct log_clock {
    int64_t second;
    char text[sizeof "2026-01-31T00:00:00.000Z"];
};

/* RFC 3339, UTC, milliseconds. */
void log_put_time(struct buffer *out, struct log_clock *clock, uint64_t wall_ns);
void log_put_number(struct buffer *out, uint64_t number);
/* Milliseconds with three decimals: 1.250 */
void log_put_duration(struct buffer *out, uint64_t ns);
/* A JSON string with its quotes. */
void log_put_string(struct buffer *out, const char *bytes, size_t length);
/* A value of a text line: bare where it is one plain word, else quoted as in JSON. */
void log_put_word(struct buffer *out, const char *bytes, size_t length);
/* The sentence of a text line: no quotes; its own line breaks are followed by spaces, so that every line that
 * begins with a date is a line of ours. */
void log_put_sentence(struct buffer *out, const char *bytes, size_t length);
/* A number as JSON knows it, true, false or null. */
bool log_is_json_literal(const char *bytes, size_t length);
#endif
