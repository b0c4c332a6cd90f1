/* rpc/websocket_alive.c - see websocket.h: pings of both sides. Below a WebSocket there may be no HTTP/2, whose PINGs
 * would find out that a client has gone without a word. */
#include "rpc/call_private.h"
#include "rpc/websocket.h"
#include "websocket/frame.h"

enum { AHEAD_MOST = 1024 /* bytes of control frames that a client has not taken */ };

void websocket_send_control(struct rpc_call *call, int opcode, const void *payload, size_t length) {
    struct buffer *ahead = &call->edge->ahead;
    if (!call->stream || call->state >= CALL_FINISHING || buffer_length(ahead) > AHEAD_MOST) return;
    websocket_write_control(ahead, (enum websocket_opcode)opcode, payload, length);
    http_stream_resume(call->stream);
}

/* Without a close: whoever is not there does not read it. */
static void give_up(struct rpc_call *call) {
    http_stream_reset(call->stream, HTTP_CANCEL);
    call_end(call, STATUS_CANCELLED, REASON_CONNECTION, "the client has not answered a ping");
}

/* Nobody waits for it, and no deadline or window of a client's holds it: it has its time for each message, and for what it
 * does behind the last. */
static void look_at_orphan(struct rpc_call *call, struct timer *timer) {
    struct rpc *rpc = call->call.rpc;
    uint64_t now = loop_now(rpc->loop), due = call->progress + rpc->limits.stalled;
    if (call->state >= CALL_OVER) return;
    if (now < due) timer_start(rpc->loop, timer, due);
    else call_end(call, STATUS_CANCELLED, REASON_CLIENT, "the client has gone, and the call made no progress");
}

static void look(struct timer *timer) {
    struct websocket_call *websocket = container_of(timer, struct websocket_call, alive);
    struct rpc_call *call = websocket->call;
    const struct rpc *rpc = call->call.rpc;
    const struct http_limits *limits = &rpc->limits.http;
    uint64_t now = loop_now(rpc->loop), due = websocket->heard + limits->keepalive_interval;
    if (call->is_orphan) {
        look_at_orphan(call, timer);
        return;
    }
    if (!call->stream || call->state >= CALL_FINISHING || !limits->keepalive_interval) return;
    if (websocket->is_asked) {
        give_up(call);
    } else if (now < due) {
        timer_start(rpc->loop, timer, due);
    } else {
        websocket->is_asked = true;
        websocket_send_control(call, WEBSOCKET_PING, "", 0);
        timer_start(rpc->loop, timer, now + limits->keepalive_timeout);
    }
}

void websocket_alive_orphan(struct websocket_call *websocket) {
    struct rpc_call *call = websocket->call;
    struct rpc *rpc = call->call.rpc;
    call->is_orphan = true;
    rpc->orphans++;
    call->progress = loop_now(rpc->loop);
    if (rpc->limits.stalled) timer_start(rpc->loop, &websocket->alive, call->progress + rpc->limits.stalled);
    else timer_stop(rpc->loop, &websocket->alive);
}

void websocket_alive_heard(struct websocket_call *websocket) {
    struct rpc *rpc = websocket->call->call.rpc;
    websocket->heard = loop_now(rpc->loop);
    if (!websocket->is_asked) return;
    websocket->is_asked = false;
    timer_start(rpc->loop, &websocket->alive, websocket->heard + rpc->limits.http.keepalive_interval);
}

void websocket_alive_begin(struct websocket_call *websocket) {
    struct rpc *rpc = websocket->call->call.rpc;
    websocket->heard = loop_now(rpc->loop);
    timer_init(&websocket->alive, look);
    if (rpc->limits.http.keepalive_interval)
        timer_start(rpc->loop, &websocket->alive, websocket->heard + rpc->limits.http.keepalive_interval);
}
