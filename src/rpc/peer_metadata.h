/* rpc/peer_metadata.h - what a peer has sent as headers or trailers, kept for the handler in one counted block.
 *
 * The calls of a connection mostly carry the same metadata: each connection remembers the last block, and a call with
 * equal metadata takes a reference instead of a block of its own. */
#ifndef TIDEWIRE_RPC_PEER_METADATA_H
#define TIDEWIRE_RPC_PEER_METADATA_H
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "http/stream.h"
#include "rpc/metadata.h"

struct peer_metadata {
    struct metadata metadata;
    uint32_t references;
    uint32_t text_length;
    const char *text; /* of all entries, behind them in this block */
};

/* Scratch memory for reading, one a worker. */
struct metadata_reader {
    struct buffer text, lengths;
};
void metadata_reader_free(struct metadata_reader *reader);

/* The headers without those of the protocol itself (pseudo-headers, content-type, te, grpc-…), but with `:authority`
 * (host where that is missing) and grpc-status-details-bin; "-bin" values are decoded, and split at commas. One
 * reference for the caller. NULL when a "-bin" value is not base64. `last` may be NULL, and is replaced by what is
 * returned. */
struct peer_metadata *peer_metadata_read(struct metadata_reader *reader, const struct http_header *headers, size_t count,
                                         struct peer_metadata **last);
void peer_metadata_unref(struct peer_metadata **metadata);
#endif
