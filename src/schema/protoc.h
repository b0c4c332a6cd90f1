/* schema/protoc.h - the compiler of .proto files, run as a program. */
#ifndef TIDEWIRE_SCHEMA_PROTOC_H
#define TIDEWIRE_SCHEMA_PROTOC_H
#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"

/* Appends the FileDescriptorSet of `files` and of all that they import. Waits for the program. What it prints
 * becomes the error. Both lists are ended by NULL. */
bool protoc_run(char *const *paths, char *const *files, struct buffer *set, struct error *error);
/* Appends all that can be read; errno tells of a failure. */
bool protoc_read_all(int descriptor, struct buffer *out);
#endif
