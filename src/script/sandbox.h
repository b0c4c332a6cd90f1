/* script/sandbox.h - what a script finds in its global environment.
 *
 * Each file has an environment of its own with copies of the library tables, so that what one writes no other
 * sees. This keeps honest scripts apart and off the loop's toes; it is no prison for hostile ones. */
#ifndef TIDEWIRE_SCRIPT_SANDBOX_H
#define TIDEWIRE_SCRIPT_SANDBOX_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stddef.h>

struct script;
struct script_file;

/* Once a state: opens the libraries and takes out of them what no script may reach. */
void sandbox_open(struct script *script);
/* Pushes a new environment for the file's code, or for a module that it loads. */
void sandbox_push_environment(struct script *script, lua_State *L, struct script_file *file);
/* Pushes the chunk, with the environment at `environment`; without `is_jit` its functions are never compiled,
 * so that the watchdog can stop them. Text only. Otherwise pushes the fault; returns Lua's status. */
int sandbox_load(lua_State *L, const char *text, size_t length, const char *name, int environment,
                 bool is_jit);
#endif
