/* cli/types.c - see types.h */
#include "cli/types.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

bool types_open(struct types *types, const struct call_options *options, struct error *error) {
    *types = (struct types){0};
    if (!*options->files) return true;
    types->schema = schema_load(options->import_paths, options->files, error);
    return types->schema;
}

void types_ask(struct types *types, struct remote *remote) {
    if (!types->schema) types->reflection = reflection_new(remote);
}

void types_close(struct types *types) {
    reflection_free(&types->reflection);
    schema_unref(&types->schema);
}

void types_rest(struct types *types) {
    if (types->reflection) reflection_end_stream(types->reflection);
}

char **types_services(struct types *types, struct error *error) {
    if (types->reflection) return reflection_services(types->reflection, error);
    size_t count = schema_service_count(types->schema);
    char **names = memory_new((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = memory_copy_string(schema_service_at(types->schema, i)->full_name);
    return names;
}

void types_free_names(char **names) {
    for (char **name = names; name && *name; name++) free(*name);
    free(names);
}

/* A service without its package, else what is spelled much like it; or NULL. */
static const char *find_nearest(const char *symbol, char **names) {
    size_t length = strlen(symbol);
    for (char **name = names; *name; name++) {
        size_t all = strlen(*name);
        if (all > length && (*name)[all - length - 1] == '.' && !strcmp(*name + all - length, symbol)) return *name;
    }
    return error_nearest(symbol, (const char *const *)names);
}

static bool is_unknown(struct types *types, const char *symbol, struct error *error) {
    struct error ignored;
    char **names = types_services(types, &ignored);
    const char *nearest = names ? find_nearest(symbol, names) : NULL;
    if (nearest) error_set(error, "there is no \"%s\" (did you mean \"%s\"?)", symbol, nearest);
    else
        error_set(error, "there is no \"%s\"%s", symbol,
                  types->reflection ? " in the server's reflection" : "");
    types_free_names(names);
    return false;
}

/* Everything anew from all that was fetched: what was found in the schema before is gone. */
static bool build(struct types *types, struct error *error) {
    struct buffer set = {0};
    reflection_write_set(types->reflection, &set);
    struct schema *schema = schema_parse(buffer_bytes(&set), buffer_length(&set), "reflection", error);
    buffer_free(&set);
    if (!schema) return false;
    schema_unref(&types->schema);
    types->schema = schema;
    return true;
}

bool types_find(struct types *types, const char *symbol, struct error *error) {
    if (types->schema && schema_file_by_symbol(types->schema, symbol)) return true;
    if (!types->reflection) return is_unknown(types, symbol, error);
    switch (reflection_fetch(types->reflection, symbol, error)) {
    case REFLECTION_FOUND: return build(types, error);
    case REFLECTION_NOT_FOUND: return is_unknown(types, symbol, error);
    default: return false;
    }
}
