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
    /* Writing, as Go writes what Goa has designed: integers of 64 bits are numbers, besides keys of maps, and a name goes
     * without the "_" at its end that keeps it apart from the words of .proto files. */
    bool is_plain;
    bool write_defaults;    /* also implicit-presence fields at their default */
    bool ignore_unknown;    /* reading: unknown names, of enum values too, are skipped instead of refused */
    bool is_partial;        /* reading: required fields may be missing */
    const struct schema *schema; /* resolves google.protobuf.Any */
    size_t *fault_line;     /* reading: where not NULL, the line of the text that is at fault, from 1 */
};

/* Appends JSON without line breaks, fields by ascending number, maps in the order of the bytes. False, and a sentence,
 * with the field's path where there is one, when the bytes are no such message or have no JSON form (a Timestamp
 * outside years 1 to 9999, an Any whose type the schema lacks), or when the text gets longer than a MiB and 64 characters for
 * each byte; nothing is appended then. NULL options are all off. */
bool json_write(const struct message_type *type, const uint8_t *bytes, size_t length,
                const struct json_options *options, struct buffer *out, struct error *error);
/* Appends wire bytes in the order of the text. False, and nothing appended, for what is no such message: the error says
 * `labels[2].region: expected a string`, or the column of what is no JSON and, unless `fault_line` has it, its line.
 * Refused too are fields, map keys or members of a oneof that stand twice, required fields that are missing, and more
 * than 100 levels of messages. Memory stays within a small multiple of the text. */
bool json_read(const struct message_type *type, const char *text, size_t length, const struct json_options *options,
               struct buffer *out, struct error *error);

/* The same for the value of one field alone, of a list or a map for the whole of it. Reading appends the field with its tag,
 * also when it is zero. Writing takes it out of its message's bytes; a message that is not set is null, all else then has
 * its default. */
bool json_read_value(const struct field *field, const char *text, size_t length, const struct json_options *options,
                     struct buffer *out, struct error *error);
bool json_write_value(const struct message_type *type, const struct field *field, const uint8_t *bytes, size_t length,
                      const struct json_options *options, struct buffer *out, struct error *error);
#endif
