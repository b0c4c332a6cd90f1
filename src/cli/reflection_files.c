/* cli/reflection_files.c - see reflection_files.h */
#include "cli/reflection_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/wire.h"

enum { MOST_FILES = 4096, MOST_BYTES = 64 << 20 };

struct reflection_file {
    char *name;
    char **imports;
    size_t import_count, imports_here; /* so many of the first are here */
    uint8_t *bytes;
    size_t length;
    bool is_written;
};

static void file_free(struct reflection_file *file) {
    for (size_t i = 0; i < file->import_count; i++) free(file->imports[i]);
    free(file->imports);
    free(file->name);
    free(file->bytes);
    free(file);
}

void reflection_files_free(struct reflection_files *files) {
    for (size_t i = 0; i < files->count; i++) file_free(files->list[i]);
    free(files->list);
    map_free(&files->by_name, NULL);
    *files = (struct reflection_files){0};
}

/* FileDescriptorProto: field 1 is its name, field 3 an import. */
static bool read_file(struct reflection_file *file, const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint32_t number;
        unsigned type;
        size_t length;
        if (!(at = wire_read_tag(at, end, &number, &type))) return false;
        if (type != WIRE_BYTES || (number != 1 && number != 3)) {
            if (!(at = wire_skip(at, end, number, type, WIRE_DEPTH))) return false;
            continue;
        }
        if (!(at = wire_read_length(at, end, &length))) return false;
        char *text = memory_copy(at, length);
        at += length;
        if (number == 1) {
            free(file->name);
            file->name = text;
        } else {
            file->imports = memory_resize(file->imports, (file->import_count + 1) * sizeof *file->imports);
            file->imports[file->import_count++] = text;
        }
    }
    return file->name;
}

static struct reflection_file *find(const struct reflection_files *files, const char *name) {
    return map_get(&files->by_name, name, strlen(name));
}

bool reflection_files_has(const struct reflection_files *files, const char *name) {
    return find(files, name);
}

static bool check(const struct reflection_files *files, size_t length, bool is_read, struct error *error) {
    if (!is_read) return error_set(error, "the server's reflection has sent what is no file descriptor");
    return (files->count < MOST_FILES && length <= MOST_BYTES - files->bytes) ||
           error_set(error, "the server's reflection sends too many files");
}

bool reflection_files_add(struct reflection_files *files, const uint8_t *bytes, size_t length,
                          struct error *error) {
    struct reflection_file *file = memory_new(sizeof *file);
    bool is_fine = check(files, length, read_file(file, bytes, bytes + length), error);
    if (!is_fine || reflection_files_has(files, file->name)) {
        file_free(file);
        return is_fine;
    }
    file->bytes = (uint8_t *)memory_copy(bytes, length);
    file->length = length;
    files->list = memory_resize(files->list, (files->count + 1) * sizeof(struct reflection_file *));
    files->list[files->count++] = file;
    files->bytes += length;
    map_put(&files->by_name, file->name, strlen(file->name), file);
    return true;
}

/* Goes on where it was the last time: no file ever leaves. */
const char *reflection_files_missing(struct reflection_files *files) {
    for (; files->complete < files->count; files->complete++) {
        struct reflection_file *file = files->list[files->complete];
        for (; file->imports_here < file->import_count; file->imports_here++)
            if (!reflection_files_has(files, file->imports[file->imports_here]))
                return file->imports[file->imports_here];
    }
    return NULL;
}

/* A circle of imports ends too; the schema will refuse it. */
static void write_file(struct reflection_files *files, struct reflection_file *file, struct buffer *set) {
    if (!file || file->is_written) return;
    file->is_written = true;
    for (size_t i = 0; i < file->import_count; i++) write_file(files, find(files, file->imports[i]), set);
    wire_write_tag(set, 1, WIRE_BYTES);
    wire_write_bytes(set, file->bytes, file->length);
}

void reflection_files_write(struct reflection_files *files, struct buffer *set) {
    for (size_t i = 0; i < files->count; i++) files->list[i]->is_written = false;
    for (size_t i = 0; i < files->count; i++) write_file(files, files->list[i], set);
}
