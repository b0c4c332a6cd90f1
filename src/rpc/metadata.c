/* rpc/metadata.c - see metadata.h */
#include "rpc/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* What one list may hold: with base64 it stays below the header block that an HTTP/2 library sends. */
enum { METADATA_MOST = 32 * 1024 };

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

static bool is_reserved(const char *name, size_t length) {
    static const char *const names[] = {
        "content-type",     "content-length",    "te",      "host",    "connection", "keep-alive",
        "proxy-connection", "transfer-encoding", "upgrade", "trailer", NULL};
    if (length >= 5 && memcmp(name, "grpc-", 5) == 0) return true;
    for (size_t i = 0; names[i]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) return true;
    return false;
}

static enum metadata_fault check_name(const char *name, size_t length) {
    if (length && name[0] == ':') return METADATA_RESERVED;
    if (length == 0) return METADATA_BAD_NAME;
    for (size_t i = 0; i < length; i++)
        if (!is_name_byte(name[i])) return METADATA_BAD_NAME;
    return is_reserved(name, length) ? METADATA_RESERVED : METADATA_OK;
}

bool metadata_is_binary(const char *name, size_t length) {
    return length > 4 && memcmp(name + length - 4, "-bin", 4) == 0;
}

/* Blanks around a text value mean nothing in HTTP, and strict peers refuse them. */
static enum metadata_fault check_text(const char **value, size_t *length) {
    while (*length && **value == ' ') {
        (*value)++;
        (*length)--;
    }
    while (*length && (*value)[*length - 1] == ' ') (*length)--;
    for (size_t i = 0; i < *length; i++)
        if ((*value)[i] < 0x20 || (*value)[i] > 0x7E) return METADATA_BAD_VALUE;
    return METADATA_OK;
}

enum metadata_fault metadata_add(struct metadata *metadata, const char *name, size_t name_length,
                                 const char *value, size_t value_length) {
    enum metadata_fault fault = check_name(name, name_length);
    if (fault == METADATA_OK && !metadata_is_binary(name, name_length))
        fault = check_text(&value, &value_length);
    if (fault != METADATA_OK) return fault;
    if (name_length > METADATA_MOST || value_length > METADATA_MOST) return METADATA_TOO_LARGE;
    size_t bytes = name_length + value_length + 32;
    if (metadata->bytes + bytes > METADATA_MOST) return METADATA_TOO_LARGE;
    if (metadata->count == metadata->capacity) {
        metadata->capacity = metadata->capacity ? metadata->capacity * 2 : 4;
        metadata->entries = memory_resize(metadata->entries, metadata->capacity * sizeof *metadata->entries);
    }
    char *text = memory_resize(NULL, name_length + value_length + 2);
    memcpy(text, name, name_length);
    text[name_length] = '\0';
    if (value_length) memcpy(text + name_length + 1, value, value_length);
    text[name_length + 1 + value_length] = '\0';
    metadata->entries[metadata->count++] = (struct metadata_entry){.name = text,
                                                                   .value = text + name_length + 1,
                                                                   .name_length = name_length,
                                                                   .value_length = value_length};
    metadata->bytes += bytes;
    return METADATA_OK;
}

static bool has_name(const struct metadata_entry *entry, const char *name, size_t length) {
    return entry->name_length == length && memcmp(entry->name, name, length) == 0;
}

void metadata_remove(struct metadata *metadata, const char *name, size_t name_length) {
    size_t kept = 0;
    for (size_t i = 0; i < metadata->count; i++) {
        struct metadata_entry *entry = &metadata->entries[i];
        if (has_name(entry, name, name_length)) {
            metadata->bytes -= entry->name_length + entry->value_length + 32;
            free((char *)(uintptr_t)entry->name);
        } else {
            metadata->entries[kept++] = *entry;
        }
    }
    metadata->count = kept;
}

enum metadata_fault metadata_set(struct metadata *metadata, const char *name, size_t name_length,
                                 const char *value, size_t value_length) {
    /* Added first, so that a faulty value takes nothing away; `value` may be one that is removed here. */
    size_t before = metadata->count;
    enum metadata_fault fault = metadata_add(metadata, name, name_length, value, value_length);
    if (fault != METADATA_OK) return fault;
    struct metadata_entry added = metadata->entries[before];
    metadata->count = before;
    metadata_remove(metadata, added.name, added.name_length);
    metadata->entries[metadata->count++] = added;
    return METADATA_OK;
}

const struct metadata_entry *metadata_find(const struct metadata *metadata, const char *name,
                                           size_t name_length, size_t *place) {
    for (size_t i = *place; i < metadata->count; i++) {
        if (!has_name(&metadata->entries[i], name, name_length)) continue;
        *place = i + 1;
        return &metadata->entries[i];
    }
    *place = metadata->count;
    return NULL;
}

void metadata_clear(struct metadata *metadata) {
    for (size_t i = 0; i < metadata->count; i++) free((char *)(uintptr_t)metadata->entries[i].name);
    free(metadata->entries);
    *metadata = (struct metadata){0};
}

const char *metadata_fault_text(enum metadata_fault fault) {
    static const char *const texts[] = {
        [METADATA_OK] = "no fault",
        [METADATA_BAD_NAME] = "a metadata name consists of a-z, 0-9, '_', '-' and '.'",
        [METADATA_RESERVED] = "this metadata name is reserved",
        [METADATA_BAD_VALUE] = "a metadata value consists of printable ASCII, unless its name ends in -bin",
        [METADATA_TOO_LARGE] = "too much metadata",
    };
    return texts[fault];
}
