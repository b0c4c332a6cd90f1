/* rpc/status_details.h - the details of a status that failed: a serialized google.rpc.Status, and the google.protobuf.Any
 * in its field 3, one by one. Whoever made it may have made it wrong: what is broken is the end of the list. */
#ifndef TIDEWIRE_RPC_STATUS_DETAILS_H
#define TIDEWIRE_RPC_STATUS_DETAILS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/request.h"

struct buffer;
struct schema;
struct message_type;

struct status_details {
    const uint8_t *at, *end;
};

struct status_detail {
    struct text url;  /* "type.googleapis.com/google.rpc.RetryInfo" */
    struct text name; /* what is behind its last slash */
    struct text value;
};

struct status_details status_details_begin(const void *details, size_t length);
/* False: there are no more. */
bool status_details_next(struct status_details *details, struct status_detail *detail);
/* After how many seconds another try makes sense, as a google.rpc.RetryInfo among them says, rounded up; 0: none does. */
uint64_t status_details_retry(struct status_details details);
/* Its value as JSON; false, and nothing appended: the schema (or NULL) does not know its type, or it has no such form. */
bool status_detail_write(struct buffer *out, const struct status_detail *detail, const struct schema *schema,
                         const struct message_type **type);
#endif
