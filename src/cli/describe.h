/* cli/describe.h - types in the words of a .proto file. Private to cli/. */
#ifndef TIDEWIRE_CLI_DESCRIBE_H
#define TIDEWIRE_CLI_DESCRIBE_H
#include <stdbool.h>

#include "base/buffer.h"
#include "schema/schema.h"

/* Appends a service with its methods, a message with its fields, an enum with its values, or one method.
 * False when the schema has no such thing under this name. */
bool describe_symbol(const struct schema *schema, const char *symbol, struct buffer *out);
#endif
