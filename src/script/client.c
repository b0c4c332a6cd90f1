/* script/client.c - see client.h */
#include "script/client.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "fanout/topic.h"
#include "script/answer.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/state.h"
#include "script/stream.h"
#include "upstream/backoff.h"
#include "upstream/upstream.h"

#define BACKOFF_FACTOR 1.6 /* gRPC's */

struct client {
    struct stream *stream;
    struct list node; /* in the opener's extra->opened, or the generation's list */
    struct upstream *upstream;
    struct account *account; /* of the client whose stream has opened it; NULL: the upstream's own */
    struct metadata metadata;
    uint64_t deadline;
    bool waits, is_detached, keeps_no_answer;
    bool is_planned, has_headers;
    bool wants_half_close, has_half_closed;
    struct fiber *opener; /* runs `reconnect`: only it sends */
    int reconnect;
    uint32_t attempt; /* since the last that was answered */
    uint64_t backoff, backoff_most;
    struct timer timer; /* until the next attempt */
    struct task end;    /* closes a stream that has no call */
    const struct fiber *last_reader; /* only to be compared */
    bool is_unwanted;                /* its messages: who has read it waits for its end */
    bool has_status;    /* of our own making */
    enum status status;
    char *text;
};

static const struct call_handler client_handler;

static struct client *client_of(const struct stream *stream) { return stream->extra->client; }
static struct loop *loop_of(const struct stream *stream) { return stream->generation->script->host.loop; }

static void set_status(struct client *client, enum status status, const char *text) {
    char *copy = memory_copy_string(text ? text : "");
    free(client->text);
    client->has_status = true;
    client->status = status;
    client->text = copy;
}

/* ---- beginning ---- */

static void reopen(struct timer *timer);
static void end_without_call(struct task *task);

static struct list *owners_list(const struct stream *stream, const struct client_options *options) {
    if (options->opener) return &stream_extra(options->opener)->opened;
    return options->is_loads ? &stream->generation->load_opened : &stream->generation->opened;
}

/* A reference, or NULL. */
static struct account *account_of(const struct stream *opener) {
    struct account *account = opener->is_client ? client_of(opener)->account : call_account(opener->call);
    return account ? account_ref(account) : NULL;
}

struct stream *client_new(struct script *script, const struct client_options *options) {
    struct stream *stream = stream_new(script, NULL, options->handler);
    struct client *client = stream_extra(stream)->client = memory_new(sizeof *client);
    stream->is_client = true;
    *client = (struct client){.stream = stream,
                              .upstream = upstream_ref(options->upstream),
                              .metadata = options->metadata,
                              .deadline = options->deadline,
                              .waits = options->waits,
                              .is_detached = !options->opener,
                              .keeps_no_answer = options->keeps_no_answer,
                              .is_planned = true,
                              .reconnect = options->reconnect,
                              .backoff = options->backoff,
                              .backoff_most = options->backoff_most};
    list_init(&client->node);
    list_append(owners_list(stream, options), &client->node);
    timer_init(&client->timer, reopen);
    task_init(&client->end, end_without_call);
    if (options->opener) client->account = account_of(options->opener);
    if (client->is_detached) stream->generation->detached++;
    return stream;
}

void client_free(struct client **handle) {
    struct client *client = *handle;
    *handle = NULL;
    if (!client) return;
    struct generation *generation = client->stream->generation;
    timer_stop(generation->script->host.loop, &client->timer);
    task_cancel(&client->end);
    list_remove(&client->node);
    if (client->is_detached) generation->detached--;
    drop_ref(generation->script->L, &client->reconnect);
    metadata_clear(&client->metadata);
    upstream_unref(&client->upstream);
    account_unref(&client->account);
    free(client->text);
    free(client);
}

bool client_is_planned(const struct stream *stream) { return stream->handler && client_of(stream)->is_planned; }
struct metadata *client_metadata(struct stream *stream) { return &client_of(stream)->metadata; }
bool client_has_headers(const struct stream *stream) { return stream->call && client_of(stream)->has_headers; }

static void open_call(struct stream *stream) {
    struct client *client = client_of(stream);
    uint64_t now = loop_now(loop_of(stream));
    struct upstream_request request = {
        .call = {.method = stream->handler->method,
                 .metadata = &client->metadata,
                 .handler = &client_handler,
                 .data = stream,
                 .limits = &stream->generation->client_limits,
                 .account = client->account},
        .waits = client->waits,
    };
    if (client->deadline) request.call.timeout = client->deadline > now ? client->deadline - now : 1;
    client->has_headers = client->has_half_closed = false;
    stream->has_replied = false;
    stream_attach(stream, upstream_open(client->upstream, &request));
    stream->headers_are_due = false;
}

void client_open(struct stream *stream) {
    if (stream->is_over || !client_is_planned(stream)) return;
    client_of(stream)->is_planned = false;
    open_call(stream);
}

/* ---- sending ---- */

bool client_is_blocked(struct stream *stream) {
    const struct fiber *opener = client_of(stream)->opener;
    if (!stream->call || call_is_full(stream->call)) return true;
    return opener ? stream->generation->script->running != opener : stream_has_senders(stream);
}

bool client_goes_first(const struct stream *stream, const struct fiber *fiber) {
    return client_of(stream)->opener == fiber;
}

bool client_may_send(const struct stream *stream, const struct fiber *fiber) {
    const struct fiber *opener = client_of(stream)->opener;
    return !opener || opener == fiber;
}

void client_half_close_when_sent(struct stream *stream) {
    struct client *client = client_of(stream);
    if (client->has_half_closed || client->opener || !stream->call) return;
    if (!client->wants_half_close && (stream->handler->sends_many || !stream->has_replied)) return;
    if (stream_has_senders(stream)) return;
    if (stream->has_subscribed && !topics_flush_call(stream->generation->script->host.topics, stream->call)) return;
    client->has_half_closed = true;
    call_half_close(stream->call);
}

/* A broken stream's next call is half-closed by `reconnect`, or behind it. */
void client_half_close(struct stream *stream) {
    struct client *client = client_of(stream);
    client->wants_half_close = true;
    client_half_close_when_sent(stream);
}

bool client_has_half_closed(const struct stream *stream) {
    const struct client *client = client_of(stream);
    return client->wants_half_close && !client->opener;
}

/* ---- what comes ---- */

/* Nobody waits for a message: the end has to be taken all the same. */
static void look_for_end(struct stream *stream) {
    const struct client *client = client_of(stream);
    struct call_message none;
    if (stream->reader) return;
    while (client->is_unwanted && call_receive(stream->call, &none) == CALL_MESSAGE) {}
    if (call_has_been_read(stream->call)) call_receive(stream->call, &none);
}

void client_note_reader(struct stream *stream) {
    struct client *client = client_of(stream);
    client->last_reader = stream->generation->script->running;
    client->is_unwanted = false;
}

void client_want_end(struct stream *stream) {
    struct client *client = client_of(stream);
    if (!client->last_reader || client->last_reader == stream->generation->script->running) client->is_unwanted = true;
    if (stream->call) look_for_end(stream);
}

static void on_readable(struct call *call) {
    struct stream *stream = call->data;
    if (!stream->reader)
        look_for_end(stream);
    else if (stream->reader->wait == WAIT_REPLY)
        answer_read_reply(stream, stream->reader);
    else
        stream_readable(stream);
}

static void on_writable(struct call *call) { stream_writable(call->data); }

static void on_headers(struct call *call) {
    struct stream *stream = call->data;
    client_of(stream)->has_headers = true;
    client_of(stream)->attempt = 0;
    answer_headers(stream);
}

/* ---- the end ---- */

void client_cancel(struct stream *stream, enum status status, const char *text) {
    struct client *client = client_of(stream);
    if (stream->is_over) return;
    set_status(client, status, text);
    timer_stop(loop_of(stream), &client->timer);
    stream_be_over(stream);
    if (stream->call)
        call_reset(stream->call, 0x8 /* CANCEL */);
    else
        loop_defer(loop_of(stream), LOOP_RUN, &client->end);
}

void clients_cancel(struct list *clients) {
    for (struct list *node = clients->next; node != clients; node = node->next)
        client_cancel(container_of(node, struct client, node)->stream, STATUS_CANCELLED,
                      "the stream that has opened it is over");
}

uint64_t client_deadline(const struct stream *stream) { return client_of(stream)->deadline; }

static void finish(struct stream *stream, enum status status, const char *text) {
    const struct client *client = client_of(stream);
    if (client->has_status) {
        status = client->status;
        text = client->text;
    }
    if (!client->keeps_no_answer) answer_keep(stream, status, text, client->has_headers);
    stream_close(stream, status, text);
}

void clients_forget_opener(struct list *clients) {
    struct list *node;
    while ((node = list_take(clients))) {
        struct client *client = container_of(node, struct client, node);
        if (!client->stream->call) finish(client->stream, client->status, client->text);
    }
}

static void end_without_call(struct task *task) {
    struct client *client = container_of(task, struct client, end);
    finish(client->stream, client->status, client->text);
}

/* ---- reconnecting ---- */

static bool may_reconnect(const struct stream *stream, enum status status) {
    const struct client *client = client_of(stream);
    return client->reconnect != LUA_NOREF && !stream->is_over && status == STATUS_UNAVAILABLE;
}

static void break_off(struct stream *stream, const char *text) {
    struct client *client = client_of(stream);
    struct script *script = stream->generation->script;
    uint64_t now = loop_now(script->host.loop), due;
    log_debug(&stream->call->log, "the stream has broken and will be opened again: %s", text);
    set_status(client, STATUS_UNAVAILABLE, text); /* for who gives up */
    client->has_status = false;
    if (stream->has_subscribed) topics_call_closed(script->host.topics, stream->call);
    stream->has_subscribed = false;
    stream->call = NULL;
    if (client->opener) fiber_cancel_soon(client->opener);
    client->opener = NULL;
    due = now + backoff_after(++client->attempt, client->backoff, BACKOFF_FACTOR, client->backoff_most, &script->dice);
    timer_start(script->host.loop, &client->timer, client->deadline && client->deadline < due ? client->deadline : due);
}

static bool reconnected(struct fiber *fiber, enum fiber_outcome outcome) {
    struct stream *stream = fiber->stream;
    struct client *client = client_of(stream);
    struct script *script = stream->generation->script;
    if (client->opener != fiber) return true; /* it has broken again */
    client->opener = NULL;
    if (outcome == FIBER_FAILED && !is_cancelled(script, fiber->L, -1)) {
        struct log_scope scope = stream_scope(stream);
        log_lua_error(script, fiber->L, &scope, "reconnect failed", fiber->origin);
        client_cancel(stream, STATUS_INTERNAL, "the reconnect function failed");
    } else if (outcome == FIBER_RETURNED && lua_isboolean(fiber->L, 1) && !lua_toboolean(fiber->L, 1)) {
        char *text = client->text;
        client->text = NULL;
        client_cancel(stream, STATUS_UNAVAILABLE, text);
        free(text);
    } else if (!stream->is_over) {
        stream_writable(stream);
    }
    return true;
}

static const struct fiber_kind reconnect_kind = {reconnected};

static void reopen(struct timer *timer) {
    struct client *client = container_of(timer, struct client, timer);
    struct stream *stream = client->stream;
    struct script *script = stream->generation->script;
    if (client->deadline && loop_now(script->host.loop) >= client->deadline) {
        client_cancel(stream, STATUS_DEADLINE_EXCEEDED, "the deadline has passed");
        return;
    }
    open_call(stream);
    struct fiber *fiber = fiber_take(script, stream->generation, stream, &reconnect_kind, NULL, &stream->handler->origin);
    client->opener = fiber;
    push_ref(fiber->L, client->reconnect);
    push_stream(fiber->L, stream);
    lua_pushinteger(fiber->L, (lua_Integer)client->attempt);
    fiber_run(fiber, 2);
}

static void on_close(struct call *call, enum status status, const char *text) {
    struct stream *stream = call->data;
    if (may_reconnect(stream, status))
        break_off(stream, text);
    else
        finish(stream, status, text);
}

static const struct call_handler client_handler = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_headers = on_headers,
    .on_close = on_close,
};
