/* dict/blocks.c - see blocks.h */
#include "dict/blocks.h"

#include <string.h>

_Static_assert(sizeof(struct block) == BLOCK_SIZE, "a block is one line of the cache");

void blocks_init(struct blocks *blocks, void *memory, uint32_t count) {
    *blocks = (struct blocks){.all = (struct block *)memory - 1, .count = count, .free_count = count, .fresh = 1};
}

uint32_t blocks_take(struct blocks *blocks) {
    uint32_t number = blocks->given_back;
    blocks->free_count--;
    if (!number) return blocks->fresh++;
    struct block *block = &blocks->all[number];
    blocks->given_back = block->rest;
    block->rest = 0;
    return number;
}

void blocks_give(struct blocks *blocks, uint32_t first) {
    struct block *last = &blocks->all[first];
    blocks->free_count++;
    for (; last->rest; last = &blocks->all[last->rest]) blocks->free_count++;
    last->rest = blocks->given_back;
    blocks->given_back = first;
}

uint32_t blocks_in_chain(const struct blocks *blocks, uint32_t first) {
    uint32_t count = 0;
    for (uint32_t number = first; number; number = blocks->all[number].rest) count++;
    return count;
}

size_t blocks_needed(size_t bytes, size_t in_first) {
    const size_t more = sizeof((struct block *)0)->bytes;
    return bytes <= in_first ? 1 : 1 + (bytes - in_first + more - 1) / more;
}

/* How many of `length` bytes are in the block of the place, having gone on to the next where it is at an end. */
static size_t here(const struct blocks *blocks, struct place *place, size_t length) {
    if (place->at == BLOCK_SIZE)
        *place = (struct place){blocks->all[place->block].rest, offsetof(struct block, bytes)};
    size_t room = BLOCK_SIZE - place->at;
    return length < room ? length : room;
}

static char *address(const struct blocks *blocks, const struct place *place) {
    return (char *)&blocks->all[place->block] + place->at;
}

void blocks_write(struct blocks *blocks, struct place *place, const void *bytes, size_t length) {
    const char *from = bytes;
    while (length) {
        if (place->at == BLOCK_SIZE && !blocks->all[place->block].rest)
            blocks->all[place->block].rest = blocks_take(blocks);
        size_t part = here(blocks, place, length);
        memcpy(address(blocks, place), from, part);
        place->at += (uint32_t)part;
        from += part;
        length -= part;
    }
}

void blocks_read(const struct blocks *blocks, struct place *place, void *bytes, size_t length) {
    char *to = bytes;
    while (length) {
        size_t part = here(blocks, place, length);
        memcpy(to, address(blocks, place), part);
        place->at += (uint32_t)part;
        to += part;
        length -= part;
    }
}

void blocks_skip(const struct blocks *blocks, struct place *place, size_t length) {
    while (length) {
        size_t part = here(blocks, place, length);
        place->at += (uint32_t)part;
        length -= part;
    }
}

bool blocks_equal(const struct blocks *blocks, struct place *place, const void *bytes, size_t length) {
    const char *with = bytes;
    while (length) {
        size_t part = here(blocks, place, length);
        if (memcmp(address(blocks, place), with, part) != 0) return false;
        place->at += (uint32_t)part;
        with += part;
        length -= part;
    }
    return true;
}
