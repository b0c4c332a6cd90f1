/* cli/verbs.c - the verbs, in the order in which the help lists them. */
#include "cli/verbs.h"

const struct verb *const verbs[] = {&verb_run, &verb_check, &verb_call, &verb_config, &verb_version, NULL};
