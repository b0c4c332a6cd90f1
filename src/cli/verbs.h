/* cli/verbs.h - each is defined in the file of its name. Private to cli/. */
#ifndef TIDEWIRE_CLI_VERBS_H
#define TIDEWIRE_CLI_VERBS_H
#include "cli/cli.h"

extern const struct verb verb_run, verb_check, verb_call, verb_config, verb_version;
#endif
