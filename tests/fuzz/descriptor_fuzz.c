/* Descriptor sets: whatever the bytes are, they make a schema whose tables agree with one another, or an
 * error. */
#include <stdlib.h>
#include <string.h>

#include "schema/codec.h"
#include "schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void must(int condition) {
    if (!condition) abort();
}

static void check_message(const struct message_type *type) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        must(field->index == i && message_field_by_number(type, field->number) == field);
        must(message_field(type, field->name, strlen(field->name)) == field);
        must(message_field_by_json(type, field->json_name, strlen(field->json_name)) != NULL);
        must(!field->is_map || (field->message->is_map_entry && field->message->field_count == 2));
        must(field->oneof < 0 || (size_t)field->oneof < type->oneof_count);
        must((field->type == FIELD_ENUM) == (field->enumeration != NULL) &&
             codec_is_message(field) == (field->message != NULL));
        if (field->enumeration)
            must(enum_name(field->enumeration, field->enumeration->values[0].number) != NULL);
    }
    for (size_t i = 0; i < type->oneof_count; i++)
        for (size_t j = 0; j < type->oneofs[i].field_count; j++)
            must(type->fields[type->oneofs[i].fields[j]].oneof == (int)i);
    must(!codec_check(type, NULL, 0) || type->has_required);
}

static void check_schema(const struct schema *schema) {
    for (size_t i = 0; i < schema_service_count(schema); i++) {
        const struct service *service = schema_service_at(schema, i);
        must(schema_service(schema, service->full_name, strlen(service->full_name)) == service);
        must(schema_file_by_symbol(schema, service->full_name) != NULL);
        for (size_t j = 0; j < service->method_count; j++) {
            const struct method *method = &service->methods[j];
            must(service_method(service, method->name, strlen(method->name)) == method &&
                 method->service == service);
            must(method->request->number < schema_message_count(schema));
            check_message(method->request);
            check_message(method->response);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct error error = {{0}};
    struct schema *schema = schema_parse(bytes, length, "fuzz", &error);
    must(schema || *error.text);
    if (schema) check_schema(schema);
    schema_unref(&schema);
    return 0;
}
