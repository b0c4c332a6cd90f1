/* script/userdata.h - the small objects that scripts hold: topics, timers and spawns, subscriptions. */
#ifndef TIDEWIRE_SCRIPT_USERDATA_H
#define TIDEWIRE_SCRIPT_USERDATA_H
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/lua.h>
#include <stddef.h>

struct script;

/* A locked metatable whose objects have these functions (each with the script as its first upvalue) and no other
 * names; `forget` is called when one is collected. Returns a reference. `what` is for errors: "a topic". */
int userdata_class(struct script *script, const char *what, const luaL_Reg *functions, lua_CFunction forget);
/* Pushes a new object of the class. */
void *userdata_new(lua_State *L, int class, size_t size);
/* The object at index 1; raises the signature when it is none of the class. */
void *userdata_check(lua_State *L, int class, const char *signature);
/* A value that is nothing but itself and reads as `text`. Returns a reference. */
int userdata_constant(lua_State *L, const char *text);
#endif
