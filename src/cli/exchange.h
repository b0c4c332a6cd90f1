/* cli/exchange.h - one call from the command line: JSON values in, JSON lines out. Private to cli/. */
#ifndef TIDEWIRE_CLI_EXCHANGE_H
#define TIDEWIRE_CLI_EXCHANGE_H
#include "cli/remote.h"
#include "cli/types.h"

/* Returns the process's exit code, after saying on standard error why it is not EXIT_FINE. */
int exchange_run(struct remote *remote, const struct method *method, struct types *types);
#endif
