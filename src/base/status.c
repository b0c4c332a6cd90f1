/* base/status.c - see status.h */
#include "base/status.h"

#include <string.h>

const char *const status_names[STATUS_COUNT + 1] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

const char *status_name(enum status status) {
    return (unsigned)status < STATUS_COUNT ? status_names[status] : status_names[STATUS_UNKNOWN];
}

int status_by_name(const char *name) {
    for (int i = 0; i < STATUS_COUNT; i++)
        if (strcmp(status_names[i], name) == 0) return i;
    return -1;
}
