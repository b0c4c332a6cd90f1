/* cli/report.c - see report.h */
#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/memory.h"
#include "cli/harmless.h"
#include "schema/json.h"
#include "schema/json_text.h"
#include "schema/wire.h"

static void print(struct buffer *line) {
    buffer_append_byte(line, '\n');
    fwrite(buffer_bytes(line), 1, buffer_length(line), stderr);
    buffer_free(line);
}

void report_metadata(const char *kind, const struct metadata *metadata) {
    for (size_t i = 0; i < metadata->count; i++) {
        const struct metadata_entry *entry = &metadata->entries[i];
        struct buffer line = {0};
        if (*entry->name == ':') continue;
        buffer_format(&line, "%s ", kind);
        harmless_append(&line, entry->name, entry->name_length);
        buffer_append_text(&line, ": ");
        if (metadata_is_binary(entry->name, entry->name_length))
            base64_write(&line, entry->value, entry->value_length, true);
        else
            harmless_append(&line, entry->value, entry->value_length);
        print(&line);
    }
}

/* ---- details: google.rpc.Status has them in field 3, each a google.protobuf.Any ---- */

struct detail {
    char *url; /* field 1 of the Any; NULL: none */
    const uint8_t *bytes; /* field 2 */
    size_t length;
};

static void read_detail(const uint8_t *at, const uint8_t *end, struct detail *detail) {
    *detail = (struct detail){0};
    while (at && at < end) {
        uint32_t number;
        unsigned type;
        size_t length;
        if (!(at = wire_read_tag(at, end, &number, &type))) return;
        if (type != WIRE_BYTES) {
            at = wire_skip(at, end, number, type, WIRE_DEPTH);
            continue;
        }
        if (!(at = wire_read_length(at, end, &length))) return;
        if (number == 1) {
            free(detail->url);
            detail->url = memory_copy(at, length);
        } else if (number == 2) {
            detail->bytes = at;
            detail->length = length;
        }
        at += length;
    }
}

/* A well-known type stands in "value" of an Any, any other's members beside "@type". */
static bool append_resolved(struct buffer *line, const struct detail *detail, struct types *types) {
    const char *slash = strrchr(detail->url, '/');
    struct error ignored;
    if (!slash || !types_find(types, slash + 1, &ignored)) return false;
    const struct message_type *type = schema_message(types->schema, slash + 1);
    const struct json_options options = {.schema = types->schema};
    struct buffer json = {0};
    bool is_written = type && json_write(type, detail->bytes, detail->length, &options, &json, &ignored);
    bool is_beside =
        is_written && (type->well_known == NOT_WELL_KNOWN || type->well_known == WELL_KNOWN_EMPTY);
    if (is_beside && buffer_length(&json) > 2) {
        buffer_append_byte(line, ',');
        buffer_append(line, buffer_bytes(&json) + 1, buffer_length(&json) - 2); /* without its braces */
    } else if (is_written && !is_beside) {
        buffer_append_text(line, ",\"value\":");
        buffer_append(line, buffer_bytes(&json), buffer_length(&json));
    }
    buffer_free(&json);
    return is_written;
}

static void append_unresolved(struct buffer *line, const struct detail *detail) {
    buffer_append_text(line, ",\"value\":\"");
    base64_write(line, detail->bytes, detail->length, true);
    buffer_append_byte(line, '"');
}

static void report_detail(const uint8_t *at, size_t length, struct types *types) {
    struct detail detail;
    struct buffer line = {0};
    read_detail(at, at + length, &detail);
    if (!detail.url) return;
    buffer_append_text(&line, "{\"@type\":");
    json_quote(&line, detail.url, strlen(detail.url));
    if (!append_resolved(&line, &detail, types)) append_unresolved(&line, &detail);
    buffer_append_byte(&line, '}');
    print(&line);
    free(detail.url);
}

static void report_details(const uint8_t *at, const uint8_t *end, struct types *types) {
    while (at && at < end) {
        uint32_t number;
        unsigned type;
        size_t length;
        if (!(at = wire_read_tag(at, end, &number, &type))) return;
        if (number != 3 || type != WIRE_BYTES) {
            at = wire_skip(at, end, number, type, WIRE_DEPTH);
            continue;
        }
        if (!(at = wire_read_length(at, end, &length))) return;
        report_detail(at, length, types);
        at += length;
    }
}

void report_status(enum status status, const char *text, const void *details, size_t length,
                   struct types *types) {
    struct buffer line = {0};
    buffer_format(&line, "%s: ", status_name(status));
    harmless_append(&line, text, strlen(text));
    print(&line);
    if (length) report_details(details, (const uint8_t *)details + length, types);
}
