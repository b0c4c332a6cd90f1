/* schema/json_known.h - the texts that stand for Timestamp, Duration and the paths of a FieldMask. */
#ifndef TIDEWIRE_SCHEMA_JSON_KNOWN_H
#define TIDEWIRE_SCHEMA_JSON_KNOWN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* RFC 3339, years 1 to 9999. NULL, or what is wrong. Writes no quotes. */
const char *json_read_timestamp(const char *text, size_t length, int64_t *seconds, int32_t *nanos);
const char *json_write_timestamp(struct buffer *out, int64_t seconds, int64_t nanos);
/* "1.5s", up to 10000 years either way. */
const char *json_read_duration(const char *text, size_t length, int64_t *seconds, int32_t *nanos);
const char *json_write_duration(struct buffer *out, int64_t seconds, int64_t nanos);
/* "user.displayName" and "user.display_name". False when the way back would give another path. */
bool json_read_mask_path(struct buffer *out, const char *text, size_t length);
bool json_write_mask_path(struct buffer *out, const char *path, size_t length);
#endif
