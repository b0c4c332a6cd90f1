/* rpc/websocket.h - calls as WebSockets (RFC 6455), by HTTP/1.1's upgrade and by HTTP/2's extended CONNECT (RFC 8441).
 *
 *   websocket_request.c  the handshake, in gRPC's words
 *   websocket_call.c     messages, half-close, status and close frames
 *   websocket_alive.c    pings; and how long a call goes on that its client has left
 *   goa.c                messages of the dialect that clients speak which Goa has generated
 *
 * One message of a call is one message of the WebSocket. An empty text is the half-close; what follows the last message
 * is a close frame whose code is the status. With a sub-protocol of ours the call's metadata and the whole status have
 * words of their own. */
#ifndef TIDEWIRE_RPC_WEBSOCKET_H
#define TIDEWIRE_RPC_WEBSOCKET_H
#include "net/loop.h"
#include "rpc/dialect.h"
#include "websocket/reader.h"

struct message;

/* The code of a close for a status other than OK is this and the status. */
enum { WEBSOCKET_STATUS_BASE = 4000 };

struct websocket_call {
    struct rpc_call *call;
    struct websocket_reader *reader;
    struct timer alive;
    struct task upgrade; /* of a form that gives its handler a turn before it */
    struct buffer accept; /* what answers the handshake's key */
    uint64_t heard;      /* when bytes last came */
    size_t read, taken;  /* bytes of the read that runs, and of those the bytes of messages; the others are of frames */
    uint64_t length;     /* of the payload of the message that is coming */
    uint8_t begun[8];    /* its first bytes: until it is known that it is no half-close */
    uint8_t form;        /* enum websocket_form */
    struct websocket_deflation deflation;
    uint16_t code;       /* of the close that a fault of the client's, or its own close, asks for; 0: the status' */
    bool is_text, is_compressed; /* the message that is coming */
    bool is_late;                /* it, for the requests have ended before it */
    bool is_asked;               /* a ping of ours is unanswered */
    bool is_upgraded;
};

/* ---- websocket_request.c ---- */

bool websocket_translate(struct arrival *arrival);
void websocket_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text);
/* Appends what answers the key; nothing where there is none, as in HTTP/2. */
void websocket_write_accept(struct buffer *out, struct text key);
/* The answer to the handshake. */
void websocket_upgrade(struct rpc_call *call);

/* ---- websocket_call.c ---- */

void websocket_call_free(struct websocket_call **websocket);
/* What is in a compressed message that came. NULL: broken or too large, or no text; the call ends by that. */
struct message *websocket_call_inflate(struct rpc_call *call, const void *data, size_t length);

/* ---- websocket_alive.c ---- */

void websocket_alive_begin(struct websocket_call *websocket);
/* The client has gone, and the call goes on for what it has left: as long as that moves. */
void websocket_alive_orphan(struct websocket_call *websocket);
/* Bytes have come. */
void websocket_alive_heard(struct websocket_call *websocket);
/* Queues a control frame before the next message. One too many, for a client that takes none, is not sent. */
void websocket_send_control(struct rpc_call *call, int opcode, const void *payload, size_t length);
#endif
