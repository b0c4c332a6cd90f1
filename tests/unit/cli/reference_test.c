/* docs/reference/cli.md shows the help of every verb, and a spec replays what it shows. This holds the page to have
 * all of it: what the replay cannot miss, and what the help does not say. */
#include <stdlib.h>

#include "base/buffer.h"
#include "cli/cli.h"

#include "check.h"

static const char heading[] = "\n## tidewire ";
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

static void sections_are_the_verbs_in_their_order(void) {
    const char *at = page;
    for (size_t i = 0; verbs[i]; i++) {
        char expected[100];
        at = strstr(at, heading);
        snprintf(expected, sizeof expected, "%s%s\n", heading, verbs[i]->name);
        if (!at || strncmp(at, expected, strlen(expected))) fprintf(stderr, "no section here: %s\n", verbs[i]->name);
        CHECK(at && !strncmp(at, expected, strlen(expected)));
        at += strlen(heading);
    }
    CHECK(!strstr(at, heading));
}

/* From the verb's heading to the next one; the caller frees it. */
static char *section_of(const struct verb *verb) {
    char title[100];
    snprintf(title, sizeof title, "%s%s\n", heading, verb->name);
    const char *start = strstr(page, title);
    CHECK(start != NULL);
    const char *end = strstr(start + 1, "\n## ");
    return strndup(start, end ? (size_t)(end - start) : strlen(start));
}

static void check_aliases(const struct verb *verb, const char *section) {
    for (const struct flag *flag = verb->flags; flag->name; flag++) {
        char expected[100];
        snprintf(expected, sizeof expected, "`--%s` is `--%s`", flag->alias ? flag->alias : "", flag->name);
        if (flag->alias && !strstr(section, expected)) fprintf(stderr, "not told: %s\n", expected);
        CHECK(!flag->alias || strstr(section, expected));
    }
}

static void a_verb_with_flags_shows_its_help_and_tells_their_other_names(void) {
    for (size_t i = 0; verbs[i]; i++) {
        if (!verbs[i]->flags) continue;
        char *section = section_of(verbs[i]), command[100];
        snprintf(command, sizeof command, "\n$ tidewire %s -h\n", verbs[i]->name);
        if (!strstr(section, command)) fprintf(stderr, "not shown:%s", command);
        CHECK(strstr(section, command) != NULL);
        check_aliases(verbs[i], section);
        free(section);
    }
}

int main(void) {
    read_page();
    RUN(sections_are_the_verbs_in_their_order);
    RUN(a_verb_with_flags_shows_its_help_and_tells_their_other_names);
    free(page);
    return 0;
}
