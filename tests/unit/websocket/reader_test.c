#include "websocket/reader.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "check.h"

/* ---- what the reader says, as one text ---- */

static struct buffer said;

static void on_begin(void *context, bool is_text, bool is_compressed) {
    (void)context;
    buffer_append_text(&said, is_text ? "T" : "B");
    if (is_compressed) buffer_append_text(&said, "z");
    buffer_append_text(&said, "<");
}
static void on_payload(void *context, const uint8_t *bytes, size_t length) {
    (void)context;
    CHECK(length > 0);
    buffer_append(&said, bytes, length);
}
static void on_end(void *context) {
    (void)context;
    buffer_append_text(&said, ">");
}
static void on_ping(void *context, const uint8_t *bytes, size_t length) {
    (void)context;
    buffer_append_text(&said, "ping(");
    buffer_append(&said, bytes, length);
    buffer_append_text(&said, ")");
}
static void on_pong(void *context) {
    (void)context;
    buffer_append_text(&said, "pong");
}
static void on_close(void *context, int code, const char *reason, size_t length) {
    (void)context;
    buffer_format(&said, "close %d ", code);
    buffer_append(&said, reason, length);
}

static const struct websocket_events events = {on_begin, on_payload, on_end, on_ping, on_pong, on_close};

/* ---- frames ---- */

struct frame {
    uint8_t first; /* the first byte: 0x80 is the end of a message, 0x40 compressed, then the opcode */
    const char *payload;
    size_t length;
    bool is_bare; /* without a mask */
};
#define F(first_, payload_) {first_, payload_, sizeof(payload_) - 1, false}

static void append_frame(struct buffer *out, const struct frame *frame) {
    static const uint8_t mask[4] = {0x9a, 0x00, 0xff, 0x37};
    uint8_t masked = frame->is_bare ? 0 : 0x80;
    buffer_append_byte(out, frame->first);
    if (frame->length < 126) {
        buffer_append_byte(out, (uint8_t)(masked | frame->length));
    } else if (frame->length < 65536) {
        buffer_append_byte(out, masked | 126);
        for (int i = 1; i >= 0; i--) buffer_append_byte(out, (uint8_t)(frame->length >> 8 * i));
    } else {
        buffer_append_byte(out, masked | 127);
        for (int i = 7; i >= 0; i--) buffer_append_byte(out, (uint8_t)((uint64_t)frame->length >> 8 * i));
    }
    if (masked) buffer_append(out, mask, 4);
    for (size_t i = 0; i < frame->length; i++)
        buffer_append_byte(out, (uint8_t)(masked ? (uint8_t)frame->payload[i] ^ mask[i % 4] : (uint8_t)frame->payload[i]));
}

/* The bytes in two pieces, of which the first has `cut`; 0: each byte by itself. Adds the fault's code. */
static void read_in_pieces(const uint8_t *bytes, size_t length, size_t cut, bool may_compress) {
    struct websocket_reader *reader = websocket_reader_new(&events, NULL, may_compress);
    const char *text;
    int code = 0;
    buffer_clear(&said);
    for (size_t at = 0; at < length;) {
        size_t step = cut ? (at ? length - at : cut) : 1;
        uint8_t *copy = malloc(step); /* no byte more: what is read beyond is found */
        memcpy(copy, bytes + at, step);
        websocket_read(reader, copy, step, &code, &text);
        free(copy);
        at += step;
    }
    if (code) buffer_format(&said, "!%d", code);
    buffer_append_byte(&said, 0);
    websocket_reader_free(&reader);
}

struct row {
    const char *name;
    struct frame frames[5];
    const char *said;
    bool may_compress;
};

static void check_row(const struct row *row) {
    struct buffer bytes = {0};
    for (int i = 0; i < 5 && row->frames[i].payload; i++) append_frame(&bytes, &row->frames[i]);
    for (size_t cut = 0; cut < buffer_length(&bytes); cut++) {
        read_in_pieces(buffer_bytes(&bytes), buffer_length(&bytes), cut ? cut : buffer_length(&bytes),
                       row->may_compress);
        if (strcmp((const char *)buffer_bytes(&said), row->said)) fprintf(stderr, "%s, cut at %zu:\n", row->name, cut);
        CHECK_STR((const char *)buffer_bytes(&said), row->said);
    }
    read_in_pieces(buffer_bytes(&bytes), buffer_length(&bytes), 0, row->may_compress);
    CHECK_STR((const char *)buffer_bytes(&said), row->said);
    buffer_free(&bytes);
}

#define HUNDRED "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define KAPPA "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

static const struct row rows[] = {
    /* messages */
    {"a text", {F(0x81, "hello")}, "T<hello>"},
    {"a binary message", {F(0x82, "\xff\xfe")}, "B<\xff\xfe>"},
    {"empty messages", {F(0x81, ""), F(0x82, "")}, "T<>B<>"},
    {"a text of 125, 126 and 200 bytes",
     {F(0x81, HUNDRED "0123456789012345678901234"), F(0x81, HUNDRED "01234567890123456789012345"), F(0x81, HUNDRED HUNDRED)},
     "T<" HUNDRED "0123456789012345678901234>T<" HUNDRED "01234567890123456789012345>T<" HUNDRED HUNDRED ">"},
    {"fragments", {F(0x01, "hel"), F(0x00, "l"), F(0x80, "o")}, "T<hello>"},
    {"empty fragments", {F(0x01, ""), F(0x00, ""), F(0x80, "")}, "T<>"},
    {"one message behind the other", {F(0x02, "a"), F(0x80, "b"), F(0x82, "c")}, "B<ab>B<c>"},
    /* control frames */
    {"a ping", {F(0x89, "are you there")}, "ping(are you there)"},
    {"a ping of 125 bytes", {F(0x89, HUNDRED "0123456789012345678901234")}, "ping(" HUNDRED "0123456789012345678901234)"},
    {"an empty ping, and a pong that nobody has asked for", {F(0x89, ""), F(0x8a, "x")}, "ping()pong"},
    {"a ping between fragments", {F(0x01, "a"), F(0x89, "p"), F(0x80, "b")}, "T<aping(p)b>"},
    {"a close between fragments", {F(0x01, "a"), F(0x88, ""), F(0x80, "b")}, "T<aclose 1005 "},
    {"a ping of 126 bytes", {F(0x89, HUNDRED "01234567890123456789012345")}, "!1002"},
    {"a ping in fragments", {F(0x09, "a"), F(0x80, "b")}, "!1002"},
    /* rules of frames */
    {"a frame without a mask", {{0x81, "hello", 5, true}}, "!1002"},
    {"an empty frame without a mask", {{0x81, "", 0, true}}, "!1002"},
    {"the first reserved bit", {F(0xc1, "a")}, "!1002"},
    {"the second reserved bit", {F(0xa1, "a")}, "!1002", true},
    {"the third reserved bit", {F(0x91, "a")}, "!1002", true},
    {"all reserved bits of a ping", {F(0xf9, "a")}, "!1002", true},
    {"opcode 3", {F(0x83, "a")}, "!1002"},
    {"opcode 7 behind a good message", {F(0x81, "a"), F(0x87, "")}, "T<a>!1002"},
    {"opcode 11", {F(0x8b, "")}, "!1002"},
    {"opcode 15", {F(0x8f, "a")}, "!1002"},
    {"a continuation of nothing", {F(0x80, "a")}, "!1002"},
    {"a continuation behind a message", {F(0x81, "a"), F(0x00, "b")}, "T<a>!1002"},
    {"a message within another", {F(0x01, "a"), F(0x81, "b")}, "T<a!1002"},
    {"nothing is read behind a fault", {F(0x80, "a"), F(0x81, "b")}, "!1002"},
    /* compression */
    {"a compressed message", {F(0xc1, "\xf2\x48")}, "Tz<\xf2\x48>", true},
    {"a compressed message in fragments", {F(0x42, "a"), F(0x80, "b")}, "Bz<ab>", true},
    {"the bit of compression on a continuation", {F(0x41, "a"), F(0xc0, "b")}, "Tz<a!1002", true},
    {"the bit of compression on a ping", {F(0xc9, "")}, "!1002", true},
    /* UTF-8 */
    {"letters of other scripts", {F(0x81, KAPPA)}, "T<" KAPPA ">"},
    {"a character in two fragments", {F(0x01, "\xce"), F(0x80, "\xba")}, "T<\xce\xba>"},
    {"a ping within a character", {F(0x01, "\xf0\x9f"), F(0x89, ""), F(0x80, "\x98\x80")}, "T<\xf0\x9fping()\x98\x80>"},
    {"a text that ends within a character", {F(0x81, "\xce")}, "T<\xce!1007"},
    {"the same in a fragment", {F(0x01, "a"), F(0x80, "\xe1\xbd")}, "T<a\xe1\xbd!1007"},
    {"the last code point", {F(0x81, "\xf4\x8f\xbf\xbf")}, "T<\xf4\x8f\xbf\xbf>"},
    {"binary messages are not looked at", {F(0x82, "\xc0\x80")}, "B<\xc0\x80>"},
    /* close */
    {"a close without a code", {F(0x88, "")}, "close 1005 "},
    {"a close with a code", {F(0x88, "\x03\xe8")}, "close 1000 "},
    {"a close with a reason", {F(0x88, "\x03\xe9" "bye " KAPPA)}, "close 1001 bye " KAPPA},
    {"nothing is read behind a close", {F(0x88, "\x03\xe8"), F(0x81, "a"), F(0x80, "")}, "close 1000 "},
    {"a close of one byte", {F(0x88, "\x03")}, "!1002"},
    {"a reason that is no UTF-8", {F(0x88, "\x03\xe8\xc0")}, "!1007"},
    {"a reason that ends within a character", {F(0x88, "\x03\xe8\xce")}, "!1007"},
};

static void frames_are_read_wherever_they_are_cut(void) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_row(&rows[i]);
}

static void codes_are_those_that_may_be_sent(void) {
    static const struct {
        int from, to;
        bool may;
    } ranges[] = {{0, 999, false},     {1000, 1003, true}, {1004, 1006, false},
                  {1007, 1014, true},  {1015, 2999, false}, {3000, 4999, true}, {5000, 65535, false}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        for (int code = ranges[i].from; code <= ranges[i].to; code += code > 5100 ? 997 : 1) {
            char payload[2] = {(char)(code >> 8), (char)code}, expected[32];
            struct frame frame = {0x88, payload, 2, false};
            struct buffer bytes = {0};
            append_frame(&bytes, &frame);
            read_in_pieces(buffer_bytes(&bytes), buffer_length(&bytes), buffer_length(&bytes), false);
            snprintf(expected, sizeof expected, ranges[i].may ? "close %d " : "!1002", code);
            CHECK_STR((const char *)buffer_bytes(&said), expected);
            buffer_free(&bytes);
        }
    }
}

/* Kuhn's list: what decoders take that they should not. Only whether the text is taken; where it stops is above. */
static void texts_are_utf8(void) {
    static const struct {
        const char *bytes;
        bool is_fine;
    } texts[] = {{"\x80", false}, {"\xbf", false}, {"\xc0\xaf", false}, {"\xc1\xbf", false}, {"\xc2\x80", true},
                 {"\xdf\xbf", true}, {"\xe0\x80\xaf", false}, {"\xe0\x9f\xbf", false}, {"\xe0\xa0\x80", true},
                 {"\xed\x9f\xbf", true}, {"\xed\xa0\x80", false}, {"\xed\xbf\xbf", false}, {"\xee\x80\x80", true},
                 {"\xef\xbf\xbf", true}, {"\xf0\x80\x80\xaf", false}, {"\xf0\x8f\xbf\xbf", false},
                 {"\xf0\x90\x80\x80", true}, {"\xf4\x8f\xbf\xbf", true}, {"\xf4\x90\x80\x80", false},
                 {"\xf5\x80\x80\x80", false}, {"\xf8\x88\x80\x80\x80", false}, {"\xfe", false}, {"\xff", false},
                 {"\xce\x41", false}, {"\xe1\xbd\x41", false}, {"12345678\xff", false}, {"1234567\xce\xba", true}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct frame frame = {0x81, texts[i].bytes, strlen(texts[i].bytes), false};
        struct buffer bytes = {0};
        append_frame(&bytes, &frame);
        for (size_t cut = 0; cut <= buffer_length(&bytes); cut++) {
            read_in_pieces(buffer_bytes(&bytes), buffer_length(&bytes), cut, false);
            CHECK_INT(!strstr((const char *)buffer_bytes(&said), "!1007"), texts[i].is_fine);
        }
        buffer_free(&bytes);
    }
}

static void lengths_have_their_shortest_form(void) {
    static const char long_form[] = "\x82\xfe\x00\x7d\x00\x00\x00\x00", longer_form[] = "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
                      negative[] = "\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00";
    read_in_pieces((const uint8_t *)long_form, sizeof long_form - 1, 0, false);
    CHECK_STR((const char *)buffer_bytes(&said), "!1002");
    read_in_pieces((const uint8_t *)longer_form, sizeof longer_form - 1, 0, false);
    CHECK_STR((const char *)buffer_bytes(&said), "!1002");
    read_in_pieces((const uint8_t *)negative, sizeof negative - 1, 0, false);
    CHECK_STR((const char *)buffer_bytes(&said), "!1002");
}

/* A frame that announces an exabyte: what has come is handed on, and no memory taken for the rest. */
static void payload_is_handed_on_as_it_comes(void) {
    static const uint8_t head[] = {0x82, 0xff, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2};
    read_in_pieces(head, sizeof head, 5, false);
    CHECK_STR((const char *)buffer_bytes(&said), "B<ab");
}

static void large_messages_come_whole(void) {
    enum { SIZE = 16 << 20 };
    char *payload = memory_new(SIZE);
    for (size_t i = 0; i < SIZE; i++) payload[i] = (char)('a' + i % 26);
    struct frame frame = {0x81, payload, SIZE, false};
    struct buffer bytes = {0};
    append_frame(&bytes, &frame);
    read_in_pieces(buffer_bytes(&bytes), buffer_length(&bytes), 65536, false);
    CHECK_INT(buffer_length(&said), SIZE + 4);
    CHECK_MEM(buffer_bytes(&said) + 2, SIZE, payload, SIZE);
    buffer_free(&bytes);
    free(payload);
}

int main(void) {
    RUN(frames_are_read_wherever_they_are_cut);
    RUN(codes_are_those_that_may_be_sent);
    RUN(texts_are_utf8);
    RUN(lengths_have_their_shortest_form);
    RUN(payload_is_handed_on_as_it_comes);
    RUN(large_messages_come_whole);
    buffer_free(&said);
    return 0;
}
