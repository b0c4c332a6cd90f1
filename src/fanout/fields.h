/* fanout/fields.h - what filters and keys see of an encoded message: fields of its outermost level, without Lua.
 *
 * A message is looked through once for each worker, when the first of its subscribers asks, however many ask. What a
 * field reads as is what a script would read: the last value on the wire, else the default; a value whose wire type
 * does not fit is none. Bytes that are no message read as a message that ends where they go wrong. */
#ifndef TIDEWIRE_FANOUT_FIELDS_H
#define TIDEWIRE_FANOUT_FIELDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/schema.h"

enum { FIELDS_NOTED = 32 }; /* different fields that a look notes; the rest is looked for again */

/* In one form whatever the wire said: signed ones sign-extended, bool 0 or 1, float and double as their bits. */
struct field_value {
    uint64_t bits;       /* scalars */
    const uint8_t *data; /* strings and bytes */
    uint32_t length;
    uint32_t order; /* its place among the message's values: the greatest wins in a oneof */
};

/* The bytes are borrowed. */
struct fields {
    const uint8_t *bytes;
    size_t length;
    bool is_read, is_partial;
    uint32_t count;
    uint32_t tags[FIELDS_NOTED];
    struct field_value values[FIELDS_NOTED];
};
static inline void fields_init(struct fields *fields, const void *bytes, size_t length) {
    fields->bytes = bytes;
    fields->length = length;
    fields->is_read = false;
}

/* Whether a field can be read here: neither list, map nor message. */
bool field_is_plain(const struct field *field);
/* The field's value; false when it is unset (and would read as nil). `field` is plain. */
bool field_read(const struct message_type *type, const struct field *field, struct fields *fields,
                struct field_value *value);
bool field_values_are_equal(const struct field *field, const struct field_value *a, const struct field_value *b);

/* { field = value }: passes messages in which each field has its value. */
struct field_filter;
/* `wanted` is a message of the type in which these fields were set. The type must outlive the filter. */
struct field_filter *field_filter_new(const struct message_type *type, const struct field *const *fields, size_t count,
                                      const void *wanted, size_t length);
/* The same for the type of another schema; NULL when a field there is another one, or none. */
struct field_filter *field_filter_move(const struct field_filter *filter, const struct message_type *type);
void field_filter_free(struct field_filter **filter);
bool field_filter_passes(const struct field_filter *filter, struct fields *fields);
#endif
