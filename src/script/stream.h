/* script/stream.h - a call as scripts see it: a userdata that outlives the call, so that stale use is an
 * answer.
 *
 * A stream is over from the moment when its end is decided (finished, reset, peer gone): what still waits in
 * it is cancelled. It is closed when rpc/ has said on_close: then nothing of the call is left. */
#ifndef TIDEWIRE_SCRIPT_STREAM_H
#define TIDEWIRE_SCRIPT_STREAM_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/status.h"
#include "rpc/call.h"
#include "script/client.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/state.h"

/* How a call ends while its subscriptions still hand over what they had queued. */
struct farewell {
    enum status status;
    char *text;
    void *details;
    size_t details_length;
};

/* What few streams have; made when first needed. */
struct stream_extra {
    struct stream *stream;
    struct list senders;     /* fibers that wait to send to it, in order */
    struct list watchers;    /* fibers of any stream in stream:wait() */
    struct list jobs;        /* its timers and spawns */
    struct list subscribers; /* its subscriptions */
    struct task again;       /* it has had its stint; or it fails */
    struct list holdings;    /* what it holds of semaphores */
    struct list opened;      /* client.node: streams that it has opened, and that end with it */
    struct client *client;   /* of a stream that a script has opened */
    int upstream;            /* reference on stream.upstream */
    int closers;             /* table of stream:on_close functions, in order */
    struct farewell *farewell;
};

struct client;

/* Both ends are this struct: a call that we answer, and one that a script has opened ("client", client.h). What differs
 * is in the handler: which types go which way, and whether there is more than one message to send. A client's call comes
 * later than the stream, and with `reconnect` it may be replaced by another: between them `call` is NULL. */
struct stream {
    const void *magic;             /* tells streams from other userdata */
    struct generation *generation; /* NULL once it is closed */
    struct call *call;             /* NULL once it is closed; a client's also before it is open */
    const struct handler *handler; /* NULL once it is closed */
    struct list node;              /* in generation->open, or ->unseen */
    struct list fibers;            /* of its own, from their first wait on */
    struct fiber *main;   /* the function's fiber; or that of the hook of the message direction that runs */
    struct fiber *reader; /* waits for a message */
    struct stream_extra *extra;
    struct filter *filter; /* whose it is; NULL: it answers by itself */
    struct stint stint; /* hooks: messages since it had its turn, or a hook has waited */
    uint64_t id;
    uint32_t stays;   /* the generation whose on_reload has failed for it; 0: none */
    uint8_t asides;   /* hooks that run beside the messages: on_writable, on_drain */
    int self;     /* what keeps it from the collector while the call lives */
    bool has_ctx; /* the userdata's environment table is stream.ctx */
    bool is_over;
    bool has_replied;     /* a method with one reply has sent it */
    bool has_dropped;     /* the handler has returned DROP or false for the request */
    bool headers_are_due; /* leave as soon as the function waits or on_open has returned */
    bool is_held;
    bool has_opened;     /* hooks: on_open has returned */
    bool is_half_closed; /* hooks: the half-close was handled */
    bool is_pumping;
    bool is_writing; /* hooks: on_writable runs */
    bool has_subscribed;
    bool is_failing; /* ends INTERNAL in `again` */
    bool is_client;
    bool is_moving; /* its on_reload runs: what that starts waits for its end */
};

/* Pushes nothing. */
struct stream *stream_new(struct script *script, struct call *call, const struct handler *handler);
/* The stream is call->data from now on; stream_new() does it when there is a call. */
void stream_attach(struct stream *stream, struct call *call);
/* The call is gone: everything of the stream ends, on_close runs, the call is let go. */
void stream_close(struct stream *stream, enum status status, const char *text);

/* NULL unless the value at `index` is a stream. */
struct stream *to_stream(lua_State *L, int index);
/* Raises the signature when it is none. */
struct stream *check_stream(lua_State *L, int index, const char *signature);
/* The same for a first argument that mostly is the stream of the code that runs. */
static inline struct stream *check_own_stream(lua_State *L, const struct script *script, const char *signature) {
    struct stream *own = script->running ? script->running->stream : NULL;
    return own && lua_touserdata(L, 1) == own ? own : check_stream(L, 1, signature);
}
static inline void push_stream(lua_State *L, const struct stream *stream) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, stream->self);
}
struct stream_extra *stream_extra(struct stream *stream);
/* Several streams share a filter's call: lines name the script whose stream it is. */
static inline struct log_scope stream_scope(const struct stream *stream) {
    struct log_scope scope = {0};
    if (stream->call) scope = stream->call->log;
    if (stream->handler) scope.script = stream->handler->file;
    return scope;
}
static inline bool stream_has_senders(const struct stream *stream) {
    return stream->extra && !list_is_empty(&stream->extra->senders);
}

/* The end is decided: whatever waits is told or cancelled, and what it has opened ends. */
void stream_be_over(struct stream *stream);
/* Decides the end: flushes what was accepted, then trailers. Nothing when it is over already. */
void stream_finish(struct stream *stream, enum status status, const char *text, const void *details,
                   size_t details_length);
void stream_reset(struct stream *stream, uint32_t http_error);
/* Everything of it that waits is cancelled: its end was decided elsewhere. */
void stream_be_over(struct stream *stream);
/* INTERNAL, later in this turn: for where a call may not be ended. */
void stream_fail_soon(struct stream *stream);
/* The function or hook has failed with the error value at the top of `L`. */
void stream_fail(struct stream *stream, lua_State *L);
/* A fiber of it ended otherwise than by returning. */
void stream_fiber_failed(struct stream *stream, struct fiber *fiber, enum fiber_outcome outcome);
/* Ends it with OK; where a reply is owed, INTERNAL, or FAILED_PRECONDITION when the one request was dropped. */
void stream_finish_well(struct stream *stream);
/* Hook form: ends the call by itself when nothing of its own is left that could still send. */
void stream_settle(struct stream *stream);
/* A fiber of it waits for the first time or again. */
void stream_has_waited(struct stream *stream, struct fiber *fiber);
void stream_send_headers(struct stream *stream);

/* From on_writable: senders in their order, subscriptions, the end. */
void stream_writable(struct stream *stream);
/* From on_readable: the reader, if any. */
void stream_readable(struct stream *stream);
void stream_resume_reader(struct fiber *fiber);
/* Takes the next message and pushes what recv returns for it: 1 result, or 0 when there is none yet; -1 when
 * the message was broken and has ended the stream. */
int stream_pull(struct stream *stream, lua_State *L);

/* Encodes the message or table at `index` of L into the call's queue. May raise. False when the call is over.
 */
bool stream_encode(lua_State *L, struct stream *stream, int index);
/* Sends what a function has returned, the values from 1 on ->L. False: no room; the fiber stands in the row
 * of senders and is ended again. An encoder's fault ends the stream. */
bool stream_send_returned(struct stream *stream, struct fiber *fiber);
/* The same inside a coroutine of the stream, for the values from 1 on L: raises the encoder's faults. False: nothing was
 * sent, since there is no room or there are several messages. */
bool stream_send_now(struct stream *stream, lua_State *L);
static inline bool stream_is_blocked(struct stream *stream) {
    if (stream->is_client) return client_is_blocked(stream);
    return call_is_full(stream->call) || stream_has_senders(stream);
}
/* For what a fiber returns: whether it has to stand in the row of senders (which it then does). */
bool stream_must_stand(struct stream *stream, struct fiber *fiber);
/* A message could not be made into Lua values, or back: the fault is at the top of L. Ends the stream
 * INTERNAL. The handler's place follows `what` in the log. */
void stream_fail_to_convert(struct stream *stream, lua_State *L, const char *what);
#define CANNOT_SEND "cannot send what was returned by"
#define CANNOT_READ "cannot read the message for"
/* Whether the method's one reply has been sent; raises then. */
static inline bool stream_has_replied_once(const struct stream *stream) {
    return stream->has_replied && !stream->handler->sends_many;
}
void stream_check_reply(lua_State *L, const struct stream *stream);
/* A send that had its place in the row has given up. */
void stream_take_back_reply(struct stream *stream);
/* A message object over what call_receive() gave; false when the bytes are no such message: the stream is
 * ended. */
bool stream_push_message(struct stream *stream, lua_State *L, const struct call_message *message);
void stream_refuse_message(struct stream *stream, const char *fault);
/* Its messages go on when others have had their turn. */
void stream_continue_later(struct stream *stream);

/* Its scripts' successors wait for it: no message goes to the old ones any more if that can be helped. */
static inline bool stream_has_successor(const struct stream *stream) {
    const struct handler *successor = stream->handler->successor;
    return successor && successor->generation->number != stream->stays;
}

/* The two forms of handlers. */
extern const struct call_handler function_handler, hooks_handler;
void hooks_pump(struct stream *stream);
void stream_drain(struct call *call);

/* stream:… for scripts. */
void bind_stream_open(struct script *script);
#endif
