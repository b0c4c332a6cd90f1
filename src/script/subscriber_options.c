/* script/subscriber_options.c - what topic:subscribe() is given beside its subject: policies, filters, keys. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fanout/fields.h"
#include "fanout/topic.h"
#include "script/generation.h"
#include "script/json_value.h"
#include "script/keeping.h"
#include "script/message.h"
#include "script/names.h"
#include "script/state.h"
#include "script/subscriber_private.h"

enum { DEFAULT_QUEUE = 256, MOST_QUEUE = 1 << 20, MOST_SHOWN = 4096 };
#define DEFAULT_TIMEOUT (10 * NS_PER_S)

static const char *const option_names[] = {"filter", "key", "echo", "queue", "policy", "timeout", "since", "show", NULL};
static const char *const policies[] = {
    [TOPIC_CLOSE] = "close",       [TOPIC_DROP_OLD] = "drop_old", [TOPIC_DROP_NEW] = "drop_new",
    [TOPIC_COALESCE] = "coalesce", [TOPIC_BLOCK] = "block",       NULL,
};

static enum topic_policy check_policy(lua_State *L) {
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "policy is a name, not a %s", luaL_typename(L, -1));
    const char *name = lua_tostring(L, -1);
    for (int i = 0; policies[i]; i++)
        if (strcmp(name, policies[i]) == 0) return (enum topic_policy)i;
    return (enum topic_policy)luaL_error(
        L, "policy is \"close\", \"drop_old\", \"drop_new\", \"coalesce\" or \"block\", not \"%s\"", name);
}

static uint32_t check_queue(lua_State *L) {
    double queue = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(queue >= 1 && queue <= MOST_QUEUE && queue == (double)(uint32_t)queue))
        luaL_error(L, "queue is a whole number from 1 to %d", MOST_QUEUE);
    return (uint32_t)queue;
}

/* `since`: "all", a number of messages, or a position: a larger number. Text is read as a number. */
static void take_since(lua_State *L, struct subscription_options *options) {
    static const char since[] = "since is \"all\", a number of messages or a position";
    double number = -1;
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "all") == 0) {
        options->since = TOPIC_ALL;
        return;
    }
    if (lua_isnumber(L, -1)) number = lua_tonumber(L, -1);
    if (!(number >= 0 && number <= 9007199254740992.0 && number == (double)(uint64_t)number)) luaL_error(L, since);
    options->since = number > MOST_HISTORY ? TOPIC_AFTER : TOPIC_LAST;
    options->position = (uint64_t)number;
}

/* Those that need no message type. */
static struct subscription_options check_options(lua_State *L, int index) {
    struct subscription_options options = {.queue = DEFAULT_QUEUE, .policy = TOPIC_CLOSE};
    names_check_options(L, index, option_names, SUBSCRIBE_SIGNATURE);
    if (lua_isnoneornil(L, index)) return options;
    lua_getfield(L, index, "queue");
    if (!lua_isnil(L, -1)) options.queue = check_queue(L);
    lua_getfield(L, index, "policy");
    if (!lua_isnil(L, -1)) options.policy = check_policy(L);
    lua_getfield(L, index, "echo");
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) luaL_error(L, "echo is true or false");
    options.no_echo = !lua_isnil(L, -1) && !lua_toboolean(L, -1);
    lua_getfield(L, index, "key");
    if (lua_isnil(L, -1) != (options.policy != TOPIC_COALESCE))
        luaL_error(L, "key = \"field\" belongs to policy = \"coalesce\", and that to a key");
    lua_getfield(L, index, "timeout");
    if (!lua_isnil(L, -1) && options.policy != TOPIC_BLOCK)
        luaL_error(L, "timeout = seconds belongs to policy = \"block\"");
    options.timeout = lua_isnil(L, -1) ? DEFAULT_TIMEOUT : check_seconds(L, lua_gettop(L), SUBSCRIBE_SIGNATURE);
    lua_getfield(L, index, "since");
    if (!lua_isnil(L, -1)) take_since(L, &options);
    lua_pop(L, 6);
    return options;
}

RAISES static void raise_no_field(lua_State *L, const char *what, const struct message_type *type, const char *name) {
    const char *nearest = message_nearest_field(type, name);
    if (nearest)
        luaL_error(L, "%s: %s has no field \"%s\" (did you mean \"%s\"?)", what, type->full_name, name, nearest);
    luaL_error(L, "%s: %s has no field \"%s\"", what, type->full_name, name);
}

static const struct field *check_plain_field(lua_State *L, const struct message_type *type, int index, const char *what) {
    size_t length;
    if (lua_type(L, index) != LUA_TSTRING) luaL_error(L, "%s: names of fields of %s are strings", what, type->full_name);
    const char *name = lua_tolstring(L, index, &length);
    const struct field *field = message_field(type, name, length);
    if (!field) raise_no_field(L, what, type, name);
    if (!field_is_plain(field))
        luaL_error(L, "%s: %s.%s is a message, list or map, and only plain values can be equal%s", what, type->full_name,
                   name, strcmp(what, "filter") == 0 ? "; use a function" : "");
    return field;
}

static void take_key(lua_State *L, struct subscriber *subscriber, int index) {
    if (subscriber->options.policy != TOPIC_COALESCE) return;
    lua_getfield(L, index, "key");
    subscriber->options.type = subscriber->type;
    subscriber->options.key = check_plain_field(L, subscriber->type, lua_gettop(L), "key");
    lua_pop(L, 1);
}

/* { field = value } at the top: encoding it as a message checks names and types, makes numbers of an enum's names, and
 * gives the values in the form that they have in messages. */
static void take_equals(lua_State *L, struct subscriber *subscriber) {
    const struct message_type *type = subscriber->type;
    struct buffer *scratch = &subscriber->script->scratch;
    int wanted = lua_gettop(L);
    size_t count = 0;
    luaL_checkstack(L, 10, "filter");
    const struct field **fields = lua_newuserdata(L, (type->field_count + 1) * sizeof *fields);
    for (lua_pushnil(L); lua_next(L, wanted); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        const struct field *field = check_plain_field(L, type, lua_gettop(L), "filter");
        lua_pop(L, 1);
        fields[count++] = field;
    }
    buffer_clear(scratch);
    twl_message_encode(L, wanted, subscriber->generation->messages, type, scratch);
    subscriber->equals = field_filter_new(type, fields, count, buffer_bytes(scratch), buffer_length(scratch));
    lua_settop(L, wanted);
}

static void take_projection(lua_State *L, struct subscriber *subscriber) {
    struct error error;
    subscriber->projection = twl_projection_resolve(L, -1, subscriber->generation->messages, subscriber->type,
                                                    NULL, &subscriber->generation->options, &error);
    if (!subscriber->projection) {
        lua_pushstring(L, error.text);
        lua_error(L);
    }
}

static void take_filter(lua_State *L, struct subscriber *subscriber, int index) {
    if (!lua_istable(L, index)) return;
    lua_getfield(L, index, "filter");
    if (lua_isfunction(L, -1)) {
        subscriber->origin = function_origin(L, -1);
        subscriber->filter = luaL_ref(L, LUA_REGISTRYINDEX);
        return;
    }
    if (!lua_isnil(L, -1)) {
        if (lua_istable(L, -1)) take_equals(L, subscriber);
        else if (twl_is_projection(L, -1)) take_projection(L, subscriber);
        else luaL_error(L, "filter is a function, a projection or { field = value }");
    }
    lua_pop(L, 1);
}

static void take_show(lua_State *L, struct subscriber *subscriber, int index) {
    struct script *script = subscriber->script;
    struct error error;
    if (!lua_istable(L, index)) return;
    lua_getfield(L, index, "show");
    if (!lua_isnil(L, -1)) {
        push_ref(L, script->ref.json_null);
        const struct json_marks marks = {.null = lua_touserdata(L, -1), .array = script->ref.json_array};
        lua_pop(L, 1);
        buffer_clear(&script->scratch);
        if (!json_value_encode(L, lua_gettop(L), &marks, &script->scratch, &error)) luaL_error(L, "show: %s", error.text);
        subscriber->options.show_length = buffer_length(&script->scratch);
        if (subscriber->options.show_length > MOST_SHOWN) luaL_error(L, "show: more than %d bytes of JSON", MOST_SHOWN);
        subscriber->show = memory_copy(buffer_bytes(&script->scratch), subscriber->options.show_length);
        subscriber->options.show = subscriber->show;
    }
    lua_pop(L, 1);
}

void subscriber_take_options(lua_State *L, struct subscriber *subscriber, int index) {
    subscriber->options = check_options(L, index);
    if (subscriber->options.since != TOPIC_LIVE && !topic_is_kept(subscriber->topic) &&
        !keepings_have(&subscriber->generation->keepings, subscriber->topic))
        luaL_error(L, "since: the topic keeps nothing: tidewire.topic(name, { history = n })");
    take_key(L, subscriber, index);
    take_filter(L, subscriber, index);
    take_show(L, subscriber, index);
}
