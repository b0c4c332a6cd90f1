#include "http/memory.h"

#include <string.h>

#include "check.h"

enum { PIECES = 500 };

static size_t size_of(int i) { return (size_t)(i * 37 % 701); }

static void pieces_of_all_sizes_do_not_overlap(void) {
    struct http_memory *memory = http_memory_new();
    nghttp2_mem mem = http_memory_functions(memory);
    uint8_t *pieces[PIECES];
    for (int round = 0; round < 3; round++) { /* from the second on they are used again */
        for (int i = 0; i < PIECES; i++) {
            pieces[i] = mem.malloc(size_of(i), mem.mem_user_data);
            memset(pieces[i], i, size_of(i));
        }
        for (int i = 0; i < PIECES; i++) {
            for (size_t byte = 0; byte < size_of(i); byte++) CHECK_INT(pieces[i][byte], (uint8_t)i);
        }
        for (int i = 0; i < PIECES; i++) mem.free(pieces[(i + round) % PIECES], mem.mem_user_data);
    }
    mem.free(NULL, mem.mem_user_data);
    http_memory_unref(&memory);
    CHECK(!memory);
}

static void what_is_used_again_comes_zeroed_where_asked(void) {
    struct http_memory *memory = http_memory_new();
    nghttp2_mem mem = http_memory_functions(memory);
    uint8_t *dirty = mem.malloc(200, mem.mem_user_data);
    memset(dirty, 0xff, 200);
    mem.free(dirty, mem.mem_user_data);
    uint8_t *clean = mem.calloc(50, 4, mem.mem_user_data);
#ifndef TIDEWIRE_SANITIZED
    CHECK(clean == dirty);
#endif
    for (int i = 0; i < 200; i++) CHECK_INT(clean[i], 0);
    mem.free(clean, mem.mem_user_data);
    http_memory_unref(&memory);
}

static void pieces_grow_and_keep_their_bytes(void) {
    struct http_memory *memory = http_memory_new();
    nghttp2_mem mem = http_memory_functions(memory);
    uint8_t *piece = mem.realloc(NULL, 10, mem.mem_user_data);
    for (size_t size = 10; size < 5000; size += 10) {
        memset(piece + size - 10, (int)(size % 251), 10);
        piece = mem.realloc(piece, size + 10, mem.mem_user_data);
    }
    for (size_t size = 10; size < 5000; size += 10) CHECK_INT(piece[size - 1], size % 251);
    mem.free(piece, mem.mem_user_data);
    http_memory_unref(&memory);
}

static void it_lives_as_long_as_someone_refers_to_it(void) {
    struct http_memory *memory = http_memory_new(), *other = http_memory_ref(memory);
    http_memory_unref(&memory);
    void *piece = http_memory_take(other, 100);
    http_memory_give(other, piece);
    http_memory_unref(&other);
}

int main(void) {
    RUN(pieces_of_all_sizes_do_not_overlap);
    RUN(what_is_used_again_comes_zeroed_where_asked);
    RUN(pieces_grow_and_keep_their_bytes);
    RUN(it_lives_as_long_as_someone_refers_to_it);
    return 0;
}
