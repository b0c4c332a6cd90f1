/* blocks_test.c - chains of blocks: what is written is read, and nothing is lost or taken twice. */
#include "check.h"
#include "dict/blocks.h"

enum { COUNT = 40 };
static _Alignas(BLOCK_SIZE) struct block memory[COUNT];

static void what_is_written_is_read_whatever_the_pieces(void) {
    struct blocks blocks;
    char bytes[500], back[500];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7);
    for (size_t piece = 1; piece < 200; piece++) {
        memset(memory, 0, sizeof memory);
        blocks_init(&blocks, memory, COUNT);
        uint32_t first = blocks_take(&blocks);
        struct place writer = {first, 10}, reader = writer, other = writer;
        for (size_t at = 0, part; at < sizeof bytes; at += part) {
            part = sizeof bytes - at < piece ? sizeof bytes - at : piece;
            blocks_write(&blocks, &writer, bytes + at, part);
        }
        blocks_read(&blocks, &reader, back, sizeof back);
        CHECK_MEM(back, sizeof back, bytes, sizeof bytes);
        CHECK_INT(blocks_in_chain(&blocks, first), blocks_needed(sizeof bytes, BLOCK_SIZE - 10));
        blocks_skip(&blocks, &other, piece);
        CHECK(blocks_equal(&blocks, &other, bytes + piece, sizeof bytes - piece));
        bytes[499]++;
        other = (struct place){first, 10};
        CHECK(!blocks_equal(&blocks, &other, bytes, sizeof bytes));
    }
}

static void every_block_is_taken_once_and_comes_back(void) {
    struct blocks blocks;
    memset(memory, 0, sizeof memory);
    blocks_init(&blocks, memory, COUNT);
    for (int round = 0; round < 3; round++) {
        bool is_taken[COUNT + 1] = {false};
        uint32_t numbers[COUNT];
        for (int i = 0; i < COUNT; i++) {
            numbers[i] = blocks_take(&blocks);
            CHECK(numbers[i] >= 1 && numbers[i] <= COUNT && !is_taken[numbers[i]]);
            is_taken[numbers[i]] = true;
            CHECK_INT(((struct block *)blocks_at(&blocks, numbers[i]))->rest, 0);
        }
        CHECK_INT(blocks.free_count, 0);
        for (int i = 0; i < COUNT; i++) blocks_give(&blocks, numbers[(i + 7) % COUNT]);
        CHECK_INT(blocks.free_count, COUNT);
    }
}

static void as_many_blocks_are_needed_as_bytes_fill(void) {
    CHECK_INT(blocks_needed(0, 16), 1);
    CHECK_INT(blocks_needed(16, 16), 1);
    CHECK_INT(blocks_needed(17, 16), 2);
    CHECK_INT(blocks_needed(76, 16), 2);
    CHECK_INT(blocks_needed(77, 16), 3);
}

int main(void) {
    RUN(what_is_written_is_read_whatever_the_pieces);
    RUN(every_block_is_taken_once_and_comes_back);
    RUN(as_many_blocks_are_needed_as_bytes_fill);
    return 0;
}
