/* schema/json_place.h - where in a message a reader or writer stands, for its errors: a chain on the C stack,
 * put into words only when something is wrong. */
#ifndef TIDEWIRE_SCHEMA_JSON_PLACE_H
#define TIDEWIRE_SCHEMA_JSON_PLACE_H
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct json_place {
    const struct json_place *outer; /* NULL: the message itself */
    enum { JSON_PLACE_FIELD, JSON_PLACE_ELEMENT, JSON_PLACE_KEY } kind;
    const char *name; /* of a field or a key; ends after `length` */
    size_t length;    /* of a name, or the index of an element */
};

/* `labels[2].by_name["eu"].region: reason`; false. */
bool json_fail(struct error *error, const struct json_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* How much of a text is fit for an error: not all of a long one, and no half character at its end. */
int json_quotable(const char *text, size_t length);
#endif
