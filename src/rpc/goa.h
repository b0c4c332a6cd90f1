/* rpc/goa.h - messages as clients read and write them that Goa has generated (goa.design, v3): Go's plain JSON instead
 * of ProtoJSON. Names are those of the .proto, which are the design's; 64-bit integers are numbers; what is required is
 * there though it is zero. Where the design has no object but a string, a number or a list, the .proto has a message
 * with one field that is called `field`. */
#ifndef TIDEWIRE_RPC_GOA_H
#define TIDEWIRE_RPC_GOA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/status.h"
#include "http/stream.h"
#include "schema/json.h"

struct rpc_call;

/* As json_read() and json_write(); the options are completed. */
bool goa_json_read(const struct message_type *type, const char *text, size_t length, struct json_options options,
                   struct buffer *out, struct error *error);
bool goa_json_write(const struct message_type *type, const uint8_t *bytes, size_t length, struct json_options options,
                    struct buffer *out, struct error *error);

/* Appends, as JSON, the payload that a request has in its path, query and headers: fields with their names. */
void goa_write_payload(struct buffer *out, const struct message_type *type, const struct http_header *headers,
                       size_t count);

enum { GOA_NAME_MOST = 32 };
/* Writes the error that a status makes, and its name, the value of `goa-error`; returns the name's length. */
size_t goa_write_status(struct buffer *out, enum status status, const char *text, char name[GOA_NAME_MOST]);
/* The answer to a handshake whose call has failed. An error of the design is among the details (a google.rpc.Status) as
 * goapb.ErrorResponse; without one the status makes one. */
void goa_send_error(struct rpc_call *call, const void *details, size_t details_length);
#endif
