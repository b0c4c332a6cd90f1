/* schema/schema.h - the types of all loaded .proto files: immutable, counted over threads, kept by a generation.
 *
 * Every pointer into a schema lives as long as the schema. Names are the proto's own, without a leading dot. */
#ifndef TIDEWIRE_SCHEMA_SCHEMA_H
#define TIDEWIRE_SCHEMA_SCHEMA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The numbers of google.protobuf.FieldDescriptorProto.Type. */
enum field_type {
    FIELD_DOUBLE = 1,
    FIELD_FLOAT,
    FIELD_INT64,
    FIELD_UINT64,
    FIELD_INT32,
    FIELD_FIXED64,
    FIELD_FIXED32,
    FIELD_BOOL,
    FIELD_STRING,
    FIELD_GROUP,
    FIELD_MESSAGE,
    FIELD_BYTES,
    FIELD_UINT32,
    FIELD_ENUM,
    FIELD_SFIXED32,
    FIELD_SFIXED64,
    FIELD_SINT32,
    FIELD_SINT64,
};

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_END_GROUP = 4, WIRE_32 = 5 };

struct message_type;

struct enum_value {
    const char *name;
    int32_t number;
};

struct enum_type {
    const char *full_name;
    const struct enum_value *values; /* in the order of the file; aliases included */
    size_t value_count;
    bool is_closed; /* proto2: unknown numbers are unknown fields */
};

struct field {
    const char *name, *json_name;
    uint32_t number;
    uint16_t index;       /* in message_type.fields */
    uint8_t type;         /* enum field_type */
    uint8_t wire_type;    /* of one value, not packed */
    bool is_repeated, is_packed /* when written */, is_required, is_map;
    bool has_presence;    /* unset reads as nil: messages, oneof members, optional, proto2 singular */
    bool is_utf8;         /* a string whose bytes must be UTF-8 (proto3; proto2 strings too are checked) */
    int16_t oneof;        /* index in message_type.oneofs, or -1; synthetic oneofs of proto3 optional count as -1 */
    const struct message_type *message; /* of FIELD_MESSAGE and FIELD_GROUP; of a map: its entry type */
    const struct enum_type *enumeration;
    /* The declared proto2 default; without one zero, and of an enum its first value. Bytes may contain NUL. */
    union {
        int64_t integer;
        uint64_t unsigned_integer;
        double number; /* float and double */
        struct { const char *data; size_t length; } bytes;
    } default_value;
    bool has_default;
};

struct oneof {
    const char *name;
    const uint16_t *fields; /* their indexes */
    size_t field_count;
};

/* The well-known types that JSON treats in their own way. */
enum well_known {
    NOT_WELL_KNOWN, WELL_KNOWN_ANY, WELL_KNOWN_TIMESTAMP, WELL_KNOWN_DURATION, WELL_KNOWN_FIELD_MASK,
    WELL_KNOWN_STRUCT, WELL_KNOWN_VALUE, WELL_KNOWN_LIST, WELL_KNOWN_WRAPPER, WELL_KNOWN_EMPTY
};

struct message_type {
    const char *full_name;
    const struct field *fields; /* by ascending number */
    size_t field_count;
    const struct oneof *oneofs;
    size_t oneof_count;
    const uint16_t *by_number;  /* fields with number < by_number_count: index + 1, or 0 */
    size_t by_number_count;     /* at most 64 */
    const void *by_name;        /* private to schema.c */
    bool is_map_entry, is_proto3;
    bool has_required;          /* of its own or below */
    bool needs_utf8;            /* some string of its own or below must be checked */
    uint8_t well_known;         /* enum well_known */
    uint32_t number;            /* dense, from 0: its place among all message types of the schema */
};

struct method {
    const char *name, *full_name; /* "Chat"; "chat.ChatService/Chat" */
    const struct message_type *request, *response;
    bool is_client_streaming, is_server_streaming;
    bool has_no_side_effects; /* option idempotency_level */
    const uint8_t *http_rule; /* option google.api.http, as it is serialized; NULL: none */
    size_t http_rule_length;
    int line; /* in its file; 0: unknown */
    const struct service *service;
};

struct service {
    const char *full_name; /* "chat.ChatService" */
    const struct method *methods; /* by name */
    size_t method_count;
};

struct schema;

/* `files`: .proto files, compiled by protoc with `paths` as its -I (without any: the folders of the files), or files of
 * a serialized FileDescriptorSet (any other ending), each with all its imports before it. Both ended by NULL. Runs
 * protoc and waits for it: start-up and reload only. Errors are protoc's own lines, or name the file. NULL on
 * failure. */
struct schema *schema_load(char *const *paths, char *const *files, struct error *error);
/* From the bytes of a FileDescriptorSet. */
struct schema *schema_parse(const uint8_t *set, size_t length, const char *name, struct error *error);
struct schema *schema_ref(struct schema *schema); /* any thread */
void schema_unref(struct schema **schema);

const struct message_type *schema_message(const struct schema *schema, const char *full_name);
const struct enum_type *schema_enum(const struct schema *schema, const char *full_name);
/* The full name of the message type (or enum) that a wrong name was most likely meant to be: one without its package,
 * or misspelt. NULL when none is near. */
const char *schema_nearest_message(const struct schema *schema, const char *name);
const char *schema_nearest_enum(const struct schema *schema, const char *name);
const struct service *schema_service(const struct schema *schema, const char *full_name, size_t length);
const struct method *service_method(const struct service *service, const char *name, size_t length);
size_t schema_message_count(const struct schema *schema);
size_t schema_service_count(const struct schema *schema);
/* By name. */
const struct service *schema_service_at(const struct schema *schema, size_t index);

const struct field *message_field(const struct message_type *type, const char *name, size_t length);
const struct field *message_field_by_json(const struct message_type *type, const char *name, size_t length);
const struct oneof *message_oneof(const struct message_type *type, const char *name, size_t length);
/* The field name nearest to a misspelt one, or NULL. */
const char *message_nearest_field(const struct message_type *type, const char *name);
/* NULL when the enum has no such number. */
const char *enum_name(const struct enum_type *type, int32_t number);
bool enum_number(const struct enum_type *type, const char *name, size_t length, int32_t *number);

static inline const struct field *message_field_by_number(const struct message_type *type, uint32_t number) {
    if (number < type->by_number_count) {
        uint16_t place = type->by_number[number];
        return place ? &type->fields[place - 1] : NULL;
    }
    size_t low = 0, high = type->field_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (type->fields[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < type->field_count && type->fields[low].number == number ? &type->fields[low] : NULL;
}

/* For reflection: the serialized FileDescriptorProto of every file. Imports are never circular. */
struct schema_file {
    const char *name;
    const uint8_t *bytes;
    size_t length;
    const struct schema_file *const *imports; /* direct ones; ended by NULL */
};
const struct schema_file *schema_file_by_name(const struct schema *schema, const char *name);
/* Services, "pkg.Service.Method", messages, enums, enum values, fields, oneofs, extensions. */
const struct schema_file *schema_file_by_symbol(const struct schema *schema, const char *symbol);
const struct schema_file *schema_file_by_extension(const struct schema *schema, const char *type, uint32_t number);
/* Extension numbers of a type, ascending; returns how many, at most `most`. */
size_t schema_extension_numbers(const struct schema *schema, const char *type, uint32_t *numbers, size_t most);
const char *schema_versions(void); /* "protobuf-c 1.4.1" */
#endif
