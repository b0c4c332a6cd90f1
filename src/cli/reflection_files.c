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
    size_t import_count;
    uint8_t *bytes;
    size_t length;
    bool is_written;
};

static void file_clear(struct reflection_file *file) {
    for (size_t i = 0; i < file->import_count; i++) free(file->imports[i]);
    free(file->imports);
    free(file->name);
    free(file->bytes);
}

void reflection_files_free(struct reflection_files *files) {
    for (size_t i = 0; i < files->count; i++) file_clear(&files->list[i]);
    free(files->list);
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
    for (size_t i = 0; i < files->count; i++)
        if (!strcmp(files->list[i].name, name)) return &files->list[i];
    return NULL;
}

bool reflection_files_has(const struct reflection_files *files, const char *name) {
    return find(files, name);
}

bool reflection_files_add(struct reflection_files *files, const uint8_t *bytes, size_t length,
                          struct error *error) {
    struct reflection_file file = {0};
    bool is_fine = read_file(&file, bytes, bytes + length);
    if (!is_fine) error_set(error, "the server's reflection has sent what is no file descriptor");
    else if (files->count == MOST_FILES || length > MOST_BYTES - files->bytes)
        is_fine = error_set(error, "the server's reflection sends too many files");
    if (!is_fine || reflection_files_has(files, file.name)) {
        file_clear(&file);
        return is_fine;
    }
    file.bytes = (uint8_t *)memory_copy(bytes, length);
    file.length = length;
    files->list = memory_resize(files->list, (files->count + 1) * sizeof *files->list);
    files->list[files->count++] = file;
    files->bytes += length;
    return true;
}

const char *reflection_files_missing(const struct reflection_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        const struct reflection_file *file = &files->list[i];
        for (size_t j = 0; j < file->import_count; j++)
            if (!reflection_files_has(files, file->imports[j])) return file->imports[j];
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
    for (size_t i = 0; i < files->count; i++) files->list[i].is_written = false;
    for (size_t i = 0; i < files->count; i++) write_file(files, &files->list[i], set);
}
