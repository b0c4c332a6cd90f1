/* schema/schema_private.h - what stands behind struct schema, for the files of this room that fill it. */
#ifndef TIDEWIRE_SCHEMA_SCHEMA_PRIVATE_H
#define TIDEWIRE_SCHEMA_SCHEMA_PRIVATE_H
#include <stdatomic.h>

#include "schema/arena.h"
#include "schema/schema.h"

/* Everything in a .proto file that has a full name. */
enum symbol_kind {
    SYMBOL_MESSAGE,
    SYMBOL_ENUM,
    SYMBOL_ENUM_VALUE, /* stands in the scope around its enum, as in C++ */
    SYMBOL_FIELD,
    SYMBOL_ONEOF,
    SYMBOL_EXTENSION,
    SYMBOL_SERVICE,
    SYMBOL_METHOD, /* "pkg.Service.Method" */
};

struct symbol {
    const char *name;
    const struct schema_file *file;
    const void *type; /* struct message_type or enum_type, by kind; else NULL */
    enum symbol_kind kind;
};

struct extension {
    const char *extendee;
    uint32_t number;
    const struct schema_file *file;
};

/* A closed hash table of field places by name, at most half full. */
struct field_names {
    size_t mask;
    const uint16_t *places; /* index in message_type.fields + 1; 0 is free */
};
struct message_names {
    struct field_names proto, json;
};

/* The enum as others see it, and its values in the order of two searches. */
struct enum_index {
    struct enum_type type;
    const struct enum_value **by_number; /* the first of several aliases comes first */
    const struct enum_value **by_name;
};

struct schema {
    atomic_size_t references;
    struct arena arena;
    size_t message_count;
    struct symbol *symbols; /* by name */
    size_t symbol_count;
    struct service *services; /* by name */
    size_t service_count;
    struct schema_file **files; /* by name */
    size_t file_count;
    struct extension *extensions; /* by extendee and number */
    size_t extension_count;
};

const struct symbol *schema_symbol(const struct schema *schema, const char *full_name);
struct field_names field_names_new(struct arena *arena, const struct field *fields, size_t count,
                                   bool of_json);
#endif
