/* script/bind_client.h - for scripts: opening streams, and what only streams that were opened can do. */
#ifndef TIDEWIRE_SCRIPT_BIND_CLIENT_H
#define TIDEWIRE_SCRIPT_BIND_CLIENT_H
#include <luajit-2.1/lua.h>

struct generation;
struct script;
struct script_file;
struct stream;
struct upstream;

/* The upstream of that name; raises, with the nearest one, where the config has none. */
struct upstream *check_upstream(lua_State *L, const struct generation *generation, const char *name);
/* stream:half_close() and the like, into the table at the top. */
void bind_client_functions(lua_State *L, struct script *script);
/* tidewire.open, call and upstreams for that file's code, into the table at the top. */
void bind_client_add(lua_State *L, struct script *script, const struct script_file *file);
/* stream.upstream of a stream that a function answers. */
int bind_client_push_upstream(lua_State *L, struct script *script, struct stream *stream);
#endif
