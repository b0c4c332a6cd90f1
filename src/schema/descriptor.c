/* schema/descriptor.c - see descriptor.h. The files of descriptor sets, and the order of the passes. */
#include "schema/descriptor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/wire.h"

bool descriptor_fail(const struct descriptor_builder *builder, const char *file, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_at(builder->error, builder->set_name, 0, "%s%s%s", file, *file ? ": " : "", text);
}

void descriptor_start(struct descriptor_builder *builder, struct error *error) {
    *builder = (struct descriptor_builder){.schema = memory_new(sizeof(struct schema)), .error = error};
    atomic_init(&builder->schema->references, 1);
    builder->symbol_capacity = builder->extension_capacity =
        32; /* never NULL, not even of a schema without files */
    builder->schema->symbols = memory_new(builder->symbol_capacity * sizeof *builder->schema->symbols);
    builder->schema->extensions =
        memory_new(builder->extension_capacity * sizeof *builder->schema->extensions);
}

/* Messages nest without end in a malformed set only, and protobuf-c would follow them until its stack is
 * gone. `number` is the field that nests: DescriptorProto.nested_type below FileDescriptorProto.message_type.
 */
static bool is_shallow(const uint8_t *at, size_t length, uint32_t number, unsigned depth) {
    enum { MESSAGE_TYPE = 4, NESTED_TYPE = 3 };
    if (!depth) return false;
    for (const uint8_t *end = at + length; at < end;) {
        uint32_t field;
        unsigned type;
        size_t below;
        if (!(at = wire_read_tag(at, end, &field, &type))) return false;
        if (field == number && type == WIRE_BYTES) {
            if (!(at = wire_read_length(at, end, &below)) || !is_shallow(at, below, NESTED_TYPE, depth - 1))
                return false;
            at += below;
        } else if (!(at = wire_skip(at, end, field, type, depth - 1))) {
            return false;
        }
    }
    return true;
}

static const struct file_source *find_file(const struct descriptor_builder *builder, const char *name) {
    for (size_t i = 0; i < builder->file_count; i++)
        if (!strcmp(builder->files[i]->file->name, name)) return builder->files[i];
    return NULL;
}

static bool find_imports(struct descriptor_builder *builder, struct file_source *source) {
    size_t count = source->proto->n_dependency;
    const struct schema_file **imports = arena_take_many(&builder->schema->arena, count + 1, sizeof *imports);
    for (size_t i = 0; i < count; i++) {
        const struct file_source *import = find_file(builder, source->proto->dependency[i]);
        if (!import)
            return descriptor_fail(
                builder, source->file->name,
                "imports \"%s\", which does not stand before it in the set (make the set with "
                "protoc --include_imports)",
                source->proto->dependency[i]);
        imports[i] = import->file;
    }
    source->file->imports = imports;
    return true;
}

static bool find_syntax(struct descriptor_builder *builder, struct file_source *source) {
    const char *syntax = source->proto->syntax;
    source->is_proto3 = syntax && !strcmp(syntax, "proto3");
    if (!syntax || !*syntax || !strcmp(syntax, "proto2") || source->is_proto3) return true;
    return descriptor_fail(builder, source->file->name,
                           "syntax \"%s\" is not supported: only proto2 and proto3 are", syntax);
}

static struct file_source *new_file(struct descriptor_builder *builder, file_proto *proto) {
    if (builder->file_count == builder->file_capacity) {
        builder->file_capacity = builder->file_capacity ? 2 * builder->file_capacity : 16;
        builder->files = memory_resize(builder->files, builder->file_capacity * sizeof(struct file_source *));
    }
    struct file_source *source = arena_take(&builder->schema->arena, sizeof *source);
    source->proto = proto;
    source->file = arena_take(&builder->schema->arena, sizeof *source->file);
    builder->files[builder->file_count++] = source;
    return source;
}

/* Every installation has its own copy of Google's files, the same but for comments and options: the first
 * counts. */
static bool is_same_file(const struct schema_file *file, const uint8_t *bytes, size_t length) {
    const char google[] = "google/protobuf/";
    return (file->length == length && !memcmp(file->bytes, bytes, length)) ||
           !strncmp(file->name, google, sizeof google - 1);
}

/* Lines and comments are several times as large as the rest, and nobody asks for them. */
static size_t strip(const uint8_t *at, size_t length, uint8_t *out) {
    enum { SOURCE_CODE_INFO = 9 };
    const uint8_t *start = out;
    for (const uint8_t *end = at + length, *next; at < end; at = next) {
        uint32_t number;
        unsigned type;
        const uint8_t *value = wire_read_tag(at, end, &number, &type);
        next = value ? wire_skip(value, end, number, type, WIRE_DEPTH) : NULL;
        if (!next) break;
        if (number != SOURCE_CODE_INFO) out = mempcpy(out, at, (size_t)(next - at));
    }
    return (size_t)(out - start);
}

static bool add_proto(struct descriptor_builder *builder, file_proto *proto, const uint8_t *bytes, size_t length) {
    const struct file_source *before = find_file(builder, proto->name ? proto->name : "");
    if (!before) {
        struct file_source *source = new_file(builder, proto); /* owns the proto from here */
        source->file->name = arena_copy_string(&builder->schema->arena, proto->name ? proto->name : "");
        source->file->bytes = (uint8_t *)arena_copy(&builder->schema->arena, bytes, length);
        source->file->length = length;
        if (!*source->file->name)
            return descriptor_fail(builder, "", "not a FileDescriptorSet: a file without a name");
        return find_syntax(builder, source) && find_imports(builder, source) &&
               descriptor_collect(builder, source);
    }
    bool is_same = is_same_file(before->file, bytes, length);
    if (!is_same) descriptor_fail(builder, proto->name, "another file of this name was loaded before");
    google__protobuf__file_descriptor_proto__free_unpacked(proto, NULL);
    return is_same;
}

static bool add_file(struct descriptor_builder *builder, const uint8_t *bytes, size_t length) {
    file_proto *proto = google__protobuf__file_descriptor_proto__unpack(NULL, length, bytes);
    if (!proto) return descriptor_fail(builder, "", "not a FileDescriptorSet");
    uint8_t *stripped = memory_new(length ? length : 1);
    bool is_added = add_proto(builder, proto, stripped, strip(bytes, length, stripped));
    free(stripped);
    return is_added;
}

bool descriptor_add_set(struct descriptor_builder *builder, const uint8_t *set, size_t length,
                        const char *name) {
    enum { FILE_FIELD = 1, MESSAGE_TYPE = 4 };
    builder->set_name = name;
    if (!length) return descriptor_fail(builder, "", "an empty FileDescriptorSet");
    for (const uint8_t *at = set, *end = set + length; at < end;) {
        uint32_t number;
        unsigned type;
        size_t size;
        if (!(at = wire_read_tag(at, end, &number, &type)) || number != FILE_FIELD || type != WIRE_BYTES ||
            !(at = wire_read_length(at, end, &size)))
            return descriptor_fail(builder, "", "not a FileDescriptorSet");
        if (!is_shallow(at, size, MESSAGE_TYPE, WIRE_DEPTH))
            return descriptor_fail(builder, "",
                                   "not a FileDescriptorSet, or one with messages nested too deeply");
        if (!add_file(builder, at, size)) return false;
        at += size;
    }
    return true;
}

static int compare_symbols(const void *a, const void *b) {
    return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static bool sort_symbols(struct descriptor_builder *builder) {
    struct schema *schema = builder->schema;
    qsort(schema->symbols, schema->symbol_count, sizeof *schema->symbols, compare_symbols);
    for (size_t i = 1; i < schema->symbol_count; i++) {
        const struct symbol *one = &schema->symbols[i - 1], *other = &schema->symbols[i];
        if (!strcmp(one->name, other->name))
            return descriptor_fail(builder, "", "\"%s\" is defined twice, in %s and in %s", one->name,
                                   one->file->name, other->file->name);
    }
    return true;
}

static int compare_files(const void *a, const void *b) {
    return strcmp((*(struct schema_file *const *)a)->name, (*(struct schema_file *const *)b)->name);
}

static void sort_files(struct descriptor_builder *builder) {
    struct schema *schema = builder->schema;
    schema->files = arena_take_many(&schema->arena, builder->file_count, sizeof *schema->files);
    for (size_t i = 0; i < builder->file_count; i++) schema->files[i] = builder->files[i]->file;
    schema->file_count = builder->file_count;
    qsort(schema->files, schema->file_count, sizeof *schema->files, compare_files);
}

static int compare_extensions(const void *a, const void *b) {
    const struct extension *one = a, *other = b;
    int order = strcmp(one->extendee, other->extendee);
    return order ? order : (one->number > other->number) - (one->number < other->number);
}

static bool sort_extensions(struct descriptor_builder *builder) {
    struct schema *schema = builder->schema;
    qsort(schema->extensions, schema->extension_count, sizeof *schema->extensions, compare_extensions);
    for (size_t i = 1; i < schema->extension_count; i++) {
        const struct extension *one = &schema->extensions[i - 1];
        if (!compare_extensions(one, one + 1))
            return descriptor_fail(builder, "", "extension %u of %s is defined twice, in %s and in %s",
                                   one->number, one->extendee, one->file->name, one[1].file->name);
    }
    return true;
}

struct schema *descriptor_finish(struct descriptor_builder *builder, bool is_good) {
    is_good = is_good && sort_symbols(builder) && sort_extensions(builder) && descriptor_link(builder);
    if (is_good) {
        sort_files(builder);
        descriptor_derive(builder);
        builder->schema->message_count = builder->message_count;
    }
    for (size_t i = 0; i < builder->file_count; i++)
        google__protobuf__file_descriptor_proto__free_unpacked(builder->files[i]->proto, NULL);
    free(builder->files);
    free(builder->messages);
    free(builder->services);
    if (!is_good) schema_unref(&builder->schema);
    return builder->schema;
}

struct schema *schema_parse(const uint8_t *set, size_t length, const char *name, struct error *error) {
    struct descriptor_builder builder;
    descriptor_start(&builder, error);
    return descriptor_finish(&builder, descriptor_add_set(&builder, set, length, name));
}
