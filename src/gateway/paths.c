/* gateway/paths.c - see paths.h */
#include "gateway/paths.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char installed[PATH_MAX + 32];

const char *gateway_lua_path(void) {
    if (installed[0]) return installed;
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) {
        program[length] = '\0';
        char *slash = strrchr(program, '/');
        if (slash) *slash = '\0';
        snprintf(installed, sizeof installed, "%s/../share/tidewire/lua", program);
        if (access(installed, R_OK) == 0) return installed;
    }
    snprintf(installed, sizeof installed, "%s", TIDEWIRE_SOURCE_LUA);
    return installed;
}
