/* rpc/timeout.h - the value of grpc-timeout: up to eight digits and a unit (gRPC over HTTP/2, "Requests"). */
#ifndef TIDEWIRE_RPC_TIMEOUT_H
#define TIDEWIRE_RPC_TIMEOUT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIMEOUT_TEXT = 10 };
/* About 146 years: far enough, and a deadline made of it never wraps. */
#define TIMEOUT_MOST (UINT64_MAX / 4)

/* False when the text is not a timeout. Longer than TIMEOUT_MOST reads as TIMEOUT_MOST. */
bool timeout_parse(const char *text, size_t length, uint64_t *ns);
/* The smallest unit that fits, rounded up: a peer never gives up before us. Returns the length; ends in NUL. */
size_t timeout_format(char out[TIMEOUT_TEXT], uint64_t ns);
#endif
