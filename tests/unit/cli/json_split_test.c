#include "cli/json_split.h"

#include <stdlib.h>

#include "check.h"

/* The values of a text that arrives `step` bytes at a time, each in brackets; what is left over in braces. */
static const char *split_by(const char *text, size_t step) {
    static char out[1024];
    struct json_split split = {0};
    size_t length = strlen(text), start = 0, given = 0, used = 0;
    out[0] = '\0';
    while (start < length) {
        start += json_split_blanks(text + start, given > start ? given - start : 0);
        size_t end = given > start ? json_split_value(&split, text + start, given - start) : 0;
        if (end) {
            used += (size_t)snprintf(out + used, sizeof out - used, "<%.*s>", (int)end, text + start);
            start += end;
        } else if (given == length) {
            if (start < length) snprintf(out + used, sizeof out - used, "{{%s}}", text + start);
            break;
        } else {
            given = given + step < length ? given + step : length;
        }
    }
    return out;
}

static void check_split(const char *text, const char *expected) {
    for (size_t step = 1; step <= strlen(text) + 1; step++) CHECK_STR(split_by(text, step), expected);
}

static void values_end_where_their_brackets_do_however_they_arrive(void) {
    check_split("{}", "<{}>");
    check_split("{\"a\":{\"b\":[1,{}]}}{\"c\":1}", "<{\"a\":{\"b\":[1,{}]}}><{\"c\":1}>");
    check_split(" \n{\"a\":1}\r\n\t[2]\n", "<{\"a\":1}><[2]>");
    check_split("{\n  \"a\":\n1}\n", "<{\n  \"a\":\n1}>");
}

static void brackets_in_strings_do_not_count(void) {
    check_split("{\"a\":\"}{][\"}{\"b\":\"\\\"}\"}", "<{\"a\":\"}{][\"}><{\"b\":\"\\\"}\"}>");
    check_split("{\"\\\\\":1}{}", "<{\"\\\\\":1}><{}>");
    check_split("\"a {\" \"b\"", "<\"a {\"><\"b\">");
}

static void words_end_at_a_blank(void) {
    check_split("12 true\nnull ", "<12><true><null>");
    check_split("name=ann\n{}", "<name=ann><{}>");
}

static void a_value_that_has_not_ended_is_left(void) {
    check_split("{} {\"a\":[1", "<{}>{{{\"a\":[1}}");
    check_split("{\"a", "{{{\"a}}");
    check_split("42", "{{42}}");
}

static void what_is_no_json_ends_somewhere(void) {
    check_split("}{}", "<}><{}>");
    check_split("{\"a\":\"b}\n{\"c\":1}", "<{\"a\":\"b}\n><{\"c\":1}>");
}

int main(void) {
    RUN(values_end_where_their_brackets_do_however_they_arrive);
    RUN(brackets_in_strings_do_not_count);
    RUN(words_end_at_a_blank);
    RUN(a_value_that_has_not_ended_is_left);
    RUN(what_is_no_json_ends_somewhere);
    return 0;
}
