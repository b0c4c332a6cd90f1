#include "bus/subject.h"

#include "check.h"

static const char *encode(const char *name, size_t length) {
    static char word[SUBJECT_WORD];
    return subject_encode(name, length, word) ? word : NULL;
}

static void a_name_of_any_bytes_is_one_word(void) {
    CHECK_STR(encode("Room_5-a", 8), "Room_5-a");
    CHECK_STR(encode("", 0), "=");
    CHECK_STR(encode("a.b", 3), "a=2eb");
    CHECK_STR(encode("*", 1), "=2a");
    CHECK_STR(encode(">", 1), "=3e");
    CHECK_STR(encode(" \t\r\n", 4), "=20=09=0d=0a");
    CHECK_STR(encode("=", 1), "=3d");
    CHECK_STR(encode("a\0b", 3), "a=00b");
    CHECK_STR(encode("\xff\x80$", 3), "=ff=80=24");
    for (int c = 0; c < 256; c++) {
        char name = (char)c;
        CHECK(!strpbrk(encode(&name, 1), ". *>\t\r\n\f\v"));
    }
}

static void different_names_are_different_words(void) {
    static const char *const names[] = {"", "=", "=3d", "=00", "a", "A", "a=", "a.b", "a_b", "a=2eb"};
    enum { COUNT = sizeof names / sizeof *names };
    static char words[COUNT][SUBJECT_WORD];
    for (int i = 0; i < COUNT; i++) {
        CHECK(subject_encode(names[i], strlen(names[i]), words[i]));
        for (int k = 0; k < i; k++) CHECK(strcmp(words[i], words[k]) != 0);
    }
}

static void a_name_has_a_longest_length(void) {
    static char name[SUBJECT_LONGEST_NAME + 1], subject[SUBJECT_SIZE], word[SUBJECT_WORD];
    memset(name, '.', sizeof name);
    CHECK(!subject_encode(name, sizeof name, word));
    CHECK(subject_encode(name, SUBJECT_LONGEST_NAME, word));
    subject_write(subject, "0123456789012345678901234567890123456789012345678901234567890123", 'm', word);
    CHECK_INT(strlen(subject), 64 + 3 + 3 * SUBJECT_LONGEST_NAME);
}

static void an_origin_is_sixteen_digits_and_nothing_else(void) {
    char text[ORIGIN_SIZE];
    uint64_t origin;
    origin_write(text, 0xfedcba9876543210);
    CHECK_STR(text, "fedcba9876543210");
    CHECK(origin_read(text, &origin));
    CHECK(origin == 0xfedcba9876543210);
    CHECK(origin_read("000000000000000a", &origin) && origin == 10);
    static const char *const wrong[] = {"", "1", "fedcba987654321", "fedcba98765432100", "FEDCBA9876543210",
                                        "fedcba987654321g", " edcba9876543210", "fedcba9876543210 "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(!origin_read(wrong[i], &origin));
    CHECK(!origin_read(NULL, &origin));
}

static void a_number_is_decimal_and_has_a_bound(void) {
    uint64_t number;
    CHECK(number_read("0", 100, &number) && number == 0);
    CHECK(number_read("100", 100, &number) && number == 100);
    CHECK(number_read("18446744073709551615", UINT64_MAX, &number) && number == UINT64_MAX);
    static const char *const wrong[] = {"", "101", "-1", "+1", " 1", "1 ", "0x1", "1e1", "18446744073709551616",
                                        "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(!number_read(wrong[i], 100, &number));
    CHECK(!number_read("18446744073709551616", UINT64_MAX, &number));
    CHECK(!number_read("9", 5, &number));
    CHECK(!number_read(NULL, 100, &number));
}

static void a_place_in_a_stream_is_read_from_both_kinds_of_subject(void) {
    struct stream_place place;
    CHECK(stream_place_read("$JS.ACK.TIDEWIRE.abc.1.42.7.1700000000000000000.3", &place));
    CHECK_INT(place.sequence, 42);
    CHECK_INT(place.number, 7);
    CHECK_INT(place.time, 1700000000000000000);
    CHECK_INT(place.pending, 3);
    CHECK(place.consumer_length == 3 && memcmp(place.consumer, "abc", 3) == 0);
    CHECK(stream_place_read("$JS.ACK._.hash.TIDEWIRE.abc.1.42.7.1700000000000000000.0.token", &place));
    CHECK_INT(place.sequence, 42);
    CHECK_INT(place.pending, 0);
    CHECK(place.consumer_length == 3 && memcmp(place.consumer, "abc", 3) == 0);
    static const char *const wrong[] = {
        "", "$JS.ACK.", "$JS.ACK.S.c.1.2.3.4", "$JS.ACK.S.c.1.2.3.4.5.6", "$JS.ACK.S.c.1.2.3.x.5", "$JS.ACK.S.c.1..3.4.5",
        "$JS.ACK.S.c.1.0.3.4.5", "$JS.ACK.S.c.1.2.0.4.5", "$JS.ACK.S.c.1.-2.3.4.5", "$JS.API.S.c.1.2.3.4.5",
        "$JS.ACK.S.c.1.99999999999999999999999.3.4.5"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(!stream_place_read(wrong[i], &place));
    CHECK(!stream_place_read(NULL, &place));
}

int main(void) {
    RUN(a_name_of_any_bytes_is_one_word);
    RUN(different_names_are_different_words);
    RUN(a_name_has_a_longest_length);
    RUN(an_origin_is_sixteen_digits_and_nothing_else);
    RUN(a_number_is_decimal_and_has_a_bound);
    RUN(a_place_in_a_stream_is_read_from_both_kinds_of_subject);
    return 0;
}
