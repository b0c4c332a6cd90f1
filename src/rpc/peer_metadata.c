/* rpc/peer_metadata.c - see peer_metadata.h */
#include "rpc/peer_metadata.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/memory.h"

struct lengths {
    uint32_t name, value;
};

void metadata_reader_free(struct metadata_reader *reader) {
    buffer_free(&reader->text);
    buffer_free(&reader->lengths);
}

static bool is_of_protocol(const struct http_header *header) {
    if (header->name_length == 0) return true;
    switch (header->name[0]) {
    case ':':
        return !http_header_is(header, ":authority");
    case 'c':
        return http_header_is(header, "content-type");
    case 't':
        return http_header_is(header, "te");
    case 'g':
        return header->name_length >= 5 && memcmp(header->name, "grpc-", 5) == 0 &&
               !http_header_is(header, "grpc-status-details-bin");
    default:
        return false;
    }
}

static bool has_authority(const struct http_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (http_header_is(&headers[i], ":authority")) return true;
    return false;
}

static void add_name(struct metadata_reader *reader, const char *name, size_t length) {
    buffer_append(&reader->text, name, length);
    buffer_append_byte(&reader->text, 0);
}

static void end_entry(struct metadata_reader *reader, size_t name_length, size_t value_length) {
    buffer_append_byte(&reader->text, 0);
    struct lengths lengths = {(uint32_t)name_length, (uint32_t)value_length};
    buffer_append(&reader->lengths, &lengths, sizeof lengths);
}

static void add_text(struct metadata_reader *reader, const char *name, size_t name_length,
                     const struct http_header *h) {
    add_name(reader, name, name_length);
    buffer_append(&reader->text, h->value, h->value_length);
    end_entry(reader, name_length, h->value_length);
}

/* Proxies may have joined several values by commas, which base64 does not contain. */
static bool add_binary(struct metadata_reader *reader, const struct http_header *header) {
    const char *value = header->value, *end = value + header->value_length;
    for (;;) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *start = value, *stop = comma ? comma : end;
        while (start < stop && *start == ' ') start++;
        while (start < stop && stop[-1] == ' ') stop--;
        add_name(reader, header->name, header->name_length);
        size_t before = buffer_length(&reader->text);
        if (!base64_read(&reader->text, start, (size_t)(stop - start))) return false;
        end_entry(reader, header->name_length, buffer_length(&reader->text) - before);
        if (!comma) return true;
        value = comma + 1;
    }
}

static bool read_all(struct metadata_reader *reader, const struct http_header *headers, size_t count) {
    int authority = -1; /* not known yet */
    buffer_clear(&reader->text);
    buffer_clear(&reader->lengths);
    for (size_t i = 0; i < count; i++) {
        const struct http_header *header = &headers[i];
        if (is_of_protocol(header)) continue;
        if (http_header_is(header, "host")) {
            if (authority < 0) authority = has_authority(headers, count);
            if (!authority) add_text(reader, ":authority", 10, header);
        } else if (metadata_is_binary(header->name, header->name_length)) {
            if (!add_binary(reader, header)) return false;
        } else {
            add_text(reader, header->name, header->name_length, header);
        }
    }
    return true;
}

static bool is_equal(const struct peer_metadata *metadata, const struct metadata_reader *reader) {
    size_t count = buffer_length(&reader->lengths) / sizeof(struct lengths);
    if (metadata->metadata.count != count || metadata->text_length != buffer_length(&reader->text))
        return false;
    if (count == 0) return true;
    if (memcmp(metadata->text, buffer_bytes(&reader->text), metadata->text_length) != 0) return false;
    const struct lengths *lengths = (const struct lengths *)(const void *)buffer_bytes(&reader->lengths);
    for (size_t i = 0; i < count; i++)
        if (metadata->metadata.entries[i].name_length != lengths[i].name ||
            metadata->metadata.entries[i].value_length != lengths[i].value)
            return false;
    return true;
}

static struct peer_metadata *build(const struct metadata_reader *reader) {
    size_t count = buffer_length(&reader->lengths) / sizeof(struct lengths),
           text_length = buffer_length(&reader->text);
    size_t entries = sizeof(struct peer_metadata), text = entries + count * sizeof(struct metadata_entry);
    char *block = memory_resize(NULL, text + text_length);
    struct peer_metadata *metadata = (struct peer_metadata *)(void *)block;
    *metadata =
        (struct peer_metadata){.metadata = {.entries = (struct metadata_entry *)(void *)(block + entries),
                                            .count = count,
                                            .capacity = count},
                               .references = 1,
                               .text_length = (uint32_t)text_length,
                               .text = block + text};
    if (text_length) memcpy(block + text, buffer_bytes(&reader->text), text_length);
    const char *at = block + text;
    for (size_t i = 0; i < count; i++) {
        struct lengths lengths;
        memcpy(&lengths, buffer_bytes(&reader->lengths) + i * sizeof lengths, sizeof lengths);
        metadata->metadata.entries[i] = (struct metadata_entry){.name = at,
                                                                .value = at + lengths.name + 1,
                                                                .name_length = lengths.name,
                                                                .value_length = lengths.value};
        metadata->metadata.bytes += lengths.name + lengths.value + 32;
        at += lengths.name + lengths.value + 2;
    }
    return metadata;
}

struct peer_metadata *peer_metadata_read(struct metadata_reader *reader, const struct http_header *headers,
                                         size_t count, struct peer_metadata **last) {
    if (!read_all(reader, headers, count)) return NULL;
    if (last && *last && is_equal(*last, reader)) {
        (*last)->references++;
        return *last;
    }
    struct peer_metadata *metadata = build(reader);
    if (last) {
        peer_metadata_unref(last);
        metadata->references++;
        *last = metadata;
    }
    return metadata;
}

void peer_metadata_unref(struct peer_metadata **metadata) {
    struct peer_metadata *m = *metadata;
    *metadata = NULL;
    if (m && --m->references == 0) free(m);
}
