/* schema/schema_load.c - schema_load(): from files to sets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "schema/descriptor.h"
#include "schema/protoc.h"

static bool is_source(const char *file) {
    size_t length = strlen(file);
    return length >= 6 && !strcmp(file + length - 6, ".proto");
}

static bool add_sources(struct descriptor_builder *builder, char *const *paths, char *const *files) {
    size_t count = 0, all = 0;
    while (files[all]) all++;
    char **sources = memory_new((all + 1) * sizeof *sources);
    for (size_t i = 0; i < all; i++)
        if (is_source(files[i])) sources[count++] = files[i];
    struct buffer set = {0};
    bool is_good = !count || (protoc_run(paths, sources, &set, builder->error) &&
                              descriptor_add_set(builder, buffer_bytes(&set), buffer_length(&set), "protoc"));
    buffer_free(&set);
    free(sources);
    return is_good;
}

static bool add_set_file(struct descriptor_builder *builder, const char *file) {
    struct buffer set = {0};
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    bool is_good = descriptor >= 0 && protoc_read_all(descriptor, &set);
    if (!is_good) error_at(builder->error, file, 0, "cannot read it: %s", strerror(errno));
    is_good = is_good && descriptor_add_set(builder, buffer_bytes(&set), buffer_length(&set), file);
    if (descriptor >= 0) close(descriptor);
    buffer_free(&set);
    return is_good;
}

static bool add_set_files(struct descriptor_builder *builder, char *const *files) {
    for (; *files; files++)
        if (!is_source(*files) && !add_set_file(builder, *files)) return false;
    return true;
}

struct schema *schema_load(char *const *paths, char *const *files, struct error *error) {
    struct descriptor_builder builder;
    descriptor_start(&builder, error);
    return descriptor_finish(&builder, add_sources(&builder, paths, files) && add_set_files(&builder, files));
}
