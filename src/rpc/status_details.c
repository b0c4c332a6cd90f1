/* rpc/status_details.c - see status_details.h */
#include "rpc/status_details.h"

#include <stdlib.h>

#include "base/memory.h"
#include "schema/json.h"
#include "schema/wire.h"

/* The next bytes field of that number from *at on, which moves behind it; false when there is none, or no more. */
static bool next_bytes(const uint8_t **at, const uint8_t *end, uint32_t wanted, struct text *bytes) {
    uint32_t number;
    unsigned type;
    while (*at && *at < end) {
        const uint8_t *value = wire_read_tag(*at, end, &number, &type);
        if (!value) return false;
        if (number == wanted && type == WIRE_BYTES) {
            if (!(*at = wire_read_length(value, end, &bytes->length))) return false;
            bytes->data = (const char *)*at;
            *at += bytes->length;
            return true;
        }
        *at = wire_skip(value, end, number, type, WIRE_DEPTH);
    }
    return false;
}

/* The last one counts. */
static struct text find_bytes(struct text message, uint32_t number) {
    struct text found = {0};
    const uint8_t *at = (const uint8_t *)message.data, *end = at + message.length;
    while (next_bytes(&at, end, number, &found)) {
    }
    return found;
}

struct status_details status_details_begin(const void *details, size_t length) {
    const uint8_t *at = details;
    return (struct status_details){length ? at : NULL, length ? at + length : NULL};
}

bool status_details_next(struct status_details *details, struct status_detail *detail) {
    struct text any;
    if (!next_bytes(&details->at, details->end, 3, &any)) return false;
    struct text url = find_bytes(any, 1), name = url;
    const char *slash = url.length ? memrchr(url.data, '/', url.length) : NULL;
    if (slash) name = (struct text){slash + 1, (size_t)(url.data + url.length - slash - 1)};
    *detail = (struct status_detail){.url = url, .name = name, .value = find_bytes(any, 2)};
    return true;
}

/* RetryInfo { Duration retry_delay = 1; }, Duration { int64 seconds = 1; int32 nanos = 2; } */
static uint64_t read_delay(struct text info) {
    struct text duration = find_bytes(info, 1);
    const uint8_t *at = (const uint8_t *)duration.data, *end = at + duration.length;
    int64_t seconds = 0, nanos = 0;
    while (at && at < end) {
        uint32_t number;
        unsigned type;
        uint64_t value;
        const uint8_t *inside = wire_read_tag(at, end, &number, &type);
        at = inside ? wire_skip(inside, end, number, type, WIRE_DEPTH) : NULL;
        if (!at || type != WIRE_VARINT || !wire_read_varint(inside, end, &value)) continue;
        if (number == 1) seconds = (int64_t)value;
        if (number == 2) nanos = (int32_t)value;
    }
    return at && seconds >= 0 && seconds < INT64_MAX ? (uint64_t)seconds + (nanos > 0) : 0;
}

uint64_t status_details_retry(struct status_details details) {
    struct status_detail detail;
    while (status_details_next(&details, &detail))
        if (text_is(detail.name, "google.rpc.RetryInfo")) return read_delay(detail.value);
    return 0;
}

bool status_detail_write(struct buffer *out, const struct status_detail *detail, const struct schema *schema,
                         const struct message_type **type) {
    const struct json_options options = {.schema = schema};
    struct error unused;
    if (!schema || !detail->name.length) return false;
    char *name = memory_copy(detail->name.data, detail->name.length);
    *type = schema_message(schema, name);
    free(name);
    return *type && json_write(*type, (const uint8_t *)detail->value.data, detail->value.length, &options, out, &unused);
}
