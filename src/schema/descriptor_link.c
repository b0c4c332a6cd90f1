/* schema/descriptor_link.c - see descriptor.h. The second pass: the fields of every message, and the
 * services. */
#include <stdlib.h>
#include <string.h>

#include "schema/descriptor.h"
#include "schema/wire.h"

enum { MOST_FIELDS = 32767, LARGEST_NUMBER = (1 << 29) - 1, MOST_BY_NUMBER = 64 };

static const uint8_t wire_types[] = {
    [FIELD_DOUBLE] = WIRE_64,     [FIELD_FLOAT] = WIRE_32,      [FIELD_INT64] = WIRE_VARINT,
    [FIELD_UINT64] = WIRE_VARINT, [FIELD_INT32] = WIRE_VARINT,  [FIELD_FIXED64] = WIRE_64,
    [FIELD_FIXED32] = WIRE_32,    [FIELD_BOOL] = WIRE_VARINT,   [FIELD_STRING] = WIRE_BYTES,
    [FIELD_GROUP] = WIRE_GROUP,   [FIELD_MESSAGE] = WIRE_BYTES, [FIELD_BYTES] = WIRE_BYTES,
    [FIELD_UINT32] = WIRE_VARINT, [FIELD_ENUM] = WIRE_VARINT,   [FIELD_SFIXED32] = WIRE_32,
    [FIELD_SFIXED64] = WIRE_64,   [FIELD_SINT32] = WIRE_VARINT, [FIELD_SINT64] = WIRE_VARINT,
};

static bool fail_field(struct descriptor_builder *builder, const struct message_source *source,
                       const char *field, const char *what) {
    return descriptor_fail(builder, source->file->file->name, "%s.%s: %s", source->type->full_name, field,
                           what);
}

/* The type that ".pkg.Name" names; protoc and every other compiler writes the whole name with its dot. */
static const struct symbol *find_type(const struct descriptor_builder *builder, const char *name) {
    return name && *name == '.' ? schema_symbol(builder->schema, name + 1) : NULL;
}

static bool link_type(struct descriptor_builder *builder, const struct message_source *source,
                      const field_proto *proto, struct field *field) {
    bool is_message = field->type == FIELD_MESSAGE || field->type == FIELD_GROUP;
    if (!is_message && field->type != FIELD_ENUM) return true;
    const struct symbol *symbol = find_type(builder, proto->type_name);
    if (!symbol || symbol->kind != (is_message ? SYMBOL_MESSAGE : SYMBOL_ENUM))
        return descriptor_fail(builder, source->file->file->name, "%s.%s: the type \"%s\" is not defined",
                               source->type->full_name, field->name,
                               proto->type_name ? proto->type_name : "");
    if (is_message) {
        field->message = symbol->type;
        field->is_map = field->is_repeated && field->type == FIELD_MESSAGE && field->message->is_map_entry;
    } else {
        field->enumeration = symbol->type;
        field->default_value.integer = field->enumeration->values[0].number;
    }
    return true;
}

static bool is_packable(const struct field *field) {
    return field->wire_type != WIRE_BYTES && field->wire_type != WIRE_GROUP;
}

static bool link_field(struct descriptor_builder *builder, const struct message_source *source,
                       const field_proto *proto, struct field *field) {
    struct arena *arena = &builder->schema->arena;
    field->name = arena_copy_string(arena, proto->name);
    field->json_name = proto->json_name ? arena_copy_string(arena, proto->json_name)
                                        : descriptor_json_name(arena, proto->name);
    if (proto->number < 1 || proto->number > LARGEST_NUMBER)
        return fail_field(builder, source, field->name, "the number is out of range");
    int type = proto->type; /* of a malformed set it may be any number */
    if (type < FIELD_DOUBLE || type > FIELD_SINT64)
        return fail_field(builder, source, field->name, "the kind of type is unknown");
    field->number = (uint32_t)proto->number;
    field->type = (uint8_t)type;
    field->wire_type = wire_types[field->type];
    field->is_repeated = proto->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    field->is_required = proto->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED;
    field->is_utf8 = field->type == FIELD_STRING;
    field->oneof = -1;
    if (!link_type(builder, source, proto, field)) return false;
    bool is_packed =
        proto->options && proto->options->has_packed ? proto->options->packed : source->type->is_proto3;
    field->is_packed = field->is_repeated && is_packable(field) && is_packed;
    field->has_presence = !field->is_repeated && (field->message || proto->has_oneof_index ||
                                                  proto->proto3_optional || !source->type->is_proto3);
    if (!proto->default_value) return true;
    field->has_default = !field->is_repeated && !field->message;
    return (field->has_default && descriptor_parse_default(arena, proto->default_value, field)) ||
           fail_field(builder, source, field->name, "the default is no value of its type");
}

static int compare_fields(const void *a, const void *b) {
    const struct field *one = a, *other = b;
    return (one->number > other->number) - (one->number < other->number);
}

static bool sort_fields(struct descriptor_builder *builder, const struct message_source *source,
                        struct field *fields, size_t count) {
    qsort(fields, count, sizeof *fields, compare_fields);
    for (size_t i = 0; i < count; i++) {
        if (i && fields[i].number == fields[i - 1].number)
            return fail_field(builder, source, fields[i].name, "another field has the same number");
        fields[i].index = (uint16_t)i;
    }
    return true;
}

static void index_by_number(struct arena *arena, struct message_type *type) {
    size_t count = type->field_count ? type->fields[type->field_count - 1].number + 1 : 0;
    type->by_number_count = count < MOST_BY_NUMBER ? count : MOST_BY_NUMBER;
    uint16_t *places = arena_take_many(arena, type->by_number_count, sizeof *places);
    for (size_t i = 0; i < type->field_count && type->fields[i].number < type->by_number_count; i++)
        places[type->fields[i].number] = (uint16_t)(i + 1);
    type->by_number = places;
}

static void index_by_name(struct arena *arena, struct message_type *type) {
    struct message_names *names = arena_take(arena, sizeof *names);
    names->proto = field_names_new(arena, type->fields, type->field_count, false);
    names->json = field_names_new(arena, type->fields, type->field_count, true);
    type->by_name = names;
}

/* The fields of one declared oneof; `members` has room for all fields. A proto3 optional stands in a oneof of
 * its own that only old readers are meant to see. */
static size_t find_members(const struct message_source *source, size_t declared, struct field *fields,
                           uint16_t *members) {
    size_t count = 0;
    for (size_t i = 0; i < source->proto->n_field; i++) {
        const field_proto *proto = source->proto->field[i];
        if (!proto->has_oneof_index || (size_t)proto->oneof_index != declared || proto->proto3_optional)
            continue;
        const struct field *key = &(struct field){.number = (uint32_t)proto->number};
        struct field *field = bsearch(key, fields, source->type->field_count, sizeof *fields, compare_fields);
        members[count++] = field->index;
    }
    return count;
}

static int compare_places(const void *a, const void *b) {
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static bool link_oneofs(struct descriptor_builder *builder, const struct message_source *source,
                        struct field *fields) {
    struct arena *arena = &builder->schema->arena;
    const message_proto *proto = source->proto;
    struct message_type *type = source->type;
    struct oneof *oneofs = arena_take_many(arena, proto->n_oneof_decl, sizeof *oneofs);
    type->oneofs = oneofs;
    for (size_t i = 0; i < proto->n_field; i++) {
        const field_proto *field = proto->field[i];
        if (!field->has_oneof_index) continue;
        if (field->oneof_index < 0 || (size_t)field->oneof_index >= proto->n_oneof_decl ||
            field->label != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL)
            return fail_field(builder, source, field->name, "cannot be a member of its oneof");
    }
    uint16_t *members = arena_take_many(arena, proto->n_field + 1, sizeof *members);
    for (size_t declared = 0; declared < proto->n_oneof_decl; declared++) {
        size_t count = find_members(source, declared, fields, members);
        if (!count) continue;
        qsort(members, count, sizeof *members, compare_places);
        struct oneof *oneof = &oneofs[type->oneof_count];
        oneof->name = arena_copy_string(arena, proto->oneof_decl[declared]->name);
        oneof->fields = members;
        oneof->field_count = count;
        for (size_t i = 0; i < count; i++) fields[members[i]].oneof = (int16_t)type->oneof_count;
        type->oneof_count++;
        members += count;
    }
    return true;
}

/* What reads and writes maps relies on a key and a value, and on keys that can be compared. */
static bool is_good_entry(const struct message_type *type) {
    if (type->field_count != 2) return false;
    const struct field *key = &type->fields[0], *value = &type->fields[1];
    return key->number == 1 && value->number == 2 && !key->is_repeated && !value->is_repeated &&
           !key->is_required && !value->is_required && key->oneof < 0 && value->oneof < 0 && !key->message &&
           value->type != FIELD_GROUP && key->type != FIELD_ENUM && key->type != FIELD_DOUBLE &&
           key->type != FIELD_FLOAT && key->type != FIELD_BYTES;
}

static bool link_message(struct descriptor_builder *builder, const struct message_source *source) {
    const message_proto *proto = source->proto;
    struct message_type *type = source->type;
    if (proto->n_field > MOST_FIELDS || proto->n_oneof_decl > MOST_FIELDS)
        return descriptor_fail(builder, source->file->file->name, "%s: more than %d fields", type->full_name,
                               MOST_FIELDS);
    struct field *fields = arena_take_many(&builder->schema->arena, proto->n_field, sizeof *fields);
    for (size_t i = 0; i < proto->n_field; i++)
        if (!link_field(builder, source, proto->field[i], &fields[i])) return false;
    type->fields = fields;
    type->field_count = proto->n_field;
    if (!sort_fields(builder, source, fields, type->field_count) || !link_oneofs(builder, source, fields))
        return false;
    if (type->is_map_entry && !is_good_entry(type))
        return descriptor_fail(builder, source->file->file->name, "%s: not an entry of a map",
                               type->full_name);
    index_by_number(&builder->schema->arena, type);
    index_by_name(&builder->schema->arena, type);
    return true;
}

static int compare_methods(const void *a, const void *b) {
    return strcmp(((const struct method *)a)->name, ((const struct method *)b)->name);
}

static int compare_services(const void *a, const void *b) {
    return strcmp(((const struct service *)a)->full_name, ((const struct service *)b)->full_name);
}

static bool has_no_side_effects(const Google__Protobuf__MethodDescriptorProto *proto) {
    return proto->options && proto->options->idempotency_level ==
                                 GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS;
}

/* The option is an extension, so the descriptor has its bytes alone. Several pieces are one message. */
static void take_http_rule(struct arena *arena, const Google__Protobuf__MethodDescriptorProto *proto,
                           struct method *method) {
    enum { HTTP_RULE = 72295728 };
    const ProtobufCMessage *options = proto->options ? &proto->options->base : NULL;
    struct buffer rule = {0};
    size_t length;
    for (size_t i = 0; options && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        if (field->tag != HTTP_RULE || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) continue;
        const uint8_t *bytes = wire_read_length(field->data, field->data + field->len, &length);
        if (bytes) buffer_append(&rule, bytes, length);
    }
    if (buffer_length(&rule)) {
        method->http_rule_length = buffer_length(&rule);
        method->http_rule = (const uint8_t *)arena_copy(arena, buffer_bytes(&rule), buffer_length(&rule));
    }
    buffer_free(&rule);
}

/* Where the descriptor has lines. */
static void take_lines(const struct service_source *source, struct method *methods, size_t count) {
    enum { SERVICES = 6, METHODS = 2 };
    const file_proto *file = source->file->proto;
    const Google__Protobuf__SourceCodeInfo *info = file->source_code_info;
    for (size_t i = 0; info && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *place = info->location[i];
        if (place->n_path != 4 || place->path[0] != SERVICES || place->path[2] != METHODS || !place->n_span) continue;
        size_t service = (size_t)place->path[1], method = (size_t)place->path[3];
        if (service >= file->n_service || file->service[service] != source->proto || method >= count) continue;
        methods[method].line = place->span[0] >= 0 && place->span[0] < INT_MAX ? place->span[0] + 1 : 0;
    }
}

static bool link_service(struct descriptor_builder *builder, const struct service_source *source,
                         struct service *service) {
    struct arena *arena = &builder->schema->arena;
    size_t count = source->proto->n_method;
    struct method *methods = arena_take_many(arena, count, sizeof *methods);
    for (size_t i = 0; i < count; i++) {
        const Google__Protobuf__MethodDescriptorProto *proto = source->proto->method[i];
        const struct symbol *request = find_type(builder, proto->input_type);
        const struct symbol *response = find_type(builder, proto->output_type);
        if (!request || !response || request->kind != SYMBOL_MESSAGE || response->kind != SYMBOL_MESSAGE)
            return descriptor_fail(builder, source->file->file->name, "%s.%s: the type \"%s\" is not defined",
                                   source->full_name, proto->name,
                                   request && request->kind == SYMBOL_MESSAGE ? proto->output_type
                                                                              : proto->input_type);
        methods[i] = (struct method){.name = arena_copy_string(arena, proto->name),
                                     .full_name = arena_join(arena, source->full_name, '/', proto->name),
                                     .request = request->type,
                                     .response = response->type,
                                     .is_client_streaming = proto->client_streaming,
                                     .is_server_streaming = proto->server_streaming,
                                     .has_no_side_effects = has_no_side_effects(proto)};
        take_http_rule(arena, proto, &methods[i]);
    }
    take_lines(source, methods, count);
    qsort(methods, count, sizeof *methods, compare_methods);
    *service = (struct service){.full_name = source->full_name, .methods = methods, .method_count = count};
    return true;
}

static bool link_services(struct descriptor_builder *builder) {
    struct schema *schema = builder->schema;
    size_t count = builder->service_count;
    struct service *services = arena_take_many(&schema->arena, count, sizeof *services);
    for (size_t i = 0; i < count; i++)
        if (!link_service(builder, &builder->services[i], &services[i])) return false;
    qsort(services, count, sizeof *services, compare_services);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < services[i].method_count; j++) {
            struct method *method = (struct method *)&services[i].methods[j];
            method->service = &services[i];
        }
    schema->services = services;
    schema->service_count = count;
    return true;
}

bool descriptor_link(struct descriptor_builder *builder) {
    for (size_t i = 0; i < builder->message_count; i++)
        if (!link_message(builder, &builder->messages[i])) return false;
    return link_services(builder);
}
