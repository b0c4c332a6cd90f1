/* script/bind.h - the table that `require "tidewire"` gives, put together from one file for each part. */
#ifndef TIDEWIRE_SCRIPT_BIND_H
#define TIDEWIRE_SCRIPT_BIND_H
#include <luajit-2.1/lua.h>

struct script;
struct script_file;

/* Once a state. */
void bind_open(struct script *script);
/* Pushes a new table, with new tables in it: what one file or module writes to its own, by whatever means, no other
 * sees. While the generation's code runs. */
void bind_push_tidewire(struct script *script, lua_State *L, const struct script_file *file);

/* The parts that have no header of their own, each into the table at the top; and print. */
void bind_log_add(lua_State *L, struct script *script);
void bind_time_add(lua_State *L, struct script *script);
void bind_peer_open(struct script *script); /* once a state */
void bind_peer_add(lua_State *L, struct script *script, const struct script_file *file);
void bind_bus_add(lua_State *L, struct script *script);
void bind_dict_open(struct script *script); /* once a state */
void bind_dict_add(lua_State *L, struct script *script);
void bind_json_open(struct script *script); /* once a state */
void bind_json_add(lua_State *L, struct script *script);
void bind_channel_open(struct script *script); /* once a state */
void bind_channel_add(lua_State *L, struct script *script);
void bind_semaphore_open(struct script *script); /* once a state */
void bind_semaphore_add(lua_State *L, struct script *script);
void bind_limit_open(struct script *script); /* once a state */
void bind_limit_add(lua_State *L, struct script *script);
int bind_print(lua_State *L);
#endif
