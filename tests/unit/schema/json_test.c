#include "schema/json.h"

#include "check.h"
#include "schema/codec.h"
#include "schema/wire.h"

static struct schema *schema;
static struct error error;

static const struct message_type *type_of(const char *name) {
    char full[128];
    snprintf(full, sizeof full, "tidewire.test%s", name);
    const struct message_type *type = schema_message(schema, full);
    CHECK(type);
    return type;
}

static struct json_options resolving(void) { return (struct json_options){.schema = schema}; }

/* The JSON that comes back after one way through the wire bytes; valid until the next call. */
static const char *round_trip(const char *name, const char *text, const struct json_options *options) {
    static char result[64 * 1024];
    struct buffer wire = {0}, again = {0};
    if (!json_read(type_of(name), text, strlen(text), options, &wire, &error)) {
        fprintf(stderr, "%s: %s\n", text, error.text);
        CHECK(!"read");
    }
    if (!json_write(type_of(name), wire.data, buffer_length(&wire), options, &again, &error)) {
        fprintf(stderr, "%s: %s\n", text, error.text);
        CHECK(!"written");
    }
    snprintf(result, sizeof result, "%.*s", (int)buffer_length(&again), (const char *)again.data);
    buffer_free(&wire);
    buffer_free(&again);
    return result;
}

static void check_reads_as(const char *text, const char *expected) {
    struct json_options options = resolving();
    CHECK_STR(round_trip(".AllTypes", text, &options), expected);
}
static void check_same(const char *text) { check_reads_as(text, text); }

static void check_refused_of(const char *name, const char *text, size_t length, const char *reason,
                             const struct json_options *options) {
    struct buffer wire = {0};
    buffer_append_text(&wire, "before");
    bool is_read = json_read(type_of(name), text, length, options, &wire, &error);
    if (is_read || strcmp(error.text, reason))
        fprintf(stderr, "%s: %s\n", text, is_read ? "was read" : error.text);
    CHECK(!is_read);
    CHECK_STR(error.text, reason);
    CHECK_MEM(wire.data, buffer_length(&wire), "before", 6);
    buffer_free(&wire);
}
static void check_refused(const char *text, const char *reason) {
    struct json_options options = resolving();
    check_refused_of(".AllTypes", text, strlen(text), reason, &options);
}

static void every_scalar_goes_both_ways(void) {
    check_same("{}");
    check_same("{\"doubleField\":1.5,\"floatField\":-0.25,\"int32Field\":-2147483648,\"int64Field\":\"-"
               "9223372036854775808\","
               "\"uint32Field\":4294967295,\"uint64Field\":\"18446744073709551615\",\"sint32Field\":-1,"
               "\"sint64Field\":\"-2\","
               "\"fixed32Field\":3,\"fixed64Field\":\"4\",\"sfixed32Field\":-5,\"sfixed64Field\":\"-6\","
               "\"boolField\":true,"
               "\"stringField\":\"text\",\"bytesField\":\"AP8=\",\"enumField\":\"COLOR_BLUE\"}");
    check_same("{\"doubleField\":\"NaN\",\"floatField\":\"-Infinity\"}");
    check_same("{\"doubleField\":-0.0,\"enumField\":42}");
    check_reads_as("{\"doubleField\":-0,\"floatField\":0.0}", "{\"doubleField\":-0.0}");
    check_same("{\"doubleField\":0.1,\"floatField\":3.4028235e+38,\"repeatedDouble\":[1e+300,4."
               "94065645841247e-324,1.2345678901234568e+17]}");
}

static void numbers_are_read_in_every_form(void) {
    check_reads_as("{\"int32Field\":1e2}", "{\"int32Field\":100}");
    check_reads_as("{\"int32Field\":\"1.50e1\"}", "{\"int32Field\":15}");
    check_reads_as("{\"int32Field\":-1200e-2}", "{\"int32Field\":-12}");
    check_reads_as("{\"int32Field\":0e999999999999}", "{}");
    check_reads_as("{\"uint64Field\":18446744073709551615}", "{\"uint64Field\":\"18446744073709551615\"}");
    check_reads_as("{\"uint64Field\":1.8446744073709551615E19}",
                   "{\"uint64Field\":\"18446744073709551615\"}");
    check_reads_as("{\"int64Field\":9007199254740993}", "{\"int64Field\":\"9007199254740993\"}");
    check_reads_as("{\"uint32Field\":-0}", "{}");
    check_reads_as("{\"doubleField\":\"1.5\",\"floatField\":\"Infinity\"}",
                   "{\"doubleField\":1.5,\"floatField\":\"Infinity\"}");
    check_reads_as("{\"enumField\":7,\"innerEnum\":\"1\",\"alias\":\"ALIAS_SAME\"}",
                   "{\"enumField\":\"COLOR_BLUE\",\"innerEnum\":\"INNER_ONE\",\"alias\":\"ALIAS_FIRST\"}");
}

static void numbers_out_of_range_or_of_another_kind_are_refused(void) {
    check_refused("{\"int32Field\":2147483648}", "int32_field: 2147483648 is out of range for int32");
    check_refused("{\"int32Field\":1e10}", "int32_field: 1e10 is out of range for int32");
    check_refused("{\"int32Field\":1.5}", "int32_field: 1.5 is no whole number");
    check_refused("{\"int32Field\":1e-1}", "int32_field: 1e-1 is no whole number");
    check_refused("{\"int64Field\":9223372036854775808}",
                  "int64_field: 9223372036854775808 is out of range for int64");
    check_refused("{\"uint64Field\":18446744073709551616}",
                  "uint64_field: 18446744073709551616 is out of range for uint64");
    check_refused("{\"uint32Field\":-1}", "uint32_field: -1 is out of range for uint32");
    check_refused("{\"floatField\":3.5e38}", "float_field: 3.5e38 is out of range for float");
    check_refused("{\"doubleField\":1e309}", "double_field: 1e309 is out of range for double");
    check_refused("{\"int32Field\":\"\"}", "int32_field: expected a number (int32)");
    check_refused("{\"int32Field\":\" 1\"}", "int32_field: expected a number (int32)");
    check_refused("{\"int32Field\":\"NaN\"}", "int32_field: expected a number (int32)");
    check_refused("{\"int32Field\":true}", "int32_field: expected a number (int32)");
    check_refused("{\"int32Field\":01}", "line 1, column 15: expected a value");
    check_refused("{\"doubleField\":NaN}", "double_field: expected a number (double)");
    check_refused("{\"boolField\":\"true\"}", "bool_field: expected true or false");
    check_refused("{\"boolField\":1}", "bool_field: expected true or false");
    check_refused("{\"boolField\":truest}", "bool_field: expected true or false");
    check_refused("{\"stringField\":1}", "string_field: expected a string");
    check_refused("{\"bytesField\":\"a\"}", "bytes_field: no base64");
    check_refused("{\"enumField\":\"PURPLE\"}", "enum_field: tidewire.test.Color has no value \"PURPLE\"");
    check_refused("{\"enumField\":4294967296}", "enum_field: 4294967296 is out of range for enum");
}

static void strings_hold_any_character(void) {
    check_same(
        "{\"stringField\":\"\\\"\\\\\\n\\t\\b\\f\\r\\u0000\\u001f \303\244\342\202\254\360\237\230\200\"}");
    check_same("{\"stringField\":\"\\u007f\\u0080\\u009b\\u009f\302\240\"}"); /* commands to a terminal, and none */
    check_reads_as("{\"stringField\":\"\\u00e4\\u20ac\\ud83d\\ude00\\/\"}",
                   "{\"stringField\":\"\303\244\342\202\254\360\237\230\200/\"}");
    check_reads_as("{\"string\\u0046ield\":\"x\"}", "{\"stringField\":\"x\"}");
    check_reads_as("{\"mapString\":{\"a\\u0000b\":\"\"}}", "{\"mapString\":{\"a\\u0000b\":\"\"}}");
    check_refused("{\"stringField\":\"\\ud83d\"}", "line 1, column 16: a bad escape in a string");
    check_refused("{\"stringField\":\"\\ude00\"}", "line 1, column 16: a bad escape in a string");
    check_refused("{\"stringField\":\"\\ude00\\ud83d\"}", "line 1, column 16: a bad escape in a string");
    check_refused("{\"stringField\":\"\\ud83d\\u0041\"}", "line 1, column 16: a bad escape in a string");
    check_refused("{\"stringField\":\"\\ud83d\\ude0", "line 1, column 16: a bad escape in a string");
    check_refused("{\"stringField\":\"\xed\xa0\xbd\"}", "line 1, column 16: a string that is not UTF-8");
    check_refused("{\"stringField\":\"\xc0\x80\"}", "line 1, column 16: a string that is not UTF-8");
    check_refused("{\"stringField\":\"\\x\"}", "line 1, column 16: a bad escape in a string");
    check_refused("{\"stringField\":\"\n\"}", "line 1, column 16: a control character in a string");
    check_refused("{\"stringField\":\"\xff\"}", "line 1, column 16: a string that is not UTF-8");
    check_refused("{\"stringField\":\"", "line 1, column 16: a string without end");
}

static void bytes_are_read_from_both_alphabets(void) {
    check_reads_as("{\"bytesField\":\"-_-_\"}", "{\"bytesField\":\"+/+/\"}");
    check_reads_as("{\"bytesField\":\"AA\"}", "{\"bytesField\":\"AA==\"}");
}

static void both_names_of_a_field_are_read(void) {
    check_reads_as("{\"int32_field\":1,\"another.name\":2,\"CapitalName\":3}",
                   "{\"int32Field\":1,\"CapitalName\":3,\"another.name\":2}");
    check_reads_as("{\"renamed\":2}", "{\"another.name\":2}");
    struct json_options options = {.use_proto_names = true};
    CHECK_STR(round_trip(".AllTypes", "{\"int32Field\":1,\"messageField\":{\"number\":2}}", &options),
              "{\"int32_field\":1,\"message_field\":{\"number\":2}}");
}

static void fields_that_are_set_twice_are_refused(void) {
    check_refused("{\"int32Field\":1,\"int32_field\":1}", "int32_field: the field stands twice");
    check_refused("{\"int32Field\":null,\"int32_field\":1}", "int32_field: the field stands twice");
    check_refused("{\"choiceInt32\":1,\"choiceString\":\"\"}",
                  "choice_string: another field of the oneof \"choice\" is set");
    check_refused("{\"messageField\":{\"number\":1,\"number\":1}}",
                  "message_field.number: the field stands twice");
    check_refused("{\"mapInt32\":{\"1\":\"a\",\"1.0\":\"b\"}}",
                  "map_int32[\"1.0\"]: the key stands twice in its map");
    check_refused("{\"structure\":{\"a\":1,\"\\u0061\":2}}",
                  "structure[\"\\u0061\"]: the key stands twice in its map");
}

static void null_means_not_set_but_where_it_is_a_value(void) {
    check_reads_as("{\"int32Field\":null,\"repeatedInt32\":null,\"mapInt32\":null,\"messageField\":null,"
                   "\"timestamp\":null,"
                   "\"stringWrapper\":null,\"any\":null}",
                   "{}");
    check_reads_as("{\"choiceInt32\":null,\"choiceString\":\"a\"}", "{\"choiceString\":\"a\"}");
    check_same("{\"choiceNull\":null}");
    check_same("{\"value\":null,\"repeatedValue\":[null,1],\"repeatedNullValue\":[null],\"mapToValue\":{"
               "\"a\":null}}");
    check_reads_as("{\"choiceNull\":\"NULL_VALUE\",\"nullValue\":null}", "{\"choiceNull\":null}");
    check_refused("{\"repeatedInt32\":[1,null]}", "repeated_int32[1]: null cannot stand in a list or map");
    check_refused("{\"mapToMessage\":{\"a\":null}}",
                  "map_to_message[\"a\"]: null cannot stand in a list or map");
    check_refused("null", "expected an object");
}

static void presence_decides_what_is_written(void) {
    check_reads_as(
        "{\"int32Field\":0,\"stringField\":\"\",\"enumField\":0,\"boolField\":false,\"bytesField\":\"\"}",
        "{}");
    check_same("{\"optionalInt32\":0,\"optionalString\":\"\",\"optionalEnum\":\"COLOR_UNSPECIFIED\","
               "\"choiceBool\":false}");
    check_same("{\"messageField\":{},\"empty\":{}}");
    /* What proto3 writers leave out may stand on the wire all the same. */
    struct buffer out = {0};
    static const uint8_t zero[] = {0x18, 0x00, 0x72, 0x00};
    CHECK(json_write(type_of(".AllTypes"), zero, sizeof zero, NULL, &out, &error));
    CHECK_MEM(out.data, buffer_length(&out), "{}", 2);
    buffer_free(&out);
}

static void defaults_are_written_when_asked_for(void) {
    struct json_options options = {.write_defaults = true};
    CHECK_STR(round_trip(".Numbers", "{}", &options), "{\"a\":0,\"b\":\"0\",\"c\":[]}");
    CHECK_STR(round_trip(".Tree", "{\"children\":[{}]}", &options),
              "{\"label\":\"\",\"children\":[{\"label\":\"\",\"children\":[]}]}");
    CHECK(!strstr(round_trip(".AllTypes", "{}", &options), "optional"));
    CHECK(strstr(round_trip(".AllTypes", "{}", &options), "\"mapInt32\":{}"));
}

static void plain_json_has_numbers_of_64_bits_but_for_keys(void) {
    struct json_options options = {.is_plain = true, .schema = schema};
    const char *text = "{\"int64Field\":-9007199254740993,\"uint64Field\":18446744073709551615,\"mapInt32\":{\"1\":\"a\"},"
                       "\"mapInt64\":{\"-1\":\"a\"},\"mapUint64\":{\"18446744073709551615\":\"a\"},\"mapBool\":{\"true\":\"a\"},"
                       "\"mapToInt64\":{\"a\":-1}}";
    CHECK_STR(round_trip(".AllTypes", text, &options), text);
}

static void lists_and_maps_go_both_ways(void) {
    check_same(
        "{\"repeatedInt32\":[1,-2,3],\"repeatedString\":[\"\",\"a\"],\"repeatedMessage\":[{},{\"number\":1}],"
        "\"unpackedSint64\":[\"-1\",\"2\"]}");
    check_same("{\"mapInt32\":{\"-1\":\"a\"},\"mapUint64\":{\"18446744073709551615\":\"\"},\"mapBool\":{"
               "\"true\":\"b\"},"
               "\"mapString\":{\"\":\"c\"},\"mapToDouble\":{\"x\":1.5},\"mapToEnum\":{\"e\":\"COLOR_RED\"},"
               "\"mapToMessage\":{\"m\":{\"child\":{\"number\":1}}}}");
    check_reads_as("{\"repeatedInt32\":[],\"mapInt32\":{}}", "{}");
    check_same("{\"mapInt32\":{\"3\":\"c\",\"1\":\"a\",\"2\":\"\"}}");
    check_refused("{\"repeatedInt32\":1}", "repeated_int32: expected a list");
    check_refused("{\"repeatedInt32\":{}}", "repeated_int32: expected a list");
    check_refused("{\"repeatedInt32\":[[1]]}", "repeated_int32[0]: expected a number (int32)");
    check_refused("{\"mapInt32\":[]}", "map_int32: expected an object");
    check_refused("{\"mapInt32\":{\"a\":\"\"}}", "map_int32[\"a\"]: expected a number (int32)");
    check_refused("{\"mapBool\":{\"1\":\"\"}}", "map_bool[\"1\"]: expected the key \"true\" or \"false\"");
    check_refused("{\"mapToMessage\":{\"k\":{\"child\":{\"text\":5}}}}",
                  "map_to_message[\"k\"].child.text: expected a string");
    check_refused("{\"repeatedMessage\":[{},{\"text\":true}]}",
                  "repeated_message[1].text: expected a string");
}

static void the_last_entry_of_a_map_and_all_pieces_of_a_message_count(void) {
    struct buffer wire = {0}, out = {0};
    static const uint8_t entries[] = {0x8a, 0x05, 5,    0x08, 1,    0x12, 1,    'a', 0x8a, 0x05, 2,    0x08,
                                      2,    0x8a, 0x05, 5,    0x08, 1,    0x12, 1,   'b',  0x8a, 0x05, 0};
    static const uint8_t pieces[] = {0x8a, 0x01, 2, 0x08, 7, 0x8a, 0x01, 3, 0x12, 1, 'x'};
    CHECK_INT(message_field(type_of(".AllTypes"), "map_int32", 9)->number, 81);
    CHECK_INT(message_field(type_of(".AllTypes"), "message_field", 13)->number, 17);
    buffer_append(&wire, pieces, sizeof pieces);
    buffer_append(&wire, entries, sizeof entries);
    CHECK(json_write(type_of(".AllTypes"), wire.data, buffer_length(&wire), NULL, &out, &error));
    const char expected[] = "{\"messageField\":{\"number\":7,\"text\":\"x\"},"
                            "\"mapInt32\":{\"2\":\"\",\"1\":\"b\",\"0\":\"\"}}";
    CHECK_MEM(out.data, buffer_length(&out), expected, sizeof expected - 1);
    buffer_free(&wire);
    buffer_free(&out);
}

static void times_go_both_ways(void) {
    check_same("{\"timestamp\":\"2024-02-29T23:59:59.123456789Z\",\"duration\":\"-1.500s\"}");
    check_same("{\"timestamp\":\"0001-01-01T00:00:00Z\",\"duration\":\"315576000000.999999999s\"}");
    check_same("{\"timestamp\":\"9999-12-31T23:59:59.999999999Z\",\"duration\":\"-0.000001s\"}");
    check_reads_as("{\"timestamp\":\"1972-01-01T10:00:20.021-05:00\"}",
                   "{\"timestamp\":\"1972-01-01T15:00:20.021Z\"}");
    check_reads_as("{\"timestamp\":\"1969-12-31T23:59:59.9Z\"}",
                   "{\"timestamp\":\"1969-12-31T23:59:59.900Z\"}");
    check_reads_as("{\"timestamp\":\"1970-01-01T00:00:00Z\",\"duration\":\"0s\"}",
                   "{\"timestamp\":\"1970-01-01T00:00:00Z\",\"duration\":\"0s\"}");
    static const char *const times[] = {"2023-02-29T00:00:00Z", "2024-04-31T00:00:00Z"};
    for (size_t i = 0; i < 2; i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"timestamp\":\"%s\"}", times[i]);
        check_refused(text, "timestamp: the month has no such day");
    }
    static const char *const forms[] = {"2024-01-01T00:00:00",
                                        "2024-01-01t00:00:00Z",
                                        "2024-1-01T00:00:00Z",
                                        "2024-01-01T24:00:00Z",
                                        "2024-01-01T00:00:60Z",
                                        "2024-01-01T00:00:00.Z",
                                        "2024-01-01T00:00:00.1234567890Z",
                                        "2024-01-01T00:00:00+0100",
                                        "",
                                        "0000-01-01T00:00:00Z",
                                        "2024-01-01T00:00:00ZZ",
                                        "2024-13-01T00:00:00Z",
                                        "2024-00-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"timestamp\":\"%s\"}", forms[i]);
        check_refused(text, "timestamp: expected a time like \"2024-05-06T07:08:09.5Z\"");
    }
    check_refused("{\"timestamp\":\"0001-01-01T00:00:00+00:01\"}",
                  "timestamp: the time is before year 1 or after 9999");
    check_refused("{\"timestamp\":5}", "timestamp: expected a time in a string");
    check_refused("{\"duration\":\"1\"}", "duration: expected a duration like \"1.5s\"");
    check_refused("{\"duration\":\".5s\"}", "duration: expected a duration like \"1.5s\"");
    check_refused("{\"duration\":\"+1s\"}", "duration: expected a duration like \"1.5s\"");
    check_refused("{\"duration\":\"1.0000000001s\"}", "duration: expected a duration like \"1.5s\"");
    check_refused("{\"duration\":\"315576000001s\"}", "duration: the duration is longer than 10000 years");
    check_refused("{\"duration\":\"99999999999999999999999999s\"}",
                  "duration: the duration is longer than 10000 years");
}

static void the_other_well_known_types_go_both_ways(void) {
    check_same("{\"fieldMask\":\"user.displayName,photo\"}");
    check_same("{\"fieldMask\":\"\"}");
    check_refused("{\"fieldMask\":\"a,b_c\"}", "field_mask: \"b_c\" is no path in lowerCamelCase");
    check_refused("{\"fieldMask\":\"a,,b\"}", "field_mask: \"\" is no path in lowerCamelCase");
    check_same("{\"structure\":{\"a\":[1,\"x\",true,null,{\"b\":-2.5}],\"c\":{}},\"value\":[],\"listValue\":["
               "[],{}]}");
    check_same("{\"value\":{\"a\":1}}");
    check_same("{\"value\":\"NaN\"}");
    check_same(
        "{\"doubleWrapper\":1.5,\"floatWrapper\":\"NaN\",\"int64Wrapper\":\"-1\",\"uint64Wrapper\":\"1\","
        "\"int32Wrapper\":0,\"uint32Wrapper\":2,\"boolWrapper\":false,\"stringWrapper\":\"\","
        "\"bytesWrapper\":\"AA==\"}");
    check_refused("{\"int32Wrapper\":{\"value\":1}}", "int32_wrapper: expected a number (int32)");
    check_refused("{\"value\":}", "value: expected a value");
    check_refused("{\"structure\":[]}", "structure: expected an object");
    check_refused("{\"empty\":{\"a\":1}}", "empty: google.protobuf.Empty has no field \"a\"");
}

static void an_any_is_resolved_by_the_schema(void) {
    check_same("{\"any\":{\"@type\":\"type.googleapis.com/tidewire.test.Numbers\",\"a\":1,\"c\":[2]}}");
    check_reads_as("{\"any\":{\"a\":1,\"\\u0040type\":\"x/y/tidewire.test.Numbers\"}}",
                   "{\"any\":{\"@type\":\"x/y/tidewire.test.Numbers\",\"a\":1}}");
    check_same("{\"any\":{}}");
    check_same("{\"any\":{\"@type\":\"a/google.protobuf.Duration\",\"value\":\"1s\"}}");
    check_reads_as("{\"any\":{\"value\":{\"x\":1},\"@type\":\"a/google.protobuf.Struct\"}}",
                   "{\"any\":{\"@type\":\"a/google.protobuf.Struct\",\"value\":{\"x\":1}}}");
    check_same("{\"any\":{\"@type\":\"a/google.protobuf.Any\",\"value\":{\"@type\":\"a/"
               "tidewire.test.Tree\",\"label\":\"x\"}}}");
    check_reads_as("{\"any\":{\"@type\":\"a/google.protobuf.Empty\",\"value\":{}}}",
                   "{\"any\":{\"@type\":\"a/google.protobuf.Empty\"}}");
    check_refused("{\"any\":{\"a\":1}}", "any: \"@type\" is missing");
    check_refused("{\"any\":{\"@type\":\"a/no.Such\"}}", "any: the type \"a/no.Such\" is not known");
    check_refused("{\"any\":{\"@type\":\"tidewire.test.Tree\"}}",
                  "any: the type \"tidewire.test.Tree\" is not known");
    check_refused("{\"any\":{\"@type\":\"a/tidewire.test.Tree\",\"@type\":\"a/tidewire.test.Tree\"}}",
                  "any: \"@type\" stands twice");
    check_refused("{\"any\":{\"@type\":\"a/google.protobuf.Duration\"}}", "any: \"value\" is missing");
    check_refused("{\"any\":{\"@type\":\"a/google.protobuf.Duration\",\"x\":\"1s\"}}",
                  "any: expected \"@type\" and \"value\", each once");
    check_refused("{\"any\":{\"@type\":\"a/tidewire.test.Tree\",\"label\":1}}",
                  "any.label: expected a string");
}

static void unknown_names_are_refused_or_ignored(void) {
    check_refused("{\"int32Feild\":1}",
                  "tidewire.test.AllTypes has no field \"int32Feild\" (did you mean \"int32_field\"?)");
    check_refused("{\"repeatedMessage\":[{\"a\\nb\\u007f\":1}]}",
                  "repeated_message[0]: tidewire.test.AllTypes.Nested has no field \"a?b?\"");
    check_refused("{\"repeatedMessage\":[{\"what\":1}]}",
                  "repeated_message[0]: tidewire.test.AllTypes.Nested has no field \"what\"");
    struct json_options ignoring = {.ignore_unknown = true, .schema = schema};
    const char *text =
        "{\"x\":{\"y\":[1,{\"z\":null},\"\\u0041\"],\"q\":{}},\"int32Field\":1,\"enumField\":\"PURPLE\","
        "\"repeatedEnum\":[\"COLOR_RED\",\"PURPLE\",\"COLOR_BLUE\"],\"repeatedNullValue\":[\"x\"],"
        "\"mapToEnum\":{\"a\":\"PURPLE\",\"b\":\"COLOR_RED\"},"
        "\"any\":{\"@type\":\"a/google.protobuf.Duration\",\"more\":[],\"value\":\"1s\"}}";
    CHECK_STR(round_trip(".AllTypes", text, &ignoring),
              "{\"int32Field\":1,\"repeatedEnum\":[\"COLOR_RED\",\"COLOR_BLUE\"],\"mapToEnum\":{\"b\":"
              "\"COLOR_RED\"},"
              "\"any\":{\"@type\":\"a/google.protobuf.Duration\",\"value\":\"1s\"}}");
    check_refused_of(".AllTypes", "{\"x\":[1,}", 9, "line 1, column 9: expected a value", &ignoring);
    check_refused_of(".AllTypes", "{\"x\":{\"a\" 1}}", 13, "line 1, column 11: expected ':'", &ignoring);
    check_refused_of(".AllTypes", "{\"x\":[1}", 8,
                     "line 1, column 8: expected ',' or the end of a list or object", &ignoring);
}

static void text_that_is_no_json_is_refused(void) {
    static const struct {
        const char *text, *reason;
    } cases[] = {{"", "expected an object"},
                 {"[]", "expected an object"},
                 {"{", "line 1, column 2: expected a string"},
                 {"{}x", "line 1, column 3: something stands behind the message"},
                 {"{\"int32Field\":1,}", "line 1, column 17: expected a string"},
                 {"{\"int32Field\":1 \"boolField\":true}", "line 1, column 17: expected ',' or '}'"},
                 {"{\"int32Field\" 1}", "line 1, column 15: expected ':'"},
                 {"{int32Field:1}", "line 1, column 2: expected a string"},
                 {"{\n \"repeatedInt32\": [1, 2\n}", "line 3, column 1: expected ',' or ']'"},
                 {"{\"int32Field\":1.}", "line 1, column 15: expected a value"},
                 {"{\"int32Field\":.5}", "int32_field: expected a number (int32)"},
                 {"{\"int32Field\":-}", "line 1, column 15: expected a value"},
                 {"{\"int32Field\":+1}", "int32_field: expected a number (int32)"},
                 {"{\"int32Field\":0x10}", "line 1, column 15: expected a value"},
                 {"\xef\xbb\xbf{}", "expected an object"},
                 {"{'int32Field':1}", "line 1, column 2: expected a string"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_refused(cases[i].text, cases[i].reason);
    struct json_options options = resolving();
    check_refused_of(".AllTypes", "{}\0", 3, "line 1, column 3: something stands behind the message",
                     &options);
    check_reads_as(" \t\r\n{ \"int32Field\" :\n1 , \"repeatedInt32\" : [ 1 , 2 ] , \"messageField\" : { } } ",
                   "{\"int32Field\":1,\"messageField\":{},\"repeatedInt32\":[1,2]}");
}

static void check_fault_line(const char *text, const char *reason, size_t expected) {
    size_t line = 0;
    struct json_options options = {.schema = schema, .fault_line = &line};
    check_refused_of(".AllTypes", text, strlen(text), reason, &options);
    CHECK_INT(line, expected);
}

static void the_line_at_fault_is_told_when_it_is_asked_for(void) {
    check_fault_line("{\n\"int32Field\":\n  1,\n \"stringField\" : 7}",
                     "string_field: expected a string", 4);
    check_fault_line("{\n \"repeatedInt32\": [1, 2\n}", "column 1: expected ',' or ']'", 3);
    check_fault_line("\n[]", "expected an object", 2);
    check_fault_line("{}\n\n x", "column 2: something stands behind the message", 3);
}

static void append_many(struct buffer *out, const char *text, int count) {
    while (count--) buffer_append_text(out, text);
}

/* "child" so many times, and whether that is read. */
static bool reads_nested(const char *before, const char *innermost, const char *after, int count) {
    struct json_options options = resolving();
    struct buffer text = {0}, wire = {0}, again = {0};
    append_many(&text, before, count);
    buffer_append_text(&text, innermost);
    append_many(&text, after, count);
    bool is_read =
        json_read(type_of(".AllTypes"), (char *)text.data, buffer_length(&text), &options, &wire, &error);
    if (is_read) { /* the codec's bound is the same */
        CHECK(!codec_check(type_of(".AllTypes"), wire.data, buffer_length(&wire)));
        CHECK(json_write(type_of(".AllTypes"), wire.data, buffer_length(&wire), &options, &again, &error));
        CHECK_MEM(again.data, buffer_length(&again), text.data, buffer_length(&text));
    }
    buffer_free(&text);
    buffer_free(&wire);
    buffer_free(&again);
    return is_read;
}

static void nesting_ends_at_a_hundred_levels(void) {
    CHECK(reads_nested("{\"self\":", "{}", "}", 100));
    CHECK(!reads_nested("{\"self\":", "{}", "}", 101));
    CHECK(strlen(error.text) > 100 && strstr(error.text, "self.self: nested too deeply"));
    CHECK(!reads_nested("{\"self\":", "{}", "}", 100000));
    CHECK(!reads_nested("{\"value\":[", "", "]}", 100000));
    CHECK(!reads_nested("{\"any\":{\"@type\":\"a/tidewire.test.AllTypes\",\"any\":", "", "}}", 100000));
    CHECK(reads_nested("{\"mapToSelf\":{\"\":", "{}", "}}", 50));
    CHECK(!reads_nested("{\"mapToSelf\":{\"\":", "{}", "}}", 51));
    struct json_options ignoring = {.ignore_unknown = true};
    struct buffer text = {0}, wire = {0};
    buffer_append_text(&text, "{\"unknown\":");
    append_many(&text, "[", 100000);
    CHECK(
        !json_read(type_of(".AllTypes"), (char *)text.data, buffer_length(&text), &ignoring, &wire, &error));
    CHECK(strstr(error.text, "nested too deeply"));
    buffer_free(&text);
}

/* `before`, then `filler` as often as makes a MiB or more of it, then `after`. What is said of it is short. */
static bool reads_filled(const char *before, const char *filler, const char *after, struct buffer *wire) {
    struct json_options ignoring = {.ignore_unknown = true, .schema = schema};
    struct buffer text = {0};
    buffer_append_text(&text, before);
    append_many(&text, filler, 1024 * 1024);
    buffer_append_text(&text, after);
    bool is_read = json_read(type_of(".AllTypes"), (char *)text.data, buffer_length(&text), &ignoring, wire, &error);
    buffer_free(&text);
    return is_read;
}

static void check_filled_refused(const char *before, const char *filler, const char *after, const char *reason) {
    struct buffer wire = {0};
    CHECK(!reads_filled(before, filler, after, &wire));
    if (!strstr(error.text, reason)) fprintf(stderr, "%s: %s\n", before, error.text);
    CHECK(strstr(error.text, reason));
    CHECK(!buffer_length(&wire));
    buffer_free(&wire);
}

static void check_filled_reads_as(const char *before, const char *filler, const char *after, const char *expected) {
    struct buffer wire = {0}, again = {0};
    CHECK(reads_filled(before, filler, after, &wire));
    CHECK(json_write(type_of(".AllTypes"), wire.data, buffer_length(&wire), NULL, &again, &error));
    CHECK_MEM(again.data, buffer_length(&again), expected, strlen(expected));
    buffer_free(&wire);
    buffer_free(&again);
}

/* A map of so many large messages in which nothing is set. */
static bool writes_many_empty(int count, const struct json_options *options, size_t *length) {
    struct buffer text = {0}, wire = {0}, out = {0};
    buffer_append_text(&text, "{\"mapToSelf\":{\"\":{}");
    while (--count) buffer_format(&text, ",\"%d\":{}", count);
    buffer_append_text(&text, "}}");
    CHECK(json_read(type_of(".AllTypes"), (char *)text.data, buffer_length(&text), NULL, &wire, &error));
    bool is_written = json_write(type_of(".AllTypes"), wire.data, buffer_length(&wire), options, &out, &error);
    *length = buffer_length(&out);
    buffer_free(&text);
    buffer_free(&wire);
    buffer_free(&out);
    return is_written;
}

static void text_does_not_outgrow_its_message_by_far(void) {
    const struct json_options defaults = {.write_defaults = true};
    const size_t enough = 1024 * 1024;
    size_t two, length;
    CHECK(writes_many_empty(1, &defaults, &two) && two > 2048); /* the defaults of the map's owner, too */
    int count = (int)(enough / (two / 2));
    CHECK(writes_many_empty(count, &defaults, &length) && length > enough / 2);
    CHECK(!writes_many_empty(2 * count, &defaults, &length));
    CHECK_INT(length, 0);
    CHECK_STR(strchr(error.text, ']'), "]: the text would be more than 64 times as long as the message");
    CHECK(writes_many_empty(100 * count, NULL, &length) && length > 100 * 8 * (size_t)count);
}

static void numbers_of_a_million_digits_are_numbers(void) {
    check_filled_refused("{\"int32Field\":1", "0", "}", "int32_field: 1000000000");
    check_filled_refused("{\"int64Field\":\"1", "0", "\"}", "is out of range for int64");
    check_filled_refused("{\"uint64Field\":1.", "0", "1}", "is no whole number");
    check_filled_refused("{\"doubleField\":1", "0", "}", "is out of range for double");
    check_filled_refused("{\"floatField\":1e", "9", "}", "is out of range for float");
    check_filled_refused("{\"int32Field\":1e", "9", "}", "is out of range for int32");
    check_filled_refused("{\"int32Field\":1e-", "9", "}", "is no whole number");
    check_filled_refused("{\"duration\":\"1", "0", "s\"}", "duration: the duration is longer than 10000 years");
    check_filled_refused("{\"duration\":\"1.", "0", "s\"}", "duration: expected a duration");
    check_filled_reads_as("{\"int32Field\":15.", "0", "}", "{\"int32Field\":15}");
    check_filled_reads_as("{\"doubleField\":0.5", "0", "1}", "{\"doubleField\":0.5}");
    check_filled_reads_as("{\"doubleField\":\"1e-", "9", "\"}", "{}");
    check_filled_reads_as("{\"uint64Field\":0e", "9", "}", "{}");
}

static void texts_that_only_open_are_refused_where_they_get_too_deep(void) {
    static const char *const fields[] = {"{\"value\":", "{\"listValue\":", "{\"unknown\":"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        check_filled_refused(fields[i], "[[[[", "", "nested too deeply");
    check_filled_refused("{\"structure\":{\"a\":", "{\"a\":", "", "nested too deeply");
    check_filled_refused("{\"unknown\":", "{\"a\":[", "", "nested too deeply");
    check_filled_refused("{\"any\":", "{\"a\":", "", "nested too deeply");
    check_filled_refused("{\"self\":", "[[[[", "", "self: expected an object");
    check_filled_refused("{\"repeatedInt32\":", "[[[[", "", "repeated_int32[0]: expected a number (int32)");
    check_filled_refused("", "[[[[", "", "expected an object");
}

static void searches_for_the_type_of_an_any_are_bounded(void) {
    /* Each Any hides its type behind the next one, so that every search passes all that is inside. */
    struct json_options options = resolving();
    struct buffer text = {0}, wire = {0};
    buffer_append_text(&text, "{\"any\":");
    append_many(&text, "{\"value\":", 90);
    append_many(&text, " ", 100000);
    buffer_append_text(&text, "{\"@type\":\"a/tidewire.test.Tree\"}");
    append_many(&text, ",\"@type\":\"a/google.protobuf.Any\"}", 90);
    buffer_append_text(&text, "}");
    CHECK(!json_read(type_of(".AllTypes"), (char *)text.data, buffer_length(&text), &options, &wire, &error));
    CHECK(strstr(error.text, "any: too much stands before \"@type\""));
    buffer_free(&text);
    buffer_free(&wire);
}

static void proto2_messages_have_groups_closed_enums_and_required_fields(void) {
    const char *groups = "{\"onegroup\":{\"number\":1,\"text\":\"x\",\"deeper\":[{\"flag\":true},{}]},"
                         "\"manygroups\":[{\"id\":0}],"
                         "\"chosengroup\":{\"value\":2},\"closed\":\"CLOSED_TWO\"}";
    CHECK_STR(round_trip("2.Groups", groups, NULL), groups);
    CHECK_STR(round_trip("2.Packing",
                         "{\"packed\":[1,2],\"unpacked\":[3],\"packedClosed\":[\"CLOSED_ONE\",2]}", NULL),
              "{\"packed\":[1,2],\"unpacked\":[3],\"packedClosed\":[\"CLOSED_ONE\",\"CLOSED_TWO\"]}");
    CHECK_STR(round_trip("2.Defaults", "{\"int32Field\":0,\"stringField\":\"\"}", NULL),
              "{\"int32Field\":0,\"stringField\":\"\"}");
    CHECK_STR(round_trip("2.Required", "{\"id\":0,\"name\":\"\"}", NULL), "{\"id\":0,\"name\":\"\"}");
    check_refused_of("2.Required", "{\"id\":1}", 8, "the required field \"name\" is missing", NULL);
    check_refused_of("2.Required", "{\"id\":1,\"name\":null}", 20, "the required field \"name\" is missing",
                     NULL);
    check_refused_of("2.HasRequiredBelow", "{\"middles\":[{\"entries\":{\"a\":{\"id\":1}}}]}", 41,
                     "middles[0].entries[\"a\"]: the required field \"name\" is missing", NULL);
    check_refused_of("2.Groups", "{\"closed\":5}", 12, "closed: tidewire.test2.Closed has no value 5", NULL);
    struct buffer out = {0};
    static const uint8_t unknown_number[] = {0x40, 0x01, 0x40, 0x05};
    CHECK(json_write(type_of("2.Groups"), unknown_number, sizeof unknown_number, NULL, &out, &error));
    CHECK_MEM(out.data, buffer_length(&out), "{\"closed\":\"CLOSED_ONE\"}", 23);
    buffer_free(&out);
}

/* The JSON of bytes that have none, which must be the reason. */
/* One field's value, read, and written again from the bytes of its message. */
static void value_reads_as(const char *name, const char *text, const char *expected) {
    struct json_options options = resolving();
    const struct message_type *type = type_of(".AllTypes");
    const struct field *field = message_field(type, name, strlen(name));
    struct buffer wire = {0}, again = {0};
    bool is_good = json_read_value(field, text, strlen(text), &options, &wire, &error) &&
                   json_write_value(type, field, wire.data, buffer_length(&wire), &options, &again, &error);
    if (!is_good) CHECK_INT(buffer_length(&wire), 0);
    if (!is_good) buffer_append_text(&again, error.text);
    buffer_append_byte(&again, 0);
    CHECK_STR((const char *)again.data, expected);
    buffer_free(&wire);
    buffer_free(&again);
}

static void one_value_goes_both_ways(void) {
    value_reads_as("bool_field", "true", "true");
    value_reads_as("string_field", "\"a\"", "\"a\"");
    value_reads_as("repeated_int32", "[1, 2]", "[1,2]");
    value_reads_as("repeated_int32", "null", "[]");
    value_reads_as("optional_int64", " 7 ", "\"7\"");
    value_reads_as("optional_int64", "null", "\"0\"");
    value_reads_as("timestamp", "\"1970-01-01T00:00:00Z\"", "\"1970-01-01T00:00:00Z\"");
    value_reads_as("timestamp", "null", "null");
    value_reads_as("value", "null", "null");
    value_reads_as("optional_int64", "\"x\"", "optional_int64: expected a number (int64)");
    value_reads_as("optional_int64", "7, \"bool_field\": true", "line 1, column 2: something stands behind the message");
    value_reads_as("optional_int64", "", "optional_int64: expected a number (int64)");
}

/* A zero that is read goes over what was there before. */
static void one_value_is_written_though_it_is_zero(void) {
    const struct field *field = message_field(type_of(".AllTypes"), "bool_field", 10);
    struct buffer wire = {0};
    CHECK(json_read_value(field, "false", 5, NULL, &wire, &error));
    CHECK_INT(buffer_length(&wire), 2);
    buffer_free(&wire);
}

static void required_fields_may_be_missing_where_that_is_asked_for(void) {
    const struct json_options options = {.is_partial = true};
    struct buffer wire = {0};
    CHECK(json_read(type_of("2.Required"), "{\"id\":1}", 8, &options, &wire, &error));
    CHECK_MEM(wire.data, buffer_length(&wire), "\10\1", 2);
    buffer_free(&wire);
}

static void check_unwritable(const char *name, const void *bytes, size_t length, const char *reason) {
    struct json_options options = resolving();
    struct buffer out = {0};
    buffer_append_text(&out, "before");
    bool is_written = json_write(type_of(name), bytes, length, &options, &out, &error);
    CHECK(!is_written);
    CHECK_STR(error.text, reason);
    CHECK_MEM(out.data, buffer_length(&out), "before", 6);
    buffer_free(&out);
}

/* A field of AllTypes with these bytes inside. */
static void check_field_unwritable(const char *field, const void *bytes, size_t length, const char *reason) {
    struct buffer wire = {0};
    codec_write_bytes(&wire, message_field(type_of(".AllTypes"), field, strlen(field)), bytes, length);
    check_unwritable(".AllTypes", wire.data, buffer_length(&wire), reason);
    buffer_free(&wire);
}

static void bytes_without_a_json_form_are_refused(void) {
    check_unwritable(".AllTypes", "\x08", 1,
                     "no tidewire.test.AllTypes: a field of the message is malformed or cut off");
    check_unwritable(".AllTypes", "\x72\x01\xff", 3,
                     "no tidewire.test.AllTypes: a string field is not valid UTF-8");
    check_field_unwritable("timestamp", "\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 9,
                           "timestamp: the time is before year 1 or after 9999");
    check_field_unwritable("timestamp", "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
                           "timestamp: the nanoseconds are out of range");
    check_field_unwritable("duration", "\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13,
                           "duration: seconds and nanoseconds differ in sign");
    check_field_unwritable("field_mask",
                           "\x0a\x03"
                           "aBc",
                           5, "field_mask: \"aBc\" has no form in lowerCamelCase");
    check_field_unwritable("value", "\x11\0\0\0\0\0\0\xf0\x7f", 9,
                           "value: a value in JSON is no NaN and not infinite");
    check_unwritable(".AllTypes",
                     "\xfa\x0a\x0f\x0a\x03"
                     "a\nb\x12\x08\x10\xff\xff\xff\xff\xff\xff\x7f",
                     18, "map_to_timestamp[\"a?b\"]: the nanoseconds are out of range");
    check_field_unwritable("any",
                           "\x0a\x04"
                           "a/no",
                           6, "any: the type \"a/no\" is not known");
    check_field_unwritable("any",
                           "\x0a\x14"
                           "a/tidewire.test.Tree\x12\x01\x08",
                           25, "any: no tidewire.test.Tree: a field of the message is malformed or cut off");
}

int main(void) {
    const char *const paths[] = {"tests/proto", NULL}, *const files[] = {"all_types.proto",
                                                                         "proto2_types.proto", NULL};
    schema = schema_load((char *const *)paths, (char *const *)files, &error);
    CHECK(schema);
    RUN(every_scalar_goes_both_ways);
    RUN(numbers_are_read_in_every_form);
    RUN(numbers_out_of_range_or_of_another_kind_are_refused);
    RUN(strings_hold_any_character);
    RUN(bytes_are_read_from_both_alphabets);
    RUN(both_names_of_a_field_are_read);
    RUN(fields_that_are_set_twice_are_refused);
    RUN(null_means_not_set_but_where_it_is_a_value);
    RUN(presence_decides_what_is_written);
    RUN(defaults_are_written_when_asked_for);
    RUN(plain_json_has_numbers_of_64_bits_but_for_keys);
    RUN(lists_and_maps_go_both_ways);
    RUN(the_last_entry_of_a_map_and_all_pieces_of_a_message_count);
    RUN(times_go_both_ways);
    RUN(the_other_well_known_types_go_both_ways);
    RUN(an_any_is_resolved_by_the_schema);
    RUN(unknown_names_are_refused_or_ignored);
    RUN(text_that_is_no_json_is_refused);
    RUN(the_line_at_fault_is_told_when_it_is_asked_for);
    RUN(nesting_ends_at_a_hundred_levels);
    RUN(text_does_not_outgrow_its_message_by_far);
    RUN(numbers_of_a_million_digits_are_numbers);
    RUN(texts_that_only_open_are_refused_where_they_get_too_deep);
    RUN(searches_for_the_type_of_an_any_are_bounded);
    RUN(proto2_messages_have_groups_closed_enums_and_required_fields);
    RUN(one_value_goes_both_ways);
    RUN(one_value_is_written_though_it_is_zero);
    RUN(required_fields_may_be_missing_where_that_is_asked_for);
    RUN(bytes_without_a_json_form_are_refused);
    schema_unref(&schema);
    return 0;
}
