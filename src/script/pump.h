/* script/pump.h - gives the messages of a stream to its on_message hook.
 *
 * One coroutine takes all that have come: lua/tidewire/pump.lua calls the hook and, between two messages, a C function
 * that sends what the hook has returned and fetches the next one. So a message costs no coroutine, no protected call
 * and no move between stacks. When nothing is left the coroutine ends; when the hook waits, it waits. */
#ifndef TIDEWIRE_SCRIPT_PUMP_H
#define TIDEWIRE_SCRIPT_PUMP_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "rpc/call.h"

struct fiber;
struct script;
struct stream;

/* Once a state: the function that pump.lua is loaded with, and what it has returned, at the top. */
void pump_push_step(lua_State *L, struct script *script);
void pump_keep_loops(struct script *script);
/* Pushes on the fiber's stack what fiber_run() needs, and keeps the first message for it: returns the arguments. */
int pump_prepare(struct stream *stream, struct fiber *fiber, const struct call_message *first);
/* The error at the top of the fiber's stack has ended its pump: ends the stream. */
void pump_failed(struct stream *stream, struct fiber *fiber);
#endif
