/* script/glance.h - messages for hooks that only look at some of their fields.
 *
 * Where that is all that a hook does with its message (lua/tidewire/reads.lua finds out), nobody can tell an object from
 * a plain table with these fields, and nobody can keep it: so the same table serves every message. It costs no object,
 * nothing for the collector, and no metamethod for each field. */
#ifndef TIDEWIRE_SCRIPT_GLANCE_H
#define TIDEWIRE_SCRIPT_GLANCE_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glance;
struct message_type;
struct script;
struct twl_message_options;
struct twl_schema;

/* Texts are made Lua strings, read or not. A longer message may have long ones, which an object makes only if they are. */
enum { GLANCE_MOST = 256 };

/* Of the function at `index`. NULL when it does more, or reads other fields than numbers, bools, enums and texts. */
struct glance *glance_new(struct script *script, lua_State *L, int index, struct twl_schema *schema,
                          const struct message_type *type, const struct twl_message_options *options);
void glance_free(lua_State *L, struct glance **glance);
/* Pushes what stands for the message with these bytes, at most GLANCE_MOST; it is good until the next push. False and a
 * fault, nothing pushed, when they are no such message. [-0, +(0|1), m] */
bool glance_push(lua_State *L, struct glance *glance, const uint8_t *bytes, size_t length, const char **fault);
/* What was pushed last is kept by a hook that waits: the next push makes another. */
void glance_let_go(lua_State *L, struct glance *glance);
#endif
