/* schema/descriptor_collect.c - see descriptor.h. The first pass: names, symbols, and a place for every type.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/descriptor.h"

/* Where the pass stands: a file, and the package or message around. */
struct scope {
    struct descriptor_builder *builder;
    const struct file_source *source;
    const char *name;
};

#define GROW(list, count, capacity)                                                                          \
    do {                                                                                                     \
        if ((count) == (capacity)) {                                                                         \
            (capacity) = (capacity) ? 2 * (capacity) : 32;                                                   \
            (list) = memory_resize(list, (capacity) * sizeof *(list));                                       \
        }                                                                                                    \
    } while (0)

/* The full name, or NULL when there is no name. */
static const char *add_symbol(const struct scope *scope, const char *name, enum symbol_kind kind,
                              const void *type) {
    struct schema *schema = scope->builder->schema;
    const char *file = scope->source->file->name;
    if (!name || !*name) {
        descriptor_fail(scope->builder, file, "something in \"%s\" has no name", scope->name);
        return NULL;
    }
    GROW(schema->symbols, schema->symbol_count, scope->builder->symbol_capacity);
    const char *full_name = arena_join(&schema->arena, scope->name, '.', name);
    schema->symbols[schema->symbol_count++] =
        (struct symbol){.name = full_name, .file = scope->source->file, .type = type, .kind = kind};
    return full_name;
}

static bool add_extension(const struct scope *scope, const field_proto *proto) {
    struct schema *schema = scope->builder->schema;
    if (!add_symbol(scope, proto->name, SYMBOL_EXTENSION, NULL)) return false;
    if (!proto->extendee || *proto->extendee != '.' || proto->number <= 0)
        return descriptor_fail(scope->builder, scope->source->file->name,
                               "extension %s names no type that it extends", proto->name);
    GROW(schema->extensions, schema->extension_count, scope->builder->extension_capacity);
    schema->extensions[schema->extension_count++] =
        (struct extension){.extendee = arena_copy_string(&schema->arena, proto->extendee + 1),
                           .number = (uint32_t)proto->number,
                           .file = scope->source->file};
    return true;
}

static int compare_numbers(const void *a, const void *b) {
    const struct enum_value *one = *(const struct enum_value *const *)a,
                            *other = *(const struct enum_value *const *)b;
    if (one->number != other->number) return one->number < other->number ? -1 : 1;
    return one < other ? -1 : one > other;
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const struct enum_value *const *)a)->name, (*(const struct enum_value *const *)b)->name);
}

static bool add_enum(const struct scope *scope, const enum_proto *proto) {
    struct arena *arena = &scope->builder->schema->arena;
    struct enum_index *index = arena_take(arena, sizeof *index);
    size_t count = proto->n_value;
    struct enum_value *values = arena_take_many(arena, count, sizeof *values);
    index->type.full_name = add_symbol(scope, proto->name, SYMBOL_ENUM, &index->type);
    if (!index->type.full_name) return false;
    if (!count)
        return descriptor_fail(scope->builder, scope->source->file->name, "enum %s has no values",
                               proto->name);
    index->type.values = values;
    index->type.value_count = count;
    index->type.is_closed = !scope->source->is_proto3;
    index->by_number = arena_take_many(arena, count, sizeof *index->by_number);
    index->by_name = arena_take_many(arena, count, sizeof *index->by_name);
    for (size_t i = 0; i < count; i++) {
        if (!add_symbol(scope, proto->value[i]->name, SYMBOL_ENUM_VALUE, NULL)) return false;
        values[i].name = arena_copy_string(arena, proto->value[i]->name);
        values[i].number = proto->value[i]->number;
        index->by_number[i] = index->by_name[i] = &values[i];
    }
    qsort(index->by_number, count, sizeof *index->by_number, compare_numbers);
    qsort(index->by_name, count, sizeof *index->by_name, compare_names);
    return true;
}

static struct message_type *new_message(const struct scope *scope, const message_proto *proto) {
    struct descriptor_builder *builder = scope->builder;
    struct message_type *type = arena_take(&builder->schema->arena, sizeof *type);
    GROW(builder->messages, builder->message_count, builder->message_capacity);
    type->number = (uint32_t)builder->message_count;
    builder->messages[builder->message_count++] =
        (struct message_source){.proto = proto, .type = type, .file = scope->source};
    type->is_proto3 = scope->source->is_proto3;
    type->is_map_entry = proto->options && proto->options->map_entry;
    return type;
}

static bool add_enums(const struct scope *scope, enum_proto *const *protos, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!add_enum(scope, protos[i])) return false;
    return true;
}

static bool add_extensions(const struct scope *scope, field_proto *const *protos, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!add_extension(scope, protos[i])) return false;
    return true;
}

static bool add_messages(const struct scope *scope, message_proto *const *protos, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const message_proto *proto = protos[i];
        struct message_type *type = new_message(scope, proto);
        type->full_name = add_symbol(scope, proto->name, SYMBOL_MESSAGE, type);
        if (!type->full_name) return false;
        struct scope inner = {scope->builder, scope->source, type->full_name};
        for (size_t j = 0; j < proto->n_field; j++)
            if (!add_symbol(&inner, proto->field[j]->name, SYMBOL_FIELD, NULL)) return false;
        for (size_t j = 0; j < proto->n_oneof_decl; j++)
            if (!add_symbol(&inner, proto->oneof_decl[j]->name, SYMBOL_ONEOF, NULL)) return false;
        if (!add_enums(&inner, proto->enum_type, proto->n_enum_type) ||
            !add_extensions(&inner, proto->extension, proto->n_extension) ||
            !add_messages(&inner, proto->nested_type, proto->n_nested_type))
            return false;
    }
    return true;
}

static bool add_service(const struct scope *scope, const service_proto *proto) {
    struct descriptor_builder *builder = scope->builder;
    const char *full_name = add_symbol(scope, proto->name, SYMBOL_SERVICE, NULL);
    if (!full_name) return false;
    struct scope inner = {builder, scope->source, full_name};
    for (size_t i = 0; i < proto->n_method; i++)
        if (!add_symbol(&inner, proto->method[i]->name, SYMBOL_METHOD, NULL)) return false;
    GROW(builder->services, builder->service_count, builder->service_capacity);
    builder->services[builder->service_count++] =
        (struct service_source){.proto = proto, .full_name = full_name, .file = scope->source};
    return true;
}

bool descriptor_collect(struct descriptor_builder *builder, const struct file_source *source) {
    const file_proto *proto = source->proto;
    struct scope scope = {builder, source, proto->package ? proto->package : ""};
    for (size_t i = 0; i < proto->n_service; i++)
        if (!add_service(&scope, proto->service[i])) return false;
    return add_enums(&scope, proto->enum_type, proto->n_enum_type) &&
           add_extensions(&scope, proto->extension, proto->n_extension) &&
           add_messages(&scope, proto->message_type, proto->n_message_type);
}
