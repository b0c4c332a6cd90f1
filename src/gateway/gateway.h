/* gateway/gateway.h - the running process: workers, listeners, reload, drain.
 *
 * The main thread owns the listeners and the signals; it reads configs, and hands accepted sockets to the worker
 * with the fewest connections. Each worker thread has a loop, a Lua state, its connections. */
#ifndef TIDEWIRE_GATEWAY_GATEWAY_H
#define TIDEWIRE_GATEWAY_GATEWAY_H
#include <stdbool.h>

#include "base/error.h"

/* Serves until TERM, INT or QUIT. Returns the exit status: 0, or 1 with a line on standard error when the config,
 * a script or a listener is at fault. HUP reloads the file and opens the log anew, USR1 does
 * the latter alone. */
int gateway_run(const char *config_file);

/* Reads everything that gateway_run() would, scripts included, and serves nothing. */
bool gateway_check(const char *config_file, struct error *error);
#endif
