/* script/filter_private.h - what the files of one direction share.
 *
 *   filter_pump.c    takes messages, and runs the direction's coroutine
 *   filter_hooks.c   leads each message from hook to hook
 *   filter_sink.c    passes on what they made of it
 *
 * Between two hooks a message is either `raw` (bytes: direction->message) or a Lua value at the top of the coroutine's
 * stack. */
#ifndef TIDEWIRE_SCRIPT_FILTER_PRIVATE_H
#define TIDEWIRE_SCRIPT_FILTER_PRIVATE_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>

#include "script/filter.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/state.h"
#include "script/stream.h"

/* ---- the stages: one for each script, in the order in which messages come to them ---- */

static inline struct stream *stream_at(const struct filter_direction *d, unsigned stage) {
    return d->filter->streams[d->is_response ? d->filter->count - 1 - stage : stage];
}

static inline int hook_at(const struct filter_direction *d, unsigned stage) {
    const struct handler *handler = stream_at(d, stage)->handler;
    return d->is_response ? handler->on_response : handler->on_request;
}

static inline const struct projection *projection_at(const struct filter_direction *d, unsigned stage) {
    const struct handler *handler = stream_at(d, stage)->handler;
    return d->is_response ? handler->response_projection : handler->request_projection;
}

static inline struct glance *glance_at(const struct filter_direction *d, unsigned stage) {
    const struct handler *handler = stream_at(d, stage)->handler;
    return d->is_response ? handler->response_glance : handler->request_glance;
}

/* The first from `stage` on that has a hook; or the count: the sink. */
static inline unsigned next_stage(const struct filter_direction *d, unsigned stage) {
    while (stage < d->filter->count && hook_at(d, stage) == LUA_NOREF && !projection_at(d, stage)) stage++;
    return stage;
}

static inline const struct message_type *type_of(const struct filter_direction *d) {
    const struct method *method = d->filter->down->method;
    return d->is_response ? method->response : method->request;
}

static inline bool has_many(const struct filter_direction *d) {
    const struct method *method = d->filter->down->method;
    return d->is_response ? method->is_server_streaming : method->is_client_streaming;
}

static inline struct script *script_at(const struct filter_direction *d) { return d->filter->generation->script; }

/* ---- filter_hooks.c. They push what a hook is called with (it, its stream, its arguments) and return how many values
 * that are; 0: no hook has to run now. ---- */

/* To the first hook from `stage` on, or to the sink. Unless raw, the value at the top is the message. */
int filter_deliver(lua_State *L, struct filter_direction *d, unsigned stage, bool is_raw);
/* The last hook has returned: on L what it was given (nil: no message), and its results. */
int filter_after_hook(lua_State *L, struct filter_direction *d);
/* Something that a hook has returned as a list is left. */
bool filter_has_rest(const struct filter_direction *d);
/* Hands on the next of it; of the last hook's first. */
int filter_deliver_rest(lua_State *L, struct filter_direction *d);
/* The next on_half_close, if any is left. */
int filter_half_close(lua_State *L, struct filter_direction *d);

/* ---- filter_sink.c. They raise where the method has one message, and it was passed on. ---- */

bool filter_sink_is_full(const struct filter_direction *d);
/* direction->message. */
void filter_send_raw(lua_State *L, struct filter_direction *d);
/* The value at the top. */
void filter_send_value(lua_State *L, struct filter_direction *d);
/* direction->message with what the last hook's results, from `first` on, patch; straight into the sink's queue. */
void filter_send_patched(lua_State *L, struct filter_direction *d, int first);
#endif
