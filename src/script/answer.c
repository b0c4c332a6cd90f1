/* script/answer.c - see answer.h */
#include "script/answer.h"

#include <string.h>

#include "schema/wire.h"
#include "script/bind_stream.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/state.h"
#include "script/stream.h"

/* The places of what is kept in a list; false stands for what was not there. */
enum { CODE = 1, TEXT, DETAILS, TRAILERS, HEADERS };

static const struct metadata *trailers_of(const struct stream *stream) {
    static const struct metadata none;
    return stream->call ? call_peer_trailers(stream->call) : &none;
}

/* ---- google.rpc.Status, whose details are a list of google.protobuf.Any ---- */

/* The length-delimited field `wanted` at or after `at`; NULL when there is none, or the bytes are broken. */
static const uint8_t *find_bytes(const uint8_t *at, const uint8_t *end, uint32_t wanted, const uint8_t **value,
                                 size_t *length) {
    while (at && at < end) {
        uint32_t number = 0;
        unsigned type = 0;
        at = wire_read_tag(at, end, &number, &type);
        if (at && number == wanted && type == WIRE_BYTES) {
            at = wire_read_length(at, end, length);
            if (!at) return NULL;
            *value = at;
            return at + *length;
        }
        if (at) at = wire_skip(at, end, number, type, 0);
    }
    return NULL;
}

/* A message object where the type is known; else a table with type and value. */
static void push_any(lua_State *L, const struct generation *generation, const uint8_t *any, size_t any_length) {
    const uint8_t *url = any, *value = any;
    size_t url_length = 0, length = 0;
    const char *fault;
    find_bytes(any, any + any_length, 1, &url, &url_length);
    find_bytes(any, any + any_length, 2, &value, &length);
    const uint8_t *slash = url_length ? memrchr(url, '/', url_length) : NULL;
    lua_pushlstring(L, slash ? (const char *)slash + 1 : (const char *)url,
                    slash ? url_length - (size_t)(slash + 1 - url) : url_length);
    const struct message_type *type = schema_message(generation->schema, lua_tostring(L, -1));
    if (type && twl_message_push(L, generation->messages, type, value, length, NULL, &generation->options, &fault)) {
        lua_remove(L, -2);
        return;
    }
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "type");
    lua_pushlstring(L, (const char *)value, length);
    lua_setfield(L, -2, "value");
}

static void push_details(lua_State *L, const struct generation *generation, const void *bytes, size_t length) {
    const uint8_t *at = bytes, *end = at + length, *any = NULL;
    size_t any_length = 0;
    lua_newtable(L);
    for (int i = 1; (at = find_bytes(at, end, 3, &any, &any_length)); i++) {
        push_any(L, generation, any, any_length);
        lua_rawseti(L, -2, i);
    }
}

static const struct metadata_entry *find_details(const struct metadata *trailers) {
    static const char name[] = "grpc-status-details-bin";
    size_t place = 0;
    return metadata_find(trailers, name, sizeof name - 1, &place);
}

/* ---- keeping ---- */

void answer_keep(struct stream *stream, enum status status, const char *text, bool has_headers) {
    struct script *script = stream->generation->script;
    lua_State *L = script->L;
    const struct metadata *trailers = trailers_of(stream);
    const struct metadata_entry *details = find_details(trailers);
    push_ref(L, script->ref.answers);
    push_stream(L, stream);
    lua_createtable(L, HEADERS, 0);
    lua_pushstring(L, status_name(status));
    lua_rawseti(L, -2, CODE);
    lua_pushstring(L, text);
    lua_rawseti(L, -2, TEXT);
    if (details) lua_pushlstring(L, details->value, details->value_length);
    else lua_pushboolean(L, 0);
    lua_rawseti(L, -2, DETAILS);
    push_metadata_map(L, trailers);
    lua_rawseti(L, -2, TRAILERS);
    if (has_headers && stream->call) push_metadata_map(L, stream->call->metadata);
    else lua_pushboolean(L, 0);
    lua_rawseti(L, -2, HEADERS);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void answers_open_state(struct script *script) {
    lua_State *L = script->L;
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    script->ref.answers = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* ---- giving ---- */

static bool push_kept(lua_State *L, const struct script *script, int index) {
    lua_pushvalue(L, index);
    push_ref(L, script->ref.answers);
    lua_insert(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

static int push_status(lua_State *L, const struct generation *generation) {
    int kept = lua_gettop(L);
    size_t length;
    luaL_checkstack(L, 10, "status");
    lua_rawgeti(L, kept, CODE);
    lua_rawgeti(L, kept, TEXT);
    lua_rawgeti(L, kept, DETAILS);
    const char *bytes = lua_tolstring(L, -1, &length);
    if (bytes) push_details(L, generation, bytes, length);
    else lua_pushnil(L);
    lua_remove(L, -2);
    lua_remove(L, kept);
    return 3;
}

static int push_part(lua_State *L, int part) {
    lua_rawgeti(L, -1, part);
    lua_remove(L, -2);
    if (lua_istable(L, -1)) return 1;
    lua_pop(L, 1);
    return nil_and(L, "closed");
}

int answer_push_status(lua_State *L, struct script *script, int index) {
    return push_kept(L, script, index) ? push_status(L, script_generation(script)) : 0;
}
int answer_push_trailers(lua_State *L, struct script *script, int index) {
    return push_kept(L, script, index) ? push_part(L, TRAILERS) : 0;
}
int answer_push_headers(lua_State *L, struct script *script, int index) {
    return push_kept(L, script, index) ? push_part(L, HEADERS) : 0;
}

/* ---- those that wait ---- */

void answer_headers(struct stream *stream) {
    struct list *row = &stream->extra->watchers;
    for (struct list *node = row->next, *next; node != row; node = next) {
        next = node->next;
        struct fiber *fiber = container_of(node, struct fiber, place);
        if (fiber->wait != WAIT_HEADERS) continue;
        push_metadata_map(fiber->L, stream->call->metadata);
        fiber_wake(fiber, 1);
    }
}

static void tell(struct fiber *fiber, struct stream *stream) {
    lua_State *L = fiber->L;
    push_stream(L, stream);
    push_kept(L, stream->generation->script, lua_gettop(L));
    lua_remove(L, -2);
    switch ((enum fiber_wait)fiber->wait) {
    case WAIT_STATUS:
        fiber_wake(fiber, push_status(L, stream->generation));
        break;
    case WAIT_TRAILERS:
        fiber_wake(fiber, push_part(L, TRAILERS));
        break;
    default:
        fiber_wake(fiber, push_part(L, HEADERS));
    }
}

static void tell_reply(struct fiber *fiber, const struct stream *stream, enum status status, const char *text) {
    lua_State *L = fiber->L;
    if (status == STATUS_OK && lua_gettop(L) > 0) {
        fiber_wake(fiber, 1);
        return;
    }
    const struct metadata_entry *details = find_details(trailers_of(stream));
    lua_settop(L, 0);
    lua_pushnil(L);
    lua_pushstring(L, status_name(status));
    lua_pushstring(L, text);
    if (details) push_details(L, stream->generation, details->value, details->value_length);
    else lua_pushnil(L);
    fiber_wake(fiber, 4);
}

void answer_tell(struct stream *stream, enum status status, const char *text) {
    struct list *row = &stream->extra->watchers;
    if (stream->reader && stream->reader->wait == WAIT_REPLY) tell_reply(stream->reader, stream, status, text);
    for (struct list *node = row->next, *next; node != row; node = next) {
        next = node->next;
        struct fiber *fiber = container_of(node, struct fiber, place);
        if (fiber_waits_for_answer(fiber)) tell(fiber, stream);
    }
}

void answer_read_reply(struct stream *stream, struct fiber *fiber) {
    struct call_message message;
    while (call_receive(stream->call, &message) == CALL_MESSAGE) {
        lua_settop(fiber->L, 0);
        if (!stream_push_message(stream, fiber->L, &message)) return;
    }
}
