/* script/subscriber.c - see subscriber.h; and tidewire.topic. */
#include "script/subscriber.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "fanout/topic.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/projected.h"
#include "script/state.h"
#include "script/stream.h"

enum { DEFAULT_QUEUE = 256, MOST_QUEUE = 1 << 20 };

#define SUBSCRIBE "topic:subscribe(stream or f[, { filter = …, echo = …, queue = …, policy = … }])"

/* What a script holds of a topic. */
struct topic_handle {
    struct topic *topic;
    struct generation *generation;    /* whose types `type` is of */
    const struct message_type *type;  /* NULL: not known yet */
};

struct subscriber_handle {
    struct subscriber *subscriber; /* NULL: over */
};

/* A message that a function subscriber has not been given yet: its function waits. */
struct waiting {
    struct list node;
    struct message *message;
};

struct subscriber {
    struct list node; /* in its owner's subscribers */
    struct script *script;
    struct generation *generation;
    struct stream *stream; /* NULL: a function's, or closed */
    struct topic *topic;
    const struct message_type *type;
    struct subscription *subscription; /* NULL: not begun, or over */
    struct subscriber_handle *handle;
    struct subscription_options options;
    int function, filter;
    struct projection *projection; /* the filter's */
    struct origin origin;
    struct fiber *fiber;  /* runs the function */
    struct list waiting;
    uint32_t waiting_count;
    bool is_loads, is_over;
    bool filter_has_failed;
};

/* ---- the end ---- */

static void drop_waiting(struct subscriber *subscriber) {
    struct list *node;
    while ((node = list_take(&subscriber->waiting))) {
        struct waiting *waiting = container_of(node, struct waiting, node);
        message_unref(&waiting->message);
        free(waiting);
    }
    subscriber->waiting_count = 0;
}

static void free_subscriber(struct subscriber *subscriber) {
    lua_State *L = subscriber->script->L;
    list_remove(&subscriber->node);
    if (subscriber->fiber) {
        subscriber->fiber->context = NULL;
        subscriber->fiber->origin = NULL;
    }
    drop_waiting(subscriber);
    drop_ref(L, &subscriber->function);
    drop_ref(L, &subscriber->filter);
    if (subscriber->projection) twl_projection_free(L, &subscriber->projection);
    if (subscriber->handle) subscriber->handle->subscriber = NULL;
    topic_unref(&subscriber->topic);
    free(subscriber);
}

/* fanout/ has let go of it. */
static void on_end(void *context) {
    struct subscriber *subscriber = context;
    struct stream *stream = subscriber->stream;
    free_subscriber(subscriber);
    if (stream) stream_settle(stream);
}

/* Out of its owner's list at once; the memory goes with on_end. */
static void end_subscriber(struct subscriber *subscriber) {
    struct stream *stream = subscriber->stream;
    list_remove(&subscriber->node);
    subscriber->is_over = true;
    subscriber->stream = NULL;
    drop_waiting(subscriber);
    if (subscriber->handle) subscriber->handle->subscriber = NULL;
    subscriber->handle = NULL;
    if (subscriber->subscription)
        subscription_cancel(&subscriber->subscription);
    else
        free_subscriber(subscriber);
    if (stream) stream_settle(stream);
}

void subscribers_end(struct list *subscribers) {
    while (!list_is_empty(subscribers)) end_subscriber(container_of(subscribers->next, struct subscriber, node));
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
    log_error(&scope, "the subscriber at %s:%d is no longer one: %s", subscriber->origin.file, subscriber->origin.line,
              text);
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
    const struct log_scope scope = {.script = subscriber->origin.file};
    log_lua_error(script, fiber->L, stream ? &stream->call->log : &scope, "a topic's filter failed");
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
        int count = projected_fields(subscriber->script, L, subscriber->projection, message->data, message->length, &fault);
        return count < 0 ? -1 : count + 1;
    }
    bool is_pushed = twl_message_push(L, subscriber->generation->messages, subscriber->type, message->data,
                                      message->length, NULL, &subscriber->generation->options, &fault);
    return is_pushed ? 2 : -1;
}

static bool filter(void *context, const struct message *message) {
    struct subscriber *subscriber = context;
    if (subscriber->is_over || subscriber->filter_has_failed) return false;
    struct fiber *fiber = fiber_take(subscriber->script, subscriber->generation, subscriber->stream, NULL, NULL,
                                     &subscriber->origin);
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

static void run_function(struct subscriber *subscriber, struct message *message);

static bool function_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct subscriber *subscriber = fiber->context; /* NULL: over, and gone */
    struct script *script = fiber->generation->script;
    if (outcome == FIBER_FAILED && !is_cancelled(script, fiber->L, -1)) {
        const struct log_scope scope = {.script = fiber->origin ? fiber->origin->file : NULL};
        log_lua_error(script, fiber->L, &scope, "a topic's subscriber failed");
    }
    if (!subscriber) return true;
    subscriber->fiber = NULL;
    struct list *node = list_take(&subscriber->waiting);
    if (!node || subscriber->is_over) return true;
    struct waiting *waiting = container_of(node, struct waiting, node);
    struct message *message = waiting->message;
    free(waiting);
    subscriber->waiting_count--;
    run_function(subscriber, message);
    message_unref(&message);
    return true;
}

static const struct fiber_kind function_kind = {function_ended};

static void run_function(struct subscriber *subscriber, struct message *message) {
    struct generation *generation = subscriber->generation;
    struct fiber *fiber =
        fiber_take(subscriber->script, generation, NULL, &function_kind, subscriber, &subscriber->origin);
    const char *fault = NULL;
    fiber->is_loads = subscriber->is_loads;
    push_ref(fiber->L, subscriber->function);
    if (!twl_message_push(fiber->L, generation->messages, subscriber->type, message->data, message->length, message,
                          &generation->options, &fault)) {
        log_error(NULL, "a message of type %s does not decode here: %s", subscriber->type->full_name, fault);
        fiber_give(fiber, true);
        return;
    }
    subscriber->fiber = fiber;
    fiber_run(fiber, 1);
}

/* While the function waits, what comes stands behind it, as many as the subscription's queue may hold. */
static void on_message(void *context, struct message *message) {
    struct subscriber *subscriber = context;
    if (subscriber->is_over) return;
    if (!subscriber->fiber) {
        run_function(subscriber, message);
        return;
    }
    if (subscriber->waiting_count == subscriber->options.queue) {
        if (subscriber->options.policy == TOPIC_CLOSE) {
            log_lost(subscriber, "its queue is full");
            end_subscriber(subscriber);
            return;
        }
        struct waiting *oldest = container_of(list_take(&subscriber->waiting), struct waiting, node);
        message_unref(&oldest->message);
        free(oldest);
        subscriber->waiting_count--;
    }
    struct waiting *waiting = memory_new(sizeof *waiting);
    list_init(&waiting->node);
    waiting->message = message_ref(message);
    list_append(&subscriber->waiting, &waiting->node);
    subscriber->waiting_count++;
}

/* ---- tidewire.topic ---- */

static struct topic_handle *check_topic(lua_State *L, const char *signature) {
    struct script *script = script_of(L);
    struct topic_handle *handle = lua_touserdata(L, 1);
    push_ref(L, script->ref.topic_meta);
    if (!handle || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, -2)) raise_misuse(L, signature);
    lua_pop(L, 2);
    script_settle(script);
    return handle;
}

static void refuse_in_filter(lua_State *L, const char *what) {
    const struct fiber *fiber = script_of(L)->running;
    if (fiber && fiber->is_filter) luaL_error(L, "%s: a filter only looks at the message", what);
}

static void fix_type(lua_State *L, struct topic_handle *handle, const struct message_type *type) {
    const char *has;
    size_t length;
    if (!topic_set_type(handle->topic, type->full_name, &has))
        luaL_error(L, "topic \"%s\" carries %s, not %s", topic_name(handle->topic, &length), has, type->full_name);
    handle->type = type;
}

/* The topic's type as this generation knows it, or NULL while it has none. */
static const struct message_type *known_type(lua_State *L, struct topic_handle *handle) {
    if (handle->type) return handle->type;
    const char *name = topic_type(handle->topic);
    if (!name) return NULL;
    handle->type = schema_message(handle->generation->schema, name);
    if (!handle->type) luaL_error(L, "no .proto file has the type %s that this topic carries", name);
    return handle->type;
}

static int no_type(lua_State *L, const struct topic_handle *handle) {
    size_t length;
    return luaL_error(L, "topic \"%s\" has no message type yet: name it with tidewire.topic(name, { type = \"pkg.Type\" })",
                      topic_name(handle->topic, &length));
}

static int open_topic(lua_State *L) {
    static const char signature[] = "tidewire.topic(name[, { type = \"pkg.Type\" }])";
    struct script *script = script_of(L);
    struct generation *generation = script_generation(script);
    size_t length;
    if (lua_type(L, 1) != LUA_TSTRING || !(lua_isnoneornil(L, 2) || lua_istable(L, 2)))
        return raise_misuse(L, signature);
    const char *name = lua_tolstring(L, 1, &length);
    lua_settop(L, 2);
    struct topic_handle *handle = lua_newuserdata(L, sizeof *handle);
    *handle = (struct topic_handle){.generation = generation};
    push_ref(L, script->ref.topic_meta);
    lua_setmetatable(L, 3);
    handle->topic = topic_open(script->host.topics, name, length);
    if (!handle->topic) return luaL_error(L, "topic \"%s\": limits.topics is reached", name);
    if (!lua_istable(L, 2)) return 1;
    lua_getfield(L, 2, "type");
    if (lua_type(L, 4) != LUA_TSTRING) return raise_misuse(L, signature);
    const struct message_type *type = schema_message(generation->schema, lua_tostring(L, 4));
    if (!type) return luaL_error(L, "no .proto file has the type \"%s\"", lua_tostring(L, 4));
    fix_type(L, handle, type);
    lua_settop(L, 3);
    return 1;
}

static int close_topic(lua_State *L) {
    topic_unref(&((struct topic_handle *)lua_touserdata(L, 1))->topic);
    return 0;
}

static int topic_tostring(lua_State *L) {
    struct topic_handle *handle = check_topic(L, "a topic");
    size_t length;
    const char *name = topic_name(handle->topic, &length);
    lua_pushliteral(L, "topic ");
    lua_pushlstring(L, name, length);
    lua_concat(L, 2);
    return 1;
}

static int count(lua_State *L) {
    lua_pushnumber(L, (double)topic_count(check_topic(L, "topic:count()")->topic));
    return 1;
}

/* ---- publish ---- */

static struct message *encode(lua_State *L, struct script *script, struct topic_handle *handle) {
    const struct message_type *type = known_type(L, handle), *own = twl_message_type(L, 2);
    const uint8_t *bytes;
    size_t length;
    struct message *owner;
    if (!type && !own) no_type(L, handle);
    if (!type) fix_type(L, handle, type = own);
    if (own == type && twl_message_unchanged(L, 2, &bytes, &length, &owner)) return message_copy(bytes, length);
    struct buffer *scratch = &script->scratch;
    buffer_clear(scratch);
    twl_message_encode(L, 2, handle->generation->messages, type, scratch);
    return message_copy(buffer_bytes(scratch), buffer_length(scratch));
}

static int publish(lua_State *L) {
    static const char signature[] = "topic:publish(message)";
    struct script *script = script_of(L);
    struct topic_handle *handle = check_topic(L, signature);
    refuse_in_filter(L, signature);
    if (lua_isnoneornil(L, 2)) return raise_misuse(L, signature);
    if (!script->running) return luaL_error(L, "%s: load code cannot publish: a refused script has done nothing", signature);
    struct message *message = encode(L, script, handle);
    const struct stream *publisher = script->running->stream;
    size_t reached = topic_publish(handle->topic, message, publisher ? publisher->call : NULL);
    message_unref(&message);
    lua_pushnumber(L, (double)reached);
    return 1;
}

/* ---- subscribe ---- */

static const char *const option_names[] = {"filter", "echo", "queue", "policy", NULL};
static const char *const policies[] = {"close", "drop_old", NULL};
static const char *const later_policies[] = {"block", "drop_new", "coalesce", NULL};

static bool is_one_of(const char *word, const char *const *words) {
    for (; *words; words++)
        if (strcmp(word, *words) == 0) return true;
    return false;
}

static void check_option_names(lua_State *L, int index) {
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (is_one_of(name, option_names)) continue;
        if (strcmp(name, "key") == 0) raise_not_served(L, "subscribe's key");
        const char *nearest = error_nearest(name, option_names);
        if (nearest) luaL_error(L, "subscribe has no option \"%s\" (did you mean \"%s\"?)", name, nearest);
        luaL_error(L, "expected " SUBSCRIBE);
    }
}

static enum topic_policy check_policy(lua_State *L) {
    const char *name = lua_tostring(L, -1);
    if (name && is_one_of(name, later_policies)) {
        lua_pushfstring(L, "the policy \"%s\"", name);
        raise_not_served(L, lua_tostring(L, -1));
    }
    if (!name || !is_one_of(name, policies)) luaL_error(L, "a policy is \"close\" or \"drop_old\"");
    return strcmp(name, "close") == 0 ? TOPIC_CLOSE : TOPIC_DROP_OLD;
}

static struct subscription_options check_options(lua_State *L, int index) {
    struct subscription_options options = {.queue = DEFAULT_QUEUE, .policy = TOPIC_CLOSE};
    if (lua_isnoneornil(L, index)) return options;
    if (!lua_istable(L, index)) raise_misuse(L, SUBSCRIBE);
    check_option_names(L, index);
    lua_getfield(L, index, "queue");
    double queue = lua_isnil(L, -1) ? DEFAULT_QUEUE : lua_tonumber(L, -1);
    if (!(queue >= 1 && queue <= MOST_QUEUE)) luaL_error(L, "queue is a number from 1 to %d", MOST_QUEUE);
    options.queue = (uint32_t)queue;
    lua_getfield(L, index, "policy");
    if (!lua_isnil(L, -1)) options.policy = check_policy(L);
    lua_getfield(L, index, "echo");
    options.no_echo = !lua_isnil(L, -1) && !lua_toboolean(L, -1);
    lua_pop(L, 3);
    return options;
}

/* From { field = value } at the top: enum names become numbers, unknown fields raise; then a projection takes its
 * place. */
static void push_equals(lua_State *L, struct script *script, const struct message_type *type) {
    int wanted = lua_gettop(L);
    push_ref(L, script->ref.equals);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, wanted); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const struct field *field = name ? message_field(type, name, strlen(name)) : NULL;
        if (!field) luaL_error(L, "filter: %s has no field \"%s\"", type->full_name, name ? name : "?");
        lua_pushvalue(L, -2);
        if (field->enumeration && lua_type(L, -2) == LUA_TSTRING) {
            size_t length;
            int32_t number;
            const char *word = lua_tolstring(L, -2, &length);
            if (!enum_number(field->enumeration, word, length, &number))
                luaL_error(L, "filter: %s has no value \"%s\"", field->enumeration->full_name, word);
            lua_pushinteger(L, number);
        } else {
            lua_pushvalue(L, -2);
        }
        lua_rawset(L, wanted + 2);
    }
    lua_call(L, 1, 1);
    lua_replace(L, wanted);
}

static void take_projection(lua_State *L, struct subscriber *subscriber) {
    struct error error;
    subscriber->projection = twl_projection_resolve(L, -1, subscriber->generation->messages, subscriber->type, NULL,
                                                    &subscriber->generation->options, &error);
    if (!subscriber->projection) {
        lua_pushstring(L, error.text);
        lua_error(L);
    }
}

/* The options are at `index`. What it raises leaves the subscriber to its handle's finalizer. */
static void take_filter(lua_State *L, struct subscriber *subscriber, int index) {
    if (!lua_istable(L, index)) return;
    lua_getfield(L, index, "filter");
    if (lua_isfunction(L, -1)) {
        subscriber->origin = function_origin(L, -1);
        subscriber->filter = luaL_ref(L, LUA_REGISTRYINDEX);
        subscriber->options.filter = filter;
        return;
    }
    if (!lua_isnil(L, -1)) {
        if (lua_istable(L, -1)) push_equals(L, subscriber->script, subscriber->type);
        if (!twl_is_projection(L, -1)) luaL_error(L, "filter is a function, a projection or { field = value }");
        take_projection(L, subscriber);
        subscriber->options.filter = filter;
    }
    lua_pop(L, 1);
}

static void begin(struct subscriber *subscriber) {
    struct call *call = subscriber->stream ? subscriber->stream->call : NULL;
    if (call) subscriber->stream->has_subscribed = true;
    subscriber->subscription = topic_subscribe(subscriber->topic, call, &subscriber->options);
}

void subscribers_start(struct list *subscribers) {
    for (struct list *node = subscribers->next; node != subscribers; node = node->next)
        begin(container_of(node, struct subscriber, node));
}

static struct list *subscribers_of_owner(const struct subscriber *subscriber) {
    if (subscriber->stream) return &stream_extra(subscriber->stream)->subscribers;
    return subscriber->is_loads ? &subscriber->generation->load_subscribers : &subscriber->generation->subscribers;
}

/* With its handle pushed, and in no list yet. */
static struct subscriber *new_subscriber(lua_State *L, struct script *script, const struct topic_handle *topic,
                                         struct stream *stream) {
    struct subscriber_handle *handle = lua_newuserdata(L, sizeof *handle);
    struct subscriber *subscriber = memory_new(sizeof *subscriber);
    handle->subscriber = subscriber;
    list_init(&subscriber->node);
    list_init(&subscriber->waiting);
    subscriber->handle = handle;
    subscriber->script = script;
    subscriber->generation = topic->generation;
    subscriber->stream = stream;
    subscriber->topic = topic_ref(topic->topic);
    subscriber->type = topic->type;
    subscriber->function = subscriber->filter = LUA_NOREF;
    subscriber->is_loads = !stream && (script->running ? script->running->is_loads : script->loading != NULL);
    push_ref(L, script->ref.subscriber_meta);
    lua_setmetatable(L, -2);
    return subscriber;
}

static void check_subject(lua_State *L, struct topic_handle *topic, const struct stream *stream) {
    if (!stream) {
        if (!lua_isfunction(L, 2)) raise_misuse(L, SUBSCRIBE);
        if (!known_type(L, topic)) no_type(L, topic);
        return;
    }
    if (!stream->call->method->is_server_streaming)
        luaL_error(L, "%s has one reply: it cannot subscribe to a topic", stream->call->method->full_name);
    fix_type(L, topic, stream->call->method->response);
}

static int subscribe(lua_State *L) {
    struct script *script = script_of(L);
    lua_settop(L, 3);
    struct topic_handle *topic = check_topic(L, SUBSCRIBE);
    refuse_in_filter(L, "topic:subscribe()");
    struct stream *stream = to_stream(L, 2);
    if (stream && stream->is_over) {
        lua_pushnil(L);
        lua_pushliteral(L, "closed");
        return 2;
    }
    check_subject(L, topic, stream);
    struct subscription_options options = check_options(L, 3);
    struct subscriber *subscriber = new_subscriber(L, script, topic, stream);
    subscriber->options = options;
    subscriber->options.on_full = on_full;
    subscriber->options.on_end = on_end;
    subscriber->options.context = subscriber;
    if (!stream) {
        lua_pushvalue(L, 2);
        subscriber->origin = function_origin(L, -1);
        subscriber->function = luaL_ref(L, LUA_REGISTRYINDEX);
        subscriber->options.on_message = on_message;
    }
    take_filter(L, subscriber, 3);
    list_append(subscribers_of_owner(subscriber), &subscriber->node);
    if (stream || !script->loading) begin(subscriber);
    return 1;
}

static int cancel(lua_State *L) {
    struct script *script = script_of(L);
    struct subscriber_handle *handle = lua_touserdata(L, 1);
    push_ref(L, script->ref.subscriber_meta);
    if (!handle || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, -2)) return raise_misuse(L, "subscription:cancel()");
    refuse_in_filter(L, "subscription:cancel()");
    script_settle(script);
    if (handle->subscriber && !handle->subscriber->is_over) end_subscriber(handle->subscriber);
    return 0;
}

/* A handle that is collected leaves its subscription alone; one that never came to subscribe goes with it. */
static int forget(lua_State *L) {
    struct subscriber_handle *handle = lua_touserdata(L, 1);
    struct subscriber *subscriber = handle->subscriber;
    if (!subscriber) return 0;
    subscriber->handle = NULL;
    if (list_is_empty(&subscriber->node) && !subscriber->is_over && !subscriber->subscription)
        free_subscriber(subscriber);
    return 0;
}

void bind_topic_open(struct script *script) {
    lua_State *L = script->L;
    push_locked_metatable(L);
    lua_newtable(L);
    set_functions(L, script, (const luaL_Reg[]){{"cancel", cancel}, {NULL, NULL}});
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, forget);
    lua_setfield(L, -2, "__gc");
    script->ref.subscriber_meta = luaL_ref(L, LUA_REGISTRYINDEX);

    push_locked_metatable(L);
    lua_newtable(L);
    set_functions(L, script,
                  (const luaL_Reg[]){{"subscribe", subscribe}, {"publish", publish}, {"count", count}, {NULL, NULL}});
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close_topic);
    lua_setfield(L, -2, "__gc");
    set_functions(L, script, (const luaL_Reg[]){{"__tostring", topic_tostring}, {NULL, NULL}});
    script->ref.topic_meta = luaL_ref(L, LUA_REGISTRYINDEX);

    set_functions(L, script, (const luaL_Reg[]){{"topic", open_topic}, {NULL, NULL}});
}
