/* rpc/connect.h - the Connect protocol (connectrpc.com/docs/protocol), over any version of HTTP.
 *
 *   connect_request.c  what requests say, POST and GET, in gRPC's words
 *   connect_text.c     errors, and the end of a stream, as JSON
 *   connect_unary.c    one message each way: the body is the message, the status is HTTP's
 *   connect_stream.c   messages in envelopes, of which the last one is the end */
#ifndef TIDEWIRE_RPC_CONNECT_H
#define TIDEWIRE_RPC_CONNECT_H
#include "rpc/dialect.h"

struct buffer;
struct metadata;
struct schema;

/* ---- connect_request.c ---- */

bool connect_translate_unary(struct arrival *arrival);
bool connect_translate_stream(struct arrival *arrival);
bool connect_translate_get(struct arrival *arrival);
/* The message of a GET: it stands in the query. */
void connect_begin_get(struct rpc_call *call, const struct arrival *arrival);
/* The query has what makes a GET a call: `encoding` and `message`, or `connect`. */
bool connect_is_get(const struct request *request);

/* The value of a parameter in a query, as it is written there. False: there is none. */
bool connect_query_find(struct text query, const char *name, struct text *value);

/* ---- connect_text.c ---- */

/* The three digits of the HTTP status that an answer without a stream has. */
const char *connect_http_status(enum refusal refusal, enum status status);
/* `details`: a google.rpc.Status; types that `schema` (or NULL) knows are written out for people too. */
void connect_write_error(struct buffer *out, enum status status, const char *text, const void *details,
                         size_t details_length, const struct schema *schema);
/* EndStreamResponse of the call, which has ended. */
void connect_write_end(struct buffer *out, const struct rpc_call *call, const void *details, size_t details_length);
/* Members of an object: each name with its values. */
void connect_write_metadata(struct buffer *out, const struct metadata *metadata);
/* Of a call; NULL when its route has gone. */
const struct schema *connect_schema(const struct rpc_call *call);

/* ---- connect_unary.c ---- */

/* An HTTP status and an error as JSON. */
void connect_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text);
/* The whole answer of a call with one reply, which is queued, and of which type; its metadata stand among the headers.
 * `is_bare`: the client has asked for the headers alone. */
void connect_send_reply(struct rpc_call *call, struct text type, bool is_bare);
/* The same for one that has failed, with this body in place of a reply. */
void connect_send_error(struct rpc_call *call, const struct buffer *json);
#endif
