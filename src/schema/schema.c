/* schema/schema.c - see schema.h. Looking things up; the tables are built in descriptor.c. */
#include "schema/schema.h"

#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "schema/schema_private.h"

struct schema *schema_ref(struct schema *schema) {
    atomic_fetch_add_explicit(&schema->references, 1, memory_order_relaxed);
    return schema;
}

void schema_unref(struct schema **schema) {
    struct schema *s = *schema;
    *schema = NULL;
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1) return;
    free(s->symbols);
    free(s->extensions);
    arena_free(&s->arena);
    free(s);
}

/* A name that need not end with NUL. */
struct wanted {
    const char *name;
    size_t length;
};

/* As strcmp, with the wanted name on the left. */
static int compare(const struct wanted *wanted, const char *name) {
    size_t length = strlen(name);
    int order = memcmp(wanted->name, name, wanted->length < length ? wanted->length : length);
    return order ? order : (wanted->length > length) - (wanted->length < length);
}

static bool is_name(const char *name, const char *wanted, size_t length) {
    return strlen(name) == length && !memcmp(name, wanted, length);
}

static int compare_symbol(const void *wanted, const void *symbol) {
    return compare(wanted, ((const struct symbol *)symbol)->name);
}
static int compare_service(const void *wanted, const void *service) {
    return compare(wanted, ((const struct service *)service)->full_name);
}
static int compare_method(const void *wanted, const void *method) {
    return compare(wanted, ((const struct method *)method)->name);
}
static int compare_file(const void *wanted, const void *file) {
    return compare(wanted, (*(struct schema_file *const *)file)->name);
}
static int compare_value(const void *wanted, const void *value) {
    return compare(wanted, (*(const struct enum_value *const *)value)->name);
}

const struct symbol *schema_symbol(const struct schema *schema, const char *full_name) {
    struct wanted wanted = {full_name, strlen(full_name)};
    return bsearch(&wanted, schema->symbols, schema->symbol_count, sizeof *schema->symbols, compare_symbol);
}

static const void *find_type(const struct schema *schema, const char *full_name, enum symbol_kind kind) {
    const struct symbol *symbol = schema_symbol(schema, full_name);
    return symbol && symbol->kind == kind ? symbol->type : NULL;
}

const struct message_type *schema_message(const struct schema *schema, const char *full_name) {
    return find_type(schema, full_name, SYMBOL_MESSAGE);
}

const struct enum_type *schema_enum(const struct schema *schema, const char *full_name) {
    return find_type(schema, full_name, SYMBOL_ENUM);
}

static bool ends_with_word(const char *name, const char *word) {
    size_t length = strlen(name), tail = strlen(word);
    return length > tail && name[length - tail - 1] == '.' && strcmp(name + length - tail, word) == 0;
}

static const char *nearest_type(const struct schema *schema, const char *name, enum symbol_kind kind) {
    const char **names = memory_new((schema->symbol_count + 1) * sizeof *names), *nearest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < schema->symbol_count && !nearest; i++) {
        const struct symbol *symbol = &schema->symbols[i];
        if (symbol->kind != kind || !symbol->type) continue;
        if (ends_with_word(symbol->name, name)) nearest = symbol->name;
        names[count++] = symbol->name;
    }
    if (!nearest) nearest = error_nearest(name, names);
    free(names);
    return nearest;
}

const char *schema_nearest_message(const struct schema *schema, const char *name) {
    return nearest_type(schema, name, SYMBOL_MESSAGE);
}

const char *schema_nearest_enum(const struct schema *schema, const char *name) {
    return nearest_type(schema, name, SYMBOL_ENUM);
}

const struct service *schema_service(const struct schema *schema, const char *full_name, size_t length) {
    struct wanted wanted = {full_name, length};
    return bsearch(&wanted, schema->services, schema->service_count, sizeof *schema->services,
                   compare_service);
}

const struct method *service_method(const struct service *service, const char *name, size_t length) {
    struct wanted wanted = {name, length};
    return bsearch(&wanted, service->methods, service->method_count, sizeof *service->methods,
                   compare_method);
}

size_t schema_message_count(const struct schema *schema) { return schema->message_count; }
size_t schema_service_count(const struct schema *schema) { return schema->service_count; }
const struct service *schema_service_at(const struct schema *schema, size_t index) {
    return &schema->services[index];
}

static size_t hash_name(const char *name, size_t length) {
    uint64_t hash = 0;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash ^ hash >> 32);
}

struct field_names field_names_new(struct arena *arena, const struct field *fields, size_t count,
                                   bool of_json) {
    size_t size = 4;
    while (size < 2 * count) size *= 2;
    uint16_t *places = arena_take_many(arena, size, sizeof *places);
    for (size_t i = 0; i < count; i++) {
        const char *name = of_json ? fields[i].json_name : fields[i].name;
        size_t slot = hash_name(name, strlen(name)) & (size - 1);
        while (places[slot]) slot = (slot + 1) & (size - 1);
        places[slot] = (uint16_t)(i + 1);
    }
    return (struct field_names){.mask = size - 1, .places = places};
}

const struct field *message_field(const struct message_type *type, const char *name, size_t length) {
    const struct field_names *names = &((const struct message_names *)type->by_name)->proto;
    for (size_t slot = hash_name(name, length) & names->mask; names->places[slot];
         slot = (slot + 1) & names->mask) {
        const struct field *field = &type->fields[names->places[slot] - 1];
        if (is_name(field->name, name, length)) return field;
    }
    return NULL;
}

const struct field *message_field_by_json(const struct message_type *type, const char *name, size_t length) {
    const struct field_names *names = &((const struct message_names *)type->by_name)->json;
    for (size_t slot = hash_name(name, length) & names->mask; names->places[slot];
         slot = (slot + 1) & names->mask) {
        const struct field *field = &type->fields[names->places[slot] - 1];
        if (is_name(field->json_name, name, length)) return field;
    }
    return NULL;
}

const struct oneof *message_oneof(const struct message_type *type, const char *name, size_t length) {
    for (size_t i = 0; i < type->oneof_count; i++)
        if (is_name(type->oneofs[i].name, name, length)) return &type->oneofs[i];
    return NULL;
}

const char *message_nearest_field(const struct message_type *type, const char *name) {
    const char **names = memory_new((type->field_count + 1) * sizeof *names);
    for (size_t i = 0; i < type->field_count; i++) names[i] = type->fields[i].name;
    const char *nearest = error_nearest(name, names);
    free(names);
    return nearest;
}

const char *enum_name(const struct enum_type *type, int32_t number) {
    const struct enum_index *index = (const struct enum_index *)type;
    size_t low = 0, high = type->value_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (index->by_number[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < type->value_count && index->by_number[low]->number == number ? index->by_number[low]->name
                                                                              : NULL;
}

bool enum_number(const struct enum_type *type, const char *name, size_t length, int32_t *number) {
    const struct enum_index *index = (const struct enum_index *)type;
    struct wanted wanted = {name, length};
    const struct enum_value *const *value =
        bsearch(&wanted, index->by_name, type->value_count, sizeof *index->by_name, compare_value);
    if (value) *number = (*value)->number;
    return value;
}

const struct schema_file *schema_file_by_name(const struct schema *schema, const char *name) {
    struct wanted wanted = {name, strlen(name)};
    struct schema_file *const *file =
        bsearch(&wanted, schema->files, schema->file_count, sizeof *schema->files, compare_file);
    return file ? *file : NULL;
}

const struct schema_file *schema_file_by_symbol(const struct schema *schema, const char *symbol) {
    const struct symbol *found = schema_symbol(schema, symbol);
    return found ? found->file : NULL;
}

/* The first extension that does not stand before this type and number. */
static size_t lower_extension(const struct schema *schema, const char *type, uint32_t number) {
    size_t low = 0, high = schema->extension_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct extension *extension = &schema->extensions[middle];
        int order = strcmp(extension->extendee, type);
        if (order < 0 || (!order && extension->number < number))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_extension_of(const struct schema *schema, size_t place, const char *type) {
    return place < schema->extension_count && !strcmp(schema->extensions[place].extendee, type);
}

const struct schema_file *schema_file_by_extension(const struct schema *schema, const char *type,
                                                   uint32_t number) {
    size_t place = lower_extension(schema, type, number);
    bool is_found = is_extension_of(schema, place, type) && schema->extensions[place].number == number;
    return is_found ? schema->extensions[place].file : NULL;
}

size_t schema_extension_numbers(const struct schema *schema, const char *type, uint32_t *numbers,
                                size_t most) {
    size_t count = 0;
    for (size_t place = lower_extension(schema, type, 0);
         count < most && is_extension_of(schema, place, type); place++)
        numbers[count++] = schema->extensions[place].number;
    return count;
}

const char *schema_versions(void) { return "protobuf-c " PROTOBUF_C_VERSION; }
