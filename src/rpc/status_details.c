/* rpc/status_details.c - see status_details.h */
#include "rpc/status_details.h"

#include <stdlib.h>

#include "base/memory.h"
#include "rpc/wire_text.h"
#include "schema/json.h"
#include "schema/wire.h"

struct status_details status_details_begin(const void *details, size_t length) {
    const uint8_t *at = details;
    return (struct status_details){length ? at : NULL, length ? at + length : NULL};
}

bool status_details_next(struct status_details *details, struct status_detail *detail) {
    enum { DETAILS = 3 };
    struct text any;
    uint32_t number;
    do {
        if (!wire_text_next(&details->at, details->end, &number, &any)) return false;
    } while (number != DETAILS);
    struct text url = wire_text_find(any, 1), name = url;
    const char *slash = url.length ? memrchr(url.data, '/', url.length) : NULL;
    if (slash) name = (struct text){slash + 1, (size_t)(url.data + url.length - slash - 1)};
    *detail = (struct status_detail){.url = url, .name = name, .value = wire_text_find(any, 2)};
    return true;
}

/* RetryInfo { Duration retry_delay = 1; }, Duration { int64 seconds = 1; int32 nanos = 2; } */
static uint64_t read_delay(struct text info) {
    struct text duration = wire_text_find(info, 1);
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
