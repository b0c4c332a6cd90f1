/* config/value.h - one value: from text to number, in the units and the range of its key. Private to config/.
 */
#ifndef TIDEWIRE_CONFIG_VALUE_H
#define TIDEWIRE_CONFIG_VALUE_H
#include "base/error.h"
#include "config/keys.h"

/* Sizes become bytes, durations nanoseconds, words their place in the list; texts and paths 0. The error is a
 * sentence without file and line. */
bool value_parse(const struct key *key, const char *text, uint64_t *number, struct error *error);
/* A value as it would be written: 4MiB, 1500ms, 0660. For ranges, in the reference and in errors. */
void value_format(const struct key *key, uint64_t number, char text[32]);
/* "size", "one of `a`, `b`", … for the reference. */
void value_describe(const struct key *key, char *text, size_t size);
#endif
