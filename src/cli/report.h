/* cli/report.h - what `tidewire call` says on standard error. What a server has chosen cannot drive the
 * terminal (cli/harmless.h). Private to cli/. */
#ifndef TIDEWIRE_CLI_REPORT_H
#define TIDEWIRE_CLI_REPORT_H
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "cli/types.h"
#include "rpc/metadata.h"

/* "header NAME: VALUE", a line each; values of -bin names as base64. */
void report_metadata(const char *kind, const struct metadata *metadata);
/* "NOT_FOUND: text", then each of the status's details, a serialized google.rpc.Status, as a line of JSON. */
void report_status(enum status status, const char *text, const void *details, size_t length,
                   struct types *types);
#endif
