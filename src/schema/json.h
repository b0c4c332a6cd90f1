/* schema/json.h - messages as ProtoJSON (protobuf.dev/programming-guides/json), in both directions, straight
 * between JSON text and wire bytes. */
#ifndef TIDEWIRE_SCHEMA_JSON_H
#define TIDEWIRE_SCHEMA_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "schema/schema.h"

struct json_options {
    bool use_proto_names;   /* names as in the .proto instead of lowerCamelCase */
    bool write_defaults;    /* also implicit-presence fields at their default */
    bool ignore_unknown;    /* reading: unknown names are skipped instead of refused */
    const struct schema *schema; /* resolves google.protobuf.Any */
};

/* Appends JSON without line breaks. False and a sentence with the field's path when the bytes are no such message. */
bool json_write(const struct message_type *type, const uint8_t *bytes, size_t length,
                const struct json_options *options, struct buffer *out, struct error *error);
/* Appends wire bytes. Depth is at most 100; errors say path and reason. */
bool json_read(const struct message_type *type, const char *text, size_t length, const struct json_options *options,
               struct buffer *out, struct error *error);
#endif
