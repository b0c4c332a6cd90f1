/* script/message_private.h - what the files of message objects share.
 *
 *   twl_state    one a Lua state: scratch memory, the 64-bit helpers
 *   twl_schema   one a generation: a userdata that holds a reference on the schema
 *   twl_type     one for each message type in use: its field names as interned Lua strings
 *   object       one a message: bytes, a slot for each field, and what a script made of some fields
 *
 * An object keeps its metatable, the metatable keeps the twl_schema: so types live as long as any of their objects.
 *
 * A field of an object is in one of these states:
 *   - neither overlaid nor changed: as the bytes say; its slot tells where;
 *   - overlaid, not changed: it was read. The table or object that the script got stands in the overlay (the
 *     userdata's environment, at the field's index + 1). Whether the script wrote into it is found out when the
 *     message is encoded (message_change.c);
 *   - changed: the bytes no longer count. Presence bit and slot (numbers), or presence bit and overlay (the rest)
 *     say what it is now. */
#ifndef TIDEWIRE_SCRIPT_MESSAGE_PRIVATE_H
#define TIDEWIRE_SCRIPT_MESSAGE_PRIVATE_H
#include <luajit-2.1/lauxlib.h>

#include "schema/codec.h"
#include "script/message.h"

enum {
    LUA_TYPE_CDATA = 10,  /* LuaJIT's, not in its headers */
    SMALL_FIELDS = 64,    /* types with at most so many fields need no memory beside the C stack */
    FEW_FIELDS = 16,      /* types with at most so many fields have a place for each in an overlay from the start */
    BY_REFERENCE = 1024,  /* bytes from which on an object refers to a counted message instead of holding a copy */
    MOST_WRITTEN = 256 << 20, /* bytes of a message that is made of Lua values */
    NESTING = CODEC_DEPTH /* of what scripts build; also what ends a circle */
};

struct twl_state {
    struct buffer scratch, pieces; /* empty between any two calls from Lua */
    size_t held_bytes;
    void (*on_held)(void *context); /* or NULL */
    void *on_held_context;
    int new_signed, new_unsigned, classify; /* registry references, message_number.c */
    int weak;                               /* registry reference of the weak table of metatables */
    int methods;                            /* registry reference of the table of methods */
};

struct twl_name {
    const void *key; /* lua_topointer() of the name: Lua keeps one copy of each string */
    const struct field *field;
};

struct twl_type {
    const struct message_type *type;
    struct twl_schema *schema;
    size_t view_size;
    unsigned shift; /* of the hash: 64 - log2 of the size of names */
    bool has_other_tables; /* than those that can be written in their own order: not tried any more */
    struct twl_name names[];
};

struct twl_schema {
    struct twl_state *state;
    struct schema *schema;
    struct twl_type **types; /* by message_type.number; NULL: not used yet */
    int self, plain, owning; /* registry references while open: this userdata and the two metatables */
    int weak_plain, weak_owning; /* the metatables' places in the weak table */
    bool is_open;
};

struct object {
    const void *magic;
    const struct twl_type *type;
    struct message *owner; /* a reference; NULL: the bytes stand behind the slots */
    struct twl_message_options options;
    bool has_overlay, is_changed;
    struct codec_view view;
    uint64_t memory[]; /* changed bits, overlaid bits, then what the view needs, then the bytes */
};

extern const char twl_object_magic;

static inline uint64_t *object_changed(const struct object *object) {
    return object->view.presence - 2 * codec_words(object->view.type);
}
static inline uint64_t *object_overlaid(const struct object *object) {
    return object->view.presence - codec_words(object->view.type);
}

/* For any value: NULL when it is no message object. */
static inline struct object *twl_object(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || lua_objlen(L, index) < sizeof(struct object)) return NULL;
    struct object *object = lua_touserdata(L, index);
    return object->magic == &twl_object_magic ? object : NULL;
}

/* message_schema.c */
struct twl_type *twl_type_make(lua_State *L, struct twl_schema *schema, const struct message_type *type);
static inline struct twl_type *twl_type_of(lua_State *L, struct twl_schema *schema, const struct message_type *type) {
    struct twl_type *found = schema->types[type->number];
    return found ? found : twl_type_make(L, schema, type);
}
static inline size_t twl_name_hash(const void *key, unsigned shift) {
    return (size_t)(((uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15)) >> shift);
}
/* The field that the value at `index` names; NULL when it is no string, or no field's name. */
static inline const struct field *twl_type_field(lua_State *L, const struct twl_type *type, int index) {
    const void *key = lua_topointer(L, index); /* NULL for what is not collected, no name's for other values */
    size_t mask = ((size_t)1 << (64 - type->shift)) - 1;
    for (size_t i = twl_name_hash(key, type->shift);; i = (i + 1) & mask) {
        if (!type->names[i].key) return NULL;
        if (type->names[i].key == key) return type->names[i].field;
    }
}
struct twl_state *twl_state_of(lua_State *L);
void twl_schema_metatable(lua_State *L, const struct twl_schema *schema, bool is_owning); /* [-0, +1, -] */
/* Fills both metatables of a schema; message.c. The metatable is on top. [-0, +0, e] */
void twl_object_metatable(lua_State *L, struct twl_schema *schema, bool is_owning);

/* message.c: a new object over checked bytes, which are copied unless `owner` holds them. [-0, +1, m] */
struct object *twl_object_push(lua_State *L, const struct twl_type *type, const uint8_t *bytes, size_t length,
                               struct message *owner, const struct twl_message_options *options);
/* Puts the value on top of the stack into the overlay of the object at `index`. [-1, +0, m] */
void twl_object_overlay(lua_State *L, int index, struct object *object, const struct field *field);
/* Pushes what the overlay holds. [-0, +1, -] */
void twl_object_overlaid(lua_State *L, int index, const struct field *field);
/* What `message.field` reads as. [-0, +1, e] */
void twl_object_read(lua_State *L, int index, struct object *object, const struct field *field);
/* Unsets a field. [-0, +0, m] */
void twl_object_clear(lua_State *L, int index, struct object *object, const struct field *field);
/* The first argument as an object, the second as the name of one of its fields; raises the signature otherwise. */
struct object *twl_check_object(lua_State *L, const char *signature);
const struct field *twl_check_field(lua_State *L, const struct object *object, const char *signature);
int twl_expected(lua_State *L, const char *signature);
int twl_unknown_field(lua_State *L, const struct message_type *type, const char *name);

/* message_methods.c: pushes the table of methods. [-0, +1, m] */
void twl_methods_push(lua_State *L);

/* message_read.c: bytes to Lua values. */
struct reader {
    lua_State *L;
    struct twl_schema *schema;
    struct twl_message_options options;
    struct message *owner; /* of the view's bytes, or NULL */
    bool makes_tables;     /* plain tables for sub-messages instead of objects */
};
/* A field that is set, or a list or map that may be absent. [-0, +1, e] */
void twl_push_field(const struct reader *reader, const struct codec_view *view, const struct field *field);
/* A singular scalar that is not set. [-0, +1, e] */
void twl_push_default(const struct reader *reader, const struct field *field);
void twl_push_scalar(lua_State *L, const struct field *field, uint64_t bits, enum int64_form form);
/* A singular scalar, string or bytes, set or not. [-0, +1, m] */
void twl_push_plain(const struct reader *reader, const struct codec_view *view, const struct field *field);
/* The checked bytes as a plain table of the fields that are set. [-0, +1, e] */
void twl_push_table(const struct reader *reader, const struct message_type *type, const uint8_t *bytes, size_t length);
/* A sub-message's merged bytes; pushes what keeps them. [-0, +1, m] */
const uint8_t *twl_push_inside(const struct reader *reader, const struct codec_view *view, const struct field *field,
                               size_t *length);

/* message_write.c: Lua values to bytes. */
struct step { /* where in what is being written; for the path in faults */
    const struct step *up;
    const struct field *field;
    int key;      /* stack index of a map's key, or 0 */
    size_t place; /* in a list, from 1, or 0 */
};
struct writer {
    lua_State *L;
    struct buffer *out;
    struct twl_schema *schema;
    const struct message_type *root;
    unsigned depth;
    size_t most;     /* bytes that `out` may have; 0: the outermost twl_write_enter() sets it */
    bool is_partial; /* required fields may be missing: for text */
};
/* The message at `index`, a table or object. [-0, +0, e] */
void twl_write_message(struct writer *writer, int index, const struct message_type *type, const struct step *step);
/* One field with its tag(s), from the value at `index`. Unset defaults are not written. [-0, +0, e] */
void twl_write_field(struct writer *writer, int index, const struct field *field, const struct step *up);
/* A singular scalar, string or bytes. */
static inline bool twl_is_plain(const struct field *field) { return !field->is_repeated && !codec_is_message(field); }
/* The same for a singular scalar, string or bytes whose value is right at the first look. False, nothing appended: it
 * may be right or wrong. Never raises. [-0, +0, -] */
bool twl_write_plain(lua_State *L, int index, const struct field *field, struct buffer *out);
_Noreturn void twl_write_fault(const struct writer *writer, const struct step *step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void twl_write_mistyped(const struct writer *writer, const struct step *step, const char *expected,
                                  int index);
/* As twl_to_bits() for what is right at the first look at the value, which is of the `type`. False: it may be right
 * or wrong. Never raises. [-0, +0, -] */
bool twl_plain_bits(lua_State *L, int index, int type, const struct field *field, uint64_t *bits);
/* The bits for a slot. */
uint64_t twl_to_bits(const struct writer *writer, int index, const struct step *step);
/* The string or bytes, checked. */
const char *twl_to_text(const struct writer *writer, int index, const struct step *step, size_t *length);
/* A small table may name a large string very often. */
static inline void twl_write_check_size(const struct writer *writer, const struct step *step, size_t more) {
    if (writer->out && buffer_length(writer->out) + more > writer->most && writer->most)
        twl_write_fault(writer, step, "the message would be larger than %d MiB", MOST_WRITTEN >> 20);
}
static inline void twl_write_enter(struct writer *writer, const struct step *step) {
    if (!writer->most && writer->out) writer->most = buffer_length(writer->out) + MOST_WRITTEN;
    if (++writer->depth > NESTING + 1) twl_write_fault(writer, step, "nested deeper than 100 levels, or in a circle");
    luaL_checkstack(writer->L, 12, "message");
}
/* The present bytes of the object at `index`: its own, or encoded into the state's scratch memory. [-0, +0, e] */
const uint8_t *twl_object_bytes(lua_State *L, int index, struct object *object, bool is_partial, size_t *length);
void twl_scratch_done(struct buffer *scratch);

/* message_change.c: marks the fields that the script wrote into since it read them as changed; true if the object
 * is changed. [-0, +0, e] */
bool twl_object_settle(struct writer *writer, int index, struct object *object, const struct step *step);

/* message_number.c */
void twl_numbers_open(lua_State *L, struct twl_state *state);
#endif
