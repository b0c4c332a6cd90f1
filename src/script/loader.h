/* script/loader.h - reads and runs the script files of a generation. */
#ifndef TIDEWIRE_SCRIPT_LOADER_H
#define TIDEWIRE_SCRIPT_LOADER_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>

#include "base/error.h"

struct generation;
struct script;
struct script_file;

/* Runs each file that the generation's services name, in the config's order. */
bool loader_run_files(struct generation *generation, struct error *error);
/* `require(name)` in the code of `file` or of a module that it loads: pushes one value, or raises. `kept` is the index
 * (of an upvalue) where the calling environment keeps its tidewire. */
int loader_require(lua_State *L, struct script *script, struct script_file *file, int kept);
/* Loads the Lua half of the API; once a state does. */
bool loader_load_lua_half(struct script *script, struct error *error);
#endif
