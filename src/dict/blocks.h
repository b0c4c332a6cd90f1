/* dict/blocks.h - memory in equal blocks, addressed by small numbers. What does not fit into one block goes on in others.
 *
 * Equal blocks cannot be fragmented: whatever is given back fits whatever comes, so that what is free can be told exactly,
 * and each entry that goes makes room. All of it lies in one run of memory, the caller's, of which only those pages are
 * touched that were used at some time. Not for several threads at once. */
#ifndef TIDEWIRE_DICT_BLOCKS_H
#define TIDEWIRE_DICT_BLOCKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_SIZE = 64 };

/* Every block begins with the number of the one that its bytes go on in; 0: none. The first block of a chain may have other
 * members before its bytes. */
struct block {
    uint32_t rest;
    char bytes[BLOCK_SIZE - sizeof(uint32_t)];
};

struct blocks {
    struct block *all;    /* [0] is not there: the number 0 is no block */
    uint32_t count;       /* all of them */
    uint32_t free_count;
    uint32_t given_back;  /* the first of a list, by `rest` */
    uint32_t fresh;       /* from this one on they were never used */
};

/* `memory` is `count` blocks of zeroes. */
void blocks_init(struct blocks *blocks, void *memory, uint32_t count);
/* One whose rest is 0. There must be a free one. */
uint32_t blocks_take(struct blocks *blocks);
/* A chain, to its end. */
void blocks_give(struct blocks *blocks, uint32_t first);
uint32_t blocks_in_chain(const struct blocks *blocks, uint32_t first);
/* How many a chain of so many bytes has, of which `in_first` go into its first block. */
size_t blocks_needed(size_t bytes, size_t in_first);

static inline void *blocks_at(const struct blocks *blocks, uint32_t number) { return &blocks->all[number]; }

/* Somewhere in a chain; each function moves it on. */
struct place {
    uint32_t block;
    uint32_t at; /* bytes from its beginning */
};
/* Takes more blocks at the chain's end, of which there must be enough free. */
void blocks_write(struct blocks *blocks, struct place *place, const void *bytes, size_t length);
void blocks_read(const struct blocks *blocks, struct place *place, void *bytes, size_t length);
void blocks_skip(const struct blocks *blocks, struct place *place, size_t length);
bool blocks_equal(const struct blocks *blocks, struct place *place, const void *bytes, size_t length);
#endif
