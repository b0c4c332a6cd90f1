#include "rpc/compress.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/message.h"
#include "check.h"

static struct compressor *compressor;

static uint8_t *some_bytes(size_t length, unsigned spread) {
    uint8_t *bytes = memory_new(length + 1);
    uint32_t state = 1;
    for (size_t i = 0; i < length; i++) {
        state = state * 1103515245 + 12345;
        bytes[i] = (uint8_t)((state >> 16) % spread);
    }
    return bytes;
}

static void messages_survive_the_round_trip(void) {
    static const size_t lengths[] = {0, 1, 100, 255, 256, 257, 5000, 70000, 1000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (unsigned spread = 1; spread <= 256; spread += 51) {
            struct buffer packed = {0};
            struct message *message;
            uint8_t *bytes = some_bytes(lengths[i], spread);
            compressor_deflate(compressor, bytes, lengths[i], &packed);
            CHECK_INT(compressor_inflate(compressor, buffer_bytes(&packed), buffer_length(&packed),
                                         lengths[i], &message),
                      INFLATE_OK);
            CHECK_MEM(message->data, message->length, bytes, lengths[i]);
            CHECK_INT(message->references, 1);
            message_unref(&message);
            if (lengths[i])
                CHECK_INT(compressor_inflate(compressor, buffer_bytes(&packed), buffer_length(&packed),
                                             lengths[i] - 1, &message),
                          INFLATE_TOO_LARGE);
            buffer_free(&packed);
            free(bytes);
        }
    }
}

static void every_cut_and_every_flipped_byte_is_noticed(void) {
    struct buffer packed = {0};
    uint8_t *bytes = some_bytes(500, 10);
    compressor_deflate(compressor, bytes, 500, &packed);
    size_t length = buffer_length(&packed);
    struct message *message;
    for (size_t cut = 0; cut < length; cut++)
        CHECK_INT(compressor_inflate(compressor, buffer_bytes(&packed), cut, 1000, &message), INFLATE_BROKEN);
    for (size_t at = 10; at < length; at++) { /* behind the header, parts of which mean nothing */
        packed.data[at] ^= 0x5A;
        CHECK(compressor_inflate(compressor, buffer_bytes(&packed), length, 1000, &message) != INFLATE_OK);
        packed.data[at] ^= 0x5A;
    }
    buffer_append_byte(&packed, 'x');
    CHECK_INT(compressor_inflate(compressor, buffer_bytes(&packed), length + 1, 1000, &message),
              INFLATE_BROKEN);
    buffer_free(&packed);
    free(bytes);
}

static void members_are_joined(void) {
    struct buffer packed = {0};
    struct message *message;
    compressor_deflate(compressor, "one ", 4, &packed);
    compressor_deflate(compressor, "", 0, &packed);
    compressor_deflate(compressor, "two", 3, &packed);
    CHECK_INT(compressor_inflate(compressor, buffer_bytes(&packed), buffer_length(&packed), 100, &message),
              INFLATE_OK);
    CHECK_MEM(message->data, message->length, "one two", 7);
    message_unref(&message);
    CHECK_INT(compressor_inflate(compressor, buffer_bytes(&packed), buffer_length(&packed), 6, &message),
              INFLATE_TOO_LARGE);
    buffer_free(&packed);
}

/* 100 MB of zeros are 100 kB of gzip: reading must stop at the limit. */
static void a_bomb_stops_at_the_limit(void) {
    struct buffer packed = {0};
    uint8_t *zeros = memory_new(100000000);
    struct message *message;
    compressor_deflate(compressor, zeros, 100000000, &packed);
    free(zeros);
    CHECK(buffer_length(&packed) < 1000000);
    CHECK_INT(
        compressor_inflate(compressor, buffer_bytes(&packed), buffer_length(&packed), 4 << 20, &message),
        INFLATE_TOO_LARGE);
    buffer_free(&packed);
}

int main(void) {
    compressor = compressor_new();
    RUN(messages_survive_the_round_trip);
    RUN(every_cut_and_every_flipped_byte_is_noticed);
    RUN(members_are_joined);
    RUN(a_bomb_stops_at_the_limit);
    compressor_free(&compressor);
    return 0;
}
