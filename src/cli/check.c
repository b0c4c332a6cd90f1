/* cli/check.c - `tidewire check`: reads what `run` would read, and serves nothing. */
#include <stdio.h>

#include "cli/verbs.h"
#include "gateway/gateway.h"

static int run(const struct arguments *arguments) {
    const char *file = arguments_config(arguments);
    struct error error;
    if (!file) return EXIT_USAGE;
    if (!gateway_check(file, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILED;
    }
    printf("%s is fine\n", file);
    return cli_end_output();
}

static const struct flag flags[] = {
    {.name = "config", .letter = 'c', .value = "FILE", .help = "the configuration"}, {0}};

const struct verb verb_check = {
    .name = "check",
    .summary = "read the configuration and all that it names; serve nothing",
    .operands = "",
    .details =
        "Every fault is told as `file:line: error: …`, and the exit code is 1. `tidewire -t` is the same.\n"
        "Without -c the configuration is $TIDEWIRE_CONFIG, else the first of ./tidewire.conf,\n"
        "./etc/tidewire.conf and /etc/tidewire/tidewire.conf that exists.",
    .flags = flags,
    .run = run,
};
