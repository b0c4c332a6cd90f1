/* rpc/parameter.h - fields of a message that stand in a path, a query or a header: as the text of one value. */
#ifndef TIDEWIRE_RPC_PARAMETER_H
#define TIDEWIRE_RPC_PARAMETER_H
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "rpc/request.h"
#include "schema/schema.h"

enum {
    PARAMETER_DEPTH = 8,  /* names in "a.b.c" */
    PARAMETERS_MOST = 100 /* of one query: a header list has a price for each field, a query has none */
};

/* A field, and the messages that it stands in, the outermost first. */
struct parameter {
    const struct field *fields[PARAMETER_DEPTH];
    size_t depth;
};

/* Appends the JSON that the value of the field, or one of a list, is read from. Numbers may be read from strings; what a
 * bool is must be a word. Bytes that are no UTF-8 become U+FFFD. */
void parameter_write(struct buffer *out, const struct field *field, struct text value);

enum parameter_fault { PARAMETER_OK, PARAMETER_UNKNOWN, PARAMETER_OF_MESSAGE /* its fields may be named, but not itself */ };

/* One of the type's own, by either of its names; NULL: none. */
const struct field *parameter_field(const struct message_type *type, struct text name);
/* "book.title": names as in the .proto or in JSON. */
enum parameter_fault parameter_find(const struct message_type *type, struct text name, struct parameter *parameter);
/* Both cannot be set, as they are the same and no list, or members of one oneof. */
bool parameters_clash(const struct parameter *one, const struct parameter *other);
/* Whether the two begin with the same field. */
static inline bool parameter_is_in(const struct parameter *parameter, const struct field *field) {
    return parameter->fields[0] == field;
}
/* Appends the value to the bytes of the outermost message; what was there of the same field goes, or, of a list, stays.
 * False, and a sentence. */
bool parameter_bind(struct buffer *out, const struct parameter *parameter, struct text value, struct error *error);

/* Goes on with the next "name=value" of a query, as they are written there. False at its end. */
bool parameter_next(struct text *query, struct text *name, struct text *value);
/* Appends what a part of a query means. False: a "%" is followed by no two digits. */
bool parameter_decode(struct buffer *out, struct text value);
#endif
