/* cli/harmless.h - text that a server has chosen cannot drive the terminal: control characters, and bytes that are no
 * UTF-8, are shown as \xNN. Private to cli/. */
#ifndef TIDEWIRE_CLI_HARMLESS_H
#define TIDEWIRE_CLI_HARMLESS_H
#include <stdio.h>

#include "base/buffer.h"

void harmless_append(struct buffer *out, const char *text, size_t length);
/* The text and a line break, in one write. */
void harmless_print(FILE *file, const char *text);
#endif
