/* rpc/rest_events.c - see rest.h: Server-Sent Events (html.spec.whatwg.org, "Server-sent events"). */
#include "base/clock.h"
#include "rpc/call_private.h"
#include "rpc/rest.h"

/* How long nothing may be said: proxies give up on connections that are silent for longer. */
#define SILENCE (15 * NS_PER_S)

static uint64_t silence_of(const struct rpc *rpc) {
    uint64_t interval = rpc->limits.http.keepalive_interval;
    return interval && interval < SILENCE ? interval : SILENCE;
}

static bool is_open(const struct rpc_call *call) { return call->stream && call->state < CALL_FINISHING; }

/* While something waits for the client, there is no need of more. Before the headers nothing can be said: the answer may
 * still be another one. */
static void say_nothing(struct rpc_call *call) {
    struct buffer *ahead = &call->edge->ahead;
    if (!call->has_sent_headers || call->outbox.bytes || buffer_length(ahead)) return;
    buffer_append_text(ahead, ":\n\n");
    http_stream_resume(call->stream);
}

static void look(struct timer *timer) {
    struct rest_call *rest = container_of(timer, struct rest_call, idle);
    struct rpc_call *call = rest->call;
    struct rpc *rpc = call->call.rpc;
    uint64_t now = loop_now(rpc->loop), silence = silence_of(rpc);
    if (!is_open(call)) return;
    if (now >= rest->said + silence) {
        say_nothing(call);
        rest->said = now;
    }
    timer_start(rpc->loop, timer, rest->said + silence);
}

void rest_events_begin(struct rest_call *rest) {
    struct rpc *rpc = rest->call->call.rpc;
    rest->said = loop_now(rpc->loop);
    timer_init(&rest->idle, look);
    timer_start(rpc->loop, &rest->idle, rest->said + silence_of(rpc));
}

void rest_events_end(struct rest_call *rest) {
    timer_stop(rest->call->call.rpc->loop, &rest->idle);
}

/* JSON has no line breaks. */
void rest_events_write(struct rest_call *rest, struct buffer *out, const char *name, const void *data, size_t length) {
    if (name) {
        buffer_format(out, "event: %s\n", name);
    } else if (buffer_length(&rest->id)) {
        buffer_append_text(out, "id: ");
        buffer_append(out, buffer_bytes(&rest->id), buffer_length(&rest->id));
        buffer_append_byte(out, '\n');
    }
    buffer_append_text(out, "data: ");
    buffer_append(out, data, length);
    buffer_append_text(out, "\n\n");
    rest->said = loop_now(rest->call->call.rpc->loop);
}
