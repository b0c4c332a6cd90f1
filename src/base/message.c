/* base/message.c - see message.h */
#include "base/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct message *message_new(size_t capacity) {
    assert(capacity <= UINT32_MAX);
    struct message *message = memory_resize(NULL, sizeof *message + capacity);
    *message = (struct message){.references = 1, .capacity = (uint32_t)capacity};
    return message;
}

struct message *message_copy(const void *data, size_t length) {
    struct message *message = message_new(length);
    if (length) memcpy(message->data, data, length);
    message->length = (uint32_t)length;
    message_set_prefix(message, 0);
    return message;
}

struct message *message_resize(struct message *message, size_t capacity) {
    assert(message->references == 1 && capacity <= UINT32_MAX);
    if (capacity <= message->capacity) return message;
    message = memory_resize(message, sizeof *message + capacity);
    message->capacity = (uint32_t)capacity;
    return message;
}

struct message *message_grow(struct message *message, size_t limit) {
    size_t capacity = (size_t)message->capacity * 2;
    return message_resize(message, capacity > limit + 1 ? limit + 1 : capacity);
}

void message_set_prefix(struct message *message, int compressed) {
    uint32_t length = message->length;
    message->prefix[0] = compressed != 0;
    message->prefix[1] = (uint8_t)(length >> 24);
    message->prefix[2] = (uint8_t)(length >> 16);
    message->prefix[3] = (uint8_t)(length >> 8);
    message->prefix[4] = (uint8_t)length;
}

void message_unref(struct message **message) {
    struct message *m = *message;
    *message = NULL;
    if (m && --m->references == 0) free(m);
}
