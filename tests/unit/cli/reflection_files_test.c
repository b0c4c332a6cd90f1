#include "cli/reflection_files.h"

#include "base/buffer.h"
#include "schema/schema.h"
#include "schema/wire.h"

#include "check.h"

static struct reflection_files files;
static struct error error;

/* A proto3 file that only imports. */
static bool add(const char *name, const char *const *imports) {
    struct buffer file = {0};
    wire_write_tag(&file, 1, WIRE_BYTES);
    wire_write_bytes(&file, name, strlen(name));
    for (; imports && *imports; imports++) {
        wire_write_tag(&file, 3, WIRE_BYTES);
        wire_write_bytes(&file, *imports, strlen(*imports));
    }
    wire_write_tag(&file, 12, WIRE_BYTES);
    wire_write_bytes(&file, "proto3", 6);
    bool is_added = reflection_files_add(&files, buffer_bytes(&file), buffer_length(&file), &error);
    buffer_free(&file);
    return is_added;
}

static struct schema *schema_of_files(void) {
    struct buffer set = {0};
    reflection_files_write(&files, &set);
    struct schema *schema = schema_parse(buffer_bytes(&set), buffer_length(&set), "test", &error);
    buffer_free(&set);
    return schema;
}

static void what_is_missing_is_named_until_it_comes(void) {
    CHECK(add("a", (const char *const[]){"b", "c", NULL}));
    CHECK_STR(reflection_files_missing(&files), "b");
    CHECK(add("b", (const char *const[]){"c", NULL}));
    CHECK_STR(reflection_files_missing(&files), "c");
    CHECK(add("c", NULL));
    CHECK(!reflection_files_missing(&files));
    CHECK(reflection_files_has(&files, "c") && !reflection_files_has(&files, "d"));
    CHECK(add("a", (const char *const[]){"d", NULL})); /* the first of a name counts */
    CHECK(!reflection_files_missing(&files));
    CHECK_INT(files.count, 3);
    for (int i = 0; i < 2; i++) { /* it can be written again */
        struct schema *schema = schema_of_files();
        CHECK(schema && schema_file_by_name(schema, "a")->imports[1]);
        schema_unref(&schema);
    }
    reflection_files_free(&files);
}

static void a_circle_of_imports_ends_and_is_no_schema(void) {
    CHECK(add("a", (const char *const[]){"b", NULL}) && add("b", (const char *const[]){"a", NULL}));
    CHECK(!reflection_files_missing(&files));
    CHECK(!schema_of_files());
    reflection_files_free(&files);
}

static void what_is_no_file_is_refused(void) {
    CHECK(!reflection_files_add(&files, (const uint8_t *)"\x0a\x05xy", 4, &error));
    CHECK(!reflection_files_add(&files, (const uint8_t *)"\x1a\x01x", 3, &error)); /* without a name */
    CHECK(!reflection_files_add(&files, (const uint8_t *)"", 0, &error));
    CHECK_STR(error.text, "the server's reflection has sent what is no file descriptor");
    CHECK_INT(files.count, 0);
    reflection_files_free(&files);
}

static void there_is_an_end_to_how_many_come(void) {
    char name[20];
    int count = 0;
    do snprintf(name, sizeof name, "%d", count++);
    while (count < 100000 && add(name, NULL));
    CHECK_INT(count, 4097);
    CHECK_STR(error.text, "the server's reflection sends too many files");
    reflection_files_free(&files);
}

int main(void) {
    RUN(what_is_missing_is_named_until_it_comes);
    RUN(a_circle_of_imports_ends_and_is_no_schema);
    RUN(what_is_no_file_is_refused);
    RUN(there_is_an_end_to_how_many_come);
    return 0;
}
