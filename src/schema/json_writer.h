/* schema/json_writer.h - what the files that write JSON share. */
#ifndef TIDEWIRE_SCHEMA_JSON_WRITER_H
#define TIDEWIRE_SCHEMA_JSON_WRITER_H
#include "base/buffer.h"
#include "schema/codec.h"
#include "schema/json.h"
#include "schema/json_place.h"

struct json_writer {
    const struct json_options *options;
    struct buffer *out;
    struct error *error;
    size_t most; /* how long `out` may get */
};

/* The checked bytes of a message as whatever stands for it in JSON. `depth` is how many messages stand around
 * it. */
bool json_write_message(struct json_writer *writer, const struct message_type *type, const uint8_t *bytes,
                        size_t length, const struct json_place *place, unsigned depth);
/* The members of an object, without braces; `is_first` until one was written. */
bool json_write_members(struct json_writer *writer, const struct codec_view *view,
                        const struct json_place *place, unsigned depth, bool *is_first);
bool json_write_list(struct json_writer *writer, const struct codec_view *view, const struct field *field,
                     const struct json_place *place, unsigned depth);
bool json_write_map(struct json_writer *writer, const struct codec_view *view, const struct field *field,
                    const struct json_place *place, unsigned depth);
/* A field that is set. */
bool json_write_field(struct json_writer *writer, const struct codec_view *view, const struct field *field,
                      const struct json_place *place, unsigned depth);
/* A number, bool or enum value. */
void json_write_bits(struct json_writer *writer, const struct field *field, uint64_t bits);
/* Well-known types, except Empty. */
bool json_write_well_known(struct json_writer *writer, const struct codec_view *view,
                           const struct json_place *place, unsigned depth);

/* A view of checked bytes with memory of its own. */
struct json_view {
    struct codec_view view;
    void *memory;
    uint64_t room[48]; /* enough for most types */
};
void json_view_open(struct json_view *view, const struct message_type *type, const uint8_t *bytes,
                    size_t length);
void json_view_close(struct json_view *view);
#endif
