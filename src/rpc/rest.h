/* rpc/rest.h - calls as plain HTTP, whose path, query and body are the request (google/api/http.proto), over any version
 * of HTTP.
 *
 *   rest_route.c    what a path stands for, checked against the types when it is loaded
 *   rest_request.c  which requests are such calls, and in gRPC's words
 *   rest_message.c  path, query and body as a message; replies as bodies
 *   rest_body.c     bodies as they are: google.api.HttpBody
 *   rest_call.c     the dialect: one reply; a stream of them as lines, as a list, or as Server-Sent Events
 *   rest_events.c   Server-Sent Events: what is said while nothing happens
 *   rest_text.c     errors: google.rpc.Status as JSON
 *
 * Messages that a client sends in a stream are lines of JSON. */
#ifndef TIDEWIRE_RPC_REST_H
#define TIDEWIRE_RPC_REST_H
#include "net/loop.h"
#include "rpc/dialect.h"
#include "rpc/parameter.h"
#include "rpc/path_template.h"
#include "schema/json.h"

struct path_route;

/* ---- rest_route.c ---- */

/* As a config or an annotation says it. */
struct rest_rule {
    struct text verb;          /* "GET"; "*": any */
    struct text body;          /* the field of the request that the body is; "*": all of it; empty: there is none */
    struct text response_body; /* the field of the response that the answer is; empty: all of it */
    struct text event_id;      /* the field of the response that is the id of its event; empty: none */
};

struct rest_route {
    char *verb;
    const struct method *method;
    struct parameter variables[PATH_VARIABLES_MOST]; /* of the path, in its order */
    size_t variable_count;
    bool has_body;
    bool is_body_raw, is_answer_raw; /* a google.api.HttpBody; of the body, where there is one request */
    const struct field *body;     /* NULL: all of the request */
    const struct field *answer;   /* NULL: all of the response */
    const struct field *event_id; /* or NULL */
};

/* NULL, and a sentence: the method's types have no such fields, or the fields cannot stand there. */
struct rest_route *rest_route_new(const struct path_template *path, const struct rest_rule *rule,
                                  const struct method *method, struct error *error);
void rest_route_free(struct rest_route **route);
/* A GET whose answer has an end that does not depend on who reads it. */
bool rest_route_takes_head(const struct rest_route *route);
/* They mean the same to a call that has begun: its verb, method and fields have the same names. */
bool rest_route_is_like(const struct rest_route *route, const struct rest_route *other);
/* Requests with this verb are for it. */
bool rest_route_takes(const struct rest_route *route, struct text verb);

/* ---- what a call keeps ---- */

enum rest_form {
    REST_WHOLE,  /* the one reply */
    REST_LINES,  /* {"result":…} or {"error":…}, each in a line */
    REST_LIST,   /* [ …, … ], of which the last may be {"error":…} */
    REST_EVENTS, /* Server-Sent Events */
    REST_RAW,    /* what the replies are, one behind the other */
};

struct rest_call {
    struct rpc_call *call;
    const struct rest_route *route; /* lives as long as the router */
    struct buffer bound;            /* what path and query say, in bytes of the request */
    struct buffer type;             /* of a raw body: the request's, or that of the last reply; else empty */
    struct buffer id;               /* of the event that is packed next; empty: none */
    struct timer idle;
    uint64_t said;      /* when an event or a comment was last queued */
    uint8_t form;       /* enum rest_form */
    bool has_elements;  /* of the list */
    bool has_begun;     /* raw: the headers have left, with the type of the first reply */
    bool is_head;       /* the client wants the headers alone */
    bool is_untyped;    /* the request has no content-type: it may have no body */
};

static inline struct rest_call *rest_of(const struct edge *edge) { return edge ? edge->rest : NULL; }

/* ---- rest_request.c ---- */

/* Fills `rest` of an arrival whose path and verb are for a route, or whose path is with other verbs alone. */
bool rest_recognise(struct arrival *arrival);
bool rest_translate(struct arrival *arrival);

/* ---- rest_message.c ---- */

/* Path and query become `bound`. False, and a sentence that tells the client what is wrong with them. */
bool rest_bind(struct rest_call *rest, const struct path_template *path, struct text target, struct error *error);
/* As json_read() and json_write(), of what is in a body. A raw one is no JSON. */
bool rest_json_read(const struct rest_call *rest, const char *text, size_t length, struct json_options options,
                    struct buffer *out, struct error *error);
bool rest_json_write(struct rest_call *rest, const uint8_t *bytes, size_t length, const struct json_options *options,
                     struct buffer *out, struct error *error);
/* Keeps the id of the reply that is sent next. */
void rest_note_id(struct rest_call *rest, const uint8_t *bytes, size_t length);

/* One that nothing was ever written to has no memory. */
static inline struct text rest_text_of(const struct buffer *buffer) {
    size_t length = buffer_length(buffer);
    return (struct text){length ? (const char *)buffer_bytes(buffer) : "", length};
}

/* ---- rest_body.c ---- */

bool rest_body_is(const struct message_type *type);
/* Appends the request that has the body, and its type, where the route wants them. */
void rest_body_read(const struct rest_call *rest, struct text body, struct buffer *out);
/* Appends the data of a reply, and keeps its type. */
void rest_body_write(struct rest_call *rest, struct text message, struct buffer *out);

/* ---- rest_events.c ---- */

void rest_events_begin(struct rest_call *rest);
void rest_events_end(struct rest_call *rest);
/* Appends an event; `name` NULL: one that has no other name than the usual one, and is a message with its id. */
void rest_events_write(struct rest_call *rest, struct buffer *out, const char *name, const void *data, size_t length);

/* ---- rest_call.c ---- */

void rest_call_free(struct rest_call **rest);

/* ---- rest_text.c ---- */

/* google.rpc.Status: `details` is one, serialized; those whose types `schema` (or NULL) knows are written out. */
void rest_write_status(struct buffer *out, enum status status, const char *text, const void *details,
                       size_t details_length, const struct schema *schema);
enum { REST_RETRY_MOST = 24 };
/* The value of retry-after, where a google.rpc.RetryInfo is among the details; returns its length, 0: none is. */
size_t rest_write_retry(char text[REST_RETRY_MOST], const void *details, size_t details_length);
void rest_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text);
#endif
