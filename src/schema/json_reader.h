/* schema/json_reader.h - what the files that read JSON share. */
#ifndef TIDEWIRE_SCHEMA_JSON_READER_H
#define TIDEWIRE_SCHEMA_JSON_READER_H
#include "base/buffer.h"
#include "schema/codec.h"
#include "schema/json.h"
#include "schema/json_place.h"
#include "schema/json_text.h"

struct json_reader {
    struct json_text text;
    const struct json_options *options;
    struct buffer *out;
    struct error *error;
    struct buffer scratch; /* one decoded string, until the next */
    struct buffer seen;    /* a byte for each field and oneof of every message that is open */
    size_t looked_ahead;   /* bytes passed in search of "@type" */
};

/* A name that only what is read now ignores may be left out of the result. */
enum json_taken { JSON_BAD, JSON_TAKEN, JSON_IGNORED };

/* The message that comes next, without tag and length. `depth` is how many messages stand around it. */
bool json_read_message(struct json_reader *reader, const struct message_type *type,
                       const struct json_place *place, unsigned depth);
/* An object as a message that JSON does not treat in its own way; `is_any` leaves out "@type". */
bool json_read_object(struct json_reader *reader, const struct message_type *type,
                      const struct json_place *place, unsigned depth, bool is_any);
/* All elements or entries, with their tags. */
bool json_read_list(struct json_reader *reader, const struct field *field, const struct json_place *place,
                    unsigned depth);
bool json_read_map(struct json_reader *reader, const struct field *field, const struct json_place *place,
                   unsigned depth);
/* A number, bool or enum value, in 64 bits as the codec writes them. */
enum json_taken json_take_bits(struct json_reader *reader, const struct field *field,
                               const struct json_place *place, uint64_t *bits);
/* A string or bytes, with the tag; `is_empty_written` also when it is empty. */
bool json_read_bytes(struct json_reader *reader, const struct field *field, const struct json_place *place,
                     bool is_empty_written);
/* Well-known types, except Empty. */
bool json_read_well_known(struct json_reader *reader, const struct message_type *type,
                          const struct json_place *place, unsigned depth);

/* A key of a map, with its tag. */
bool json_read_key(struct json_reader *reader, const struct field *key, const struct json_string *text,
                   const struct json_place *place);
/* The characters of a string, decoded into the scratch buffer when they must be. */
struct json_string json_decoded(struct json_reader *reader, const struct json_string *string);
/* What the text's fault says, with line and column; false. */
bool json_fail_syntax(struct json_reader *reader);
bool json_is_null_value(const struct field *field);
#endif
