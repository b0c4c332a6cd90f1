/* base/hash.h - the hash of keys that strangers choose: with a secret seed they cannot be made to collide. */
#ifndef TIDEWIRE_BASE_HASH_H
#define TIDEWIRE_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

static inline uint32_t hash_bytes(uint64_t seed, const void *bytes, size_t length) {
    const uint8_t *byte = bytes;
    uint64_t hash = seed;
    for (size_t i = 0; i < length; i++) hash = (hash ^ byte[i]) * UINT64_C(0x9E3779B97F4A7C15), hash ^= hash >> 29;
    return (uint32_t)(hash ^ hash >> 32);
}
#endif
