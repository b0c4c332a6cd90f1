/* rpc/wire_text.h - fields of a message whose type is known here by its numbers alone. */
#ifndef TIDEWIRE_RPC_WIRE_TEXT_H
#define TIDEWIRE_RPC_WIRE_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/request.h"

/* The next field that is text, bytes or a message; moves *at behind it. False at the end, or (*at is NULL) where the
 * message is broken. */
bool wire_text_next(const uint8_t **at, const uint8_t *end, uint32_t *number, struct text *value);
/* The last such field of that number, in front of what is broken; without data: there is none. */
struct text wire_text_find(struct text message, uint32_t number);
#endif
