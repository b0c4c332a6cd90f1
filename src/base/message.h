/* base/message.h - the bytes of one message, counted by reference.
 *
 * A message belongs to one worker: the count is a plain integer. What goes to another worker is copied once for
 * that worker. The bytes may be written until the message has a second reference, never after.
 *
 * The five bytes before the data are room for gRPC's length prefix, so that a framed message is one run. */
#ifndef TIDEWIRE_BASE_MESSAGE_H
#define TIDEWIRE_BASE_MESSAGE_H
#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_PREFIX = 5, MESSAGE_COMPRESSED = 1 /* the flag in it */ };

struct message {
    uint32_t references;
    uint32_t length;   /* bytes in data */
    uint32_t capacity; /* room in data */
    uint8_t unused[3];
    uint8_t prefix[MESSAGE_PREFIX]; /* stands directly before data */
    uint8_t data[];
};
_Static_assert(offsetof(struct message, data) == offsetof(struct message, prefix) + MESSAGE_PREFIX,
               "prefix and data are one run");

/* One reference, length 0. */
struct message *message_new(size_t capacity);
/* One reference, a copy of `data`; with the prefix of an uncompressed message. */
struct message *message_copy(const void *data, size_t length);
/* More room, at least `capacity`; the only reference must be the caller's. The message may move. */
struct message *message_resize(struct message *message, size_t capacity);
/* Twice the room, but not more than a byte beyond the limit: so it is seen when that is passed. */
struct message *message_grow(struct message *message, size_t limit);
/* Writes the prefix for the present length; `compressed` is gRPC's flag. */
void message_set_prefix(struct message *message, int compressed);
/* Gives one reference back and sets the pointer to NULL; NULL is fine. */
void message_unref(struct message **message);

static inline struct message *message_ref(struct message *message) {
    message->references++;
    return message;
}
#endif
