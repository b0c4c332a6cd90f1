/* cli/run.c - `tidewire run`: serves in the foreground. */
#include "cli/verbs.h"
#include "gateway/gateway.h"

static int run(const struct arguments *arguments) {
    const char *file = arguments_config(arguments);
    return file ? gateway_run(file) : EXIT_USAGE;
}

static const struct flag flags[] = {
    {.name = "config", .letter = 'c', .value = "FILE", .help = "the configuration"}, {0}};

const struct verb verb_run = {
    .name = "run",
    .summary = "serve, in the foreground",
    .operands = "",
    .details = "HUP reloads the configuration and the scripts. TERM or INT lets open streams\n"
               "finish, a second one or QUIT ends at once. USR1 opens the log file anew.\n"
               "Without -c the configuration is $TIDEWIRE_CONFIG, else the first of\n"
               "./tidewire.conf, ./etc/tidewire.conf and /etc/tidewire/tidewire.conf that\n"
               "exists.",
    .flags = flags,
    .run = run,
};
