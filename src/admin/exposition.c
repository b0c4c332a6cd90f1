/* admin/exposition.c - see exposition.h */
#include "admin/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

const char *const metric_type_names[] = {"counter", "gauge"};

/* Bytes of the UTF-8 sequence at `at` that is not ASCII; 0 when it is none (RFC 3629, section 4). */
static size_t sequence_length(const uint8_t *at) {
    static const struct {
        uint8_t first, last, second_least, second_most, length;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                 {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                 {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*at < forms[i].first || *at > forms[i].last) continue;
        if (at[1] < forms[i].second_least || at[1] > forms[i].second_most) return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((at[k] & 0xc0) != 0x80) return 0;
        return forms[i].length;
    }
    return 0;
}

/* In help, quotes stand for themselves. */
static void write_escaped(struct buffer *out, const char *text, bool is_quoted) {
    for (const uint8_t *at = (const uint8_t *)text; *at;) {
        size_t length = *at < 0x80 ? 1 : sequence_length(at);
        if (*at == '\\') buffer_append(out, "\\\\", 2);
        else if (*at == '\n') buffer_append(out, "\\n", 2);
        else if (*at == '"' && is_quoted) buffer_append(out, "\\\"", 2);
        else if (length) buffer_append(out, at, length);
        else buffer_append_byte(out, '?');
        at += length ? length : 1;
    }
}

void exposition_family(struct buffer *out, const char *name, enum metric_type type, const char *help) {
    buffer_format(out, "# HELP %s ", name);
    write_escaped(out, help, false);
    buffer_format(out, "\n# TYPE %s %s\n", name, metric_type_names[type]);
}

static void write_number(struct buffer *out, uint64_t number, bool is_time) {
    char text[48];
    int length = is_time ? snprintf(text, sizeof text, " %" PRIu64 ".%09" PRIu64 "\n", number / NS_PER_S, number % NS_PER_S)
                         : snprintf(text, sizeof text, " %" PRIu64 "\n", number);
    buffer_append(out, text, (size_t)length);
}

void exposition_sample(struct buffer *out, const char *name, const struct label *labels, size_t count, uint64_t number,
                       bool is_time) {
    buffer_append_text(out, name);
    for (size_t i = 0; i < count; i++) {
        buffer_append_byte(out, i ? ',' : '{');
        buffer_append_text(out, labels[i].name);
        buffer_append(out, "=\"", 2);
        write_escaped(out, labels[i].value, true);
        buffer_append_byte(out, '"');
    }
    if (count) buffer_append_byte(out, '}');
    write_number(out, number, is_time);
}
