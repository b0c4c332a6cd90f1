/* cli/check.c - `tidewire check`: reads what `run` would read, and serves nothing. */
#include <stdio.h>

#include "cli/verbs.h"
#include "config/config.h"
#include "schema/schema.h"

/* What the file names is read as `run` reads it. Scripts come after the types they need. */
static bool check_named_files(const struct config *config, struct error *error) {
    struct schema *schema = config->proto[0] ? schema_load(config->proto_path, config->proto, error) : NULL;
    if (config->proto[0] && !schema) return false;
    schema_unref(&schema);
    return true;
}

static int run(const struct arguments *arguments) {
    const char *file = arguments_config(arguments);
    struct error error;
    if (!file) return EXIT_USAGE;
    struct config *config = config_read(file, &error);
    bool is_fine = config && check_named_files(config, &error);
    config_free(&config);
    if (!is_fine) {
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
