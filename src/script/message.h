/* script/message.h - protobuf messages as Lua values: the message object, plain tables, projections, enums.
 *
 * C functions here follow Lua's stack notation [-popped, +pushed, e = may raise]. */
#ifndef TIDEWIRE_SCRIPT_MESSAGE_H
#define TIDEWIRE_SCRIPT_MESSAGE_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/message.h"
#include "schema/schema.h"

enum int64_form { INT64_AS_NUMBER, INT64_AS_STRING, INT64_AS_EXACT }; /* config: number, string, exact */

struct twl_message_options {
    enum int64_form int64;
    uint64_t list_elements; /* most elements of one list or map that may be made into a table */
};

/* Once a Lua state: metatables, and the table `tidewire.message` with all methods as functions [-0, +1, e]. */
void twl_message_open(lua_State *L);

/* Pushes a message object over the bytes: copied, or, with an owner and when that is cheaper, kept by a reference.
 * The bytes are checked whole (structure, depth, UTF-8). False and a sentence, nothing pushed, when they are no such
 * message. `options` must outlive the object: it belongs to the generation, which is what `keep` anchors (a
 * registry reference or LUA_NOREF). [-0, +(0|1), m] */
bool twl_message_push(lua_State *L, const struct message_type *type, const uint8_t *bytes, size_t length,
                      struct message *owner, const struct twl_message_options *options, const char **fault);
/* An object of that type from the table or bytes at `index` (`tidewire.message.new`) [-0, +1, e] */
void twl_message_new(lua_State *L, const struct message_type *type, int index, const struct twl_message_options *options);

/* NULL when the value is no message object. */
const struct message_type *twl_message_type(lua_State *L, int index);

/* Appends the wire bytes of the message object or table at `index` as a message of `type` to `out`. An object of
 * another type with the same full name (another generation's) is taken by its bytes. Raises, naming the path, for
 * unknown keys, wrong types and numbers out of range; `out` may then hold part of a message. [-0, +0, e] */
void twl_message_encode(lua_State *L, int index, const struct message_type *type, struct buffer *out);
/* The original bytes if the object at `index` was never changed, so that they can be forwarded as they are. */
bool twl_message_unchanged(lua_State *L, int index, const uint8_t **bytes, size_t *length, struct message **owner);

/* Projections. What `tidewire.project(spec, f)` returns is an opaque value that the loader resolves against the
 * method's types: */
struct projection;
bool twl_is_projection(lua_State *L, int index);
/* `index` holds the projection value. `reply_type` NULL: only reads (topic filters). NULL and an error text (with the
 * script's file:line) when a field does not exist. Owns a registry reference on the function. [-0, +0] */
struct projection *twl_projection_resolve(lua_State *L, int index, const struct message_type *type,
                                          const struct message_type *reply_type,
                                          const struct twl_message_options *options, struct error *error);
void twl_projection_free(lua_State *L, struct projection **projection);
/* Pushes the function, then the declared fields of the message as arguments behind what the caller pushes between the
 * two steps (the stream): first twl_projection_function, then the caller's own argument, then
 * twl_projection_arguments, which returns how many it pushed, or -1 and a fault for bytes that are no such message. */
void twl_projection_function(lua_State *L, const struct projection *projection);
int twl_projection_arguments(lua_State *L, const struct projection *projection, const uint8_t *bytes, size_t length,
                             const char **fault);
/* From the results at `first`…top: appends the reply (reply form), or the original bytes with the patched fields
 * (patch form). Nothing is appended and false returned when all results are nil in reply form: no reply. [-0, +0, e] */
bool twl_projection_result(lua_State *L, const struct projection *projection, int first, const uint8_t *bytes,
                           size_t length, struct buffer *out);

/* `tidewire.enum "pkg.Level"` for a schema [-0, +1, e] */
void twl_enum_push(lua_State *L, const struct schema *schema, const char *full_name);
/* 64-bit integers in the form that the options ask for [-0, +1, m] */
void twl_push_int64(lua_State *L, int64_t value, enum int64_form form);
void twl_push_uint64(lua_State *L, uint64_t value, enum int64_form form);
#endif
