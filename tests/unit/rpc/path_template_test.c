#include "rpc/path_template.h"

#include "check.h"

static struct path_template *parse(const char *text) {
    struct error error;
    struct path_template *path = path_template_parse(text, &error);
    if (!path) check_failed(__FILE__, __LINE__, error.text);
    return path;
}

/* "name=value" for each variable, joined by blanks; "no" where the path does not fit. */
static void matches(const char *template, const char *path, const char *expected) {
    struct path_template *parsed = parse(template);
    struct path_match match;
    struct buffer said = {0};
    if (path_template_match(parsed, (struct text){path, strlen(path)}, &match)) {
        for (size_t i = 0; i < parsed->variable_count; i++) {
            if (i) buffer_append_byte(&said, ' ');
            buffer_append(&said, parsed->variables[i].name.data, parsed->variables[i].name.length);
            buffer_append_byte(&said, '=');
            if (!path_value_decode(parsed, i, match.values[i], &said)) buffer_append_text(&said, "(malformed)");
        }
    } else {
        buffer_append_text(&said, "no");
    }
    buffer_append_byte(&said, 0);
    if (strcmp((const char *)buffer_bytes(&said), expected)) fprintf(stderr, "%s of %s:\n", path, template);
    CHECK_STR((const char *)buffer_bytes(&said), expected);
    buffer_free(&said);
    path_template_free(&parsed);
}

static void literals_are_the_path_itself(void) {
    matches("/", "/", "");
    matches("/", "/a", "no");
    matches("/", "", "no");
    matches("/logs/monitor", "/logs/monitor", "");
    matches("/logs/monitor", "/logs", "no");
    matches("/logs/monitor", "/logs/monitor/", "no");
    matches("/logs/monitor", "/logs//monitor", "no");
    matches("/logs/monitor", "/Logs/monitor", "no");
    matches("/logs", "/l%6Fgs", "");
    matches("/logs", "/l%6fgs%2", "no");
    matches("/logs", "logs", "no");
}

static void variables_stand_for_parts(void) {
    matches("/rooms/{room}", "/rooms/lobby", "room=lobby");
    matches("/rooms/{room}", "/rooms/", "no");
    matches("/rooms/{room}", "/rooms", "no");
    matches("/rooms/{room}", "/rooms/a/b", "no");
    matches("/rooms/{room}/{id}", "/rooms/a%20b/%2F+", "room=a b id=/+");
    matches("/rooms/{room}", "/rooms/%zz", "room=(malformed)");
    matches("/rooms/{room}", "/rooms/a%", "room=a(malformed)");
    matches("/v1/*/{id}", "/v1/any/7", "id=7");
    matches("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/books/2", "name=shelves/1/books/2");
    matches("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/papers/2", "no");
    matches("/v1/{book.name=shelves/*}/{id}", "/v1/shelves/a%2Fb/c", "book.name=shelves/a%2Fb id=c");
    matches("/files/{path=**}", "/files/a/b%2Fc%20d", "path=a/b%2Fc d");
    matches("/files/{path=**}", "/files/", "path=");
    matches("/files/{path=**}", "/files", "path=");
    matches("/files/{path=a/**}", "/files/a/b", "path=a/b");
}

static void a_verb_stands_at_the_end(void) {
    matches("/v1/{id}:cancel", "/v1/7:cancel", "id=7");
    matches("/v1/{id}:cancel", "/v1/7", "no");
    matches("/v1/{id}:cancel", "/v1/:cancel", "no");
    matches("/v1/{id}", "/v1/7:cancel", "id=7:cancel");
}

static void what_is_no_template_is_refused(void) {
    static const struct {
        const char *text, *fault;
    } rows[] = {{"", "a path begins with \"/\""},
                {"logs", "a path begins with \"/\""},
                {"/a//b", "a segment is empty"},
                {"/a/", "a segment is empty"},
                {"/a*", "\"*\" is a segment by itself"},
                {"/***", "\"*\" is a segment by itself"},
                {"/{", "a variable has the name of a field"},
                {"/{}", "a variable has the name of a field"},
                {"/{1a}", "a variable has the name of a field"},
                {"/{a.}", "a variable has the name of a field"},
                {"/{a", "a variable is not closed by \"}\""},
                {"/{a=}", "a segment is empty"},
                {"/{a=b/{c}}", "a variable within another"},
                {"/{a}/{a}", "a variable stands twice"},
                {"/{a}b", "a brace or \"=\" stands where none can be"},
                {"/a}", "a brace or \"=\" stands where none can be"},
                {"/a=b", "a brace or \"=\" stands where none can be"},
                {"/**/a", "something stands behind \"**\""},
                {"/{a=**}/b", "something stands behind \"**\""},
                {"/a:", "a verb is a word at the end"},
                {"/a:b/c", "a verb is a word at the end"},
                {"/a?b", "a path has no \"?\", \"#\" or blank"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error error;
        char expected[128];
        CHECK(!path_template_parse(rows[i].text, &error));
        snprintf(expected, sizeof expected, "\"%s\": %s", rows[i].text, rows[i].fault);
        CHECK_STR(error.text, expected);
    }
}

static void templates_are_bounded(void) {
    char text[1024] = "";
    struct error error;
    for (int i = 0; i < PATH_SEGMENTS_MOST + 1; i++) strcat(text, "/a");
    CHECK(!path_template_parse(text, &error));
    text[2 * PATH_SEGMENTS_MOST] = 0;
    struct path_template *path = path_template_parse(text, &error);
    CHECK(path);
    path_template_free(&path);
    *text = 0;
    for (int i = 0; i < PATH_VARIABLES_MOST + 1; i++) sprintf(text + strlen(text), "/{v%d}", i);
    CHECK(!path_template_parse(text, &error));
}

static void the_more_specific_goes_first(void) {
    static const char *const order[] = {"/a/b/c", "/a/b:go", "/a/b", "/a/{x}/c", "/a/{x}", "/a/{x=**}", "/{x}/b", "/{x=**}"};
    enum { COUNT = sizeof order / sizeof *order };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            struct path_template *a = parse(order[i]), *b = parse(order[j]);
            int sign = path_template_compare(a, b);
            CHECK(i < j ? sign < 0 : i > j ? sign > 0 : sign == 0);
            path_template_free(&a);
            path_template_free(&b);
        }
    }
    struct path_template *a = parse("/a/{x}"), *b = parse("/a/{y=*}");
    CHECK(path_template_compare(a, b) == 0);
    path_template_free(&a);
    path_template_free(&b);
}

int main(void) {
    RUN(literals_are_the_path_itself);
    RUN(variables_stand_for_parts);
    RUN(a_verb_stands_at_the_end);
    RUN(what_is_no_template_is_refused);
    RUN(templates_are_bounded);
    RUN(the_more_specific_goes_first);
    return 0;
}
