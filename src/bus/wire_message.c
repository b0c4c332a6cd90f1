/* bus/wire_message.c - see wire.h: what has come, and what is to go. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/wire_private.h"
#include "fanout/history.h"

const char *wire_subject(const struct wire_message *message) { return natsMsg_GetSubject(message->native); }
const char *wire_reply(const struct wire_message *message) { return natsMsg_GetReply(message->native); }
const uint8_t *wire_data(const struct wire_message *message) { return (const uint8_t *)natsMsg_GetData(message->native); }
size_t wire_length(const struct wire_message *message) { return (size_t)natsMsg_GetDataLength(message->native); }

const char *wire_header(const struct wire_message *message, const char *name) {
    const char *value = NULL;
    return natsMsgHeader_Get(message->native, name, &value) == NATS_OK ? value : NULL;
}

void wire_message_free(struct wire_message *message) {
    natsMsg_Destroy(message->native);
    free(message);
}

static const char *put_text(char **at, const char *text) {
    if (!text) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
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
