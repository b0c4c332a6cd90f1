/* cli/version.c - `tidewire version`, also -V and --version. */
#include <stdio.h>

#include "bus/bus.h"
#include "cli/verbs.h"
#include "config/config.h"
#include "http/stream.h"
#include "net/listener.h"
#include "rpc/rpc.h"
#include "schema/schema.h"
#include "script/script.h"

static int run(const struct arguments *arguments) {
    (void)arguments;
    printf("tidewire %s\n%s, %s, %s,\n%s, %s, %s, %s\n", TIDEWIRE_VERSION, script_versions(), net_versions(),
           http_versions(), rpc_versions(), schema_versions(), config_versions(), bus_versions());
    return cli_end_output();
}

const struct verb verb_version = {
    .name = "version",
    .summary = "say the version, and those of the libraries in use",
    .operands = "",
    .run = run,
};
