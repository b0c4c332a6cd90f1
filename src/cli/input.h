/* cli/input.h - JSON values one after the other, from a text, a file, or standard input as it arrives.
 * Private to cli/. */
#ifndef TIDEWIRE_CLI_INPUT_H
#define TIDEWIRE_CLI_INPUT_H
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct input;
struct loop;

enum input_next { INPUT_VALUE, INPUT_EMPTY /* none yet */, INPUT_END, INPUT_FAULT };
struct input_value {
    const char *text; /* borrowed until the next input_take() */
    size_t length, line;
};

/* `data`: a JSON text, "@FILE", or "@" or NULL for standard input. `on_ready` after input_take() said
 * INPUT_EMPTY: ask again. NULL and an error when there is no such file. */
struct input *input_open(struct loop *loop, const char *data, void (*on_ready)(void *context), void *context,
                         struct error *error);
void input_close(struct input **input);
/* Reads no further than to the value that it returns, but for what came in the same read. */
enum input_next input_take(struct input *input, struct input_value *value, struct error *error);
const char *input_name(const struct input *input); /* for faults: "<stdin>", "-d", or the file's */
bool input_is_terminal(const struct input *input);
#endif
