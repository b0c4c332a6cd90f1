/* cli/cli.h - the command line: verbs, their flags, and how they end.
 *
 * A verb is one file: it defines a `struct verb` and is named in the table of verbs.c. */
#ifndef TIDEWIRE_CLI_CLI_H
#define TIDEWIRE_CLI_CLI_H
#include <stdbool.h>
#include <stddef.h>

enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,     /* the check, the test or the call failed */
    EXIT_USAGE = 2,      /* the command line makes no sense */
    EXIT_NO_GATEWAY = 3, /* nobody answers at the control socket */
};

struct flag {
    const char *name;  /* without the dashes: "config" */
    const char *alias; /* another name, which the help does not show; or NULL */
    char letter;       /* 'c', or 0 */
    const char *value; /* what it takes, for the help: "FILE"; NULL: nothing */
    const char *help;
};

/* A command line that was understood: flags in their order, and what is no flag. */
struct given {
    const struct flag *flag;
    const char *value; /* NULL when the flag takes none */
};
struct arguments {
    const struct verb *verb;
    struct given *given;
    size_t given_count;
    const char **operands;
    size_t operand_count;
};

struct verb {
    const char *name;
    const char *summary;      /* a few words, for the list of verbs */
    const char *operands;     /* "ADDRESS SERVICE/METHOD", or "" */
    const char *details;      /* the rest of its help; with the flags it fits one screen; or NULL */
    const struct flag *flags; /* ended by one without a name; NULL: none; -h is every verb's */
    size_t least_operands, most_operands;
    int (*run)(const struct arguments *arguments); /* returns the exit code */
};
extern const struct verb *const verbs[]; /* ended by NULL */

/* The process's exit code. */
int cli_main(int argc, char **argv);

/* The value of a flag, the last one if it was given more than once; NULL when it was not given. */
const char *arguments_value(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
/* For flags that may be repeated: the next value, from *index on, which starts at 0; NULL after the last. */
const char *arguments_next(const struct arguments *arguments, const char *name, size_t *index);
/* A sentence and the way to the help on standard error; returns EXIT_USAGE. */
int arguments_fault(const struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The configuration file: --config (a flag of the verb), else $TIDEWIRE_CONFIG, else the first that exists of
 * those in the help, which is then named on standard error. NULL, after saying so, when there is none: the
 * exit code is EXIT_USAGE. */
const char *arguments_config(const struct arguments *arguments);

/* Standard output has taken everything? EXIT_FINE or, after saying so, EXIT_FAILED. */
int cli_end_output(void);
#endif
