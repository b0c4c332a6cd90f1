/* PROXY headers: whatever the bytes are, what is read must be the same however they are cut, and fit its bounds. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/address.h"
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void must(int condition) {
    if (!condition) abort();
}

/* An exact copy, so that a read behind its end is seen. */
static enum proxy_result read_copy(const uint8_t *bytes, size_t length, struct proxy_header *header) {
    uint8_t *copy = memory_resize(NULL, length ? length : 1);
    if (length) memcpy(copy, bytes, length);
    enum proxy_result result = proxy_read(copy, length, header);
    free(copy);
    return result;
}

static void check_addresses(const struct proxy_header *header) {
    char *source = address_format((const struct sockaddr *)&header->source, header->source_length);
    char *destination =
        address_format((const struct sockaddr *)&header->destination, header->destination_length);
    must(strlen(source) < 128 && strlen(destination) < 128 && strcmp(source, "unknown") != 0);
    free(source);
    free(destination);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct proxy_header header, again;
    enum proxy_result whole = read_copy(bytes, length, &header);
    if (whole == PROXY_INCOMPLETE) must(length < PROXY_MOST);
    if (whole != PROXY_COMPLETE) return 0;
    must(header.length <= length && header.length <= PROXY_MOST);
    if (header.has_addresses) check_addresses(&header);
    must(read_copy(bytes, header.length, &again) == PROXY_COMPLETE && again.length == header.length);
    must(read_copy(bytes, header.length - 1, &again) == PROXY_INCOMPLETE);
    must(read_copy(bytes, header.length / 2, &again) == PROXY_INCOMPLETE);
    return 0;
}
