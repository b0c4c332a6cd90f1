#include "schema/codec.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

#include "base/memory.h"
#include "check.h"
#include "schema/wire.h"

#define ALL "tidewire.test.AllTypes"
#define TREE "tidewire.test.Tree"

static struct schema *schema;

static void load(void) {
    char paths[][16] = {"tests/proto"}, files[][32] = {"all_types.proto", "proto2_types.proto"};
    struct error error;
    schema = schema_load((char *const[]){paths[0], NULL}, (char *const[]){files[0], files[1], NULL}, &error);
    if (!schema) fprintf(stderr, "%s\n", error.text);
    CHECK(schema);
}

static const struct message_type *type_of(const char *name) {
    const struct message_type *type = schema_message(schema, name);
    CHECK(type);
    return type;
}
static const struct field *field_of(const struct message_type *type, const char *name) {
    const struct field *field = message_field(type, name, strlen(name));
    CHECK(field);
    return field;
}

/* A view in memory of its own, so that a sanitizer sees a slot too far. */
static struct codec_view view_of(const struct message_type *type) {
    struct codec_view view;
    codec_view_place(&view, type, memory_new(codec_view_size(type)));
    return view;
}
static void view_free(struct codec_view *view) { free(view->presence); }

/* Bytes in an allocation of exactly their length, for the same reason. */
struct bytes {
    uint8_t *data;
    size_t length;
};
static struct bytes bytes_of(const char *hex) {
    struct bytes bytes = {malloc(strlen(hex) / 2 + 1), 0};
    for (; *hex; hex++) {
        unsigned byte;
        if (*hex == ' ') continue;
        CHECK(sscanf(hex++, "%2x", &byte) == 1);
        bytes.data[bytes.length++] = (uint8_t)byte;
    }
    bytes.data = realloc(bytes.data, bytes.length ? bytes.length : 1);
    return bytes;
}

static const char *scan(struct codec_view *view, const char *hex, struct bytes *bytes) {
    *bytes = bytes_of(hex);
    return codec_scan(view, bytes->data, bytes->length);
}

static uint64_t bits_of(const struct codec_view *view, const char *name) {
    const struct field *field = field_of(view->type, name);
    CHECK(codec_bit(view->presence, field->index));
    return view->slots[field->index].bits;
}
static bool is_set(const struct codec_view *view, const char *name) {
    return codec_bit(view->presence, field_of(view->type, name)->index);
}

static void slots_hold_every_scalar_in_one_form(void) {
    struct codec_view view = view_of(type_of(ALL));
    struct bytes bytes;
    CHECK(
        !scan(&view,
              "09 000000000000f8bf 15 0000c03f 18 ffffffffffffffffff01 28 ffffffff0f 38 01 40 03 4d ffffffff"
              " 5d ffffffff 68 ff01 80 01 ffffffffffffffffff01",
              &bytes));
    CHECK(bits_of(&view, "double_field") == wire_double_bits(-1.5));
    CHECK(bits_of(&view, "float_field") == wire_float_bits(1.5f));
    CHECK_INT((int64_t)bits_of(&view, "int32_field"), -1);
    CHECK(bits_of(&view, "uint32_field") == UINT32_MAX);
    CHECK_INT((int64_t)bits_of(&view, "sint32_field"), -1);
    CHECK_INT((int64_t)bits_of(&view, "sint64_field"), -2);
    CHECK(bits_of(&view, "fixed32_field") == UINT32_MAX);
    CHECK_INT((int64_t)bits_of(&view, "sfixed32_field"), -1);
    CHECK_INT(bits_of(&view, "bool_field"), 1);
    CHECK_INT((int64_t)bits_of(&view, "enum_field"), -1);
    CHECK(!is_set(&view, "string_field") && !is_set(&view, "repeated_int32"));
    free(bytes.data);
    view_free(&view);
}

static void nothing_is_read_behind_the_end(void) {
    static const char whole[] =
        "08 09 15 0000c03f 18 ffffffffffffffffff01 72 03 616263 8a01 04 0801 1200 da02 03 010203 4d 01020304"
        " 9b0f 0801 9c0f e205 06 0a016b 120176 d80701 f8ffffff0f 07";
    struct bytes bytes = bytes_of(whole);
    const struct message_type *type = type_of(ALL);
    size_t good = 0;
    for (size_t length = 0; length <= bytes.length; length++) {
        uint8_t *cut = memcpy(malloc(length ? length : 1), bytes.data, length);
        good += !codec_check(type, cut, length);
        free(cut);
    }
    CHECK(good > 5 && good < bytes.length); /* only the cuts between two fields */
    free(bytes.data);
}

static void utf8_is_what_the_standard_says(void) {
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "twelve bytes",
                                       "eight by\xc3\xbc",
                                       "1234567\xc3\xbc",
                                       "12345678\xe2\x82\xac",
                                       "\xc3\xbc"
                                       "12345678901234567890",
                                       "123456\xf0\x9f\x98\x80"
                                       "1234567"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xe2\x82",
                                      "\xf0\x9f\x98",
                                      "12345678\xc3",
                                      "1234567\xc3",
                                      "\xc3"
                                      "12345678",
                                      "123456789012345\x80",
                                      "12345678\x80"
                                      "12345678"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) CHECK(codec_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK(!codec_is_utf8(bad[i], strlen(bad[i])));
    CHECK(codec_is_utf8("a\0b", 3));
}

/* Each of the 2^21 three-byte texts is held against a decoder that knows code points. */
static void utf8_agrees_with_a_decoder_on_all_short_texts(void) {
    long good = 0, expected = 0;
    for (unsigned lead = 0x80; lead < 0x100; lead++)
        for (unsigned second = 0; second < 0x100; second++)
            for (unsigned third = 0x70; third < 0xd0; third++) {
                uint8_t text[3] = {(uint8_t)lead, (uint8_t)second, (uint8_t)third};
                unsigned two = (lead & 0x1f) << 6 | (second & 0x3f),
                         three = (lead & 0xf) << 12 | (second & 0x3f) << 6 | (third & 0x3f);
                bool is_two = (lead & 0xe0) == 0xc0 && (second & 0xc0) == 0x80 && two >= 0x80 && third < 0x80;
                bool is_three = (lead & 0xf0) == 0xe0 && (second & 0xc0) == 0x80 && (third & 0xc0) == 0x80 &&
                                three >= 0x800 && (three < 0xd800 || three > 0xdfff);
                bool is_good = codec_is_utf8(text, 3);
                CHECK(is_good == (is_two || is_three));
                good += is_good;
                expected += is_two || is_three;
            }
    CHECK(good == expected && good > 60000);
}

static void walk(const struct codec_view *view, const char *name, const char *expected) {
    struct codec_elements elements = codec_elements(view, field_of(view->type, name));
    struct codec_value value;
    struct buffer text = {0};
    while (codec_next(&elements, &value)) buffer_format(&text, "%lld ", (long long)value.bits);
    buffer_append_byte(&text, 0);
    CHECK_STR((char *)buffer_bytes(&text), expected);
    buffer_free(&text);
}

static void lists_are_walked_packed_unpacked_and_interleaved(void) {
    struct codec_view view = view_of(type_of(ALL));
    struct bytes bytes;
    CHECK(!scan(&view,
                "da02 02 0102 18 09 d802 03 e202 01 07 da02 00 d802 04 da02 02 0506 1807 dd02 01020304",
                &bytes));
    CHECK_INT(view.slots[field_of(view.type, "repeated_int32")->index].count, 6);
    walk(&view, "repeated_int32", "1 2 3 4 5 6 ");
    walk(&view, "repeated_int64", "7 ");
    walk(&view, "repeated_uint32", "");
    free(bytes.data);
    view_free(&view);
}

/* Pieces of a split message are counted and joined, also when they came without their first by a oneof. */
static void pieces_of_a_message_are_gathered(void) {
    struct codec_view view = view_of(type_of(ALL));
    struct bytes bytes;
    struct buffer whole = {0};
    CHECK(!scan(&view, "8a01 02 0805 1803 8a01 03 120178 1804 8a01 02 0806", &bytes));
    const struct field *field = field_of(view.type, "message_field");
    CHECK(view.slots[field->index].length == (7 | CODEC_SPLIT));
    codec_gather(&view, field, &whole);
    CHECK_MEM(buffer_bytes(&whole), buffer_length(&whole), "\x08\x05\x12\x01x\x08\x06", 7);
    free(bytes.data);

    CHECK(!scan(&view, "ca08 02 0805 d80707 ca08 03 120178", &bytes));
    field = field_of(view.type, "choice_message");
    CHECK_INT(view.slots[field->index].length, 3);
    CHECK_MEM(codec_inside(&view, field), 3, "\x12\x01x", 3);
    CHECK(!is_set(&view, "choice_int32") && view.chosen[field->oneof] == field->index + 1);
    free(bytes.data);
    buffer_free(&whole);
    view_free(&view);
}

static void splice(const char *hex, const char *name, const char *expected_hex) {
    const struct message_type *type = type_of(ALL);
    struct bytes bytes = bytes_of(hex), expected = bytes_of(expected_hex);
    uint64_t *dropped = memory_new(codec_words(type) * 8);
    struct buffer out = {0};
    codec_set_bit(dropped, field_of(type, name)->index);
    buffer_reserve(&out, 1);
    codec_splice(type, bytes.data, bytes.length, dropped, &out);
    CHECK_MEM(buffer_bytes(&out), buffer_length(&out), expected.data, expected.length);
    buffer_free(&out);
    free(dropped);
    free(bytes.data);
    free(expected.data);
}

static void a_splice_drops_every_occurrence_of_the_known_form_only(void) {
    splice("1801 720161 1802 1a0161 f8ffffff0f01", "int32_field", "720161 1a0161 f8ffffff0f01");
    splice("720161 1801 720162", "string_field", "1801");
    splice("d80201 da0202 0203 dd0201020304", "repeated_int32", "dd0201020304");
    splice("1801", "last_field", "1801");
    splice("", "last_field", "");
}

static void lengths_of_any_size_are_put_in_front(void) {
    const struct message_type *type = type_of(TREE);
    const struct field *children = field_of(type, "children"), *label = field_of(type, "label");
    static const size_t sizes[] = {0, 1, 100, 125, 126, 127, 128, 16000, 16380, 16384, 3000000};
    char *text = memory_new(4000000);
    memset(text, 'x', 3999999);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer out = {0};
        buffer_append(&out, "queue", 5);
        buffer_take(&out, 2); /* what was sent of the queue already */
        size_t before = buffer_length(&out), outer = codec_open(&out, children),
               inner = codec_open(&out, children);
        codec_write_bytes(&out, label, text, sizes[i]);
        codec_close(&out, children, inner);
        codec_write_bytes(&out, label, "outer", 5);
        codec_close(&out, children, outer);
        CHECK_MEM(buffer_bytes(&out), 3, "eue", 3);
        CHECK(!codec_check(type, buffer_bytes(&out) + before, buffer_length(&out) - before));
        struct codec_view view = view_of(type), child = view_of(type), grandchild = view_of(type);
        CHECK(!codec_scan(&view, buffer_bytes(&out) + before, buffer_length(&out) - before));
        struct codec_elements elements = codec_elements(&view, children);
        struct codec_value value;
        CHECK(codec_next(&elements, &value));
        codec_rescan(&child, value.data, value.length);
        CHECK_INT(child.slots[label->index].length, 5);
        elements = codec_elements(&child, children);
        CHECK(codec_next(&elements, &value));
        codec_rescan(&grandchild, value.data, value.length);
        CHECK_INT(grandchild.slots[label->index].length, sizes[i]);
        view_free(&view);
        view_free(&child);
        view_free(&grandchild);
        buffer_free(&out);
    }
    free(text);
}

/* What broke the usual C implementation of protobuf
 * ------------------------------------------------------------- */

static struct bytes nested(size_t levels, uint8_t tag) {
    struct buffer out = {0};
    size_t *lengths = memory_new((levels + 1) * sizeof *lengths);
    for (size_t i = 1; i <= levels; i++) lengths[i] = lengths[i - 1] + 1 + wire_varint_size(lengths[i - 1]);
    for (size_t i = levels; i > 0; i--) {
        buffer_append_byte(&out, tag);
        wire_write_varint(&out, lengths[i - 1]);
    }
    free(lengths);
    return (struct bytes){out.data, buffer_length(&out)};
}

static void check_on_a_small_stack(void *(*function)(void *)) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
#ifdef TIDEWIRE_SANITIZED
    pthread_attr_setstacksize(&attributes, 4 << 20);
#else
    pthread_attr_setstacksize(&attributes, 128 << 10);
#endif
    CHECK(pthread_create(&thread, &attributes, function, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void *check_nesting(void *unused) {
    (void)unused;
    static const size_t levels[] = {1, 99, 100, 101, 102, 10000, 200000};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        struct bytes bytes = nested(levels[i], 0x12);
        const char *fault = codec_check(type_of(TREE), bytes.data, bytes.length);
        CHECK(!fault == (levels[i] <= 100));
        free(bytes.data);
    }
    /* groups, known to nobody */
    for (size_t count = 99; count <= 200000; count = count < 102 ? count + 1 : count * 44) {
        uint8_t *groups = malloc(count * 2);
        memset(groups, 0x3b, count);
        memset(groups + count, 0x3c, count);
        CHECK(!codec_check(type_of(TREE), groups, count * 2) == (count <= 100));
        free(groups);
    }
    return NULL;
}
static void deep_nesting_is_refused_and_never_exhausts_a_small_stack(void) {
    check_on_a_small_stack(check_nesting);
}

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Four megabytes of the smallest things that the wire allows. */
static void worst_inputs_take_linear_time_and_keep_no_memory(void) {
    enum { SIZE = 4 << 20 };
    static const struct {
        const char *what;
        uint8_t unit[6];
        size_t length;
    } units[] = {
        {"unknown varints", {0xf8, 0x5d, 0x01}, 3},
        {"empty strings", {0xb2, 0x03, 0x00}, 3},
        {"empty map entries", {0xe2, 0x05, 0x00}, 3},
        {"empty sub-messages", {0xca, 0x03, 0x00}, 3},
        {"a split sub-message", {0x8a, 0x01, 0x00}, 3},
        {"oneof members in turn", {0xd8, 0x07, 0x01, 0xb2, 0x08, 0x00}, 6},
        {"a scalar over and over", {0x18, 0x01}, 2},
        {"empty packed lists", {0xda, 0x02, 0x00}, 3},
        {"empty groups", {0x9b, 0x0f, 0x9c, 0x0f}, 4},
        {"split oneof members", {0xca, 0x08, 0x00, 0xca, 0x08, 0x00}, 6},
    };
    const struct message_type *type = type_of(ALL);
    struct codec_view view = view_of(type);
    uint8_t *bytes = malloc(SIZE);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = SIZE / units[i].length * units[i].length;
        for (size_t at = 0; at < length; at += units[i].length)
            memcpy(bytes + at, units[i].unit, units[i].length);
        size_t before = mallinfo2().uordblks;
        double start = seconds();
        const char *fault = codec_scan(&view, bytes, length);
        double took = seconds() - start;
        if (fault) fprintf(stderr, "%s: %s\n", units[i].what, fault);
        CHECK(!fault);
        CHECK(mallinfo2().uordblks == before);
        if (took > 1) fprintf(stderr, "%s: %f s\n", units[i].what, took);
        CHECK(took < 1); /* takes 20 ms; a quadratic one would take hours */
    }
    free(bytes);
    view_free(&view);
}

static void required_fields_may_come_in_pieces(void) {
    const struct message_type *type = type_of("tidewire.test2.Required");
    static const struct {
        const char *hex;
        bool is_good;
    } cases[] = {
        {"0801 1200", true},
        {"0801", false},
        {"0801 1200 1a00", false},
        {"0801 1200 1a02 0801 1a02 1200", true},
        {"0801 1200 1a02 0801 1a02 0802", false},
        {"0801 1200 1a04 0801 1200 1a02 1a00", false},
        {"0801 1200 1a04 1a02 0801 1a04 1a02 1200 1a04 0801 1200", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes bytes = bytes_of(cases[i].hex);
        CHECK(!codec_check(type, bytes.data, bytes.length) == cases[i].is_good);
        free(bytes.data);
    }
}

static void a_view_needs_no_bytes(void) {
    struct codec_view view = view_of(type_of(ALL));
    CHECK(!codec_scan(&view, NULL, 0));
    CHECK(!codec_check(type_of(ALL), NULL, 0));
    CHECK_INT(view.length, 0);
    view_free(&view);
}

static void text_shows_every_kind_of_field(void) {
    struct bytes bytes = bytes_of("18 05 72 05 61220a0162 7a 02 00ff 8001 07 8a01 04 0801 1200 da02 02 0102 "
                                  "da0201 03 09 9a9999999999b93f"
                                  " 15 cdcccc3d 6801 40 01 9b0f 0801 9c0f 2a03 616263 f85d05");
    struct buffer text = {0};
    codec_text(type_of(ALL), bytes.data, bytes.length, &text);
    buffer_append_byte(&text, 0);
    CHECK_STR((char *)buffer_bytes(&text),
              "int32_field: 5 string_field: \"a\\\"\\n\\001b\" bytes_field: \"\\000\\377\" enum_field: "
              "COLOR_BLUE message_field { number: 1 text: \"\" }"
              " repeated_int32: 1 repeated_int32: 2 repeated_int32: 3 double_field: 0.1 float_field: 0.1 "
              "bool_field: true sint64_field: -1"
              " 243 { … } 5: \"abc\" 1503: 5");
    buffer_free(&text);
    free(bytes.data);
}

int main(void) {
    load();
    RUN(slots_hold_every_scalar_in_one_form);
    RUN(nothing_is_read_behind_the_end);
    RUN(utf8_is_what_the_standard_says);
    RUN(utf8_agrees_with_a_decoder_on_all_short_texts);
    RUN(lists_are_walked_packed_unpacked_and_interleaved);
    RUN(pieces_of_a_message_are_gathered);
    RUN(a_splice_drops_every_occurrence_of_the_known_form_only);
    RUN(lengths_of_any_size_are_put_in_front);
    RUN(deep_nesting_is_refused_and_never_exhausts_a_small_stack);
    RUN(worst_inputs_take_linear_time_and_keep_no_memory);
    RUN(required_fields_may_come_in_pieces);
    RUN(a_view_needs_no_bytes);
    RUN(text_shows_every_kind_of_field);
    schema_unref(&schema);
    return 0;
}
