/* base/status.h - the seventeen statuses of gRPC (grpc/grpc: doc/statuscodes.md) and their names. */
#ifndef TIDEWIRE_BASE_STATUS_H
#define TIDEWIRE_BASE_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_CANCELLED,
    STATUS_UNKNOWN,
    STATUS_INVALID_ARGUMENT,
    STATUS_DEADLINE_EXCEEDED,
    STATUS_NOT_FOUND,
    STATUS_ALREADY_EXISTS,
    STATUS_PERMISSION_DENIED,
    STATUS_RESOURCE_EXHAUSTED,
    STATUS_FAILED_PRECONDITION,
    STATUS_ABORTED,
    STATUS_OUT_OF_RANGE,
    STATUS_UNIMPLEMENTED,
    STATUS_INTERNAL,
    STATUS_UNAVAILABLE,
    STATUS_DATA_LOSS,
    STATUS_UNAUTHENTICATED,
    STATUS_COUNT
};

/* "NOT_FOUND"; numbers outside the table read "UNKNOWN". */
const char *status_name(enum status status);
/* -1 when there is no such name. */
int status_by_name(const char *name);
/* All names in the order of their numbers, ended by NULL. */
extern const char *const status_names[STATUS_COUNT + 1];
#endif
