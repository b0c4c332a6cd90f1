/* script/subscriber.c - see subscriber.h */
#include "script/subscriber.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "fanout/fields.h"
#include "fanout/topic.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/projected.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/subscriber_private.h"

/* ---- the end ---- */

static void free_subscriber(struct subscriber *subscriber) {
    lua_State *L = subscriber->script->L;
    list_remove(&subscriber->node);
    if (subscriber->fiber) {
        subscriber->fiber->context = NULL;
        subscriber->fiber->origin = NULL;
    }
    drop_ref(L, &subscriber->function);
    drop_ref(L, &subscriber->filter);
    if (subscriber->projection) twl_projection_free(L, &subscriber->projection);
    field_filter_free(&subscriber->equals);
    free(subscriber->show);
    if (subscriber->watching) watching_free(subscriber);
    if (subscriber->handle) subscriber->handle->subscriber = NULL;
    topic_unref(&subscriber->topic);
    free(subscriber);
}

/* fanout/ has let go of it: its stream has another one for the topic, or is over. */
static void on_end(void *context) { free_subscriber(context); }

void subscriber_end(struct subscriber *subscriber) {
    struct stream *stream = subscriber->stream;
    list_remove(&subscriber->node);
    subscriber->is_over = true;
    subscriber->stream = NULL;
    if (subscriber->handle) subscriber->handle->subscriber = NULL;
    subscriber->handle = NULL;
    if (subscriber->subscription)
        subscription_cancel(&subscriber->subscription);
    else
        free_subscriber(subscriber);
    if (stream) stream_settle(stream);
}

void subscribers_end(struct list *subscribers) {
    while (!list_is_empty(subscribers))
        subscriber_end(container_of(subscribers->next, struct subscriber, node));
}

void subscribers_forget_stream(struct list *subscribers) {
    while (!list_is_empty(subscribers)) {
        struct subscriber *subscriber = container_of(subscribers->next, struct subscriber, node);
        list_remove(&subscriber->node);
        subscriber->is_over = true;
        subscriber->stream = NULL;
        subscriber->subscription = NULL;
    }
}

static void log_lost(const struct subscriber *subscriber, const char *text) {
    const struct log_scope scope = {.script = subscriber->origin.file};
    log_error(&scope, "the subscriber at %s:%d is no longer one: %s", subscriber->origin.file,
              subscriber->origin.line, text);
}

/* fanout/ gives up on it; on_end follows at once. */
static void on_full(void *context, struct call *call, const char *text) {
    struct subscriber *subscriber = context;
    (void)call;
    subscriber->subscription = NULL;
    if (subscriber->stream)
        stream_finish(subscriber->stream, STATUS_RESOURCE_EXHAUSTED, text, NULL, 0);
    else if (!subscriber->is_over)
        log_lost(subscriber, text);
    subscriber->is_over = true;
}

/* ---- filters ---- */

/* A filter that fails ends its own stream, not the publisher's; not from inside the publish. */
static bool filter_failed(struct subscriber *subscriber, struct fiber *fiber) {
    struct stream *stream = subscriber->stream;
    struct script *script = subscriber->script;
    struct log_scope scope = {.script = subscriber->origin.file};
    if (stream) scope = stream_scope(stream);
    log_lua_error(script, fiber->L, &scope, "a topic's filter failed", &subscriber->origin);
    fiber_give(fiber, false);
    if (!stream || subscriber->filter_has_failed) return false;
    subscriber->filter_has_failed = true;
    stream_fail_soon(stream);
    return false;
}

/* Pushes the filter, the stream and the message or its fields; how many arguments, or -1. */
static int push_filter(struct subscriber *subscriber, lua_State *L, const struct message *message) {
    const char *fault = NULL;
    if (subscriber->projection)
        twl_projection_function(L, subscriber->projection);
    else
        push_ref(L, subscriber->filter);
    if (subscriber->stream)
        push_stream(L, subscriber->stream);
    else
        lua_pushnil(L);
    if (subscriber->projection) {
        int count = projected_fields(subscriber->script, L, subscriber->projection, message->data,
                                     message->length, &fault);
        return count < 0 ? -1 : count + 1;
    }
    bool is_pushed = twl_message_push(L, subscriber->generation->messages, subscriber->type, message->data,
                                      message->length, NULL, &subscriber->generation->options, &fault);
    return is_pushed ? 2 : -1;
}

static bool filter(void *context, const struct message *message) {
    struct subscriber *subscriber = context;
    if (subscriber->is_over || subscriber->filter_has_failed) return false;
    struct fiber *fiber = fiber_take(subscriber->script, subscriber->generation, subscriber->stream, NULL,
                                     NULL, &subscriber->origin);
    fiber->is_filter = true;
    int arguments = push_filter(subscriber, fiber->L, message);
    if (arguments < 0) {
        fiber_give(fiber, true);
        return false;
    }
    if (fiber_call_plainly(fiber, arguments, 1)) return filter_failed(subscriber, fiber);
    bool passes = lua_toboolean(fiber->L, -1);
    fiber_give(fiber, true);
    return passes;
}

/* ---- function subscribers ---- */

static bool function_ended(struct fiber *fiber, enum fiber_outcome outcome);
static const struct fiber_kind function_kind = {function_ended};

/* One message that does not decode is passed over: those behind it may. */
static void run_function(struct subscriber *subscriber, struct message *message) {
    struct generation *generation = subscriber->generation;
    struct fiber *fiber =
        fiber_take(subscriber->script, generation, NULL, &function_kind, subscriber, &subscriber->origin);
    const char *fault = NULL;
    fiber->is_loads = subscriber->is_loads;
    push_ref(fiber->L, subscriber->function);
    if (!twl_message_push(fiber->L, generation->messages, subscriber->type, message->data, message->length,
                          message, &generation->options, &fault)) {
        const struct log_scope scope = {.script = subscriber->origin.file};
        log_error(&scope, "the subscriber at %s:%d misses a message that is no %s: %s", subscriber->origin.file,
                  subscriber->origin.line, subscriber->type->full_name, fault);
        fiber_give(fiber, true);
        return;
    }
    subscriber->fiber = fiber;
    fiber_run(fiber, 1);
}

void subscriber_log_failure(struct fiber *fiber, enum fiber_outcome outcome, const char *what) {
    struct script *script = fiber->generation->script;
    if (outcome != FIBER_FAILED || is_cancelled(script, fiber->L, -1)) return;
    const struct log_scope scope = {.script = fiber->origin ? fiber->origin->file : NULL};
    log_lua_error(script, fiber->L, &scope, what, fiber->origin);
}

static bool function_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct subscriber *subscriber = fiber->context; /* NULL: over, and gone */
    subscriber_log_failure(fiber, outcome, "a topic's subscriber failed");
    if (!subscriber) return true;
    subscriber->fiber = NULL;
    if (!subscriber->is_given && subscriber->subscription) subscription_go_on(subscriber->subscription);
    return true;
}

/* While the function waits, what comes stays in its queue. */
static bool on_message(void *context, struct message *message) {
    struct subscriber *subscriber = context;
    if (subscriber->is_over) return true;
    subscriber->is_given = true;
    run_function(subscriber, message);
    subscriber->is_given = false;
    return !subscriber->fiber;
}

/* ---- the beginning ---- */

struct subscriber *subscriber_new(struct script *script, struct generation *generation, struct stream *stream,
                                  struct subscriber_handle *handle) {
    struct subscriber *subscriber = memory_new(sizeof *subscriber);
    list_init(&subscriber->node);
    subscriber->handle = handle;
    handle->subscriber = subscriber;
    subscriber->script = script;
    subscriber->generation = generation;
    subscriber->stream = stream;
    subscriber->function = subscriber->filter = LUA_NOREF;
    subscriber->is_loads = !stream && (script->running ? script->running->is_loads : script->loading != NULL);
    return subscriber;
}

void subscriber_set_callbacks(struct subscriber *subscriber) {
    struct subscription_options *options = &subscriber->options;
    if (subscriber->filter != LUA_NOREF || subscriber->projection) options->filter = filter;
    options->fields = subscriber->equals;
    if (subscriber->function != LUA_NOREF) options->on_message = on_message;
    options->on_full = on_full;
    options->on_end = on_end;
    options->context = subscriber;
}

static void begin(struct subscriber *subscriber) {
    struct call *call = subscriber->stream ? subscriber->stream->call : NULL;
    if (subscriber->watching) {
        watching_begin(subscriber);
        return;
    }
    if (call) subscriber->stream->has_subscribed = true;
    subscriber->subscription = topic_subscribe(subscriber->topic, call, &subscriber->options);
}

void subscribers_start(struct list *subscribers) {
    for (struct list *node = subscribers->next; node != subscribers; node = node->next)
        begin(container_of(node, struct subscriber, node));
}

/* ---- another generation ---- */

/* The filter that is data, in the other generation's types. */
static void move_fields(struct subscriber *subscriber, const struct subscriber *before) {
    struct subscription_options *options = &subscriber->options;
    if (before->equals) subscriber->equals = field_filter_move(before->equals, subscriber->type);
    options->fields = subscriber->equals;
    options->type = subscriber->type;
    if (!options->key) return;
    options->key = message_field(subscriber->type, options->key->name, strlen(options->key->name));
    if (options->key && field_is_plain(options->key)) return;
    options->key = NULL;
    options->policy = TOPIC_DROP_OLD; /* as far as it is the same */
}

/* In the place of `before`, with its subscription and queue. */
static void take_the_place(struct subscriber *before, const struct handler *handler) {
    struct subscriber *subscriber = memory_new(sizeof *subscriber);
    *subscriber = *before;
    before->handle = NULL;
    before->show = NULL;
    if (subscriber->handle) subscriber->handle->subscriber = subscriber;
    subscriber->generation = handler->generation;
    subscriber->type = handler->sends;
    subscriber->topic = topic_ref(before->topic);
    subscriber->filter = LUA_NOREF;
    subscriber->projection = NULL;
    subscriber->equals = NULL;
    subscriber->options.filter = NULL;
    subscriber->options.context = subscriber;
    subscriber->origin = (struct origin){.file = handler->file};
    list_init(&subscriber->node);
    list_append(&before->node, &subscriber->node);
    move_fields(subscriber, before);
    if (before->filter != LUA_NOREF || before->projection || (before->equals && !subscriber->equals))
        subscriber->script->unfiltered++;
    /* Frees the one before; or, where that has just fallen behind too far, as it is about to hear, leaves it to end. */
    subscriber->subscription = topic_subscribe(subscriber->topic, subscriber->stream->call, &subscriber->options);
}

void subscribers_move(struct list *subscribers, const struct handler *handler) {
    for (struct list *node = subscribers->next, *next; node != subscribers; node = next) {
        struct subscriber *subscriber = container_of(node, struct subscriber, node);
        next = node->next;
        if (subscriber->subscription && !subscriber->is_over) take_the_place(subscriber, handler);
    }
}

static struct list *owners_list(const struct subscriber *subscriber) {
    if (subscriber->stream) return &stream_extra(subscriber->stream)->subscribers;
    return subscriber->is_loads ? &subscriber->generation->load_subscribers
                                : &subscriber->generation->subscribers;
}

void subscriber_add(struct subscriber *subscriber) {
    list_append(owners_list(subscriber), &subscriber->node);
    bool waits = subscriber->stream ? subscriber->stream->is_moving : subscriber->script->loading != NULL;
    if (!waits) begin(subscriber);
}

void subscriber_forget_handle(struct subscriber *subscriber) {
    subscriber->handle = NULL;
    if (list_is_empty(&subscriber->node) && !subscriber->is_over && !subscriber->subscription)
        free_subscriber(subscriber);
}
