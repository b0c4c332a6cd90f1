/* rpc/wire_text.c - see wire_text.h */
#include "rpc/wire_text.h"

#include "schema/wire.h"

bool wire_text_next(const uint8_t **at, const uint8_t *end, uint32_t *number, struct text *value) {
    unsigned type;
    while (*at && *at < end) {
        const uint8_t *inside = wire_read_tag(*at, end, number, &type);
        if (!inside || type != WIRE_BYTES) {
            *at = inside ? wire_skip(inside, end, *number, type, WIRE_DEPTH) : NULL;
            continue;
        }
        if (!(*at = wire_read_length(inside, end, &value->length))) return false;
        value->data = (const char *)*at;
        *at += value->length;
        return true;
    }
    return false;
}

struct text wire_text_find(struct text message, uint32_t number) {
    const uint8_t *at = (const uint8_t *)message.data, *end = message.length ? at + message.length : at;
    struct text found = {0}, value;
    uint32_t which;
    while (wire_text_next(&at, end, &which, &value))
        if (which == number) found = value;
    return found;
}
