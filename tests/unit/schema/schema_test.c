#include "schema/schema.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "check.h"
#include <google/protobuf/descriptor.pb-c.h>
#include "schema/protoc.h"
#include "schema/wire.h"

/* The lists of names that schema_load() takes. */
#define LIST(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})
#define NO_NAMES ((char *const *)(const char *const[]){NULL})
#define TEST_PATHS LIST("tests/proto", "proto")

static struct schema *load(const char *one, const char *two) {
    struct error error;
    struct schema *schema = schema_load(TEST_PATHS, LIST(one, two), &error);
    if (!schema) fprintf(stderr, "%s\n", error.text);
    CHECK(schema);
    return schema;
}

/* Loads what must not load, and gives back the reason. */
static const char *refusal(const char *path, const char *file) {
    static struct error error;
    struct schema *schema = schema_load(LIST(path), LIST(file), &error);
    CHECK(!schema);
    return error.text;
}

#define CHECK_HAS(text, part)                                                                                \
    do {                                                                                                     \
        const char *t_ = (text);                                                                             \
        if (!strstr(t_, part)) {                                                                             \
            fprintf(stderr, "\"%s\" lacks \"%s\"\n", t_, part);                                              \
            check_failed(__FILE__, __LINE__, #text);                                                         \
        }                                                                                                    \
    } while (0)

static const struct field *field_of(const struct schema *schema, const char *type, const char *name) {
    const struct message_type *message = schema_message(schema, type);
    CHECK(message);
    const struct field *field = message_field(message, name, strlen(name));
    CHECK(field);
    return field;
}

static void example_protos_have_their_services(void) {
    struct error error;
    struct schema *schema = schema_load(
        LIST("proto"), LIST("greet.proto", "tutorial.proto", "chat.proto", "logger.proto"), &error);
    CHECK(schema);
    CHECK_INT(schema_service_count(schema), 4);
    const char *const names[] = {"chat.ChatService", "greet.GreetService", "logger.Logger",
                                 "tutorial.NumberService"};
    for (size_t i = 0; i < 4; i++) CHECK_STR(schema_service_at(schema, i)->full_name, names[i]);
    const struct service *greet = schema_service(schema, "greet.GreetService!", 18);
    CHECK(greet && greet->method_count == 4);
    const struct method *method = service_method(greet, "GreetClientStream", 17);
    CHECK_STR(method->full_name, "greet.GreetService/GreetClientStream");
    CHECK_STR(method->request->full_name, "greet.GreetClientStreamRequest");
    CHECK_STR(method->response->full_name, "greet.GreetClientStreamResponse");
    CHECK(method->is_client_streaming && !method->is_server_streaming && method->service == greet);
    CHECK(service_method(greet, "GreetStreamX", 11) && !service_method(greet, "GreetStreamX", 12));
    CHECK(!service_method(greet, "Greets", 6) && !service_method(greet, "Gree", 4));
    CHECK(!schema_service(schema, "greet.Greet", 11) && !schema_service(schema, "greet.GreetService\0x", 20));
    schema_unref(&schema);
    CHECK(!schema);
}

static void a_schema_of_no_files_is_empty(void) {
    struct error error;
    struct schema *schema = schema_load(NO_NAMES, NO_NAMES, &error);
    CHECK(schema);
    CHECK_INT(schema_message_count(schema), 0);
    CHECK_INT(schema_service_count(schema), 0);
    CHECK(!schema_message(schema, "a.B") && !schema_file_by_symbol(schema, "a") &&
          !schema_service(schema, "a", 1));
    CHECK(!schema_file_by_name(schema, "a") && !schema_file_by_extension(schema, "a", 1));
    schema_unref(&schema);
}

static void fields_are_found_by_number_and_both_names(void) {
    struct schema *schema = load("all_types.proto", NULL);
    const struct message_type *all = schema_message(schema, "tidewire.test.AllTypes");
    CHECK(all && all->is_proto3 && all->by_number_count == 64);
    for (size_t i = 0; i < all->field_count; i++) {
        const struct field *field = &all->fields[i];
        CHECK_INT(field->index, i);
        CHECK(!i || field->number > field[-1].number);
        CHECK(message_field_by_number(all, field->number) == field);
        CHECK(message_field(all, field->name, strlen(field->name)) == field);
        CHECK(message_field_by_json(all, field->json_name, strlen(field->json_name)) == field);
    }
    CHECK(!message_field_by_number(all, 0) && !message_field_by_number(all, 20000));
    CHECK(!message_field_by_number(all, UINT32_MAX) && !message_field_by_number(all, 63 + 1000));
    CHECK(!message_field(all, "int32_fields", 12) && !message_field(all, "int32_fiel", 10) &&
          !message_field(all, "", 0));
    CHECK(!message_field(all, "self\0", 5) && message_field(all, "self\0", 4));
    CHECK_STR(field_of(schema, "tidewire.test.AllTypes", "_leading_underscore")->json_name,
              "LeadingUnderscore");
    CHECK_STR(field_of(schema, "tidewire.test.AllTypes", "double__underscore")->json_name,
              "doubleUnderscore");
    CHECK_STR(field_of(schema, "tidewire.test.AllTypes", "digit_1_after")->json_name, "digit1After");
    CHECK_STR(field_of(schema, "tidewire.test.AllTypes", "CapitalName")->json_name, "CapitalName");
    CHECK_STR(field_of(schema, "tidewire.test.AllTypes", "renamed")->json_name, "another.name");
    CHECK_STR(message_nearest_field(all, "int32_feild"), "int32_field");
    CHECK(!message_nearest_field(all, "nothing like it"));
    const struct message_type *empty = schema_message(schema, "tidewire.test.Empty");
    CHECK(empty->field_count == 0 && !message_field(empty, "a", 1) && !message_field_by_number(empty, 1));
    schema_unref(&schema);
}

static void proto3_fields_have_presence_and_packing_by_its_rules(void) {
    struct schema *schema = load("all_types.proto", NULL);
    const char *all = "tidewire.test.AllTypes";
    const struct field *field = field_of(schema, all, "int32_field");
    CHECK(!field->has_presence && !field->is_repeated && !field->is_packed && field->oneof == -1);
    CHECK(field->type == FIELD_INT32 && field->wire_type == WIRE_VARINT);
    CHECK(field_of(schema, all, "optional_int32")->has_presence &&
          field_of(schema, all, "optional_int32")->oneof == -1);
    CHECK(field_of(schema, all, "message_field")->has_presence);
    CHECK(field_of(schema, all, "repeated_int32")->is_packed &&
          !field_of(schema, all, "repeated_int32")->has_presence);
    CHECK(!field_of(schema, all, "unpacked_int32")->is_packed &&
          !field_of(schema, all, "repeated_string")->is_packed);
    CHECK(field_of(schema, all, "repeated_enum")->is_packed &&
          !field_of(schema, all, "repeated_message")->is_packed);
    CHECK(field_of(schema, all, "string_field")->is_utf8 && !field_of(schema, all, "bytes_field")->is_utf8);
    CHECK(field_of(schema, all, "sfixed64_field")->wire_type == WIRE_64);
    CHECK(field_of(schema, all, "float_field")->wire_type == WIRE_32);
    CHECK(!field_of(schema, all, "enum_field")->enumeration->is_closed);
    CHECK(field_of(schema, all, "self")->message == schema_message(schema, all));
    schema_unref(&schema);
}

static void maps_and_oneofs_are_known(void) {
    struct schema *schema = load("all_types.proto", NULL);
    const char *all = "tidewire.test.AllTypes";
    const struct field *map = field_of(schema, all, "map_to_self");
    CHECK(map->is_map && map->is_repeated && map->message->is_map_entry && map->message->field_count == 2);
    CHECK(map->message->fields[0].type == FIELD_STRING &&
          map->message->fields[1].message == schema_message(schema, all));
    CHECK(!field_of(schema, all, "repeated_message")->is_map);
    const struct message_type *type = schema_message(schema, all);
    CHECK_INT(type->oneof_count, 2);
    const struct oneof *choice = message_oneof(type, "choice", 6),
                       *other = message_oneof(type, "other_choice", 12);
    CHECK(choice && other && !message_oneof(type, "choic", 5) && !message_oneof(type, "_optional_int32", 15));
    CHECK_INT(choice->field_count, 18);
    CHECK_INT(other->field_count, 2);
    for (size_t i = 0; i < choice->field_count; i++) {
        const struct field *member = &type->fields[choice->fields[i]];
        CHECK(member->has_presence && !strncmp(member->name, "choice_", 7));
        CHECK(&type->oneofs[member->oneof] == choice);
    }
    schema_unref(&schema);
}

static void enums_have_names_numbers_and_aliases(void) {
    struct schema *schema = load("all_types.proto", "proto2_types.proto");
    const struct enum_type *color = schema_enum(schema, "tidewire.test.Color");
    int32_t number = 0;
    CHECK(color && !color->is_closed && color->value_count == 5);
    CHECK_STR(enum_name(color, 7), "COLOR_BLUE");
    CHECK_STR(enum_name(color, -1), "COLOR_NEGATIVE");
    CHECK(!enum_name(color, 3) && !enum_name(color, INT32_MIN) && !enum_name(color, INT32_MAX));
    CHECK(enum_number(color, "COLOR_NEGATIVE", 14, &number) && number == -1);
    CHECK(!enum_number(color, "COLOR_NEGATIV", 13, &number) && !enum_number(color, "", 0, &number));
    const struct enum_type *alias = schema_enum(schema, "tidewire.test.Alias");
    CHECK_STR(enum_name(alias, 1), "ALIAS_FIRST");
    CHECK(enum_number(alias, "ALIAS_SAME", 10, &number) && number == 1);
    CHECK(schema_enum(schema, "tidewire.test.AllTypes.Inner"));
    CHECK(schema_enum(schema, "tidewire.test2.Closed")->is_closed);
    CHECK(!schema_enum(schema, "tidewire.test.AllTypes") && !schema_message(schema, "tidewire.test.Color"));
    schema_unref(&schema);
}

static void proto2_defaults_are_exact(void) {
    struct schema *schema = load("proto2_types.proto", NULL);
    const char *type = "tidewire.test2.Defaults";
    CHECK(field_of(schema, type, "double_field")->default_value.number == 1.5);
    CHECK(field_of(schema, type, "float_field")->default_value.number == -2.25);
    CHECK(field_of(schema, type, "int64_field")->default_value.integer == -9000000000);
    CHECK(field_of(schema, type, "uint32_field")->default_value.unsigned_integer == 4000000000u);
    CHECK(field_of(schema, type, "uint64_field")->default_value.unsigned_integer == UINT64_MAX);
    CHECK(field_of(schema, type, "sint32_field")->default_value.integer == INT32_MIN);
    CHECK(field_of(schema, type, "sint64_field")->default_value.integer == INT64_MIN);
    CHECK(field_of(schema, type, "bool_field")->default_value.integer == 1);
    const struct field *text = field_of(schema, type, "string_field"),
                       *bytes = field_of(schema, type, "bytes_field");
    CHECK_MEM(text->default_value.bytes.data, text->default_value.bytes.length, "say \"hi\"\n\\ \303\244",
              13);
    CHECK_MEM(bytes->default_value.bytes.data, bytes->default_value.bytes.length, "\0\1\377\\x\"'\t", 8);
    CHECK(field_of(schema, type, "enum_field")->default_value.integer == 2);
    CHECK(field_of(schema, type, "infinite")->default_value.number == INFINITY);
    CHECK(field_of(schema, type, "negative_infinite")->default_value.number == -INFINITY);
    CHECK(isnan(field_of(schema, type, "not_a_number")->default_value.number));
    CHECK(field_of(schema, type, "infinite_float")->default_value.number == INFINITY);
    CHECK(field_of(schema, type, "tiny")->default_value.number == 1e-300);
    const struct field *plain = field_of(schema, type, "without_default");
    CHECK(!plain->has_default && plain->has_presence && plain->default_value.integer == 0);
    const struct field *first = field_of(schema, type, "enum_without_default");
    CHECK(!first->has_default && first->default_value.integer == 1);
    schema_unref(&schema);
}

static void proto2_packing_groups_and_required_are_known(void) {
    struct schema *schema = load("proto2_types.proto", NULL);
    CHECK(field_of(schema, "tidewire.test2.Packing", "packed")->is_packed);
    CHECK(!field_of(schema, "tidewire.test2.Packing", "unpacked")->is_packed);
    const struct field *group = field_of(schema, "tidewire.test2.Groups", "onegroup");
    CHECK(group->type == FIELD_GROUP && group->wire_type == WIRE_GROUP && group->has_presence &&
          !group->is_map);
    CHECK_STR(group->message->full_name, "tidewire.test2.Groups.OneGroup");
    CHECK(field_of(schema, "tidewire.test2.Groups", "chosengroup")->oneof == 0);
    CHECK(field_of(schema, "tidewire.test2.Required", "id")->is_required);
    CHECK(schema_message(schema, "tidewire.test2.Required")->has_required);
    CHECK(schema_message(schema, "tidewire.test2.HasRequiredBelow")->has_required);
    CHECK(schema_message(schema, "tidewire.test2.Groups")->has_required);
    CHECK(!schema_message(schema, "tidewire.test2.Defaults")->has_required);
    CHECK(!schema_message(schema, "tidewire.test2.Packing")->needs_utf8);
    CHECK(schema_message(schema, "tidewire.test2.HasRequiredBelow")->needs_utf8);
    schema_unref(&schema);
}

static void utf8_is_needed_where_a_string_stands_at_any_depth(void) {
    struct schema *schema = load("all_types.proto", NULL);
    CHECK(!schema_message(schema, "tidewire.test.Numbers")->needs_utf8);
    CHECK(!schema_message(schema, "tidewire.test.Empty")->needs_utf8);
    CHECK(schema_message(schema, "tidewire.test.Tree")->needs_utf8);
    CHECK(schema_message(schema, "tidewire.test.AllTypes")->needs_utf8);
    CHECK(!schema_message(schema, "tidewire.test.AllTypes")->has_required);
    schema_unref(&schema);
}

static void well_known_types_are_marked(void) {
    struct schema *schema = load("all_types.proto", NULL);
    static const struct {
        const char *name;
        enum well_known kind;
    } known[] = {{"Any", WELL_KNOWN_ANY},
                 {"Timestamp", WELL_KNOWN_TIMESTAMP},
                 {"Duration", WELL_KNOWN_DURATION},
                 {"FieldMask", WELL_KNOWN_FIELD_MASK},
                 {"Struct", WELL_KNOWN_STRUCT},
                 {"Value", WELL_KNOWN_VALUE},
                 {"ListValue", WELL_KNOWN_LIST},
                 {"Empty", WELL_KNOWN_EMPTY},
                 {"DoubleValue", WELL_KNOWN_WRAPPER},
                 {"BytesValue", WELL_KNOWN_WRAPPER},
                 {"UInt64Value", WELL_KNOWN_WRAPPER}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char name[64];
        snprintf(name, sizeof name, "google.protobuf.%s", known[i].name);
        CHECK_INT(schema_message(schema, name)->well_known, known[i].kind);
    }
    CHECK_INT(schema_message(schema, "tidewire.test.Empty")->well_known, NOT_WELL_KNOWN);
    schema_unref(&schema);
}

static void every_message_has_a_number_of_its_own(void) {
    struct schema *schema = load("all_types.proto", "proto2_types.proto");
    static const char *const names[] = {"tidewire.test.AllTypes", "tidewire.test.Tree",
                                        "tidewire.test2.Groups", "google.protobuf.Any",
                                        "tidewire.test.AllTypes.Nested"};
    bool seen[1000] = {false};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t number = schema_message(schema, names[i])->number;
        CHECK(number < schema_message_count(schema) && number < 1000 && !seen[number]);
        seen[number] = true;
    }
    schema_unref(&schema);
}

static void reflection_finds_files_by_name_symbol_and_extension(void) {
    struct schema *schema = load("all_types.proto", "proto2_types.proto");
    const struct schema_file *file = schema_file_by_name(schema, "proto2_types.proto");
    CHECK(file && !*file->imports && !schema_file_by_name(schema, "proto2_types"));
    static const char *const symbols[] = {"tidewire.test2.Closed",
                                          "tidewire.test2.CLOSED_ONE",
                                          "tidewire.test2.Groups.OneGroup.number",
                                          "tidewire.test2.Groups.choice",
                                          "tidewire.test2.extension_number",
                                          "tidewire.test2.ExtensionScope.nested_extension"};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        CHECK(schema_file_by_symbol(schema, symbols[i]) == file);
    CHECK(schema_file_by_extension(schema, "tidewire.test2.Extendable", 1500) == file);
    CHECK(!schema_file_by_extension(schema, "tidewire.test2.Extendable", 1501));
    CHECK(!schema_file_by_extension(schema, "tidewire.test2.Groups", 100));
    uint32_t numbers[4];
    CHECK_INT(schema_extension_numbers(schema, "tidewire.test2.Extendable", numbers, 4), 3);
    CHECK(numbers[0] == 100 && numbers[1] == 101 && numbers[2] == 1500);
    CHECK_INT(schema_extension_numbers(schema, "tidewire.test2.Extendable", numbers, 2), 2);
    CHECK_INT(schema_extension_numbers(schema, "tidewire.test2.Groups", numbers, 4), 0);

    const struct schema_file *all = schema_file_by_symbol(schema, "tidewire.test.AllTypesService.Echo");
    CHECK_STR(all->name, "all_types.proto");
    CHECK_STR(all->imports[0]->name, "google/protobuf/any.proto");
    Google__Protobuf__FileDescriptorProto *proto =
        google__protobuf__file_descriptor_proto__unpack(NULL, all->length, all->bytes);
    CHECK(proto && !strcmp(proto->name, all->name));
    google__protobuf__file_descriptor_proto__free_unpacked(proto, NULL);
    schema_unref(&schema);
}

/* A folder for one test's files, gone with the process. */
static const char *folder(void) {
    static char name[64];
    if (*name) return name;
    snprintf(name, sizeof name, "/tmp/tidewire-schema-XXXXXX");
    CHECK(mkdtemp(name));
    return name;
}

static void remove_folder(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder());
    CHECK_INT(system(command), 0);
}

static const char *write_file(const char *name, const void *bytes, size_t length) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    FILE *file = fopen(path, "w");
    CHECK(file && fwrite(bytes, 1, length, file) == length);
    fclose(file);
    return path;
}

static const char *write_text(const char *name, const char *text) {
    return write_file(name, text, strlen(text));
}

/* That protoc tells of lines is for whoever reads an error, and a descriptor that is handed out has none. */
static void methods_have_lines_and_descriptors_none(void) {
    static const char *const files[] = {"doors.proto", NULL}, first[] = "rpc Unary(";
    struct buffer text = {0};
    struct error error;
    struct schema *schema = load("doors.proto", NULL);
    const struct service *service = schema_service(schema, "doors.Doors", 11);
    int source = open("tests/proto/doors.proto", O_RDONLY | O_CLOEXEC), line = 1;
    CHECK(source >= 0 && protoc_read_all(source, &text));
    close(source);
    buffer_append_byte(&text, 0);
    const char *at = (const char *)buffer_bytes(&text), *end = strstr(at, first);
    for (; at < end; at++) line += *at == '\n';
    CHECK_INT(service_method(service, "Unary", 5)->line, line);
    CHECK_INT(service_method(service, "Safe", 4)->line, line + 1);
    buffer_clear(&text);
    CHECK(protoc_run(TEST_PATHS, (char *const *)files, &text, &error));
    static const char comment[] = "One method of each kind";
    const struct schema_file *file = schema_file_by_name(schema, "doors.proto");
    CHECK(memmem(buffer_bytes(&text), buffer_length(&text), comment, sizeof comment - 1));
    CHECK(!memmem(file->bytes, file->length, comment, sizeof comment - 1));
    Google__Protobuf__FileDescriptorProto *proto =
        google__protobuf__file_descriptor_proto__unpack(NULL, file->length, file->bytes);
    CHECK(proto && proto->n_service == 1 && proto->n_message_type == 1 && !proto->source_code_info);
    CHECK_STR(proto->syntax, "proto3");
    google__protobuf__file_descriptor_proto__free_unpacked(proto, NULL);
    buffer_free(&text);
    schema_unref(&schema);
}

static void protoc_speaks_for_itself(void) {
    write_text("broken.proto", "syntax = \"proto3\";\nmessage A { strange x = 1; }\n");
    CHECK_HAS(refusal(folder(), "broken.proto"), "broken.proto:2:13: \"strange\" is not defined.");
    CHECK_HAS(refusal("proto", "absent.proto"), "absent.proto");
    CHECK_HAS(refusal("proto:tests", "chat.proto"), "proto:tests");
}

static void names_that_look_like_options_are_names(void) {
    const char *text = "syntax = \"proto3\"; package dash; message A { }";
    static const char *const names[] = {"-version.proto", "--help.proto", "@file.proto"};
    for (size_t i = 0; i < 3; i++) {
        struct error error;
        write_text(names[i], text);
        struct schema *schema = schema_load(LIST(folder()), LIST(names[i]), &error);
        if (!schema) fprintf(stderr, "%s\n", error.text);
        CHECK(schema && schema_message(schema, "dash.A"));
        schema_unref(&schema);
    }
}

static void without_paths_a_file_is_read_where_it_stands(void) {
    struct error error;
    const char *file = write_text("alone.proto", "syntax = \"proto3\"; message Alone { }");
    struct schema *schema = schema_load(NO_NAMES, LIST(file), &error);
    CHECK(schema && schema_message(schema, "Alone"));
    schema_unref(&schema);
}

static void a_missing_protoc_names_its_package(void) {
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    const char *text = refusal("proto", "chat.proto");
    setenv("PATH", path, 1);
    free(path);
    CHECK_HAS(text, "protobuf-compiler");
}

/* The set of a file of tests/proto, as protoc writes it. */
static struct buffer set_of(const char *file) {
    struct error error;
    struct buffer set = {0};
    CHECK(protoc_run(TEST_PATHS, LIST(file), &set, &error));
    return set;
}

static void descriptor_sets_load_beside_sources_and_repeat_files(void) {
    struct error error;
    struct buffer set = set_of("logger.proto");
    const char *file = write_file("logger.pb", buffer_bytes(&set), buffer_length(&set));
    struct schema *schema =
        schema_load(TEST_PATHS, LIST(file, "all_types.proto", "logger.proto", file), &error);
    if (!schema) fprintf(stderr, "%s\n", error.text);
    CHECK(schema && schema_service(schema, "logger.Logger", 13) &&
          schema_message(schema, "tidewire.test.AllTypes"));
    schema_unref(&schema);
    buffer_free(&set);
    CHECK_HAS(refusal("proto", "tests/proto"), "tests/proto: error: ");
    CHECK_HAS(refusal("proto", "/nowhere/a.pb"), "/nowhere/a.pb: error: ");
}

static void a_cut_or_bent_set_is_an_error(void) {
    struct error error;
    struct buffer set = set_of("proto2_types.proto");
    size_t length = buffer_length(&set);
    for (size_t cut = 0; cut < length; cut++) CHECK(!schema_parse(buffer_bytes(&set), cut, "cut", &error));
    for (size_t place = 0; place < length; place++) { /* any outcome but a fault of memory */
        uint8_t before = buffer_bytes(&set)[place];
        buffer_bytes(&set)[place] ^= 0xff;
        struct schema *schema = schema_parse(buffer_bytes(&set), length, "bent", &error);
        schema_unref(&schema);
        buffer_bytes(&set)[place] = before;
    }
    struct schema *schema = schema_parse(buffer_bytes(&set), length, "whole", &error);
    CHECK(schema);
    schema_unref(&schema);
    buffer_free(&set);
}

static void messages_nested_without_end_are_refused(void) {
    struct error error;
    struct buffer inner = {0}, outer = {0};
    wire_write_tag(&inner, 3, WIRE_BYTES);
    wire_write_varint(&inner, 0);
    for (int i = 0; i < 20000; i++) {
        buffer_clear(&outer);
        wire_write_tag(&outer, i == 19999 ? 1 : i == 19998 ? 4 : 3, WIRE_BYTES);
        wire_write_bytes(&outer, buffer_bytes(&inner), buffer_length(&inner));
        struct buffer swap = inner;
        inner = outer;
        outer = swap;
    }
    CHECK(!schema_parse(buffer_bytes(&inner), buffer_length(&inner), "deep", &error));
    CHECK_HAS(error.text, "deep: error: ");
    buffer_free(&inner);
    buffer_free(&outer);
}

/* A set of one file, changed by hand before it is packed. */
static struct buffer change(const char *file, void (*edit)(Google__Protobuf__FileDescriptorProto *file)) {
    struct buffer set = set_of(file);
    Google__Protobuf__FileDescriptorSet *proto =
        google__protobuf__file_descriptor_set__unpack(NULL, buffer_length(&set), buffer_bytes(&set));
    edit(proto->file[proto->n_file - 1]);
    buffer_clear(&set);
    size_t size = google__protobuf__file_descriptor_set__get_packed_size(proto);
    google__protobuf__file_descriptor_set__pack(proto, buffer_reserve(&set, size));
    buffer_commit(&set, size);
    google__protobuf__file_descriptor_set__free_unpacked(proto, NULL);
    return set;
}

static void replace(char **text, const char *with) {
    free(*text);
    *text = strdup(with);
}
static void use_editions(Google__Protobuf__FileDescriptorProto *file) { replace(&file->syntax, "editions"); }
static void lose_a_type(Google__Protobuf__FileDescriptorProto *file) {
    replace(&file->service[0]->method[0]->input_type, ".chat.Nothing");
}
static void lose_an_import(Google__Protobuf__FileDescriptorProto *file) {
    replace(&file->dependency[0], "gone.proto");
}
static void repeat_a_name(Google__Protobuf__FileDescriptorProto *file) {
    replace(&file->message_type[0]->field[1]->name, file->message_type[0]->field[0]->name);
}
static void repeat_a_number(Google__Protobuf__FileDescriptorProto *file) {
    file->message_type[0]->field[1]->number = file->message_type[0]->field[0]->number;
}
static void spoil_default_of(Google__Protobuf__FileDescriptorProto *file, const char *field,
                             const char *with) {
    for (size_t i = 0; i < file->n_message_type; i++)
        for (size_t j = 0; j < file->message_type[i]->n_field; j++)
            if (!strcmp(file->message_type[i]->field[j]->name, field))
                replace(&file->message_type[i]->field[j]->default_value, with);
}
static void spoil_a_default(Google__Protobuf__FileDescriptorProto *file) {
    spoil_default_of(file, "int32_field", "2147483648");
}
static void spoil_an_unsigned_default(Google__Protobuf__FileDescriptorProto *file) {
    spoil_default_of(file, "uint64_field", "-1");
}
static void spoil_an_entry(Google__Protobuf__FileDescriptorProto *file) {
    file->message_type[0]->nested_type[0]->field[0]->type =
        GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES;
}

static void descriptors_that_contradict_themselves_are_refused(void) {
    static const struct {
        const char *file;
        void (*edit)(Google__Protobuf__FileDescriptorProto *);
        const char *reason;
    } cases[] = {
        {"chat.proto", use_editions, "chat.proto: syntax \"editions\" is not supported"},
        {"chat.proto", lose_a_type, "chat.ChatService.Chat: the type \".chat.Nothing\" is not defined"},
        {"logger.proto", lose_an_import,
         "logger.proto: imports \"gone.proto\", which does not stand before it"},
        {"chat.proto", repeat_a_name, "\"chat.ChatMessage.sender\" is defined twice"},
        {"logger.proto", spoil_an_entry, "logger.LogFilter.LabelsEntry: not an entry of a map"},
        {"proto2_types.proto", spoil_an_unsigned_default,
         "uint64_field: the default is no value of its type"},
        {"chat.proto", repeat_a_number, "another field has the same number"},
        {"proto2_types.proto", spoil_a_default,
         "tidewire.test2.Defaults.int32_field: the default is no value of its type"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {{0}};
        struct buffer set = change(cases[i].file, cases[i].edit);
        CHECK(!schema_parse(buffer_bytes(&set), buffer_length(&set), "set", &error));
        CHECK_HAS(error.text, cases[i].reason);
        buffer_free(&set);
    }
}

static void two_files_may_not_define_one_name(void) {
    write_text("one.proto", "syntax = \"proto3\"; package p; message A { }");
    struct buffer first = {0}, second = {0};
    struct error error;
    CHECK(protoc_run(LIST(folder()), LIST("one.proto"), &first, &error));
    write_text("two.proto", "syntax = \"proto3\"; package p; message A { int32 x = 1; }");
    CHECK(protoc_run(LIST(folder()), LIST("two.proto"), &second, &error));
    buffer_append(&first, buffer_bytes(&second), buffer_length(&second));
    CHECK(!schema_parse(buffer_bytes(&first), buffer_length(&first), "set", &error));
    CHECK_HAS(error.text, "\"p.A\" is defined twice");
    buffer_free(&first);
    buffer_free(&second);
}

static void *ref_and_unref(void *schema) {
    for (int i = 0; i < 10000; i++) {
        struct schema *own = schema_ref(schema);
        schema_unref(&own);
    }
    return NULL;
}

static void threads_may_count_one_schema(void) {
    struct schema *schema = load("chat.proto", NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, ref_and_unref, schema), 0);
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK(schema_message(schema, "chat.ChatMessage"));
    schema_unref(&schema);
}

int main(void) {
    RUN(example_protos_have_their_services);
    RUN(a_schema_of_no_files_is_empty);
    RUN(fields_are_found_by_number_and_both_names);
    RUN(proto3_fields_have_presence_and_packing_by_its_rules);
    RUN(maps_and_oneofs_are_known);
    RUN(enums_have_names_numbers_and_aliases);
    RUN(proto2_defaults_are_exact);
    RUN(proto2_packing_groups_and_required_are_known);
    RUN(utf8_is_needed_where_a_string_stands_at_any_depth);
    RUN(well_known_types_are_marked);
    RUN(every_message_has_a_number_of_its_own);
    RUN(reflection_finds_files_by_name_symbol_and_extension);
    RUN(methods_have_lines_and_descriptors_none);
    RUN(protoc_speaks_for_itself);
    RUN(names_that_look_like_options_are_names);
    RUN(without_paths_a_file_is_read_where_it_stands);
    RUN(a_missing_protoc_names_its_package);
    RUN(descriptor_sets_load_beside_sources_and_repeat_files);
    RUN(a_cut_or_bent_set_is_an_error);
    RUN(messages_nested_without_end_are_refused);
    RUN(descriptors_that_contradict_themselves_are_refused);
    RUN(two_files_may_not_define_one_name);
    RUN(threads_may_count_one_schema);
    remove_folder();
    return 0;
}
