#include "rpc/parameter.h"

#include "check.h"
#include "schema/json.h"

static struct schema *schema;
static const struct message_type *type;

static void load(void) {
    static const char *const paths[] = {"tests/proto", "proto", NULL}, *const files[] = {"library.proto", NULL};
    struct error error;
    schema = schema_load((char *const *)paths, (char *const *)files, &error);
    if (!schema) check_failed(__FILE__, __LINE__, error.text);
    type = schema_message(schema, "library.ListBooks");
}

static struct text text_of(const char *text) { return (struct text){text, strlen(text)}; }

/* What parameters make of the request, as JSON; or why not. */
static void makes(const char *const *parameters, const char *expected) {
    struct buffer bytes = {0}, said = {0};
    struct error error;
    bool is_fine = true;
    for (; is_fine && *parameters; parameters += 2) {
        struct parameter parameter;
        CHECK_INT(parameter_find(type, text_of(parameters[0]), &parameter), PARAMETER_OK);
        is_fine = parameter_bind(&bytes, &parameter, text_of(parameters[1]), &error);
    }
    if (!is_fine) buffer_append_text(&said, error.text);
    else CHECK(json_write(type, buffer_bytes(&bytes), buffer_length(&bytes), NULL, &said, &error));
    buffer_append_byte(&said, 0);
    CHECK_STR((const char *)buffer_bytes(&said), expected);
    buffer_free(&bytes);
    buffer_free(&said);
}
#define MAKES(expected, ...) makes((const char *const[]){__VA_ARGS__, NULL}, expected)

static void every_kind_of_field_has_a_text(void) {
    MAKES("{\"parent\":\"a b\"}", "parent", "a b");
    MAKES("{\"parent\":\"\\\"\\\\\"}", "parent", "\"\\");
    MAKES("{\"pageSize\":7}", "page_size", "7");
    MAKES("{\"pageSize\":7}", "pageSize", "7");
    MAKES("{\"years\":[\"1999\",\"-2\"]}", "years", "1999", "years", "-2");
    MAKES("{\"kinds\":[\"ATLAS\",\"NOVEL\",7]}", "kinds", "ATLAS", "kinds", "1", "kinds", "7");
    MAKES("{\"like\":{\"tags\":[\"x\",\"y\"],\"author\":{\"givenName\":\"A\",\"born\":1}}}", "like.tags", "x",
          "like.author.given_name", "A", "like.author.born", "1", "like.tags", "y");
    MAKES("{\"isLent\":true}", "is_lent", "true");
    MAKES("{\"isNew\":false}", "is_new", "false");
    MAKES("{\"mostPages\":\"9007199254740993\"}", "most_pages", "9007199254740993");
    MAKES("{\"like\":{\"printed\":\"2024-02-29T12:00:00Z\"}}", "like.printed", "2024-02-29T13:00:00+01:00");
    MAKES("{\"olderThan\":\"1.500s\"}", "older_than", "1.5s");
    MAKES("{\"mask\":\"title,author.givenName\"}", "mask", "title,author.givenName");
    MAKES("{\"weight\":\"-Infinity\"}", "weight", "-Infinity");
    MAKES("{\"weight\":0.25}", "weight", "2.5e-1");
    MAKES("{\"seal\":\"+/8=\"}", "seal", "-_8");
    MAKES("{\"byField\":\"\"}", "by_field", "");
    MAKES("{\"note\":\"\"}", "note", "");
}

static void the_later_counts(void) {
    MAKES("{}", "page_size", "7", "page_size", "0");
    MAKES("{\"byChance\":true}", "by_field", "x", "by_chance", "true");
}

static void what_is_no_value_is_told(void) {
    MAKES("page_size: expected a number (int32)", "page_size", "many");
    MAKES("page_size: expected a number (int32)", "page_size", "");
    MAKES("page_size: 1.5 is no whole number", "page_size", "1.5");
    MAKES("page_size: 2147483648 is out of range for int32", "page_size", "2147483648");
    MAKES("is_lent: expected true or false", "is_lent", "1");
    MAKES("kinds[0]: library.Kind has no value \"atlas\"", "kinds", "atlas");
    MAKES("seal: no base64", "seal", "?");
    MAKES("parent: no UTF-8", "parent", "\377");
}

static void what_is_no_field_is_known(void) {
    static const struct {
        const char *name;
        enum parameter_fault fault;
    } rows[] = {{"", PARAMETER_UNKNOWN},
                {"paren", PARAMETER_UNKNOWN},
                {".parent", PARAMETER_UNKNOWN},
                {"parent.x", PARAMETER_UNKNOWN},
                {"like.x", PARAMETER_UNKNOWN},
                {"like.printed.seconds", PARAMETER_UNKNOWN},
                {"like", PARAMETER_OF_MESSAGE},
                {"like.author", PARAMETER_OF_MESSAGE},
                {"labels", PARAMETER_OF_MESSAGE},
                {"labels.key", PARAMETER_UNKNOWN},
                {"like.author.born", PARAMETER_OK}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct parameter parameter;
        CHECK_INT(parameter_find(type, text_of(rows[i].name), &parameter), rows[i].fault);
    }
}

static bool clash(const char *one, const char *other) {
    struct parameter a, b;
    CHECK_INT(parameter_find(type, text_of(one), &a), PARAMETER_OK);
    CHECK_INT(parameter_find(type, text_of(other), &b), PARAMETER_OK);
    CHECK_INT(parameters_clash(&a, &b), parameters_clash(&b, &a));
    return parameters_clash(&a, &b);
}

static void fields_that_cannot_both_be_set_clash(void) {
    CHECK(clash("page_size", "pageSize"));
    CHECK(clash("like.author.born", "like.author.born"));
    CHECK(clash("by_field", "by_chance"));
    CHECK(!clash("years", "years"));
    CHECK(!clash("like.title", "like.name"));
    CHECK(!clash("parent", "page_size"));
}

static void a_query_is_names_and_values(void) {
    struct text query = text_of("a=1&&b&c=%20+=&=x&d="), name, value;
    static const char *const expected[] = {"a", "1", "b", "", "c", "%20+=", "d", ""};
    for (size_t i = 0; i < 8; i += 2) {
        CHECK(parameter_next(&query, &name, &value));
        CHECK(text_is(name, expected[i]) && text_is(value, expected[i + 1]));
    }
    CHECK(!parameter_next(&query, &name, &value));
    struct buffer out = {0};
    CHECK(parameter_decode(&out, text_of("%20+%2b")));
    CHECK_MEM(buffer_bytes(&out), buffer_length(&out), "  +", 3);
    CHECK(!parameter_decode(&out, text_of("%2")) && !parameter_decode(&out, text_of("%")) &&
          !parameter_decode(&out, text_of("%2x")));
    buffer_free(&out);
}

int main(void) {
    load();
    RUN(every_kind_of_field_has_a_text);
    RUN(the_later_counts);
    RUN(what_is_no_value_is_told);
    RUN(what_is_no_field_is_known);
    RUN(fields_that_cannot_both_be_set_clash);
    RUN(a_query_is_names_and_values);
    schema_unref(&schema);
    return 0;
}
