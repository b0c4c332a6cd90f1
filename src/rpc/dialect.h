/* rpc/dialect.h - how a call looks on the wire: one struct, and one file, for each dialect.
 *
 *   dialects.c     the table of them: which requests are whose
 *   arrival.c      a request on its way to being a call; the same for all
 *   grpc_server.c  gRPC, the one that the others are translated to
 *
 * A dialect says how a request's headers read in gRPC's words (translate), how messages are taken out of a body
 * (receive, end) and put into one (pack), and how headers, the end and refusals are written. What is in a message is not
 * its business: rpc/coding.h turns JSON into protobuf and back, and inflates and deflates. Handlers see none of it. */
#ifndef TIDEWIRE_RPC_DIALECT_H
#define TIDEWIRE_RPC_DIALECT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/status.h"
#include "http/stream.h"
#include "rpc/request.h"
#include "websocket/deflate.h"

struct call_route;
struct header_block;
struct meter_verdict;
struct method;
struct peer_metadata;
struct rpc_call;
struct router;
struct rpc_connection;
struct websocket_call;
struct path_route;
struct rest_call;

/* How a WebSocket carries a call: what its messages are, and what is said besides them. */
enum websocket_form {
    WEBSOCKET_BARE, /* texts of JSON, nothing else */
    WEBSOCKET_JSON, /* texts of JSON, the server's with what they are */
    WEBSOCKET_PROTO, /* binary messages of protobuf; the server's texts are its words */
    WEBSOCKET_GOA,   /* texts of JSON as Go writes it */
};

/* What a client's handshake asks for, and gets. */
struct websocket_handshake {
    struct text key;
    enum websocket_form form;
    struct websocket_deflation deflation;
    bool is_of_other_version;
};

/* A request that has not become a call. */
struct arrival {
    struct rpc_connection *connection;
    struct http_stream *stream;
    const struct dialect *dialect;     /* NULL: nobody's */
    const struct http_header *headers; /* as gRPC has them, once they are translated */
    size_t count;
    struct request request;
    enum codec codec;
    struct text query;              /* of a GET */
    struct websocket_handshake websocket;
    struct {
        const struct path_route *route; /* NULL: the path is known, but not with this verb */
        struct text verb, target;       /* the target is path and query, as they came */
    } rest;
    const struct call_route *route; /* NULL: nobody answers this path */
    struct tally *tally;            /* where it is counted; NULL: as unknown */
    const struct method *method;    /* NULL: the bytes are passed on; or its types are not known */
    bool is_known_service;
    const struct meter_verdict *verdict; /* a limit refuses it, and when it may come again; else NULL */
};

/* Why there will be no call, as far as a dialect has a form of its own for it. */
enum refusal {
    REFUSED_AS_STATUS, /* the status says it all */
    REFUSED_MALFORMED, /* a header of the protocol is no good */
    REFUSED_VERB,
    REFUSED_PATH,     /* nobody answers it */
    REFUSED_TYPE,     /* of the messages: one that is not served here */
    REFUSED_ENCODING, /* the compression is unknown */
};

/* Which methods a dialect can carry. */
enum dialect_shape {
    SHAPE_ANY,
    SHAPE_UNARY,  /* one message each way */
    SHAPE_STREAM, /* every other */
};

struct dialect {
    const char *name;          /* stream.protocol */
    struct text types[3];      /* content types of answers, by codec */
    enum status malformed;     /* the status of a request that breaks the rules of the protocol */
    enum dialect_shape shape;
    bool needs_http2;
    bool is_foreign;           /* not gRPC: its bytes cannot be passed on to a server as they are */
    bool is_safe;              /* for methods without side effects only */
    bool is_duplex;            /* in any version of HTTP; and its bytes go on behind the half-close */

    /* ---- server: the request ---- */

    /* Puts the headers as gRPC would have them into arrival_translation(), and what else they say into `arrival`. False:
     * it has refused. NULL: they are gRPC's. */
    bool (*translate)(struct arrival *arrival);
    /* The whole answer where no call comes to be. */
    void (*refuse)(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text);
    /* The call has come to be: what it still needs to know. May be NULL. */
    void (*begin)(struct rpc_call *call, const struct arrival *arrival);

    /* ---- both sides: the body ---- */

    /* What of the body has come; borrowed as in http_events.on_data. By the functions of rpc/inbound.h. */
    void (*receive)(struct rpc_call *call, const uint8_t *bytes, size_t length);
    /* Nothing more will: the peer has half-closed. */
    void (*end)(struct rpc_call *call);
    /* Queues a message; returns how many bytes that are. `flags` 1: it is compressed. NULL: behind gRPC's prefix, which
     * is the quick way. */
    size_t (*pack)(struct rpc_call *call, const void *data, size_t length, uint8_t flags);

    /* ---- the answer ---- */

    void (*send_headers)(struct rpc_call *call);
    /* Server: what follows the messages, or all of the answer where nothing has been sent; with call->status and
     * call->text. `details`: a google.rpc.Status, at most STATUS_DETAILS_MOST bytes. Client: the call is given up. */
    void (*send_end)(struct rpc_call *call, const void *details, size_t details_length);
};

/* What a call keeps for a dialect that is not gRPC. */
struct edge {
    struct buffer ahead;         /* leaves before the next message, once what has begun to leave has */
    struct websocket_call *websocket;
    struct rest_call *rest;
    struct base64_stream text;   /* of a body that is base64 */
    bool is_reply_compressed;    /* the one reply that is queued */
    struct method *method;       /* whose types nobody knows; or NULL */
};

enum { STATUS_DETAILS_MOST = 12 * 1024 };

/* ---- dialects.c ---- */

/* Finds the dialect of a request, and its codec; leaves NULL where there is none. */
void dialect_recognise(struct arrival *arrival);
bool dialect_type_is_grpc(struct text type);

extern const struct dialect grpc_dialect, grpc_web_dialect, grpc_web_text_dialect;
extern const struct dialect websocket_dialect, rest_dialect;
extern const struct dialect connect_unary_dialect, connect_get_dialect, connect_stream_dialect;

/* ---- arrival.c ---- */

/* http_events.on_request of connections that were accepted. */
void arrival_request(struct http_session *session, struct http_stream *stream, const struct http_header *headers,
                     size_t count, bool is_end, bool is_too_large);
/* Whose paths and methods the request may name; NULL: the server does not serve yet. */
const struct router *arrival_router(const struct arrival *arrival);
/* For translate(): the list that it fills. Empty, with room for `text` bytes that are encoded. What was found in the
 * request's own list may be pointed at. */
struct header_block *arrival_translation(const struct arrival *arrival, size_t text);
/* For refuse(): the answer is a header block alone, or (`body` not NULL) a body behind it; what browsers want to
 * read is added. Counts the refusal. */
void arrival_answer(const struct arrival *arrival, enum status status, struct header_block *block, const void *body,
                    size_t body_length);
#endif
