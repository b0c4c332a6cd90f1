/* Tests the table of gateway/metrics.c, and that docs/reference/metrics.md says what it says. */
#include "gateway/metrics.h"

#include "check.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"

static bool is_first(size_t row) { return row == 0 || strcmp(metrics[row].name, metrics[row - 1].name) != 0; }

static bool is_name(const char *name) {
    return strchr(LOWER, *name) && strspn(name, LOWER "0123456789_") == strlen(name);
}

static bool ends_with(const char *text, const char *end) {
    return strlen(text) > strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void names_are_as_prometheus_wants_them(void) {
    for (size_t i = 0; i < metric_count; i++) {
        CHECK(is_name(metrics[i].name));
        CHECK_INT(ends_with(metrics[i].name, "_total"), metrics[i].type == METRIC_COUNTER);
        CHECK(strstr(metrics[i].name, "seconds") ? metrics[i].is_time : !metrics[i].is_time);
        for (const char *const *label = metrics[i].source->labels; *label; label++) CHECK(is_name(*label));
        CHECK(!metrics[i].label || is_name(metrics[i].label));
    }
}

/* Or the format would not be one. */
static void rows_of_a_name_stand_together_and_agree(void) {
    for (size_t i = 0; i < metric_count; i++) {
        if (is_first(i)) {
            CHECK(metrics[i].help && !strchr(metrics[i].help, '\n') && !strchr(metrics[i].help, '|'));
            for (size_t k = 0; k < i; k++) CHECK(strcmp(metrics[k].name, metrics[i].name) != 0);
            continue;
        }
        CHECK(!metrics[i].help);
        CHECK_INT(metrics[i].type, metrics[i - 1].type);
        CHECK(metrics[i].source == metrics[i - 1].source);
        CHECK(metrics[i].label && metrics[i - 1].label);
        CHECK_STR(metrics[i].label, metrics[i - 1].label);
        for (size_t k = i; k-- > 0 && strcmp(metrics[k].name, metrics[i].name) == 0;)
            CHECK(strcmp(metrics[k].value, metrics[i].value) != 0);
    }
}

/* ---- the page ---- */

static void write_labels(struct buffer *out, const struct metric *metric) {
    size_t count = 0;
    for (; metric->source->labels[count]; count++)
        buffer_format(out, "%s`%s`", count ? ", " : "", metric->source->labels[count]);
    if (metric->label) buffer_format(out, "%s`%s`", count ? ", " : "", metric->label);
}

/* The values of a label that is always the same are words to look for. */
static void write_line(struct buffer *out, size_t row) {
    const struct metric *metric = &metrics[row];
    buffer_format(out, "| `%s` | %s | ", metric->name, metric_type_names[metric->type]);
    write_labels(out, metric);
    buffer_format(out, " | %s |\n", metric->help);
}

static char *read_page(void) {
    static char text[64 * 1024];
    FILE *file = fopen("docs/reference/metrics.md", "r");
    CHECK(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void the_page_has_a_line_for_each_metric(void) {
    const char *page = read_page();
    int missing = 0;
    for (size_t i = 0; i < metric_count; i++) {
        struct buffer line = {0};
        if (!is_first(i)) continue;
        write_line(&line, i);
        buffer_append_byte(&line, 0);
        if (!strstr(page, (const char *)buffer_bytes(&line))) {
            fprintf(stderr, "docs/reference/metrics.md lacks:\n%s", (const char *)buffer_bytes(&line));
            missing++;
        }
        buffer_free(&line);
    }
    CHECK_INT(missing, 0);
}

static bool is_metric(const char *name, size_t length) {
    for (size_t i = 0; i < metric_count; i++)
        if (strlen(metrics[i].name) == length && memcmp(metrics[i].name, name, length) == 0) return true;
    return false;
}

static void the_page_has_no_line_for_anything_else(void) {
    size_t lines = 0, names = 0;
    for (size_t i = 0; i < metric_count; i++) names += is_first(i);
    for (const char *at = read_page(); (at = strstr(at, "\n| `"));) {
        const char *name = at += 4;
        CHECK(strchr(name, '`'));
        size_t length = (size_t)(strchr(name, '`') - name);
        if (strncmp(name + length, "` | counter |", 13) != 0 && strncmp(name + length, "` | gauge |", 11) != 0) continue;
        if (!is_metric(name, length)) fprintf(stderr, "not a metric: %.*s\n", (int)length, name);
        CHECK(is_metric(name, length));
        lines++;
    }
    CHECK_INT(lines, names);
}

int main(void) {
    RUN(names_are_as_prometheus_wants_them);
    RUN(rows_of_a_name_stand_together_and_agree);
    RUN(the_page_has_a_line_for_each_metric);
    RUN(the_page_has_no_line_for_anything_else);
    return 0;
}
