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
    .details = "Every fault is told as `file:line: error: …`; the exit code is then 1.\n"
               "`tidewire -t` is the same. Without -c the configuration is $TIDEWIRE_CONFIG,\n"
               "else the first of ./tidewire.conf, ./etc/tidewire.conf and\n"
               "/etc/tidewire/tidewire.conf that exists.",
    .flags = flags,
    .run = run,
};
