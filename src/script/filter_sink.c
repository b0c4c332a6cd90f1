/* script/filter_sink.c - what has been through the hooks goes to the other side: as it came, where nothing has changed
 * it. */
#include "script/filter_private.h"

bool filter_sink_is_full(const struct filter_direction *d) {
    struct call *sink = d->is_response ? d->filter->down : d->filter->up;
    return sink && call_is_full(sink);
}

static void has_passed(struct filter_direction *d) {
    d->has_passed = true;
    if (!d->is_response || has_many(d)) return;
    for (unsigned i = 0; i < d->filter->count; i++) d->filter->streams[i]->has_replied = true;
}

static struct call *sink_for_one(lua_State *L, struct filter_direction *d) {
    struct call *sink = d->is_response ? d->filter->down : filter_connect(d->filter);
    if (d->has_passed && !has_many(d))
        luaL_error(L, "%s has one %s, and it was passed on", d->filter->down->method->full_name,
                   d->is_response ? "reply" : "request");
    return sink;
}

/* What came is passed on as it came, compressed or not. */
static void send_bytes(struct filter_direction *d, struct call *sink, const uint8_t *data, size_t length,
                       struct message *owner) {
    if (d->is_original && d->frame.is_compressed) call_send_frame(sink, &d->frame);
    else if (d->is_original) call_send_frame(sink, &(struct call_frame){data, length, owner, false});
    else if (owner) call_send(sink, owner);
    else call_send_bytes(sink, data, length);
    has_passed(d);
}

void filter_send_raw(lua_State *L, struct filter_direction *d) {
    struct call *sink = sink_for_one(L, d);
    if (sink) send_bytes(d, sink, d->message.data, d->message.length, d->message.owner);
}

static void encode(lua_State *L, struct filter_direction *d, struct call *sink) {
    struct script *script = script_at(d);
    struct buffer *out = call_begin_message(sink);
    if (!out) return;
    script->open_message = sink;
    twl_message_encode(L, -1, d->filter->generation->messages, type_of(d), out);
    script->open_message = NULL;
    call_end_message(sink);
    has_passed(d);
}

void filter_send_value(lua_State *L, struct filter_direction *d) {
    const uint8_t *bytes;
    size_t length;
    struct message *owner;
    struct call *sink = sink_for_one(L, d);
    if (!sink) return;
    if (twl_message_type(L, -1) == type_of(d) && twl_message_unchanged(L, -1, &bytes, &length, &owner))
        send_bytes(d, sink, bytes, length, owner);
    else
        encode(L, d, sink);
}

void filter_send_patched(lua_State *L, struct filter_direction *d, int first) {
    struct script *script = script_at(d);
    const struct projection *projection = projection_at(d, d->stage);
    struct call *sink = sink_for_one(L, d);
    struct buffer *out = sink ? call_begin_message(sink) : NULL;
    if (!out) return;
    script->open_message = sink;
    bool is_patched = twl_projection_result(L, projection, first, d->message.data, d->message.length, out);
    if (!is_patched) {
        script_settle(script);
        filter_send_raw(L, d);
        return;
    }
    script->open_message = NULL;
    call_end_message(sink);
    has_passed(d);
}
