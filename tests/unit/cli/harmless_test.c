#include "cli/harmless.h"

#include "check.h"

static const char *harmless(const char *text, size_t length) {
    static char out[256];
    struct buffer buffer = {0};
    harmless_append(&buffer, text, length);
    snprintf(out, sizeof out, "%.*s", (int)buffer_length(&buffer), (const char *)buffer_bytes(&buffer));
    buffer_free(&buffer);
    return out;
}
#define HARMLESS(text) harmless(text, sizeof text - 1)

static void text_stays_as_it_is(void) {
    CHECK_STR(HARMLESS("plain ~ text"), "plain ~ text");
    CHECK_STR(HARMLESS("zwölf € 😀 \xc2\xa0"), "zwölf € 😀 \xc2\xa0");
}

static void commands_to_a_terminal_are_shown(void) {
    CHECK_STR(HARMLESS("\x1b[31m"), "\\x1b[31m");
    CHECK_STR(HARMLESS("a\0b\r\n\x7f"), "a\\x00b\\x0d\\x0a\\x7f");
    CHECK_STR(HARMLESS("\xc2\x9b"
                       "31m"),
              "\\xc2\\x9b31m");
    CHECK_STR(HARMLESS("\xc2\x80\xc2\x9f\xc2\xa0"), "\\xc2\\x80\\xc2\\x9f\xc2\xa0");
}

static void bytes_that_are_no_text_are_shown(void) {
    CHECK_STR(HARMLESS("\x9b"), "\\x9b");
    CHECK_STR(HARMLESS("\xff z\xfe"), "\\xff z\\xfe");
    CHECK_STR(HARMLESS("\xc2"), "\\xc2"); /* cut off */
    CHECK_STR(HARMLESS("\xe2\x82"), "\\xe2\\x82");
    CHECK_STR(HARMLESS("\xf0\x9f\x98z"), "\\xf0\\x9f\\x98z");
    CHECK_STR(HARMLESS("\xe0\x82\x9b"), "\\xe0\\x82\\x9b"); /* longer than it must be */
}

int main(void) {
    RUN(text_stays_as_it_is);
    RUN(commands_to_a_terminal_are_shown);
    RUN(bytes_that_are_no_text_are_shown);
    return 0;
}
