#include "rpc/timeout.h"

#include "base/clock.h"
#include "check.h"

static void reads_every_unit(void) {
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"1n", 1},
                {"20u", 20000},
                {"300m", 300 * NS_PER_MS},
                {"99999999S", 99999999 * NS_PER_S},
                {"2M", 120 * NS_PER_S},
                {"1H", 3600 * NS_PER_S},
                {"0n", 0},
                {"00000001m", NS_PER_MS},
                {"99999999H", TIMEOUT_MOST}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ns = 7;
        CHECK(timeout_parse(good[i].text, strlen(good[i].text), &ns));
        CHECK(ns == good[i].ns);
    }
}

static void refuses_everything_else(void) {
    static const char *const bad[] = {"",    "1",    "S",          "1s",  "1 S", "-1S",
                                      "+1S", "1.5S", "123456789S", "1SS", "S1",  "1x"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!timeout_parse(bad[i], strlen(bad[i]), &ns));
}

static void writes_the_smallest_unit_and_rounds_up(void) {
    static const struct {
        uint64_t ns;
        const char *text;
    } all[] = {{1, "1n"},
               {99999999, "99999999n"},
               {100000001, "100001u"},
               {1500 * NS_PER_MS, "1500000u"},
               {100 * NS_PER_S, "100000m"},
               {UINT64_MAX, "5124096H"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[TIMEOUT_TEXT];
        CHECK_INT(timeout_format(text, all[i].ns), strlen(all[i].text));
        CHECK_STR(text, all[i].text);
    }
}

int main(void) {
    RUN(reads_every_unit);
    RUN(refuses_everything_else);
    RUN(writes_the_smallest_unit_and_rounds_up);
    return 0;
}
