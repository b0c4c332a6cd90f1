/* script/names.h - what happens when a script gets a name wrong: an error that names the nearest right one.
 *
 * A name that is not there never reads as nil: a misspelt constant or function would be found much later, or never. */
#ifndef TIDEWIRE_SCRIPT_NAMES_H
#define TIDEWIRE_SCRIPT_NAMES_H
#include <luajit-2.1/lua.h>

/* Raises `WHAT has no "name" (did you mean "…"?)` for the value at `index`. The words that could have been meant are
 * the names in the table at `words`; `hint` (or NULL) follows when none is near. */
int names_raise_unknown(lua_State *L, const char *what, int index, int words, const char *hint);
/* Raises `PREFIX "name" (did you mean "…"?)`; the words that could have been meant end in NULL. */
int names_raise_missing(lua_State *L, const char *prefix, const char *name, const char *const *words);
/* Closes the table at the top: reading or adding a name that it does not have raises. What it has costs nothing. */
void names_close(lua_State *L, const char *what);
/* Raises unless each key of the table at `index` is one of `names`; nil and nothing are no options, other values raise
 * the signature. */
void names_check_options(lua_State *L, int index, const char *const *names, const char *signature);
#endif
