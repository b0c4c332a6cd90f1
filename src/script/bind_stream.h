/* script/bind_stream.h - the parts that the metatable of streams is put together from. */
#ifndef TIDEWIRE_SCRIPT_BIND_STREAM_H
#define TIDEWIRE_SCRIPT_BIND_STREAM_H
#include <luajit-2.1/lua.h>

struct metadata;
struct script;

/* stream:metadata() and the functions for headers and trailers, into the table at the top. */
void bind_metadata_functions(lua_State *L, struct script *script);
/* { name = { value, … }, … }; returns 1. */
int push_metadata_map(lua_State *L, const struct metadata *metadata);
/* Takes the table of functions at the top and makes __index, __newindex and __tostring of the metatable below
 * it. */
void bind_stream_properties(lua_State *L, struct script *script);
#endif
