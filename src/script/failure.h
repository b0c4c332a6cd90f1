/* script/failure.h - the error values with a meaning: tidewire.fail(…), tidewire.cancelled; and what hooks may
 * return in the place of a message: tidewire.DROP, a list. */
#ifndef TIDEWIRE_SCRIPT_FAILURE_H
#define TIDEWIRE_SCRIPT_FAILURE_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct script;

struct failure {
    enum status status;
    const char *text;    /* borrowed from the value */
    const void *details; /* a serialized google.rpc.Status, or NULL */
    size_t details_length;
};

/* Whether the value at `index` was made by tidewire.fail(). */
bool to_failure(struct script *script, lua_State *L, int index, struct failure *failure);
bool is_cancelled(struct script *script, lua_State *L, int index);
bool is_drop(struct script *script, lua_State *L, int index);
/* Whether what a hook has returned is a list of messages, and not one. */
bool is_list(lua_State *L, int index);
/* Pushes the google.rpc.Status with the list of message objects at `index`, or nil when there is none.
 * Raises. */
void push_status_details(lua_State *L, enum status status, const char *text, int index);
void bind_failure_open(struct script *script); /* once a state */
/* tidewire.fail, .status, .cancelled, .DROP, into the table at the top. */
void bind_failure_add(lua_State *L, struct script *script);
#endif
