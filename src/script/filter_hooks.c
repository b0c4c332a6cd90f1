/* script/filter_hooks.c - a message's way through the hooks of one direction, each of which may leave it alone, change
 * it, drop it, or make others of it. */
#include "base/log.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/filter_private.h"
#include "script/glance.h"

/* ---- to a hook ---- */

/* From here on the coroutine runs code of that stage's script. */
static struct stream *enter(struct filter_direction *d, unsigned stage, bool is_half_closing) {
    struct stream *stream = stream_at(d, stage);
    d->stage = stage;
    d->is_half_closing = is_half_closing;
    fiber_serve(d->fiber, stream);
    return stream;
}

static void refuse(struct filter_direction *d, struct stream *stream, const char *fault) {
    if (!d->is_response) {
        stream_refuse_message(stream, fault);
        return;
    }
    log_warn(&d->filter->down->log, "the upstream has sent a message that is no %s: %s", type_of(d)->full_name,
             fault);
    stream_finish(stream, STATUS_INTERNAL, "cannot decode a message of the upstream", NULL, 0);
}

/* The hooks before have changed the message to these bytes. */
static void replace_message(struct filter_direction *d, const struct buffer *bytes) {
    struct message *message = message_copy(buffer_bytes(bytes), buffer_length(bytes));
    message_unref(&d->kept);
    d->kept = message;
    d->message = (struct call_message){message->data, message->length, message};
    d->is_original = false;
}

/* The value at the top becomes direction->message. */
static void make_raw(lua_State *L, struct filter_direction *d) {
    struct buffer *scratch = &script_at(d)->scratch;
    buffer_clear(scratch);
    twl_message_encode(L, -1, d->filter->generation->messages, type_of(d), scratch);
    replace_message(d, scratch);
}

static int to_projection(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw) {
    const struct projection *projection = projection_at(d, stage);
    const char *fault;
    if (!is_raw) make_raw(L, d);
    struct stream *stream = enter(d, stage, false);
    d->is_raw = true;
    script_at(d)->converting = CANNOT_READ;
    twl_projection_function(L, projection);
    push_stream(L, stream);
    int count = twl_projection_arguments(L, projection, d->message.data, d->message.length, &fault);
    if (count >= 0) return count + 2;
    refuse(d, stream, fault);
    return 0;
}

/* The message at the top, as an object, or what stands for it. False: it is none. */
static bool push_message(lua_State *L, struct filter_direction *d, struct stream *stream) {
    const char *fault;
    struct glance *glance = glance_at(d, d->stage);
    script_at(d)->converting = CANNOT_READ;
    d->is_raw = glance && d->message.length <= GLANCE_MOST;
    bool is_one = d->is_raw
                      ? glance_push(L, glance, d->message.data, d->message.length, &fault)
                      : twl_message_push(L, stream->generation->messages, type_of(d), d->message.data, d->message.length,
                                         d->message.owner, &stream->handler->service->options, &fault);
    if (!is_one) refuse(d, stream, fault);
    return is_one;
}

static int to_function(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw) {
    bool is_object = !is_raw && twl_message_type(L, -1) == type_of(d);
    if (!is_raw && !is_object) make_raw(L, d); /* as long as it is the fault of who returned it */
    struct stream *stream = enter(d, stage, false);
    d->is_raw = false;
    if (!is_object && !push_message(L, d, stream)) return 0;
    push_ref(L, hook_at(d, stage));
    push_stream(L, stream);
    lua_pushvalue(L, -3);
    return 3;
}

int filter_deliver(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw) {
    stage = next_stage(d, stage);
    if (stage < d->filter->count)
        return projection_at(d, stage) ? to_projection(L, d, stage, is_raw) : to_function(L, d, stage, is_raw);
    if (is_raw) filter_send_raw(L, d);
    else filter_send_value(L, d);
    return 0;
}

int filter_half_close(lua_State *L, struct filter_direction *d) {
    while (!d->is_response && d->ended < d->filter->count) {
        unsigned stage = d->ended++;
        int function = stream_at(d, stage)->handler->on_half_close;
        if (function == LUA_NOREF) continue;
        push_ref(L, function);
        push_stream(L, enter(d, stage, true));
        return 2;
    }
    return 0;
}

/* ---- what hooks return ---- */

static void check_list(lua_State *L, int index) {
    int length = (int)lua_objlen(L, index), count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    if (count != length)
        luaL_error(L, "the returned list has other keys than 1 to %d: a hole, or a name", length);
}

static bool is_dropping(struct script *script, lua_State *L, int index) {
    return (lua_isboolean(L, index) && !lua_toboolean(L, index)) || is_drop(script, L, index);
}

/* The fields of a patch from 2 on. */
static int after_projection(lua_State *L, struct filter_direction *d) {
    const struct projection *projection = projection_at(d, d->stage);
    unsigned next = next_stage(d, d->stage + 1);
    bool has_results = lua_gettop(L) > 1;
    if (has_results && is_drop(script_at(d), L, 2)) return 0;
    if (!has_results || !twl_projection_is_patch(projection)) return filter_deliver(L, d, next, true);
    if (next == d->filter->count) {
        filter_send_patched(L, d, 2);
        return 0;
    }
    struct buffer *scratch = &script_at(d)->scratch;
    buffer_clear(scratch);
    if (twl_projection_result(L, projection, 2, d->message.data, d->message.length, scratch))
        replace_message(d, scratch);
    return filter_deliver(L, d, next, true);
}

/* What is at 2 is passed on instead of the message. */
static int replace(lua_State *L, struct filter_direction *d) {
    lua_settop(L, 2);
    d->is_original = false;
    if (!is_list(L, 2)) return filter_deliver(L, d, d->stage + 1, false);
    check_list(L, 2);
    d->rests[d->stage] = (struct filter_rest){luaL_ref(L, LUA_REGISTRYINDEX), 0};
    return 0;
}

int filter_after_hook(lua_State *L, struct filter_direction *d) {
    if (d->filter->is_over) return 0;
    if (!d->is_half_closing && projection_at(d, d->stage)) return after_projection(L, d);
    if (lua_isnoneornil(L, 2) || lua_rawequal(L, 1, 2)) {
        lua_settop(L, 1);
        return lua_isnil(L, 1) ? 0 : filter_deliver(L, d, d->stage + 1, d->is_raw);
    }
    return is_dropping(script_at(d), L, 2) ? 0 : replace(L, d);
}

bool filter_has_rest(const struct filter_direction *d) {
    for (unsigned stage = 0; d->rests && stage < d->filter->count; stage++)
        if (d->rests[stage].list != LUA_NOREF) return true;
    return false;
}

int filter_deliver_rest(lua_State *L, struct filter_direction *d) {
    unsigned stage = d->filter->count - 1;
    while (d->rests[stage].list == LUA_NOREF) stage--;
    struct filter_rest *rest = &d->rests[stage];
    push_ref(L, rest->list);
    lua_rawgeti(L, -1, ++rest->at);
    enter(d, stage, false);
    d->is_original = false;
    if (lua_isnil(L, -1)) drop_ref(L, &rest->list);
    if (lua_isnil(L, -1) || is_dropping(script_at(d), L, lua_gettop(L))) return 0;
    return filter_deliver(L, d, stage + 1, false);
}
