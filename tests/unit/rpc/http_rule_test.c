#include "rpc/http_rule.h"

#include "check.h"
#include "schema/schema.h"

static struct schema *schema;

static void load(void) {
    static const char *const paths[] = {"tests/proto", "proto", NULL}, *const files[] = {"library.proto", NULL};
    struct error error;
    schema = schema_load((char *const *)paths, (char *const *)files, &error);
    if (!schema) check_failed(__FILE__, __LINE__, error.text);
}

static size_t rules_of(const char *method, struct http_rule *rules) {
    struct error error;
    const struct service *service = schema_service(schema, "library.Library", 15);
    const struct method *found = service_method(service, method, strlen(method));
    CHECK(found && found->http_rule);
    return http_rules_read(found->http_rule, found->http_rule_length, rules, &error);
}

static void is(const struct http_rule *rule, const char *verb, const char *path, const char *body, const char *answer) {
    CHECK_MEM(rule->verb.data, rule->verb.length, verb, strlen(verb));
    CHECK_MEM(rule->path.data, rule->path.length, path, strlen(path));
    CHECK_MEM(rule->body.data, rule->body.length, body, strlen(body));
    CHECK_MEM(rule->response_body.data, rule->response_body.length, answer, strlen(answer));
}

static void an_option_is_read_from_descriptors(void) {
    struct http_rule rules[HTTP_RULES_MOST];
    CHECK_INT(rules_of("Get", rules), 2);
    is(&rules[0], "GET", "/v1/{name=shelves/*/books/*}", "", "");
    is(&rules[1], "GET", "/v1/books/{name}", "", "");
    CHECK_INT(rules_of("ListOnly", rules), 1);
    is(&rules[0], "GET", "/v1/{parent=shelves/*}:list", "", "books");
    CHECK_INT(rules_of("Create", rules), 1);
    is(&rules[0], "POST", "/v1/{parent=shelves/*}/books", "book", "");
    CHECK_INT(rules_of("Change", rules), 2);
    is(&rules[0], "PATCH", "/v1/{book.name=shelves/*/books/*}", "*", "");
    is(&rules[1], "MERGE", "/v1/{book.name=shelves/*/books/*}", "*", "");
    const struct service *service = schema_service(schema, "library.Library", 15);
    CHECK(!service_method(service, "Plain", 5)->http_rule);
}

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static void each_verb_has_its_number(void) {
    static const struct {
        const char *bytes, *verb;
    } rows[] = {{"\22\2/a", "GET"}, {"\32\2/a", "PUT"}, {"\42\2/a", "POST"}, {"\52\2/a", "DELETE"}, {"\62\2/a", "PATCH"},
                {"\102\11\n\3FOO\22\2/a", "FOO"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_rule rules[HTTP_RULES_MOST];
        struct error error;
        CHECK_INT(http_rules_read((const uint8_t *)rows[i].bytes, strlen(rows[i].bytes), rules, &error), 1);
        is(&rules[0], rows[i].verb, "/a", "", "");
    }
}

static void what_is_no_rule_is_refused(void) {
    struct http_rule rules[HTTP_RULES_MOST];
    struct error error;
    CHECK_INT(http_rules_read(BYTES("\22\3/a"), rules, &error), 0);
    CHECK_STR(error.text, "not a google.api.HttpRule");
    CHECK_INT(http_rules_read(BYTES("\102\2\n\5"), rules, &error), 0);
    CHECK_STR(error.text, "not a google.api.HttpRule");
    CHECK_INT(http_rules_read(BYTES("\72\1*"), rules, &error), 0);
    CHECK_STR(error.text, "a rule has no path");
    CHECK_INT(http_rules_read(BYTES("\102\4\22\2/a"), rules, &error), 0);
    CHECK_STR(error.text, "a rule has no path");
    CHECK_INT(http_rules_read(BYTES("\22\2/a\132\12\22\2/b\132\4\22\2/c"), rules, &error), 0);
    CHECK_STR(error.text, "additional_bindings within additional_bindings");
    char many[4 + 6 * HTTP_RULES_MOST] = "\22\2/a";
    for (size_t i = 4; i < sizeof many; i += 6) memcpy(many + i, "\132\4\22\2/b", 6);
    CHECK_INT(http_rules_read((const uint8_t *)many, sizeof many - 6, rules, &error), HTTP_RULES_MOST);
    CHECK_INT(http_rules_read((const uint8_t *)many, sizeof many, rules, &error), 0);
    CHECK_STR(error.text, "too many additional_bindings");
}

int main(void) {
    load();
    RUN(an_option_is_read_from_descriptors);
    RUN(each_verb_has_its_number);
    RUN(what_is_no_rule_is_refused);
    schema_unref(&schema);
    return 0;
}
