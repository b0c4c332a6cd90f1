/* script/entry.h - checks what a script's table holds for each method and makes handlers of it. */
#ifndef TIDEWIRE_SCRIPT_ENTRY_H
#define TIDEWIRE_SCRIPT_ENTRY_H
#include <stdbool.h>

#include "base/error.h"

struct generation;
struct handler;
struct method;
struct twl_message_options;

/* Adds a handler for every method that a script answers. */
bool entry_make_handlers(struct generation *generation, struct error *error);
/* How code of `file` sees the calls of that method that it makes; the generation's. */
struct handler *handler_of_client(struct generation *generation, const struct method *method,
                                  const struct twl_message_options *options, const char *file);
void handler_free(struct handler *handler);
#endif
