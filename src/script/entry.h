/* script/entry.h - checks what a script's table holds for each method and makes handlers of it. */
#ifndef TIDEWIRE_SCRIPT_ENTRY_H
#define TIDEWIRE_SCRIPT_ENTRY_H
#include <stdbool.h>

#include "base/error.h"

struct generation;
struct handler;

/* Adds a handler for every method that a script answers. */
bool entry_make_handlers(struct generation *generation, struct error *error);
void handler_free(struct handler *handler);
#endif
