/* A message of a tunnel: what is read as data lies in the message and is what a plain reading gives; written again, it
 * reads as the same. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rpc/chunk.h"
#include "schema/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *message, size_t size);

static void check_again(const uint8_t *data, size_t length) {
    uint8_t *copy = malloc(CHUNK_HEAD_MOST + length); /* no byte more: what is read beyond is found */
    const uint8_t *again;
    size_t head = chunk_write_head(copy, length), again_length;
    CHECK(head <= CHUNK_HEAD_MOST);
    if (length) memcpy(copy + head, data, length);
    CHECK(chunk_read(copy, head + length, &again, &again_length));
    CHECK(again_length == length && again == copy + head);
    free(copy);
}

/* The last field 1 that is bytes, by the rule alone: every other field is passed over. */
static bool read_plainly(const uint8_t *at, const uint8_t *end, const uint8_t **data, size_t *length) {
    *data = at;
    *length = 0;
    while (at < end) {
        const uint8_t *before = at;
        uint32_t number;
        unsigned type;
        if (!(at = wire_read_tag(at, end, &number, &type))) return false;
        const uint8_t *value = at;
        if (!(at = wire_skip(at, end, number, type, WIRE_DEPTH))) return false;
        CHECK(at > before && at <= end);
        if (number != 1 || type != WIRE_BYTES) continue;
        while (*value++ & 0x80) continue; /* its length */
        *data = value;
        *length = (size_t)(at - value);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *message, size_t size) {
    const uint8_t *data, *expected;
    size_t length, expected_length;
    if (size > CHUNK_MOST) return 0;
    bool is_chunk = chunk_read(message, size, &data, &length);
    CHECK(is_chunk == read_plainly(message, message + size, &expected, &expected_length));
    if (!is_chunk) return 0;
    CHECK(length == expected_length && (!length || data == expected));
    CHECK(length <= size && data >= message && data + length <= message + size);
    if (length <= CHUNK_DATA_MOST) check_again(data, length);
    return 0;
}
