/* cli/cli.c - cli_main(): which verb is meant. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/arguments.h"

static const char *const later_verbs[] = {"init", "test", "types", "reload", "streams",
                                          "top",  "tap",  "kill",  "bench",  NULL};

static const struct verb *find_verb(const char *name) {
    for (size_t i = 0; verbs[i]; i++)
        if (!strcmp(verbs[i]->name, name)) return verbs[i];
    return NULL;
}

static int print_help(void) {
    printf("tidewire %s: a gateway for gRPC streams, scripted in Lua\n\n"
           "usage: tidewire [VERB] [FLAGS] …   (tidewire VERB -h says more)\n\n",
           TIDEWIRE_VERSION);
    for (size_t i = 0; verbs[i]; i++) printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    printf("\nWithout a verb it is `run`, with -t `check`, with -V `version`.\n"
           "Exit codes: 0 fine, 1 it failed, 2 wrong usage, 3 no gateway to talk to.\n");
    return cli_end_output();
}

static int unknown_verb(const char *name) {
    const char *names[32];
    size_t count = 0;
    for (; count < 31 && verbs[count]; count++) names[count] = verbs[count]->name;
    names[count] = NULL;
    const char *nearest = error_nearest(name, names);
    bool is_file = strchr(name, '/') || strchr(name, '.'), comes_later = false;
    for (size_t i = 0; later_verbs[i]; i++) comes_later = comes_later || !strcmp(name, later_verbs[i]);
    if (comes_later)
        fprintf(stderr, "tidewire: this version does not have `%s` yet\n", name);
    else if (is_file)
        fprintf(stderr, "tidewire: unknown verb %s (did you mean -c %s?)\n", name, name);
    else if (nearest)
        fprintf(stderr, "tidewire: unknown verb %s (did you mean %s?)\n", name, nearest);
    else
        fprintf(stderr, "tidewire: unknown verb %s\n", name);
    fprintf(stderr, "usage: tidewire [VERB] [FLAGS] …   (tidewire -h lists the verbs)\n");
    return EXIT_USAGE;
}

static int run_verb(const struct verb *verb, int argc, char **argv) {
    struct arguments arguments;
    int exit_code;
    if (!arguments_read(verb, argc, argv, &arguments, &exit_code)) return exit_code;
    exit_code = verb->run(&arguments);
    arguments_free(&arguments);
    return exit_code;
}

/* Takes the flag out of argv, wherever it stands. */
static bool take_out(int *argc, char **argv, const char *flag) {
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], flag)) continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
        --*argc;
        return true;
    }
    return false;
}

/* Without a verb: as other servers are called, -c FILE alone serves and -t checks. */
static int run_bare(int argc, char **argv) {
    if (take_out(&argc, argv, "-h") || take_out(&argc, argv, "--help")) return print_help();
    const char *name = "run";
    if (take_out(&argc, argv, "-V") || take_out(&argc, argv, "--version"))
        name = "version";
    else if (take_out(&argc, argv, "-t"))
        name = "check";
    const struct verb *verb = find_verb(name);
    return verb ? run_verb(verb, argc, argv) : unknown_verb(name);
}

int cli_main(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') return run_bare(argc ? argc - 1 : 0, argv + (argc ? 1 : 0));
    bool is_help = !strcmp(argv[1], "help");
    if (is_help && argc == 2) return print_help();
    const char *name = argv[is_help ? 2 : 1];
    const struct verb *verb = find_verb(name);
    if (!verb) return unknown_verb(name);
    if (!is_help) return run_verb(verb, argc - 2, argv + 2);
    arguments_print_help(verb);
    return cli_end_output();
}

int cli_end_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_FINE;
    fprintf(stderr, "tidewire: standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}
