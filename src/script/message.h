/* script/message.h - protobuf messages as Lua values: the message object, plain tables, projections, enums.
 *
 * C functions here follow Lua's stack notation [-popped, +pushed, e = may raise]. A raise leaves C functions without
 * cleaning up: whoever calls one that may raise holds nothing that only it could free.
 *
 * Two things of the state must be shut off by whoever gives scripts their environment: `newproxy` (a finalizer of a
 * script could run in the middle of an encode) and package.loaded.ffi (see twl_message_open). */
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

/* How one service's scripts see messages. Objects copy it. */
struct twl_message_options {
    enum int64_form int64;
    uint32_t list_elements; /* most elements of one list or map that may be made into a table */
};

/* Once a Lua state, before anything else here. Opens LuaJIT's ffi for the 64-bit integers and leaves it in
 * package.loaded.ffi: scripts must not reach it. [-0, +0, e] */
void twl_message_open(lua_State *L);
/* Where the state counts the bytes that message objects hold outside its heap, by reference: what the collector does
 * not see. Looked at once a turn. */
const size_t *twl_message_held_bytes(lua_State *L);
/* Called when they have grown. */
void twl_message_on_held(lua_State *L, void (*on_held)(void *context), void *context);

/* A schema as one Lua state knows it: metatables, interned field names. One for each generation and state. */
struct twl_schema;
/* Takes a reference on the schema. [-0, +0, e] */
struct twl_schema *twl_schema_open(lua_State *L, struct schema *schema);
/* The generation lets go; the memory goes once the last message object of it is collected. [-0, +0, -] */
void twl_schema_close(lua_State *L, struct twl_schema **schema);
struct schema *twl_schema_schema(const struct twl_schema *schema); /* borrowed */

/* Pushes a message object over the bytes: copied, or, with an owner and when that is cheaper, kept by a reference to
 * it. The bytes are checked whole (structure, depth, UTF-8, required fields). False and a sentence that is good for a
 * status text, nothing pushed, when they are no such message. `type` is one of the schema's. [-0, +(0|1), m] */
bool twl_message_push(lua_State *L, struct twl_schema *schema, const struct message_type *type, const uint8_t *bytes,
                      size_t length, struct message *owner, const struct twl_message_options *options,
                      const char **fault);
/* A new object of that type from the table, wire bytes, or message at `index`; an empty one from nil. [-0, +1, e] */
void twl_message_new(lua_State *L, struct twl_schema *schema, const struct message_type *type, int index,
                     const struct twl_message_options *options);

/* NULL when the value is no message object. [-0, +0, -] */
const struct message_type *twl_message_type(lua_State *L, int index);

/* Appends the wire bytes of the message object or table at `index` as a message of `type` to `out`. An object of
 * another type with the same full name (another generation's) is taken by its bytes. Raises, naming the path, for
 * unknown keys, wrong types and numbers out of range; `out` may then hold part of a message, which the caller cuts
 * off. `out` may move. [-0, +0, e] */
void twl_message_encode(lua_State *L, int index, struct twl_schema *schema, const struct message_type *type,
                        struct buffer *out);
/* The original bytes if the object at `index` was never changed, so that they can be forwarded as they are: borrowed
 * from the object, or from `*owner` unless that is NULL. False for anything else. [-0, +0, e] */
bool twl_message_unchanged(lua_State *L, int index, const uint8_t **bytes, size_t *length, struct message **owner);

/* The table `tidewire.message` for scripts of one service: `new(type[, table or bytes])` and every method of message
 * objects as a function. The options are copied. [-0, +1, e] */
void twl_message_library(lua_State *L, struct twl_schema *schema, const struct twl_message_options *options);
/* The type of that name; raises for an unknown one, naming the nearest. [-0, +0, e] */
const struct message_type *twl_check_type(lua_State *L, const struct schema *schema, const char *full_name);
/* What `tidewire.enum "pkg.Level"` gives, a new table each time; raises for an unknown name. [-0, +1, e] */
void twl_enum_push(lua_State *L, struct twl_schema *schema, const char *full_name);

/* Projections. `tidewire.project` is this function: project({fields = …, reply = … | patch = …}, f) returns an opaque
 * value that the loader resolves against the method's types. The list without a reply or patch only reads. */
int twl_project(lua_State *L);
bool twl_is_projection(lua_State *L, int index);
/* The function of the projection at `index`, as it was declared. [-0, +1, -] */
void twl_projection_declared(lua_State *L, int index);

struct projection;
/* `index` holds the projection value. `reply_type` is what `reply` fields belong to, NULL where only reading makes
 * sense (topic filters). NULL and an error text (with the script's file:line) when a field does not exist. Owns a
 * registry reference on the function. [-0, +0, m] */
struct projection *twl_projection_resolve(lua_State *L, int index, struct twl_schema *schema,
                                          const struct message_type *type, const struct message_type *reply_type,
                                          const struct twl_message_options *options, struct error *error);
void twl_projection_free(lua_State *L, struct projection **projection);
/* One field in, and at most one out. */
bool twl_projection_is_single(const struct projection *projection);
unsigned twl_projection_count(const struct projection *projection); /* of its arguments */
bool twl_projection_is_reply(const struct projection *projection); /* it has results, of another type */
bool twl_projection_is_patch(const struct projection *projection); /* nil results: the message as it is */
/* Pushes the function, then the declared fields of the message as arguments behind what the caller pushes between the
 * two steps (the stream): first twl_projection_function, then the caller's own argument, then
 * twl_projection_arguments, which returns how many it pushed, or -1 and a fault, nothing pushed, for bytes that are no
 * such message. `bytes` may go after that, except that a patch needs them again for its result. [-0, +n, e] */
void twl_projection_function(lua_State *L, const struct projection *projection);
int twl_projection_arguments(lua_State *L, const struct projection *projection, const uint8_t *bytes, size_t length,
                             const char **fault);
/* From the results at `first`…top: appends the reply (reply form), or the original bytes with the patched fields
 * (patch form). Nothing is appended and false returned when all results are nil: no reply, or nothing patched.
 * [-0, +0, e] */
bool twl_projection_result(lua_State *L, const struct projection *projection, int first, const uint8_t *bytes,
                           size_t length, struct buffer *out);
/* The same for replies that are right at the first look. False, nothing appended: those that are wrong, and those that
 * need a second look. [-0, +0, -] */
bool twl_projection_plain_result(lua_State *L, const struct projection *projection, int first, struct buffer *out);

/* 64-bit integers in the form that the options ask for [-0, +1, m] */
void twl_push_int64(lua_State *L, int64_t value, enum int64_form form);
void twl_push_uint64(lua_State *L, uint64_t value, enum int64_form form);
enum number_kind { NUMBER_NONE, NUMBER_SIGNED, NUMBER_UNSIGNED };
/* What 64-bit integer the cdata or decimal string at `index` is, its bits to *bits. */
enum number_kind twl_to_wide(lua_State *L, int index, uint64_t *bits);
#endif
