/* docs/reference/cli.md is written by hand: this holds it to what the program has. */
#include <stdlib.h>

#include "base/buffer.h"
#include "cli/cli.h"

#include "check.h"

static char *page;

static void read_page(void) {
    FILE *file = fopen("docs/reference/cli.md", "r");
    CHECK(file != NULL);
    struct buffer text = {0};
    size_t length;
    while ((length = fread(buffer_reserve(&text, 4096), 1, 4096, file))) buffer_commit(&text, length);
    buffer_append_byte(&text, 0);
    fclose(file);
    page = (char *)buffer_bytes(&text);
}

/* From the verb's heading to the next one; the caller frees it. */
static char *section_of(const struct verb *verb) {
    char heading[100];
    snprintf(heading, sizeof heading, "\n## `tidewire %s`\n", verb->name);
    const char *start = strstr(page, heading);
    if (!start) fprintf(stderr, "no section: %s\n", verb->name);
    CHECK(start != NULL);
    start += strlen(heading);
    const char *end = strstr(start, "\n## ");
    return strndup(start, end ? (size_t)(end - start) : strlen(start));
}

/* "| `-d`, `--data JSON` |" */
static void check_row(const char *row, const struct flag *flag) {
    char expected[100], letter[10] = "";
    if (flag->letter) snprintf(letter, sizeof letter, "`-%c`, ", flag->letter);
    snprintf(expected, sizeof expected, "| %s`--%s%s%s` | ", letter, flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    if (strncmp(row, expected, strlen(expected)))
        fprintf(stderr, "expected a row %s\nfound %.60s\n", expected, row);
    CHECK(!strncmp(row, expected, strlen(expected)));
}

static void every_verb_has_a_section_with_its_flags_in_their_order(void) {
    static const struct flag none;
    for (size_t i = 0; verbs[i]; i++) {
        char *section = section_of(verbs[i]);
        const struct flag *flag = verbs[i]->flags ? verbs[i]->flags : &none;
        for (const char *row = section; (row = strstr(row, "\n| `-")); row++) {
            if (!flag->name) fprintf(stderr, "%s has no flag: %.60s\n", verbs[i]->name, row + 1);
            CHECK(flag->name != NULL);
            check_row(row + 1, flag++);
        }
        if (flag->name) fprintf(stderr, "%s: --%s is missing\n", verbs[i]->name, flag->name);
        CHECK(flag->name == NULL);
        free(section);
    }
}

static void the_list_of_verbs_is_that_of_the_program(void) {
    const char *at = page;
    for (size_t i = 0; verbs[i]; i++) {
        char row[200];
        snprintf(row, sizeof row, "\n| [`%s`](#tidewire-%s) | %s |\n", verbs[i]->name, verbs[i]->name,
                 verbs[i]->summary);
        at = strstr(at, row);
        if (!at) fprintf(stderr, "no row:%s", row);
        CHECK(at != NULL);
    }
    CHECK(!strstr(at + 1, "\n| [`"));
}

int main(void) {
    read_page();
    RUN(every_verb_has_a_section_with_its_flags_in_their_order);
    RUN(the_list_of_verbs_is_that_of_the_program);
    free(page);
    return 0;
}
