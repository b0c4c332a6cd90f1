#include "fanout/fields.h"

#include "check.h"
#include "schema/wire.h"

static struct schema *schema;
static const struct message_type *type;

static const struct field *named(const char *name) {
    const struct field *field = message_field(type, name, strlen(name));
    CHECK(field);
    return field;
}

static bool reads(const char *name, const void *bytes, size_t length, struct field_value *value) {
    struct fields fields;
    fields_init(&fields, bytes, length);
    return field_read(type, named(name), &fields, value);
}

static void put_int(struct buffer *out, uint32_t number, uint64_t value) {
    wire_write_tag(out, number, WIRE_VARINT);
    wire_write_varint(out, value);
}
static void put_text(struct buffer *out, uint32_t number, const char *text) {
    wire_write_tag(out, number, WIRE_BYTES);
    wire_write_bytes(out, text, strlen(text));
}

static void the_last_value_on_the_wire_is_read(void) {
    struct buffer bytes = {0};
    struct field_value value;
    put_text(&bytes, 1, "ann");
    put_int(&bytes, 3, (uint64_t)-5);
    put_text(&bytes, 1, "bob");
    put_int(&bytes, 5, wire_zigzag(-7));
    put_int(&bytes, 6, 2);
    CHECK(reads("name", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK_MEM(value.data, value.length, "bob", 3);
    CHECK(reads("small", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK_INT((int64_t)value.bits, -5);
    CHECK(reads("zig", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK_INT((int64_t)value.bits, -7);
    CHECK(reads("flag", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK_INT(value.bits, 1);
    buffer_free(&bytes);
}

static void what_is_absent_reads_as_its_default_or_is_unset(void) {
    struct field_value value;
    CHECK(reads("small", "", 0, &value) && value.bits == 0);
    CHECK(reads("name", "", 0, &value) && value.length == 0);
    CHECK(!reads("maybe", "", 0, &value));
    CHECK(!reads("left", "", 0, &value));
}

static void a_wire_type_that_does_not_fit_is_no_value(void) {
    struct buffer bytes = {0};
    struct field_value value;
    put_int(&bytes, 3, 5);
    put_text(&bytes, 3, "five");
    CHECK(reads("small", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK_INT(value.bits, 5);
    buffer_free(&bytes);
}

static void of_a_oneof_the_last_member_is_set(void) {
    struct buffer bytes = {0};
    struct field_value value;
    put_text(&bytes, 12, "x");
    put_int(&bytes, 13, 9);
    CHECK(!reads("left", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK(reads("right", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    put_text(&bytes, 12, "y");
    CHECK(reads("left", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK(!reads("right", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    buffer_free(&bytes);
}

static void a_message_of_many_unknown_fields_is_read_too(void) {
    struct buffer bytes = {0};
    struct field_value value;
    for (uint32_t number = 100; number < 100 + 2 * FIELDS_NOTED; number++) put_int(&bytes, number, number);
    put_int(&bytes, 3, 1);
    put_int(&bytes, 3, 2);
    CHECK(reads("small", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    CHECK_INT(value.bits, 2);
    CHECK(!reads("maybe", buffer_bytes(&bytes), buffer_length(&bytes), &value));
    buffer_free(&bytes);
}

/* Every cut of a message, each in memory of its own size. */
static void broken_bytes_are_read_as_far_as_they_go(void) {
    struct buffer bytes = {0};
    struct field_value value;
    put_int(&bytes, 3, 300);
    put_text(&bytes, 1, "a name");
    wire_write_tag(&bytes, 16, WIRE_GROUP);
    put_int(&bytes, 3, 7);
    wire_write_tag(&bytes, 16, WIRE_END_GROUP);
    put_int(&bytes, 4, 1);
    for (size_t length = 0; length <= buffer_length(&bytes); length++) {
        uint8_t *cut = malloc(length + !length);
        memcpy(cut, buffer_bytes(&bytes), length);
        CHECK(reads("small", cut, length, &value));
        CHECK_INT(value.bits, length >= 3 ? 300 : 0);
        CHECK(reads("large", cut, length, &value));
        CHECK_INT(value.bits, length == buffer_length(&bytes));
        free(cut);
    }
    buffer_free(&bytes);
}

static bool passes(const struct field_filter *filter, const struct buffer *bytes) {
    struct fields fields;
    fields_init(&fields, buffer_bytes(bytes), buffer_length(bytes));
    return field_filter_passes(filter, &fields);
}

static void a_filter_wants_all_its_fields_equal(void) {
    struct buffer wanted = {0}, message = {0};
    const struct field *const fields[] = {named("name"), named("small"), named("number"), named("maybe")};
    put_text(&wanted, 1, "ann");
    wire_write_tag(&wanted, 7, WIRE_64);
    wire_write_64(&wanted, wire_double_bits(-0.0));
    put_int(&wanted, 10, 0);
    struct field_filter *filter =
        field_filter_new(type, fields, 4, buffer_bytes(&wanted), buffer_length(&wanted));
    buffer_clear(&wanted); /* it has a copy */
    put_text(&message, 1, "ann");
    CHECK(!passes(filter, &message)); /* maybe is unset, which is not 0 */
    put_int(&message, 10, 0);
    CHECK(passes(filter, &message)); /* the two zeros are equal */
    put_int(&message, 3, 1);
    CHECK(!passes(filter, &message));
    put_int(&message, 3, 0);
    CHECK(passes(filter, &message));
    put_text(&message, 1, "anna");
    CHECK(!passes(filter, &message));
    field_filter_free(&filter);
    buffer_free(&wanted);
    buffer_free(&message);
}

static void only_plain_fields_can_be_read(void) {
    CHECK(field_is_plain(named("raw")) && field_is_plain(named("level")) && field_is_plain(named("right")));
    CHECK(!field_is_plain(named("inside")) && !field_is_plain(named("many")));
}

int main(void) {
    struct error error;
    char path[] = "tests/unit/fanout/fields.proto", *const files[] = {path, NULL}, *const paths[] = {NULL};
    schema = schema_load(paths, files, &error);
    CHECK(schema);
    type = schema_message(schema, "fields.Sample");
    RUN(the_last_value_on_the_wire_is_read);
    RUN(what_is_absent_reads_as_its_default_or_is_unset);
    RUN(a_wire_type_that_does_not_fit_is_no_value);
    RUN(of_a_oneof_the_last_member_is_set);
    RUN(a_message_of_many_unknown_fields_is_read_too);
    RUN(broken_bytes_are_read_as_far_as_they_go);
    RUN(a_filter_wants_all_its_fields_equal);
    RUN(only_plain_fields_can_be_read);
    schema_unref(&schema);
    return 0;
}
