/* cli/output.h - standard output that stops nothing: whoever reads it slowly is waited for by the loop.
 * Private to cli/. */
#ifndef TIDEWIRE_CLI_OUTPUT_H
#define TIDEWIRE_CLI_OUTPUT_H
#include <stdbool.h>

#include "base/buffer.h"

struct loop;
struct output;

/* `on_change`, from the loop: what was kept has become less, or writing has failed. */
struct output *output_new(struct loop *loop, int fd, void (*on_change)(void *context), void *context);
void output_free(struct output **output);
/* Append here, then output_flush(), which writes what can be written now. */
struct buffer *output_text(struct output *output);
void output_flush(struct output *output);
bool output_is_empty(const struct output *output);
bool output_is_full(const struct output *output); /* enough is kept: append later */
int output_fault(
    const struct output *output); /* errno of the write that failed; 0: none. Nothing is kept then. */
#endif
