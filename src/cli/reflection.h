/* cli/reflection.h - asks a server for its types: grpc.reflection.v1 or, where that is not served, v1alpha
 * (grpc/grpc-proto: grpc/reflection/v1/reflection.proto). Private to cli/. */
#ifndef TIDEWIRE_CLI_REFLECTION_H
#define TIDEWIRE_CLI_REFLECTION_H
#include "base/buffer.h"
#include "cli/remote.h"

struct reflection;
enum reflection_answer { REFLECTION_FOUND, REFLECTION_NOT_FOUND, REFLECTION_FAILED };

struct reflection *reflection_new(struct remote *remote);
/* Ends the stream too, which otherwise stays open from the first question on. */
void reflection_free(struct reflection **reflection);
void reflection_end_stream(struct reflection *reflection);
/* The names of the server's services in the order of the alphabet, ended by NULL; the caller frees list
 * and names. NULL and an error on failure. */
char **reflection_services(struct reflection *reflection, struct error *error);
/* Fetches the file with this symbol and all that it imports, unless they are here. An error unless found. */
enum reflection_answer reflection_fetch(struct reflection *reflection, const char *symbol,
                                        struct error *error);
/* Appends a FileDescriptorSet of all that was fetched, imports first. */
void reflection_write_set(struct reflection *reflection, struct buffer *set);
#endif
