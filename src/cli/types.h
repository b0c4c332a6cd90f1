/* cli/types.h - the types of a call: from files, else from the server's reflection. Private to cli/. */
#ifndef TIDEWIRE_CLI_TYPES_H
#define TIDEWIRE_CLI_TYPES_H
#include "cli/call_options.h"
#include "cli/reflection.h"
#include "schema/schema.h"

struct types {
    struct reflection *reflection; /* NULL: the files are all there is */
    struct schema *schema;         /* NULL: nothing was asked of reflection yet */
};

/* Reads the files that the options name. False and an error when they are at fault. */
bool types_open(struct types *types, const struct call_options *options, struct error *error);
/* Without files: this server is asked. */
void types_ask(struct types *types, struct remote *remote);
void types_close(struct types *types);
/* The names of all services, ended by NULL, for types_free_names(). NULL and an error on failure. */
char **types_services(struct types *types, struct error *error);
void types_free_names(char **names);
/* Makes the schema contain the symbol. False and an error, with the nearest name, when nobody knows it. */
bool types_find(struct types *types, const char *symbol, struct error *error);
/* Nothing more will be asked for a while. */
void types_rest(struct types *types);
#endif
