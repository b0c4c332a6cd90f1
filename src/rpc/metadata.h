/* rpc/metadata.h - the metadata of a call: names with one or more values, in order.
 *
 * Names are lower-case `[0-9a-z_.-]+`; values of names that end in "-bin" are raw bytes here and base64 on the wire.
 * What a peer has sent is constant, and shared by the calls of a connection that were sent the same. */
#ifndef TIDEWIRE_RPC_METADATA_H
#define TIDEWIRE_RPC_METADATA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metadata_entry {
    const char *name, *value; /* both end in NUL, the value may contain more */
    size_t name_length, value_length;
};

/* Growing list: response headers, trailers. Zeroed is empty. */
struct metadata {
    struct metadata_entry *entries;
    size_t count, capacity, bytes; /* bytes: names + values + 32 each */
};

enum metadata_fault {
    METADATA_OK,
    METADATA_BAD_NAME,  /* empty, upper case, or a byte that names may not have */
    METADATA_RESERVED,  /* "grpc-…", pseudo-headers, content-type, te, and the hop-by-hop names */
    METADATA_BAD_VALUE, /* a byte outside 0x20…0x7E in a name without -bin */
    METADATA_TOO_LARGE, /* the list would be larger than 32 KiB */
};

/* Blanks around a value that is not binary go. */
enum metadata_fault metadata_add(struct metadata *metadata, const char *name, size_t name_length, const char *value,
                                 size_t value_length);
/* Instead of all values that the name has; a fault leaves them. */
enum metadata_fault metadata_set(struct metadata *metadata, const char *name, size_t name_length, const char *value,
                                 size_t value_length);
void metadata_remove(struct metadata *metadata, const char *name, size_t name_length);
/* The first value at or after *place (start with 0), which moves behind it; NULL when there are no more. */
const struct metadata_entry *metadata_find(const struct metadata *metadata, const char *name, size_t name_length,
                                           size_t *place);
void metadata_clear(struct metadata *metadata); /* frees */
/* Ends in "-bin". */
bool metadata_is_binary(const char *name, size_t length);
const char *metadata_fault_text(enum metadata_fault fault);
#endif
