/* rpc/client_private.h - what the files of rpc/ that make calls share.
 *
 *   client.c       the one server of `tidewire call`
 *   link.c         a connection that we made
 *   attempt.c      a call from its beginning to the answer: waiting, attached, taken back
 *   grpc_client.c  what stands on the wire */
#ifndef TIDEWIRE_RPC_CLIENT_PRIVATE_H
#define TIDEWIRE_RPC_CLIENT_PRIVATE_H
#include "base/buffer.h"
#include "http/stream.h"
#include "net/loop.h"
#include "rpc/client.h"

struct rpc_call;
struct rpc_connection;

struct rpc_link {
    struct rpc *rpc;
    struct rpc_connection *connection; /* NULL once it is gone */
    const struct rpc_link_events *events;
    void *context;
    char *authority;
    char *reason; /* why it has gone */
    struct task task;
    struct timer timer; /* until the peer's SETTINGS */
    uint32_t most_streams;
    bool is_tls;
};

/* HTTP's events. */
void rpc_link_changed(struct rpc_connection *connection);
void rpc_link_lost(struct rpc_connection *connection, const char *reason);

/* A list of headers in one piece of memory. */
struct kept_headers {
    size_t count;
    struct http_header fields[];
};
struct kept_headers *kept_headers_new(const struct http_header *fields, size_t count); /* free() it */

/* Of a call that we make. */
struct attempt {
    const struct rpc_opener *opener; /* NULL once it was told of the end */
    void *context;
    char *authority;              /* or NULL */
    struct kept_headers *headers; /* what leaves with every attempt; NULL: the answer has begun, there is no other */
    struct buffer replay;         /* what was sent, from the beginning */
    size_t most_replay;
    uint32_t count; /* attempts that were attached */
    bool is_replay_lost; /* more was sent than is kept */
};

/* rpc/attempt.c */
/* Bytes of the outbox are about to leave: keeps them. */
void attempt_keep(struct rpc_call *call, size_t length);
/* Hands over bytes of an earlier attempt, at most call->replay_left. */
void attempt_give(struct rpc_call *call, size_t length, struct http_output *output);
/* The answer has begun. */
void attempt_commit(struct rpc_call *call);
/* What a reset by the server means. */
enum status attempt_reset_status(const struct rpc_call *call, uint32_t error);
/* What a stream says that was closed without an answer; `text` becomes the outcome's. */
void attempt_lost(const struct rpc_call *call, uint32_t error, bool is_connection, char *text, size_t size,
                  struct rpc_outcome *outcome);
/* Who has reset its stream. */
const char *attempt_reset_text(const struct rpc_call *call);
/* A header block that is all of the answer: true when it is a failure, and the call goes on. */
bool attempt_is_tried_again(struct rpc_call *call, const struct http_header *headers, size_t count);
/* Until the deadline, at least 1 ns. */
uint64_t call_time_left(const struct rpc_call *call);
/* True: the attempt has failed, but the call goes on. */
bool attempt_failed(struct rpc_call *call, const struct rpc_outcome *outcome);
/* Nothing will be sent any more. */
void attempt_drop(struct rpc_call *call);
/* The call has ended on the wire: its status stands. */
void attempt_over(struct rpc_call *call);
void attempt_free(struct rpc_call *call);
#endif
