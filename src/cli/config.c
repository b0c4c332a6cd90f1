/* cli/config.c - `tidewire config default` and `tidewire config reference`. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/verbs.h"

static int run(const struct arguments *arguments) {
    static const char *const names[] = {"default", "reference", NULL};
    const char *name = arguments->operands[0], *nearest = error_nearest(name, names);
    struct buffer text = {0};
    if (!strcmp(name, names[0]))
        config_write_default(&text);
    else if (!strcmp(name, names[1]))
        config_write_reference(&text);
    else
        return nearest ? arguments_fault(arguments, "unknown: %s (did you mean %s?)", name, nearest)
                       : arguments_fault(arguments, "unknown: %s", name);
    fwrite(buffer_bytes(&text), 1, buffer_length(&text), stdout);
    buffer_free(&text);
    return cli_end_output();
}

const struct verb verb_config = {
    .name = "config",
    .summary = "write a default configuration, or the reference of its keys",
    .operands = "default|reference",
    .details = "default      a commented configuration file with every key at its default\n"
               "reference    a page about every key, in Markdown",
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
