/* script/bind_client.c - see bind_client.h */
#include "script/bind_client.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "script/answer.h"
#include "script/bind_stream.h"
#include "script/client.h"
#include "script/entry.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/names.h"
#include "script/state.h"
#include "script/stream.h"
#include "upstream/upstream.h"

#define OPEN "tidewire.open(upstream, \"pkg.Service/Method\"" CLIENT_OPEN_OPTIONS ")"
#define CALL "tidewire.call(upstream, \"pkg.Service/Method\", request" CLIENT_CALL_OPTIONS ")"

/* ---- names ---- */

static int no_such_upstream(lua_State *L, const struct generation *generation, const char *name) {
    const struct config *config = generation->config;
    const char **names = lua_newuserdata(L, (config->upstream_count + 1) * sizeof *names);
    for (size_t i = 0; i < config->upstream_count; i++) names[i] = config->upstreams[i]->name;
    names[config->upstream_count] = NULL;
    return names_raise_missing(L, "the config has no upstream", name, names);
}

struct upstream *check_upstream(lua_State *L, const struct generation *generation, const char *name) {
    struct upstream *upstream = generation->upstreams ? upstream_set_find(generation->upstreams, name) : NULL;
    if (!upstream) no_such_upstream(L, generation, name);
    return upstream;
}

static int no_such_service(lua_State *L, const struct schema *schema, const char *name) {
    size_t count = schema_service_count(schema);
    const char **names = lua_newuserdata(L, (count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) names[i] = schema_service_at(schema, i)->full_name;
    names[count] = NULL;
    return names_raise_missing(L, "no .proto file has the service", name, names);
}

static int no_such_method(lua_State *L, const struct service *service, const char *name) {
    const char **names = lua_newuserdata(L, (service->method_count + 1) * sizeof *names);
    for (size_t i = 0; i < service->method_count; i++) names[i] = service->methods[i].name;
    names[service->method_count] = NULL;
    return names_raise_missing(L, lua_pushfstring(L, "%s has no method", service->full_name), name, names);
}

static const struct method *check_method(lua_State *L, const struct schema *schema, const char *path,
                                         const char *signature) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || !slash[1]) raise_misuse(L, signature);
    const struct service *service = schema_service(schema, path, (size_t)(slash - path));
    if (!service) {
        lua_pushlstring(L, path, (size_t)(slash - path));
        no_such_service(L, schema, lua_tostring(L, -1));
    }
    const struct method *method = service_method(service, slash + 1, strlen(slash + 1));
    if (!method) no_such_method(L, service, slash + 1);
    return method;
}

/* ---- options ---- */

static struct handler *client_handler(struct generation *generation, const struct method *method, size_t number) {
    if (!number || number > generation->service_count)
        return handler_of_client(generation, method, &generation->options, "a module");
    const struct script_service *service = &generation->services[number - 1];
    return handler_of_client(generation, method, &service->options, service->file->name);
}

static const char *add_value(lua_State *L, struct metadata *metadata, int name_index, int value_index) {
    size_t name_length, length;
    const char *name = lua_tolstring(L, name_index, &name_length);
    const char *value = lua_isstring(L, value_index) ? lua_tolstring(L, value_index, &length) : NULL;
    if (!value) return "a value is a string, or a list of them";
    enum metadata_fault fault = metadata_add(metadata, name, name_length, value, length);
    return fault == METADATA_OK ? NULL : metadata_fault_text(fault);
}

static const char *add_values(lua_State *L, struct metadata *metadata, int name_index, int value_index) {
    const char *fault = NULL;
    if (!lua_istable(L, value_index)) return add_value(L, metadata, name_index, value_index);
    int count = (int)lua_objlen(L, value_index);
    for (int i = 1; i <= count && !fault; i++) {
        lua_rawgeti(L, value_index, i);
        fault = add_value(L, metadata, name_index, lua_gettop(L));
        lua_pop(L, 1);
    }
    return fault;
}

/* From the table at `index`, whose names and values are as stream:metadata() gives them: with `:authority`, which each
 * call has of its own. */
static void read_metadata(lua_State *L, int index, struct metadata *metadata) {
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        int name = lua_gettop(L) - 1;
        if (lua_type(L, name) == LUA_TSTRING && strcmp(lua_tostring(L, name), ":authority") == 0) continue;
        const char *fault = lua_type(L, name) == LUA_TSTRING ? add_values(L, metadata, name, name + 1)
                                                             : "a name is a string";
        if (!fault) continue;
        metadata_clear(metadata);
        lua_pushvalue(L, name);
        luaL_error(L, "metadata: \"%s\": %s", lua_tostring(L, -1), fault);
    }
}

static bool take_boolean(lua_State *L, int options, const char *name) {
    if (!lua_istable(L, options)) return false;
    lua_getfield(L, options, name);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

static uint64_t take_deadline(lua_State *L, const struct script *script, int options, const struct stream *opener) {
    uint64_t deadline = 0, own = 0;
    if (opener) deadline = opener->is_client ? client_deadline(opener) : opener->call->deadline;
    if (!lua_istable(L, options)) return deadline;
    lua_getfield(L, options, "timeout");
    if (!lua_isnil(L, -1)) own = loop_now(script->host.loop) + check_seconds(L, lua_gettop(L), "timeout = seconds") + 1;
    lua_pop(L, 1);
    return own && (!deadline || own < deadline) ? own : deadline;
}

static void refuse_outside(lua_State *L, const struct script *script, const char *signature) {
    const struct fiber *fiber = script->running;
    if (!fiber)
        luaL_error(L, "%s: load code cannot open streams, since a refused script has done nothing: do it in "
                      "tidewire.spawn(function() … end)", signature);
    if (fiber->is_filter) luaL_error(L, "%s: a filter only looks at the message", signature);
    if (fiber->generation->is_gone || (fiber->is_loads && fiber->generation->is_retired))
        luaL_error(L, "this generation of the scripts is over: nothing of it can begin any more");
}

/* Everything but metadata and reconnect, which are taken when nothing can raise any more. */
static struct client_options check_options(lua_State *L, struct script *script, int index, const char *const *names,
                                           struct client_form form) {
    const char *signature = form.signature;
    refuse_outside(L, script, signature);
    struct generation *generation = script->running->generation;
    if (lua_type(L, 1) != LUA_TSTRING || lua_type(L, 2) != LUA_TSTRING) raise_misuse(L, signature);
    names_check_options(L, index, names, signature);
    const char *name = lua_tostring(L, 1);
    struct client_options options = {.reconnect = LUA_NOREF};
    options.upstream = check_upstream(L, generation, name);
    const struct method *method = check_method(L, generation->schema, lua_tostring(L, 2), signature);
    options.handler = client_handler(generation, method, form.service);
    options.waits = take_boolean(L, index, "wait");
    if (!take_boolean(L, index, "detached")) options.opener = script->running->stream;
    if (options.opener && options.opener->is_over)
        luaL_error(L, "%s: the stream is over: nothing of it can begin any more", signature);
    options.is_loads = !script->running->stream && script->running->is_loads;
    options.deadline = take_deadline(L, script, index, options.opener);
    return options;
}

static void take_metadata(lua_State *L, int index, struct metadata *metadata) {
    if (!lua_istable(L, index)) return;
    lua_getfield(L, index, "metadata");
    if (!lua_isnil(L, -1) && !lua_istable(L, -1)) luaL_error(L, "metadata is a table: { name = value or list }");
    if (lua_istable(L, -1)) read_metadata(L, lua_gettop(L), metadata);
    lua_pop(L, 1);
}

static void push_reconnect(lua_State *L, int index) {
    if (lua_istable(L, index)) lua_getfield(L, index, "reconnect");
    else lua_pushnil(L);
    if (!lua_isnil(L, -1) && !lua_isfunction(L, -1))
        luaL_error(L, "reconnect is a function: reconnect(stream, attempt)");
}

/* The function, or nil, is at the top. */
static void take_reconnect(lua_State *L, struct client_options *options) {
    if (lua_isnil(L, -1)) return;
    const struct config_upstream *settings =
        config_find_upstream(script_of(L)->running->generation->config, lua_tostring(L, 1));
    options->backoff = settings->backoff;
    options->backoff_most = settings->backoff_most;
    options->reconnect = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* ---- tidewire.open ---- */

int bind_client_open(lua_State *L, struct client_form form) {
    static const char *const names[] = {"metadata", "timeout", "detached", "reconnect", "wait", NULL};
    struct script *script = script_of(L);
    script_settle(script);
    lua_settop(L, 3);
    struct client_options options = check_options(L, script, 3, names, form);
    push_reconnect(L, 3);
    take_metadata(L, 3, &options.metadata);
    take_reconnect(L, &options);
    struct stream *stream = client_new(script, &options);
    client_open(stream);
    push_stream(L, stream);
    return 1;
}

/* ---- tidewire.call ---- */

static void encode_request(lua_State *L, struct script *script, const struct handler *handler) {
    buffer_clear(&script->scratch);
    twl_message_encode(L, 3, handler->generation->messages, handler->sends, &script->scratch);
}

/* The request is in the scratch buffer. */
static void ask(struct script *script, struct fiber *fiber, const struct client_options *options) {
    struct stream *stream = client_new(script, options);
    client_open(stream);
    call_send_bytes(stream->call, buffer_bytes(&script->scratch), buffer_length(&script->scratch));
    client_half_close(stream);
    fiber->target = stream;
    stream->reader = fiber;
}

int bind_client_call(lua_State *L, struct client_form form) {
    static const char *const names[] = {"metadata", "timeout", "detached", "wait", NULL};
    struct script *script = script_of(L);
    script_settle(script);
    lua_settop(L, 4);
    struct client_options options = check_options(L, script, 4, names, form);
    const struct method *method = options.handler->method;
    if (lua_isnil(L, 3)) return raise_misuse(L, form.signature);
    if (method->is_client_streaming || method->is_server_streaming)
        return luaL_error(L, "%s has more than one request or reply: open() it", method->full_name);
    encode_request(L, script, options.handler);
    options.keeps_no_answer = true;
    take_metadata(L, 4, &options.metadata);
    metadata_clear(&options.metadata); /* it was right: now that nothing raises any more it is taken */
    struct fiber *fiber = fiber_wait(L, script, WAIT_REPLY, form.signature);
    if (fiber->wait == WAIT_REPLY) {
        take_metadata(L, 4, &options.metadata);
        ask(script, fiber, &options);
    }
    return fiber_yield(L, fiber);
}

static struct client_form form_of(lua_State *L, const char *signature) {
    return (struct client_form){signature, (size_t)lua_tointeger(L, lua_upvalueindex(2))};
}
static int open_stream(lua_State *L) { return bind_client_open(L, form_of(L, OPEN)); }
static int call(lua_State *L) { return bind_client_call(L, form_of(L, CALL)); }

/* ---- tidewire.upstreams ---- */

static void set_number(lua_State *L, const char *name, uint64_t number) {
    lua_pushnumber(L, (double)number);
    lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool is) {
    lua_pushboolean(L, is);
    lua_setfield(L, -2, name);
}

/* Into the table at the top. */
static void add_target(void *context, const struct upstream_target_counts *counts) {
    lua_State *L = context;
    lua_createtable(L, 0, 12);
    set_number(L, "connections", counts->connections);
    set_number(L, "streams", counts->streams);
    set_number(L, "waiting", counts->waiting);
    set_number(L, "calls", counts->calls);
    set_number(L, "failures", counts->failures);
    set_number(L, "dials", counts->dials);
    set_number(L, "dial_failures", counts->dial_failures);
    set_boolean(L, "connecting", counts->is_connecting);
    set_boolean(L, "backoff", counts->is_in_backoff);
    set_boolean(L, "ejected", counts->is_ejected);
    set_boolean(L, "unhealthy", counts->is_unhealthy);
    lua_setfield(L, -2, counts->address);
}

static void add_upstream(lua_State *L, const struct upstream *upstream) {
    struct upstream_counts counts;
    upstream_counts(upstream, &counts);
    lua_createtable(L, 0, 7);
    set_number(L, "connections", counts.connections);
    set_number(L, "streams", counts.streams);
    set_number(L, "waiting", counts.waiting);
    set_number(L, "calls", counts.calls);
    set_number(L, "retries", counts.retries);
    set_number(L, "refused", counts.refused);
    lua_newtable(L);
    upstream_each_target(upstream, add_target, L);
    lua_setfield(L, -2, "targets");
    lua_setfield(L, -2, counts.name);
}

static int upstreams(lua_State *L) {
    const struct generation *generation = check_generation(L, script_of(L), "tidewire.upstreams()");
    lua_newtable(L);
    for (size_t i = 0; generation->upstreams && i < generation->config->upstream_count; i++) {
        const struct upstream *upstream = upstream_set_find(generation->upstreams, generation->config->upstreams[i]->name);
        if (upstream) add_upstream(L, upstream);
    }
    return 1;
}

/* ---- stream.upstream ---- */

/* What the client has sent, but for what is each connection's own. */
static void copy_metadata(struct metadata *to, const struct metadata *from) {
    for (size_t i = 0; from && i < from->count; i++) {
        const struct metadata_entry *entry = &from->entries[i];
        metadata_add(to, entry->name, entry->name_length, entry->value, entry->value_length);
    }
}

int bind_client_push_upstream(lua_State *L, struct script *script, struct stream *stream) {
    struct stream_extra *extra = stream_extra(stream);
    const struct handler *handler = stream->handler;
    if (extra->upstream != LUA_NOREF) {
        push_ref(L, extra->upstream);
        return 1;
    }
    if (!handler->service || !handler->service->config->upstream)
        return luaL_error(L, "stream.upstream: the service has no `upstream` in the config");
    if (stream->is_over) return luaL_error(L, "stream.upstream: the stream is over");
    struct client_options options = {
        .upstream = check_upstream(L, stream->generation, handler->service->config->upstream),
        .handler = handler_of_client(stream->generation, handler->method, handler->options, handler->file),
        .opener = stream,
        .deadline = stream->call->deadline,
        .reconnect = LUA_NOREF};
    copy_metadata(&options.metadata, stream->call->metadata);
    push_stream(L, client_new(script, &options));
    lua_pushvalue(L, -1);
    extra->upstream = luaL_ref(L, LUA_REGISTRYINDEX);
    return 1;
}

/* ---- what only streams that were opened can do ---- */

static struct stream *check_client(lua_State *L, const char *signature) {
    struct stream *stream = check_stream(L, 1, signature);
    script_settle(script_of(L));
    if (!stream->is_client) luaL_error(L, "%s is for streams that a script has opened", signature);
    client_open(stream);
    return stream;
}

static int half_close(lua_State *L) {
    struct stream *stream = check_client(L, "stream:half_close()");
    if (!stream->is_over) client_half_close(stream);
    return 0;
}

static int cancel(lua_State *L) {
    struct stream *stream = check_stream(L, 1, "stream:cancel()");
    script_settle(script_of(L));
    if (!stream->is_client) return luaL_error(L, "stream:cancel() is for streams that a script has opened");
    if (!stream->is_over) client_cancel(stream, STATUS_CANCELLED, "the call was cancelled");
    return 0;
}

static int wait_for_answer(lua_State *L, struct stream *stream, enum fiber_wait wait, const char *signature) {
    struct fiber *fiber = fiber_wait(L, script_of(L), wait, signature);
    if (fiber->wait == wait) {
        fiber->target = stream;
        list_append(&stream_extra(stream)->watchers, &fiber->place);
        if (wait != WAIT_HEADERS) client_want_end(stream);
    }
    return fiber_yield(L, fiber);
}

static int headers(lua_State *L) {
    static const char signature[] = "stream:headers()";
    struct stream *stream = check_client(L, signature);
    int count = answer_push_headers(L, script_of(L), 1);
    if (count) return count;
    if (client_has_headers(stream)) return push_metadata_map(L, stream->call->metadata);
    return wait_for_answer(L, stream, WAIT_HEADERS, signature);
}

static int status(lua_State *L) {
    static const char signature[] = "stream:status()";
    struct stream *stream = check_client(L, signature);
    int count = answer_push_status(L, script_of(L), 1);
    return count ? count : wait_for_answer(L, stream, WAIT_STATUS, signature);
}

static int trailers(lua_State *L) {
    static const char signature[] = "stream:trailers()";
    struct stream *stream = check_client(L, signature);
    int count = answer_push_trailers(L, script_of(L), 1);
    return count ? count : wait_for_answer(L, stream, WAIT_TRAILERS, signature);
}

void bind_client_functions(lua_State *L, struct script *script) {
    set_functions(L, script,
                  (const luaL_Reg[]){{"half_close", half_close},
                                     {"cancel", cancel},
                                     {"headers", headers},
                                     {"status", status},
                                     {"trailers", trailers},
                                     {NULL, NULL}});
}

size_t bind_client_service(const struct generation *generation, const struct script_file *file) {
    for (size_t i = 0; i < generation->service_count; i++)
        if (script_service_has(&generation->services[i], file)) return i + 1;
    return 0;
}

void bind_client_add(lua_State *L, struct script *script, const struct script_file *file) {
    const luaL_Reg functions[] = {{"open", open_stream}, {"call", call}, {"upstreams", upstreams}, {NULL, NULL}};
    lua_pushlightuserdata(L, script);
    lua_pushinteger(L, (lua_Integer)bind_client_service(script_generation(script), file));
    luaL_setfuncs(L, functions, 2);
}
