/* rpc/compress.h - gzip (RFC 1952), one message at a time. One compressor a worker: its windows are set up once and
 * used again for every message. */
#ifndef TIDEWIRE_RPC_COMPRESS_H
#define TIDEWIRE_RPC_COMPRESS_H
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct compressor;
struct message;

enum inflate_result { INFLATE_OK, INFLATE_BROKEN, INFLATE_TOO_LARGE };

const char *compressor_version(void); /* "1.2.13" */
struct compressor *compressor_new(void);
void compressor_free(struct compressor **compressor);
/* Appends the compressed bytes. */
void compressor_deflate(struct compressor *compressor, const void *data, size_t length, struct buffer *out);
/* On INFLATE_OK a message with one reference. Stops at the first byte beyond `limit`. */
enum inflate_result compressor_inflate(struct compressor *compressor, const uint8_t *data, size_t length, size_t limit,
                                       struct message **out);
#endif
