/* script/projected.h - on_message as a projection: fields in as arguments, fields out as results, no object
 * made. */
#ifndef TIDEWIRE_SCRIPT_PROJECTED_H
#define TIDEWIRE_SCRIPT_PROJECTED_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call_message;
struct fiber;
struct projection;
struct script;
struct stream;

/* Pushes the fields of the message: how many, or -1 and a fault, nothing pushed. Never raises. */
int projected_fields(struct script *script, lua_State *L, const struct projection *projection,
                     const uint8_t *bytes, size_t length, const char **fault);
/* Pushes the fields: how many, or -1, nothing pushed, when the message was broken and has ended the stream. Raises as
 * twl_projection_arguments() does. */
int projected_push(struct stream *stream, lua_State *L, const struct call_message *message);
/* Sends what the results on ->L make. False: no room; the fiber stands in the row of senders. */
bool projected_send(struct stream *stream, struct fiber *fiber);
/* The same inside a coroutine of the stream, for the results from 1 on L: raises. False: no room, nothing was sent. */
bool projected_send_now(struct stream *stream, lua_State *L);
void projected_open_state(struct script *script); /* once a state */
#endif
