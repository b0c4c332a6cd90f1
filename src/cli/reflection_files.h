/* cli/reflection_files.h - serialized FileDescriptorProtos as they come from a server, and what they lack
 * to become a descriptor set. Private to cli/. */
#ifndef TIDEWIRE_CLI_REFLECTION_FILES_H
#define TIDEWIRE_CLI_REFLECTION_FILES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/map.h"

struct reflection_file;
/* Zeroed is empty. */
struct reflection_files {
    struct reflection_file **list; /* in the order in which they came */
    size_t count, bytes;
    struct map by_name;
    size_t complete; /* files at the start of the list whose imports are all here */
};

/* Copies it, unless one of its name is here. False and an error for what is no such file, and for more
 * files or bytes than any sensible server has. */
bool reflection_files_add(struct reflection_files *files, const uint8_t *bytes, size_t length,
                          struct error *error);
bool reflection_files_has(const struct reflection_files *files, const char *name);
/* An import that is not here, until the next change; NULL: none is missing. */
const char *reflection_files_missing(struct reflection_files *files);
/* Appends a FileDescriptorSet, imports before what imports them. */
void reflection_files_write(struct reflection_files *files, struct buffer *set);
void reflection_files_free(struct reflection_files *files);
#endif
