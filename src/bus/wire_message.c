/* bus/wire_message.c - see wire.h: what has come, and what is to go. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/wire_private.h"
#include "fanout/history.h"

enum { LONGEST_HEADER = 1024 /* bytes of a value */ };

static const char *put_text(char **at, const char *text) {
    if (!text) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

struct wire_message *wire_message_new(const char *subject, const char *reply, const struct wire_header headers[WIRE_HEADERS],
                                      const void *data, size_t length) {
    size_t texts = strlen(subject) + 1 + (reply ? strlen(reply) + 1 : 0);
    for (size_t i = 0; i < WIRE_HEADERS; i++) texts += headers[i].value ? strlen(headers[i].value) + 1 : 0;
    size_t size = sizeof(struct wire_message) + length + texts;
    struct wire_message *message = memory_new(size);
    char *at = (char *)(message + 1) + length;
    message->size = size;
    message->data = length ? memcpy(message + 1, data, length) : (const uint8_t *)(message + 1);
    message->length = length;
    message->subject = put_text(&at, subject);
    message->reply = put_text(&at, reply);
    for (size_t i = 0; i < WIRE_HEADERS; i++)
        message->headers[i] = (struct wire_header){headers[i].name, put_text(&at, headers[i].value)};
    return message;
}

struct wire_message *wire_take(const struct wire *wire, natsMsg *native) {
    struct wire_header headers[WIRE_HEADERS];
    for (size_t i = 0; i < WIRE_HEADERS; i++) {
        headers[i] = (struct wire_header){.name = wire->events.headers[i]};
        bool is_there = natsMsgHeader_Get(native, headers[i].name, &headers[i].value) == NATS_OK;
        if (!is_there || strlen(headers[i].value) > LONGEST_HEADER) headers[i].value = NULL;
    }
    return wire_message_new(natsMsg_GetSubject(native), natsMsg_GetReply(native), headers, natsMsg_GetData(native),
                            (size_t)natsMsg_GetDataLength(native));
}

const char *wire_header(const struct wire_message *message, const char *name) {
    for (size_t i = 0; i < WIRE_HEADERS; i++)
        if (message->headers[i].name && strcmp(message->headers[i].name, name) == 0) return message->headers[i].value;
    return NULL;
}

struct wire_out *wire_out_new(const char *subject, const char *reply, const struct wire_header *headers, size_t count,
                              const void *bytes, size_t length, struct parcel *parcel) {
    size_t texts = strlen(subject) + 1 + (reply ? strlen(reply) + 1 : 0), copied = parcel ? 0 : length;
    for (size_t i = 0; i < count; i++) texts += strlen(headers[i].value) + 1;
    struct wire_out *out = memory_new(sizeof *out + copied + texts);
    char *at = (char *)(out + 1) + copied;
    list_init(&out->node);
    out->parcel = parcel ? parcel_ref(parcel) : NULL;
    out->bytes = parcel ? parcel->data : memcpy(out + 1, bytes, length);
    out->length = length;
    out->weight = sizeof *out + length + texts;
    out->subject = put_text(&at, subject);
    out->reply = put_text(&at, reply);
    for (size_t i = 0; i < count; i++)
        out->headers[i] = (struct wire_header){headers[i].name, put_text(&at, headers[i].value)};
    return out;
}

void wire_out_free(struct wire_out *out) {
    parcel_unref(&out->parcel);
    free(out);
}
