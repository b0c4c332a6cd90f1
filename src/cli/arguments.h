/* cli/arguments.h - from argv to `struct arguments`. Private to cli/. */
#ifndef TIDEWIRE_CLI_ARGUMENTS_H
#define TIDEWIRE_CLI_ARGUMENTS_H
#include "cli/cli.h"

/* False when the command line is done with: -h was asked for, or it was wrong and that has been said;
 * *exit_code tells. */
bool arguments_read(const struct verb *verb, int argc, char **argv, struct arguments *arguments,
                    int *exit_code);
void arguments_free(struct arguments *arguments);
void arguments_print_help(const struct verb *verb);
#endif
