/* script/bind.h - the table that `require "tidewire"` gives, put together from one file for each part. */
#ifndef TIDEWIRE_SCRIPT_BIND_H
#define TIDEWIRE_SCRIPT_BIND_H
#include <luajit-2.1/lua.h>

struct script;
struct script_file;

/* Once a state. */
void bind_open(struct script *script);
/* Pushes the copy of the table that one file's scripts get: writing to it touches nobody else's. */
void bind_push_tidewire(struct script *script, lua_State *L, const struct script_file *file);

/* tidewire.log in the table at the top; and print. */
void bind_log_open(struct script *script);
int bind_print(lua_State *L);
#endif
