/* cli/describe.c - see describe.h */
#include "cli/describe.h"

#include <string.h>

static const char *const scalar_names[] = {
    [FIELD_DOUBLE] = "double",     [FIELD_FLOAT] = "float",       [FIELD_INT64] = "int64",
    [FIELD_UINT64] = "uint64",     [FIELD_INT32] = "int32",       [FIELD_FIXED64] = "fixed64",
    [FIELD_FIXED32] = "fixed32",   [FIELD_BOOL] = "bool",         [FIELD_STRING] = "string",
    [FIELD_BYTES] = "bytes",       [FIELD_UINT32] = "uint32",     [FIELD_SFIXED32] = "sfixed32",
    [FIELD_SFIXED64] = "sfixed64", [FIELD_SINT32] = "sint32",     [FIELD_SINT64] = "sint64",
};

static const char *type_name(const struct field *field) {
    if (field->message) return field->message->full_name;
    return field->enumeration ? field->enumeration->full_name : scalar_names[field->type];
}

static const char *label_of(const struct message_type *type, const struct field *field) {
    if (field->is_repeated) return "repeated ";
    if (field->is_required) return "required ";
    bool is_said = field->has_presence && field->oneof < 0 && (!type->is_proto3 || !field->message);
    return is_said ? "optional " : "";
}

static void write_field(const struct message_type *type, const struct field *field, const char *indent,
                        struct buffer *out) {
    buffer_append_text(out, indent);
    if (field->is_map) {
        const struct field *entry = field->message->fields;
        buffer_format(out, "map<%s, %s>", type_name(&entry[0]), type_name(&entry[1]));
    } else {
        buffer_format(out, "%s%s", label_of(type, field), type_name(field));
    }
    buffer_format(out, " %s = %u;\n", field->name, (unsigned)field->number);
}

static void write_oneof(const struct message_type *type, const struct oneof *oneof, struct buffer *out) {
    buffer_format(out, "  oneof %s {\n", oneof->name);
    for (size_t i = 0; i < oneof->field_count; i++)
        write_field(type, &type->fields[oneof->fields[i]], "    ", out);
    buffer_append_text(out, "  }\n");
}

static void write_message(const struct message_type *type, struct buffer *out) {
    buffer_format(out, "message %s {\n", type->full_name);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        if (field->oneof < 0) write_field(type, field, "  ", out);
        else if (type->oneofs[field->oneof].fields[0] == i)
            write_oneof(type, &type->oneofs[field->oneof], out);
    }
    buffer_append_text(out, "}\n");
}

static void write_enum(const struct enum_type *type, struct buffer *out) {
    buffer_format(out, "enum %s {\n", type->full_name);
    for (size_t i = 0; i < type->value_count; i++)
        buffer_format(out, "  %s = %d;\n", type->values[i].name, (int)type->values[i].number);
    buffer_append_text(out, "}\n");
}

static void write_method(const struct method *method, const char *indent, struct buffer *out) {
    buffer_format(out, "%srpc %s(%s%s) returns (%s%s);\n", indent, method->name,
                  method->is_client_streaming ? "stream " : "", method->request->full_name,
                  method->is_server_streaming ? "stream " : "", method->response->full_name);
}

static void write_service(const struct service *service, struct buffer *out) {
    buffer_format(out, "service %s {\n", service->full_name);
    for (size_t i = 0; i < service->method_count; i++) write_method(&service->methods[i], "  ", out);
    buffer_append_text(out, "}\n");
}

static const struct method *find_method(const struct schema *schema, const char *symbol) {
    const char *dot = strrchr(symbol, '.');
    const struct service *service = dot ? schema_service(schema, symbol, (size_t)(dot - symbol)) : NULL;
    return service ? service_method(service, dot + 1, strlen(dot + 1)) : NULL;
}

bool describe_symbol(const struct schema *schema, const char *symbol, struct buffer *out) {
    const struct service *service = schema_service(schema, symbol, strlen(symbol));
    const struct message_type *message = schema_message(schema, symbol);
    const struct enum_type *enumeration = schema_enum(schema, symbol);
    const struct method *method = find_method(schema, symbol);
    if (service) write_service(service, out);
    else if (message) write_message(message, out);
    else if (enumeration) write_enum(enumeration, out);
    else if (method) write_method(method, "", out);
    return service || message || enumeration || method;
}
