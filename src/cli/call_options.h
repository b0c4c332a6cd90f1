/* cli/call_options.h - what the command line of `tidewire call` asks for. Private to cli/. */
#ifndef TIDEWIRE_CLI_CALL_OPTIONS_H
#define TIDEWIRE_CLI_CALL_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "rpc/metadata.h"

struct call_options {
    const char *address;
    const char *symbol;          /* "pkg.Service/Method", or "pkg.Service" or a type; NULL: none */
    const char *data;            /* a JSON text, "@" or "@FILE"; NULL: none */
    char **files, **import_paths; /* .proto files and descriptor sets; ended by NULL */
    struct metadata metadata;
    uint64_t timeout;            /* ns; 0: none */
    bool is_verbose, compresses;
    bool is_tls, is_unverified;
    const char *ca, *certificate, *key; /* or NULL */
    char *authority, *server_name;
};

extern const struct flag call_flags[];

/* False, after saying so, when the command line makes no sense. Texts are the arguments' own where they
 * are const. */
bool call_options_read(const struct arguments *arguments, struct call_options *options);
void call_options_free(struct call_options *options);
#endif
