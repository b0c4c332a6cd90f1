/* Tests admin/exposition.c. */
#include "admin/exposition.h"

#include "check.h"

static struct buffer out;

static void expect(const char *text) {
    CHECK_MEM(buffer_bytes(&out), buffer_length(&out), text, strlen(text));
    buffer_free(&out);
}

static void expect_value(const char *value, const char *written) {
    char text[256];
    exposition_sample(&out, "a", &(struct label){"b", value}, 1, 1, false);
    snprintf(text, sizeof text, "a{b=\"%s\"} 1\n", written);
    expect(text);
}

static void a_family_has_its_help_and_its_type(void) {
    exposition_family(&out, "a_total", METRIC_COUNTER, "What it is.");
    expect("# HELP a_total What it is.\n# TYPE a_total counter\n");
    exposition_family(&out, "a", METRIC_GAUGE, "x");
    expect("# HELP a x\n# TYPE a gauge\n");
}

static void help_is_one_line_whatever_it_says(void) {
    exposition_family(&out, "a", METRIC_GAUGE, "one\ntwo \\ \"three\"");
    expect("# HELP a one\\ntwo \\\\ \"three\"\n# TYPE a gauge\n");
}

static void samples_have_labels_or_none(void) {
    const struct label labels[] = {{"first", "1"}, {"second", ""}};
    exposition_sample(&out, "a", NULL, 0, 0, false);
    expect("a 0\n");
    exposition_sample(&out, "a", labels, 2, UINT64_MAX, false);
    expect("a{first=\"1\",second=\"\"} 18446744073709551615\n");
}

static void values_of_labels_are_escaped(void) {
    expect_value("unix:/run/a b.sock", "unix:/run/a b.sock");
    expect_value("a\"b", "a\\\"b");
    expect_value("a\\b", "a\\\\b");
    expect_value("a\nb", "a\\nb");
    expect_value("\"} 5\na 6\n#", "\\\"} 5\\na 6\\n#"); /* nobody writes samples of their own */
}

static void what_is_no_utf_8_becomes_a_question_mark(void) {
    expect_value("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    expect_value("\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80");
    expect_value("\xff", "?");
    expect_value("a\xc3", "a?");             /* cut */
    expect_value("\xc3\x28", "?(");          /* no continuation */
    expect_value("\xc0\xaf", "??");          /* longer than it has to be */
    expect_value("\xed\xa0\x80", "???");     /* a surrogate */
    expect_value("\xf4\x90\x80\x80", "????"); /* beyond Unicode */
    expect_value("\xe2\x82", "??");
}

static void times_are_written_as_seconds(void) {
    exposition_sample(&out, "a", NULL, 0, UINT64_C(1795288169000000042), true);
    expect("a 1795288169.000000042\n");
    exposition_sample(&out, "a", NULL, 0, 5000000, true);
    expect("a 0.005000000\n");
}

int main(void) {
    RUN(a_family_has_its_help_and_its_type);
    RUN(help_is_one_line_whatever_it_says);
    RUN(samples_have_labels_or_none);
    RUN(values_of_labels_are_escaped);
    RUN(what_is_no_utf_8_becomes_a_question_mark);
    RUN(times_are_written_as_seconds);
    return 0;
}
