/* script/bind_topic.c - tidewire.topic for scripts: opening, publishing, and the making of subscriptions. */
#include <stdlib.h>

#include "base/memory.h"
#include "fanout/topic.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/json_value.h"
#include "script/keeping.h"
#include "script/message.h"
#include "script/names.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/subscriber.h"
#include "script/subscriber_private.h"
#include "script/userdata.h"

/* What a script holds of a topic. It may be used by another generation's code than the one that made it: the types are
 * always those of the code that runs. */
struct topic_handle {
    struct topic *topic;
    struct schema *schema;           /* counted; what `type` is of */
    const struct message_type *type; /* NULL: not known yet */
};

static struct topic_handle *check_topic(lua_State *L, const char *signature) {
    struct script *script = script_of(L);
    struct topic_handle *handle = userdata_check(L, script->ref.topic_meta, signature);
    script_settle(script);
    return handle;
}

/* The generation whose code uses the topic. */
static struct generation *check_user(lua_State *L, struct topic_handle *handle, const char *signature) {
    struct generation *generation = check_generation(L, script_of(L), signature);
    if (handle->schema == generation->schema) return generation;
    schema_unref(&handle->schema);
    handle->schema = schema_ref(generation->schema);
    handle->type = NULL;
    return generation;
}

static void refuse_in_filter(lua_State *L, const char *what) {
    const struct fiber *fiber = script_of(L)->running;
    if (fiber && fiber->is_filter) luaL_error(L, "%s: a filter only looks at the message", what);
}

static void fix_type(lua_State *L, struct topic_handle *handle, const struct message_type *type) {
    const char *has;
    size_t length;
    if (!topic_set_type(handle->topic, type->full_name, &has))
        luaL_error(L, "topic \"%s\" carries %s, not %s", topic_name(handle->topic, &length), has,
                   type->full_name);
}

/* The topic's type as this generation knows it, or NULL while it has none. */
static const struct message_type *known_type(lua_State *L, struct topic_handle *handle) {
    if (handle->type) return handle->type;
    const char *name = topic_type(handle->topic);
    if (!name) return NULL;
    handle->type = schema_message(handle->schema, name);
    if (!handle->type) luaL_error(L, "no .proto file has the type %s that this topic carries", name);
    return handle->type;
}

static int no_type(lua_State *L, const struct topic_handle *handle) {
    size_t length;
    return luaL_error(
        L, "topic \"%s\" has no message type yet: name it with tidewire.topic(name, { type = \"pkg.Type\" })",
        topic_name(handle->topic, &length));
}

#define OPEN_SIGNATURE "tidewire.topic(name[, { type = …, history = …, ttl = …, position = … }])"

/* The field that each message's position is put into; NULL: none. */
static const struct field *check_position(lua_State *L, struct topic_handle *handle, int index) {
    if (lua_isnil(L, index)) return NULL;
    if (lua_type(L, index) != LUA_TSTRING) raise_misuse(L, OPEN_SIGNATURE);
    if (!known_type(L, handle)) luaL_error(L, "position: the topic's type must be known: give it with type = \"pkg.Type\"");
    size_t length;
    const char *name = lua_tolstring(L, index, &length);
    const struct field *field = message_field(handle->type, name, length);
    if (!field || field->is_repeated || (field->type != FIELD_INT64 && field->type != FIELD_UINT64))
        luaL_error(L, "position: %s has no field \"%s\" that is one int64 or uint64", handle->type->full_name, name);
    return field;
}

/* The options are at 2, the handle at the top. */
static void take_history(lua_State *L, struct generation *generation, struct topic_handle *handle) {
    int top = lua_gettop(L);
    lua_getfield(L, 2, "history");
    lua_getfield(L, 2, "ttl");
    lua_getfield(L, 2, "position");
    if (lua_isnil(L, top + 1)) {
        if (!lua_isnil(L, top + 2) || !lua_isnil(L, top + 3)) luaL_error(L, "ttl and position belong to history");
    } else {
        double most = lua_type(L, top + 1) == LUA_TNUMBER ? lua_tonumber(L, top + 1) : 0;
        if (!(most >= 1 && most <= MOST_HISTORY && most == (double)(uint32_t)most))
            luaL_error(L, "history is a whole number from 1 to %d", MOST_HISTORY);
        uint64_t ttl = lua_isnil(L, top + 2) ? 0 : check_seconds(L, top + 2, OPEN_SIGNATURE);
        const struct field *position = check_position(L, handle, top + 3);
        if (generation->is_started) topic_keep(handle->topic, (uint32_t)most, ttl, position);
        else keeping_add(&generation->keepings, handle->topic, (uint32_t)most, ttl, position);
    }
    lua_settop(L, top);
}

static int open_topic(lua_State *L) {
    static const char signature[] = OPEN_SIGNATURE;
    static const char *const options[] = {"type", "history", "ttl", "position", NULL};
    struct script *script = script_of(L);
    struct generation *generation = check_generation(L, script, signature);
    const struct message_type *type = NULL;
    size_t length;
    if (lua_type(L, 1) != LUA_TSTRING) return raise_misuse(L, signature);
    names_check_options(L, 2, options, signature);
    const char *name = lua_tolstring(L, 1, &length);
    lua_settop(L, 2);
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "type");
        if (!lua_isnil(L, 3) && lua_type(L, 3) != LUA_TSTRING) return raise_misuse(L, signature);
        if (!lua_isnil(L, 3)) type = twl_check_type(L, generation->schema, lua_tostring(L, 3));
    }
    struct topic_handle *handle = userdata_new(L, script->ref.topic_meta, sizeof *handle);
    *handle = (struct topic_handle){.schema = schema_ref(generation->schema)};
    handle->topic = topic_open(script->host.topics, name, length);
    if (!handle->topic) return luaL_error(L, "topic \"%s\": limits.topics is reached", name);
    if (type) fix_type(L, handle, type);
    if (lua_istable(L, 2)) take_history(L, generation, handle);
    return 1;
}

static int close_topic(lua_State *L) {
    struct topic_handle *handle = lua_touserdata(L, 1);
    topic_unref(&handle->topic);
    if (handle->schema) schema_unref(&handle->schema);
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
    lua_pushnumber(L, (double)topic_count_everywhere(check_topic(L, "topic:count()")->topic));
    return 1;
}

/* ---- publish ---- */

/* A publisher that waits. */
struct publishing {
    struct topic_wait wait;
    struct fiber *fiber;
};

/* It has been published, or will not be. */
static void publishing_end(struct fiber *fiber) {
    topic_wait_cancel(&fiber->publishing->wait);
    free(fiber->publishing);
    fiber->publishing = NULL;
}

/* What publish returns. */
static int push_receipt(lua_State *L, const struct topic_receipt *receipt) {
    lua_pushnumber(L, (double)receipt->reached);
    if (!receipt->position) return 1;
    lua_pushnumber(L, (double)receipt->position);
    return 2;
}

static void on_published(struct topic_wait *wait, const struct topic_receipt *receipt) {
    struct fiber *fiber = container_of(wait, struct publishing, wait)->fiber;
    fiber_wake(fiber, push_receipt(fiber->L, receipt));
}

/* The encoded message at 2, borrowed until the next encoding. */
static const uint8_t *encode(lua_State *L, struct script *script, struct topic_handle *handle,
                             struct twl_schema *messages, size_t *length) {
    const struct message_type *type = known_type(L, handle), *own = twl_message_type(L, 2);
    const uint8_t *bytes;
    struct message *owner;
    if (!type && !own) no_type(L, handle);
    if (!type) {
        fix_type(L, handle, own);
        type = known_type(L, handle);
    }
    if (own == type && twl_message_unchanged(L, 2, &bytes, length, &owner)) return bytes;
    struct buffer *scratch = &script->scratch;
    buffer_clear(scratch);
    twl_message_encode(L, 2, messages, type, scratch);
    topic_note_encoded(handle->topic);
    *length = buffer_length(scratch);
    return buffer_bytes(scratch);
}

static int publish_later(lua_State *L, struct topic *topic, const uint8_t *bytes, size_t length,
                         const struct call *publisher) {
    struct fiber *fiber = fiber_wait(L, script_of(L), WAIT_PUBLISH, "topic:publish() to subscribers that block");
    if (fiber->wait != WAIT_PUBLISH) return fiber_yield(L, fiber);
    struct message *message = message_copy(bytes, length);
    fiber->on_leave = publishing_end;
    fiber->publishing = memory_new(sizeof *fiber->publishing);
    *fiber->publishing = (struct publishing){.wait.on_published = on_published, .fiber = fiber};
    topic_publish_later(topic, &fiber->publishing->wait, message, publisher);
    message_unref(&message);
    return fiber_yield(L, fiber);
}

static int publish(lua_State *L) {
    static const char signature[] = "topic:publish(message)";
    struct script *script = script_of(L);
    struct topic_handle *handle = check_topic(L, signature);
    refuse_in_filter(L, signature);
    if (lua_isnoneornil(L, 2)) return raise_misuse(L, signature);
    if (!script->running)
        return luaL_error(L, "%s: load code cannot publish: a refused script has done nothing", signature);
    size_t length;
    const uint8_t *bytes = encode(L, script, handle, check_user(L, handle, signature)->messages, &length);
    const struct stream *stream = script->running->stream;
    const struct call *publisher = stream ? stream->call : NULL;
    bool can_wait = !script->running->is_plain;
    if (can_wait && !topic_reserve(handle->topic)) return publish_later(L, handle->topic, bytes, length, publisher);
    struct message *message = message_copy(bytes, length);
    struct topic_receipt receipt = can_wait ? topic_publish_reserved(handle->topic, message, publisher)
                                            : topic_publish(handle->topic, message, publisher);
    message_unref(&message);
    return push_receipt(L, &receipt);
}

static int position(lua_State *L) {
    uint64_t newest = topic_position(check_topic(L, "topic:position()")->topic);
    if (!newest) return 0;
    lua_pushnumber(L, (double)newest);
    return 1;
}

static int counters(lua_State *L) {
    const struct topic_handle *handle = check_topic(L, "topic:counters()");
    lua_createtable(L, 0, TOPIC_COUNTERS);
    for (int i = 0; i < TOPIC_COUNTERS; i++) {
        lua_pushnumber(L, (double)topic_counter(handle->topic, (enum topic_counter)i));
        lua_setfield(L, -2, topic_counter_names[i]);
    }
    return 1;
}

/* ---- subscribe ---- */

/* With its handle pushed. A stream's subscription is of the stream's generation, whoever made it. */
static struct subscriber *new_subscriber(lua_State *L, struct topic_handle *topic, struct generation *user,
                                         struct stream *stream) {
    struct script *script = script_of(L);
    struct generation *generation = stream ? stream->generation : user;
    struct subscriber_handle *handle = userdata_new(L, script->ref.subscriber_meta, sizeof *handle);
    struct subscriber *subscriber = subscriber_new(script, generation, stream, handle);
    subscriber->topic = topic_ref(topic->topic);
    subscriber->type = stream ? stream->handler->sends : topic->type;
    return subscriber;
}

static void check_subject(lua_State *L, struct topic_handle *topic, struct stream *stream) {
    if (!stream) {
        if (!lua_isfunction(L, 2)) raise_misuse(L, SUBSCRIBE_SIGNATURE);
        if (!known_type(L, topic)) no_type(L, topic);
        return;
    }
    if (!stream->handler->sends_many)
        luaL_error(L, "%s has one %s: it cannot subscribe to a topic", stream->handler->method->full_name,
                   stream->is_client ? "request" : "reply");
    if (stream->is_client) client_open(stream);
    if (!stream->call) luaL_error(L, "the stream is broken, and not opened again yet: subscribe it in reconnect");
    fix_type(L, topic, stream->handler->sends);
}

static int watch(lua_State *L) {
    static const char signature[] = "topic:watch(f)";
    struct topic_handle *topic = check_topic(L, signature);
    struct generation *user = check_user(L, topic, signature);
    refuse_in_filter(L, signature);
    if (lua_gettop(L) != 2 || !lua_isfunction(L, 2)) return raise_misuse(L, signature);
    struct subscriber *subscriber = new_subscriber(L, topic, user, NULL);
    watching_new(subscriber);
    lua_pushvalue(L, 2);
    subscriber->origin = function_origin(L, -1);
    subscriber->function = luaL_ref(L, LUA_REGISTRYINDEX);
    subscriber_add(subscriber);
    return 1;
}

/* What another host says need not make sense to this one: that is left out. */
static int members(lua_State *L) {
    struct script *script = script_of(L);
    const struct topic_handle *handle = check_topic(L, "topic:members()");
    struct error error;
    int count = 0;
    buffer_clear(&script->scratch);
    topic_members(handle->topic, &script->scratch);
    lua_pushlstring(L, (const char *)buffer_bytes(&script->scratch), buffer_length(&script->scratch));
    const char *line = lua_tostring(L, -1), *end;
    lua_newtable(L);
    push_ref(L, script->ref.json_array);
    lua_setmetatable(L, -2);
    for (; (end = strchr(line, '\n')); line = end + 1)
        if (json_value_decode(L, line, (size_t)(end - line), script->ref.json_null, script->ref.json_array,
                              &script->scratch, &error))
            lua_rawseti(L, -2, ++count);
    return 1;
}

static int subscribe(lua_State *L) {
    lua_settop(L, 3);
    struct topic_handle *topic = check_topic(L, SUBSCRIBE_SIGNATURE);
    struct generation *user = check_user(L, topic, SUBSCRIBE_SIGNATURE);
    refuse_in_filter(L, "topic:subscribe()");
    struct stream *stream = to_stream(L, 2);
    if (stream && stream->is_over) return nil_and(L, "closed");
    check_subject(L, topic, stream);
    struct subscriber *subscriber = new_subscriber(L, topic, user, stream);
    if (!stream) {
        lua_pushvalue(L, 2);
        subscriber->origin = function_origin(L, -1);
        subscriber->function = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    subscriber_take_options(L, subscriber, 3);
    subscriber_set_callbacks(subscriber);
    subscriber_add(subscriber);
    if (!subscriber->subscription) return 1;
    if (subscription_is_waiting(subscriber->subscription)) lua_pushliteral(L, "loading");
    else if (subscription_has_gap(subscriber->subscription)) lua_pushliteral(L, "gap");
    else return 1;
    return 2;
}

static int cancel(lua_State *L) {
    struct script *script = script_of(L);
    const struct subscriber_handle *handle =
        userdata_check(L, script->ref.subscriber_meta, "subscription:cancel()");
    refuse_in_filter(L, "subscription:cancel()");
    script_settle(script);
    if (handle->subscriber && !handle->subscriber->is_over) subscriber_end(handle->subscriber);
    return 0;
}

static int forget(lua_State *L) {
    struct subscriber_handle *handle = lua_touserdata(L, 1);
    if (handle->subscriber) subscriber_forget_handle(handle->subscriber);
    return 0;
}

void bind_topic_open(struct script *script) {
    lua_State *L = script->L;
    const luaL_Reg of_subscription[] = {{"cancel", cancel}, {NULL, NULL}};
    const luaL_Reg of_topic[] = {{"subscribe", subscribe}, {"publish", publish}, {"count", count},
                                  {"counters", counters}, {"position", position}, {"members", members}, {"watch", watch}, {NULL, NULL}};
    script->ref.subscriber_meta = userdata_class(script, "a subscription", of_subscription, forget);
    script->ref.topic_meta = userdata_class(script, "a topic", of_topic, close_topic);
    push_ref(L, script->ref.topic_meta);
    set_functions(L, script, (const luaL_Reg[]){{"__tostring", topic_tostring}, {NULL, NULL}});
    lua_pop(L, 1);
}

void bind_topic_add(lua_State *L, struct script *script) {
    set_functions(L, script, (const luaL_Reg[]){{"topic", open_topic}, {NULL, NULL}});
}
