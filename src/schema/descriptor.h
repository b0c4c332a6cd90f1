/* schema/descriptor.h - from serialized FileDescriptorSets to the tables of a schema, in two passes.
 *
 * The first gives every message, enum and service its place and its name, so that the second can link fields
 * and methods to types that stand anywhere. */
#ifndef TIDEWIRE_SCHEMA_DESCRIPTOR_H
#define TIDEWIRE_SCHEMA_DESCRIPTOR_H
#include <google/protobuf/descriptor.pb-c.h>
#include "schema/schema_private.h"

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;

struct file_source {
    file_proto *proto;
    struct schema_file *file;
    bool is_proto3;
};
struct message_source {
    const message_proto *proto;
    struct message_type *type;
    const struct file_source *file;
};
struct service_source {
    const service_proto *proto;
    const char *full_name;
    const struct file_source *file;
};

/* What is only needed while a schema is built. The lists grow; struct file_source never moves. */
struct descriptor_builder {
    struct schema *schema;
    struct error *error;
    const char *set_name; /* for errors */
    struct file_source **files;
    size_t file_count, file_capacity;
    struct message_source *messages;
    size_t message_count, message_capacity;
    struct service_source *services;
    size_t service_count, service_capacity;
    size_t symbol_capacity, extension_capacity;
};

/* Sets may repeat each other's files. */
void descriptor_start(struct descriptor_builder *builder, struct error *error);
bool descriptor_add_set(struct descriptor_builder *builder, const uint8_t *set, size_t length,
                        const char *name);
/* The finished schema, or NULL when a step before or this one failed. Ends the builder. */
struct schema *descriptor_finish(struct descriptor_builder *builder, bool is_good);

/* First pass: all that stands in one file. */
bool descriptor_collect(struct descriptor_builder *builder, const struct file_source *source);
/* Second pass: fields, methods, and what follows from them. The symbols are sorted by now. */
bool descriptor_link(struct descriptor_builder *builder);
/* What is true of a type because of the types below it, and which types JSON treats in its own way. */
void descriptor_derive(struct descriptor_builder *builder);

bool descriptor_parse_default(struct arena *arena, const char *text, struct field *field);
char *descriptor_json_name(struct arena *arena, const char *name);

/* "set: error: file: …"; false. */
bool descriptor_fail(const struct descriptor_builder *builder, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
