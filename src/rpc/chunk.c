/* rpc/chunk.c - see chunk.h */
#include "rpc/chunk.h"

#include "schema/wire.h"

enum { DATA = 1 };

bool chunk_read(const uint8_t *message, size_t message_length, const uint8_t **data, size_t *length) {
    const uint8_t *at = message, *end = message + message_length;
    *data = message;
    *length = 0;
    while (at < end) {
        uint32_t number;
        unsigned type;
        if (!(at = wire_read_tag(at, end, &number, &type))) return false;
        if (number == DATA && type == WIRE_BYTES) {
            if (!(at = wire_read_length(at, end, length))) return false;
            *data = at; /* of several the last counts, as in every message */
            at += *length;
        } else if (!(at = wire_skip(at, end, number, type, WIRE_DEPTH))) {
            return false;
        }
    }
    return true;
}

size_t chunk_write_head(uint8_t *head, size_t length) {
    *head = DATA << 3 | WIRE_BYTES;
    return (size_t)(wire_put_varint(head + 1, length) - head);
}
