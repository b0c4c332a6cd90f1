/* rpc/meter_details.c - what a limit has decided, as clients' libraries read it:
 * google.rpc.Status { code, message, details = { Any { RetryInfo { Duration } } } }. */
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "rpc/meter.h"

static uint8_t *put_varint(uint8_t *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_number(uint8_t *at, unsigned field, uint64_t value) {
    return value ? put_varint(put_varint(at, field << 3), value) : at;
}

static uint8_t *put_bytes(uint8_t *at, unsigned field, const void *bytes, size_t length) {
    at = put_varint(put_varint(at, field << 3 | 2), length);
    return mempcpy(at, bytes, length);
}

size_t meter_write_details(const struct meter_verdict *verdict, uint8_t details[METER_DETAILS_MOST]) {
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    uint8_t duration[24], retry[32], any[128];
    if (verdict->retry == RETRY_NEVER) return 0;
    uint64_t ms = meter_pushback_ms(verdict);
    uint8_t *end = put_number(duration, 1, ms / 1000);
    end = put_number(end, 2, ms % 1000 * NS_PER_MS);
    uint8_t *retry_end = put_bytes(retry, 1, duration, (size_t)(end - duration));
    uint8_t *any_end = put_bytes(any, 1, type, sizeof type - 1);
    any_end = put_bytes(any_end, 2, retry, (size_t)(retry_end - retry));
    end = put_number(details, 1, STATUS_RESOURCE_EXHAUSTED);
    end = put_bytes(end, 2, verdict->text, strlen(verdict->text));
    return (size_t)(put_bytes(end, 3, any, (size_t)(any_end - any)) - details);
}
