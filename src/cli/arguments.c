/* cli/arguments.c - see cli.h and arguments.h. Not getopt: its faults know no nearest guess. */
#include "cli/arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

static const struct flag flag_help = {.name = "help", .letter = 'h', .help = "show this"};

/* Those of the verb, then -h. NULL after the last. */
static const struct flag *flag_at(const struct verb *verb, size_t index) {
    size_t count = 0;
    while (verb->flags && verb->flags[count].name) count++;
    return index < count ? &verb->flags[index] : index == count ? &flag_help : NULL;
}

static void print_flag(const struct flag *flag) {
    char left[64];
    snprintf(left, sizeof left, "%c%c%c --%s%s%s", flag->letter ? '-' : ' ',
             flag->letter ? flag->letter : ' ', flag->letter ? ',' : ' ', flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    printf("  %-24s %s\n", left, flag->help);
}

void arguments_print_help(const struct verb *verb) {
    printf("tidewire %s: %s\n\nusage: tidewire %s [FLAGS]%s%s\n", verb->name, verb->summary, verb->name,
           *verb->operands ? " " : "", verb->operands);
    if (verb->details) printf("\n%s\n", verb->details);
    printf("\n");
    for (size_t i = 0; flag_at(verb, i); i++) print_flag(flag_at(verb, i));
}

int arguments_fault(const struct arguments *arguments, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "tidewire %s: ", arguments->verb->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\nusage: tidewire %s [FLAGS]%s%s   (tidewire %s -h says more)\n", arguments->verb->name,
            *arguments->verb->operands ? " " : "", arguments->verb->operands, arguments->verb->name);
    va_end(list);
    return EXIT_USAGE;
}

static int unknown_flag(const struct arguments *arguments, const char *text, size_t length) {
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; count < 62 && flag_at(arguments->verb, i); i++) {
        names[count++] = flag_at(arguments->verb, i)->name;
        if (flag_at(arguments->verb, i)->alias) names[count++] = flag_at(arguments->verb, i)->alias;
    }
    names[count] = NULL;
    char *name = memory_copy(text, length);
    size_t dashes = strspn(name, "-");
    const char *nearest = length > 2 ? error_nearest(name + dashes, names) : NULL;
    int code = nearest ? arguments_fault(arguments, "unknown flag %s (did you mean --%s?)", name, nearest)
                       : arguments_fault(arguments, "unknown flag %s", name);
    free(name);
    return code;
}

static bool is_name(const char *one, const char *name, size_t length) {
    return one && strlen(one) == length && !memcmp(one, name, length);
}

static const struct flag *find_flag(const struct verb *verb, const char *name, size_t length) {
    for (size_t i = 0; flag_at(verb, i); i++) {
        const struct flag *flag = flag_at(verb, i);
        if (is_name(flag->name, name, length) || is_name(flag->alias, name, length)) return flag;
    }
    return NULL;
}

static const struct flag *find_letter(const struct verb *verb, char letter) {
    for (size_t i = 0; flag_at(verb, i); i++)
        if (flag_at(verb, i)->letter == letter) return flag_at(verb, i);
    return NULL;
}

struct reader {
    struct arguments *arguments;
    char **at; /* the next of argv, which ends with NULL */
    int exit_code;
};

static bool fail(struct reader *reader, int exit_code) {
    reader->exit_code = exit_code;
    return false;
}

/* `value` is what stands behind '=' or the letter; NULL: the next argument is meant. */
static bool take_flag(struct reader *reader, const struct flag *flag, const char *value) {
    struct arguments *arguments = reader->arguments;
    if (!flag->value && value)
        return fail(reader, arguments_fault(arguments, "--%s takes no value", flag->name));
    if (flag == &flag_help) {
        arguments_print_help(arguments->verb);
        return fail(reader, cli_end_output());
    }
    if (flag->value && !value && !(value = *reader->at++))
        return fail(reader, arguments_fault(arguments, "--%s needs a %s", flag->name, flag->value));
    arguments->given[arguments->given_count++] = (struct given){flag, value};
    return true;
}

static bool take_long(struct reader *reader, const char *text) {
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const struct flag *flag = find_flag(reader->arguments->verb, text + 2, length - 2);
    if (!flag) return fail(reader, unknown_flag(reader->arguments, text, length));
    return take_flag(reader, flag, equals ? equals + 1 : NULL);
}

static bool take_short(struct reader *reader, const char *text) {
    const struct flag *flag = find_letter(reader->arguments->verb, text[1]);
    if (!flag) return fail(reader, unknown_flag(reader->arguments, text, strlen(text)));
    return take_flag(reader, flag, text[2] ? text + 2 : NULL);
}

static bool take_all(struct reader *reader) {
    struct arguments *arguments = reader->arguments;
    bool has_flags = true;
    for (const char *text; (text = *reader->at++);) {
        bool is_flag = has_flags && text[0] == '-' && text[1];
        if (!is_flag)
            arguments->operands[arguments->operand_count++] = text;
        else if (!strcmp(text, "--"))
            has_flags = false;
        else if (!(text[1] == '-' ? take_long(reader, text) : take_short(reader, text)))
            return false;
    }
    size_t count = arguments->operand_count;
    if (count > arguments->verb->most_operands)
        return fail(reader, arguments_fault(arguments, "\"%s\" is too much",
                                            arguments->operands[arguments->verb->most_operands]));
    if (count < arguments->verb->least_operands)
        return fail(reader, arguments_fault(arguments, "something is missing"));
    return true;
}

bool arguments_read(const struct verb *verb, int argc, char **argv, struct arguments *arguments,
                    int *exit_code) {
    *arguments = (struct arguments){.verb = verb};
    arguments->given = memory_new((size_t)(argc + 1) * sizeof *arguments->given);
    arguments->operands = memory_new((size_t)(argc + 1) * sizeof *arguments->operands);
    struct reader reader = {.arguments = arguments, .at = argv};
    bool is_fine = take_all(&reader);
    *exit_code = reader.exit_code;
    if (!is_fine) arguments_free(arguments);
    return is_fine;
}

void arguments_free(struct arguments *arguments) {
    free(arguments->given);
    free(arguments->operands);
    *arguments = (struct arguments){0};
}

const char *arguments_next(const struct arguments *arguments, const char *name, size_t *index) {
    while (*index < arguments->given_count) {
        const struct given *given = &arguments->given[(*index)++];
        if (!strcmp(given->flag->name, name)) return given->value ? given->value : "";
    }
    return NULL;
}

const char *arguments_value(const struct arguments *arguments, const char *name) {
    const char *last = NULL, *value;
    for (size_t index = 0; (value = arguments_next(arguments, name, &index));) last = value;
    return last;
}

bool arguments_has(const struct arguments *arguments, const char *name) {
    return arguments_value(arguments, name) != NULL;
}

/* --- the configuration file --- */

const char *arguments_config(const struct arguments *arguments) {
    static const char *const usual[] = {"./tidewire.conf", "./etc/tidewire.conf",
                                        "/etc/tidewire/tidewire.conf", NULL};
    const char *named = arguments_value(arguments, "config"), *variable = getenv("TIDEWIRE_CONFIG");
    if (named) return named;
    if (variable && *variable) return variable;
    for (size_t i = 0; usual[i]; i++) {
        if (access(usual[i], F_OK)) continue;
        fprintf(stderr, "tidewire: the configuration is %s\n", usual[i]);
        return usual[i];
    }
    arguments_fault(arguments, "there is no %s, %s or %s: name a configuration with -c FILE", usual[0],
                    usual[1], usual[2]);
    return NULL;
}
