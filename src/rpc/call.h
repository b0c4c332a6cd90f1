/* rpc/call.h - one call: a stream of messages each way with metadata, a deadline, a status and flow control.
 *
 * A call knows neither Lua nor what is on the wire. Below it a dialect (rpc/grpc_server.c, rpc/grpc_client.c) turns it
 * into an HTTP exchange; above it a handler (scripts, built-in services, `tidewire call`) pulls messages and sends
 * some. The same struct is a call that we answer (server) and one that we make (client).
 *
 * Life: on_open → on_readable… → call_finish() or call_reset() or the peer's end → on_close → freed.
 * A raw call is not taken apart: its headers, bytes and trailers are passed on as they come to the call that it is
 * joined to, so that of this header only call_join(), call_finish(), call_reset() and the facts are for it.
 *
 * All of it happens in the worker's thread. Handler functions are called from the loop's run phase or after a read,
 * never from inside a function of this header; so any function here may be called in any of them. */
#ifndef TIDEWIRE_RPC_CALL_H
#define TIDEWIRE_RPC_CALL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/counter.h"
#include "base/list.h"
#include "base/log.h"
#include "base/message.h"
#include "base/status.h"
#include "http/stream.h"
#include "net/tls.h"
#include "rpc/metadata.h"
#include "schema/schema.h"

struct call;
struct tally;
struct rpc; /* what the calls of one worker share, rpc/rpc.h */

enum call_next { CALL_MESSAGE, CALL_EMPTY /* none yet */, CALL_END /* half-closed: none will come */ };

struct call_message {
    const uint8_t *data; /* without prefix, decompressed */
    size_t length;
    struct message *owner; /* the same bytes as a message (message_ref() it to keep them), or NULL: they are borrowed */
};

struct call_frame {
    const uint8_t *data; /* without prefix */
    size_t length;
    struct message *owner; /* as in call_message */
    bool is_compressed;
};

struct call_handler {
    bool takes_frames; /* by call_receive_frame(), and never call_receive() */
    /* Server calls: the request's metadata is there. The handler may answer, or wait. For methods with one request it comes
     * when the request is whole and the peer has half-closed: a wrong count has had its status then. */
    void (*on_open)(struct call *call);
    /* Makes a server call that comes as gRPC raw, and comes at once instead of on_open, with the header list as it came;
     * borrowed. The handler opens a raw client call and joins the two, or finishes this one. `is_end`: no body follows.
     * NULL for every other handler. Calls of other dialects have messages, and the other functions here; of a method
     * that the schema does not have, call->method has no types and lives as long as the call. */
    void (*on_request)(struct call *call, const struct http_header *headers, size_t count, bool is_end);
    /* Messages or the half-close have arrived since call_receive() said CALL_EMPTY. */
    void (*on_readable)(struct call *call);
    /* The queue towards the peer has room again after call_is_full() was true. */
    void (*on_writable)(struct call *call);
    /* Client calls: the response headers are there. May be NULL for server handlers. */
    void (*on_headers)(struct call *call);
    /* The process drains: finish soon. May be NULL. */
    void (*on_drain)(struct call *call);
    /* Once, last: the call is over with this status. After call_finish() it comes when the peer has the trailers, or
     * can have them no more; a deadline, limit or lost peer tells it without waiting for the wire. A client call has
     * had CALL_END before, unless it was cut short. Release everything: the call may not be touched after it. */
    void (*on_close)(struct call *call, enum status status, const char *text);
};

struct call_route; /* rpc/router.h */

/* Somebody besides the handler who has messages for a call. Asked to send what there is before the handler sends
 * something or ends the call. */
struct call_source {
    void (*give)(struct call_source *source);
};

/* Read by handlers, written by rpc/ alone except where it says so. */
struct call {
    const struct call_handler *handler;
    void *data;                      /* the handler's own; begins as route->data */
    struct call_source *source;      /* fanout/'s own; NULL at first */
    const char *upstream;            /* raw server calls: where they are passed on to, for access lines; the handler's */
    const struct call_route *route;  /* of a server call */
    struct log_scope log;            /* connection, stream number, method; the handler may add its script */
    const struct metadata *metadata; /* the peer's: of the request (server) or the response headers (client: empty
                                      * until on_headers) */
    uint64_t deadline;               /* monotonic ns; 0: none */
    uint64_t opened;                 /* monotonic ns */
    const struct method *method;     /* NULL: raw. From here on: what sending touches, together with what follows */
    struct rpc *rpc;
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    struct tally *tally;             /* of its method: rpc/tally.h */
    atomic_uint_least64_t *sent;     /* in it; or nowhere: a sole reply is counted when it leaves */
    bool took_compressed; /* the message that was taken last came compressed */
    /* what rpc/ keeps for itself follows in rpc/call_private.h */
};

/* The next message, in order. Taking it counts as handling it: the peer's window grows. What it points to is borrowed
 * until the call's next call_receive(), and no longer than until the handler function returns to rpc/ (outside of one:
 * until the loop's callback that asks has returned). */
enum call_next call_receive(struct call *call, struct call_message *message);
/* The same as it came, for passing it on: compressed, if its sender has compressed it. */
enum call_next call_receive_frame(struct call *call, struct call_frame *frame);
/* What is in a compressed frame of the call: a new message. NULL: broken, or too large; the call ends by that. */
struct message *call_inflate(struct call *call, const struct call_frame *frame);
/* The peer compresses what it sends. */
bool call_peer_compresses(const struct call *call);
bool call_has_half_closed(const struct call *call); /* the peer has; messages may still wait */
bool call_has_been_read(const struct call *call);   /* the peer has, and call_receive() would say CALL_END */

/* Sends response headers now if they have not left. */
void call_send_headers(struct call *call);
bool call_headers_are_sent(const struct call *call);
/* For the response headers, until they have left, and for the trailers, until the end. Server calls. */
struct metadata *call_headers(struct call *call);
struct metadata *call_trailers(struct call *call);

/* Queues a message: bytes are copied, or (call_send) a reference is taken. False when the call is over or finishing:
 * nothing was queued. Sends headers if they have not left. Never waits and never refuses for fullness: ask
 * call_is_full() first; the queue may exceed its bound by one message. */
bool call_send(struct call *call, struct message *message);
bool call_send_bytes(struct call *call, const void *data, size_t length);
/* As it is; but where the peer does not take compression, what is in it. */
bool call_send_frame(struct call *call, const struct call_frame *frame);
/* Whether messages that are sent from now on are compressed, where that makes them smaller; at first, whether the peer
 * does so. True when they are: never where the peer does not take it, or headers have left that do not name it. Server
 * calls. */
bool call_compress(struct call *call, bool is_on);
/* `count` messages at once, that stand behind each other in `run` with their prefixes, from byte `from` up to `to`: copied,
 * or a reference is taken. False when not all of them fit, or when the call takes none: nothing was queued. */
bool call_send_run(struct call *call, struct message *run, size_t from, size_t to, uint32_t count);
/* False: each message is put into another form for this call. */
bool call_takes_runs(const struct call *call);
/* Writes what the connection's calls have queued, instead of at the end of the turn. Only from a task of the loop. */
void call_flush(struct call *call);
bool call_shares_connection(const struct call *call, const struct call *other);
/* Brings what sending to it touches nearer to the processor, while others are sent to: in steps from 0 on, with some time
 * between them, as each finds what the next one brings. A hint. */
enum { CALL_APPROACH_STEPS = 3 };
void call_approach(const struct call *call, int step);
/* Encodes in place: append the message's bytes to the returned buffer (and nothing else), then end or abandon it.
 * NULL when the call is over. No other function of this header may come in between, of no call. */
struct buffer *call_begin_message(struct call *call);
void call_end_message(struct call *call);
void call_abandon_message(struct call *call);
/* The bytes queued towards the peer have reached limits.buffered_per_stream (or the connection's or the total bound). */
bool call_is_full(struct call *call);
void call_pending(struct call *call, size_t *messages, size_t *bytes);

/* Server: after everything queued, trailers with this status. `details` is a serialized google.rpc.Status's
 * `details` list already wrapped as google.rpc.Status, or NULL; more than 12 KiB are left out, with a line in the log,
 * and the text is cut at 4 KiB of its encoded form. Nothing when the call is finishing already. */
void call_finish(struct call *call, enum status status, const char *text, const void *details, size_t details_length);
/* The same call by another schema: of a method with the same name, shape, and names of types. A server call that is open
 * goes over to the route in force for it, with its limits; its handler and data stay. Not raw. */
void call_move(struct call *call, const struct method *method);
/* Passes on what comes to either from now on, as it came: response headers, bytes, half-close, trailers, reset; the end
 * of one is the end of the other. `server` and `client` are raw and new. Bytes that the one cannot send yet hold back
 * the other's window, and nothing is told to handlers but on_close. Where the server has failed before its headers came
 * here, or its connection was lost, the client is told a status; later a reset is passed on as one. */
void call_join(struct call *server, struct call *client);
/* Client: half-close. */
void call_half_close(struct call *call);
/* Drops what is queued. Client: cancels. */
void call_reset(struct call *call, uint32_t http_error);
/* Neither finished (client: half-closed) nor reset nor gone: sending makes sense. */
bool call_is_open(const struct call *call);
/* Client, in on_close: the peer's trailers. */
const struct metadata *call_peer_trailers(const struct call *call);

const char *call_peer(const struct call *call);
const char *call_protocol(const struct call *call); /* "grpc", "grpc-web", "connect" */
enum status call_malformed_status(const struct call *call); /* of a peer whose messages cannot be decoded */
const struct tls_info *call_tls(const struct call *call);
const char *call_authority(const struct call *call);
/* The gateway at the other end of the call's connection, once that has proved who it is; NULL for every other client.
 * Setting it counts for all calls of the connection, now and later. The text is copied. */
const char *call_node(const struct call *call);
void call_set_node(struct call *call, const char *node);
/* Who listens there lets peers connect (rpc.h). */
bool call_takes_peers(const struct call *call);
/* How many other streams the call's connection has open now. */
size_t call_siblings(const struct call *call);
bool call_is_draining(const struct call *call);
#endif
