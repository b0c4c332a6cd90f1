/* rpc/chunk.h - tidewire.peer.v1.Chunk, `bytes data = 1`, read and written by hand: it is bytes behind a head. */
#ifndef TIDEWIRE_RPC_CHUNK_H
#define TIDEWIRE_RPC_CHUNK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHUNK_DATA_MOST = 64 * 1024,
    CHUNK_HEAD_MOST = 4, /* in front of that many bytes of data */
    CHUNK_MOST = CHUNK_DATA_MOST + 1024, /* of a message that is taken: other fields have room in it, and count nothing */
};

/* The data in a message, where it lies there; without any, *length is 0. False: it is no Chunk. */
bool chunk_read(const uint8_t *message, size_t message_length, const uint8_t **data, size_t *length);
/* Writes what stands before `length` bytes of data, at most CHUNK_HEAD_MOST bytes; returns how many. */
size_t chunk_write_head(uint8_t *head, size_t length);
#endif
