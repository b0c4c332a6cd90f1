/* script/filter.c - see filter.h. The life of a filtered call: on_open, the call to the server, headers, the end. */
#include "script/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/filter_private.h"
#include "script/move.h"
#include "script/state.h"
#include "script/stream.h"
#include "upstream/upstream.h"

enum { HTTP_CANCELLED = 0x8 };

static void run_hook(struct stream *stream, const struct fiber_kind *kind, int function) {
    const struct handler *handler = stream->handler;
    struct fiber *fiber =
        fiber_take(handler->generation->script, handler->generation, stream, kind, stream->filter, &handler->origin);
    push_ref(fiber->L, function);
    push_stream(fiber->L, stream);
    fiber_run(fiber, 1);
}

/* ---- the server's call ---- */

/* Names of the protocol's own, and what is too much, are not for another server. */
static void add_all(struct metadata *to, const struct metadata *from) {
    for (size_t i = 0; i < from->count; i++) {
        const struct metadata_entry *entry = &from->entries[i];
        metadata_add(to, entry->name, entry->name_length, entry->value, entry->value_length);
    }
}

struct metadata *filter_metadata(struct filter *filter) {
    if (filter->is_connected || filter->is_over) return NULL;
    if (!filter->metadata) {
        filter->metadata = memory_new(sizeof *filter->metadata);
        add_all(filter->metadata, filter->down->metadata);
    }
    return filter->metadata;
}

static void drop_metadata(struct filter *filter) {
    if (!filter->metadata) return;
    metadata_clear(filter->metadata);
    free(filter->metadata);
    filter->metadata = NULL;
}

static uint64_t time_left(const struct filter *filter) {
    uint64_t deadline = filter->down->deadline, now = loop_now(filter->generation->script->host.loop);
    if (!deadline) return 0;
    return deadline > now ? deadline - now : 1;
}

static const struct call_handler up_handler;

struct call *filter_connect(struct filter *filter) {
    if (filter->is_connected || filter->is_over) return filter->up;
    struct call *down = filter->down;
    struct upstream_request request = {.call = {.method = down->method,
                                                .metadata = filter_metadata(filter),
                                                .timeout = time_left(filter),
                                                .compresses = call_peer_compresses(down),
                                                .handler = &up_handler,
                                                .data = filter,
                                                .limits = &filter->streams[0]->handler->limits,
                                                .account = call_account(down)}};
    filter->is_connected = true;
    filter->up = upstream_open(filter->upstream, &request);
    drop_metadata(filter);
    return filter->up;
}

/* ---- the end ---- */

static void free_if_closed(struct filter *filter) {
    struct generation *generation = filter->generation;
    if (filter->down || filter->up) return;
    task_cancel(&filter->again);
    free(filter);
    generation_stream_ended(generation);
}

void filter_be_over(struct filter *filter) {
    if (filter->is_over) return;
    filter->is_over = true;
    for (unsigned i = 0; i < filter->count; i++) stream_be_over(filter->streams[i]);
    if (filter->up) call_reset(filter->up, HTTP_CANCELLED);
}

/* By the stream that has subscriptions, which are handed over first. */
void filter_finish(struct filter *filter, enum status status, const char *text, const void *details,
                   size_t details_length) {
    struct stream *stream = filter->streams[0];
    for (unsigned i = 1; i < filter->count; i++)
        if (filter->streams[i]->has_subscribed) stream = filter->streams[i];
    stream_finish(stream, status, text, details, details_length);
}

/* ---- the client's call ---- */

static void open_next(struct filter *filter);

static bool open_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct filter *filter = fiber->context;
    if (outcome == FIBER_RETURNED) {
        filter->opened++;
        open_next(filter);
    } else {
        stream_fiber_failed(fiber->stream, fiber, outcome);
    }
    return true;
}

static const struct fiber_kind open_kind = {open_ended};

static void opened(struct filter *filter) {
    filter->is_open = true;
    if (filter->down->method->is_client_streaming) filter_connect(filter);
    filter_pump(&filter->request);
}

static void open_next(struct filter *filter) {
    for (; !filter->is_over && filter->opened < filter->count; filter->opened++) {
        struct stream *stream = filter->streams[filter->opened];
        if (stream->handler->on_open == LUA_NOREF) continue;
        run_hook(stream, &open_kind, stream->handler->on_open);
        return;
    }
    if (!filter->is_over) opened(filter);
}

void filter_pump_again(struct filter *filter) {
    filter_pump(&filter->request);
    filter_pump(&filter->response);
}

static void pump_again(struct task *task) { filter_pump_again(container_of(task, struct filter, again)); }

static bool is_idle(const struct filter_direction *d, const struct filter_direction *asking) {
    return (!d->fiber || d == asking) && !filter_has_rest(d);
}

bool filter_is_between(const struct filter *filter, const struct filter_direction *asking) {
    for (unsigned i = 0; i < filter->count; i++)
        if (filter->streams[i]->asides) return false;
    return filter->is_connected && !filter->is_over && is_idle(&filter->request, asking) &&
           is_idle(&filter->response, asking);
}

void filter_has_moved(struct filter *filter, struct generation *generation) {
    struct generation *before = filter->generation;
    const struct handler *first = filter->streams[0]->handler;
    filter->generation = generation;
    generation->streams++;
    filter->upstream = first->upstream;
    filter_direction_renew(&filter->request);
    filter_direction_renew(&filter->response);
    if (filter->up) call_move(filter->up, first->method);
    generation_stream_ended(before);
}

static struct filter *filter_new(struct call *down, const struct handler *first) {
    unsigned count = 0;
    for (const struct handler *handler = first; handler; handler = handler->then) count++;
    struct filter *filter = memory_new(sizeof *filter + count * sizeof *filter->streams);
    filter->generation = first->generation;
    filter->generation->streams++; /* until the server's call has closed, too */
    filter->down = down;
    filter->upstream = first->upstream;
    filter->upstream_object = LUA_NOREF;
    for (const struct handler *handler = first; handler; handler = handler->then) {
        struct stream *stream = stream_new(filter->generation->script, down, handler);
        stream->filter = filter;
        stream->headers_are_due = false; /* they come from the server */
        filter->streams[filter->count++] = stream;
    }
    task_init(&filter->again, pump_again);
    filter_direction_init(&filter->request, filter, false);
    filter_direction_init(&filter->response, filter, true);
    down->log.script = first->file;
    down->data = filter;
    return filter;
}

static void down_open(struct call *down) { open_next(filter_new(down, down->data)); }

static void down_readable(struct call *down) {
    struct filter *filter = down->data;
    filter_pump(&filter->request);
}

static void down_writable(struct call *down) {
    struct filter *filter = down->data;
    for (unsigned i = 0; i < filter->count; i++) stream_writable(filter->streams[i]);
    filter_pump(&filter->response);
}

static bool drain_ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct stream *stream = fiber->stream;
    stream->asides--;
    if (outcome == FIBER_FAILED) stream_fail(stream, fiber->L);
    struct filter *filter = stream->filter;
    if (!filter->is_over && stream_has_successor(filter->streams[0])) filter_pump_again(filter);
    return true;
}

static const struct fiber_kind drain_kind = {drain_ended};

static void down_drain(struct call *down) {
    struct filter *filter = down->data;
    for (unsigned i = 0; i < filter->count && !filter->is_over; i++) {
        struct stream *stream = filter->streams[i];
        if (stream->handler->on_drain == LUA_NOREF) continue;
        stream->asides++;
        run_hook(stream, &drain_kind, stream->handler->on_drain);
    }
}

static void down_close(struct call *down, enum status status, const char *text) {
    struct filter *filter = down->data;
    filter_be_over(filter);
    for (unsigned i = 0; i < filter->count; i++) stream_close(filter->streams[i], status, text);
    filter_direction_end(&filter->request);
    filter_direction_end(&filter->response);
    filter_forget_upstream(filter);
    drop_metadata(filter);
    filter->down = NULL;
    free_if_closed(filter);
}

const struct call_handler filter_handler = {
    .takes_frames = true,
    .on_open = down_open,
    .on_readable = down_readable,
    .on_writable = down_writable,
    .on_drain = down_drain,
    .on_close = down_close,
};

/* ---- what the server says ---- */

/* What a script has set stands instead of the server's. */
static void add_missing(struct metadata *to, const struct metadata *from) {
    size_t own = to->count;
    for (size_t i = 0; i < from->count; i++) {
        const struct metadata_entry *entry = &from->entries[i];
        size_t place = 0;
        bool is_set = metadata_find(to, entry->name, entry->name_length, &place) && place <= own;
        if (!is_set) metadata_add(to, entry->name, entry->name_length, entry->value, entry->value_length);
    }
}

static void up_headers(struct call *up) {
    struct filter *filter = up->data;
    struct call *down = filter->down;
    if (filter->is_over || call_headers_are_sent(down)) return;
    if (call_peer_compresses(up)) call_compress(down, true);
    add_missing(call_headers(down), up->metadata);
    if (down->method->is_client_streaming || down->method->is_server_streaming) call_send_headers(down);
}

static void up_readable(struct call *up) {
    struct filter *filter = up->data;
    filter_pump(&filter->response);
}

static void up_writable(struct call *up) {
    struct filter *filter = up->data;
    filter_pump(&filter->request);
}

static void finish_as(struct filter *filter, struct call *up, enum status status, const char *text) {
    static const char name[] = "grpc-status-details-bin";
    const struct metadata *trailers = call_peer_trailers(up);
    size_t place = 0;
    const struct metadata_entry *details = metadata_find(trailers, name, sizeof name - 1, &place);
    add_missing(call_trailers(filter->down), trailers);
    if (status == STATUS_OK && !filter->response.has_passed && !filter->down->method->is_server_streaming)
        filter_finish(filter, STATUS_FAILED_PRECONDITION, "the reply was dropped", NULL, 0);
    else
        filter_finish(filter, status, text, details ? details->value : NULL, details ? details->value_length : 0);
}

static void up_close(struct call *up, enum status status, const char *text) {
    struct filter *filter = up->data;
    filter->up = NULL;
    if (!filter->is_over) finish_as(filter, up, status, text);
    free_if_closed(filter);
}

static const struct call_handler up_handler = {
    .takes_frames = true,
    .on_headers = up_headers,
    .on_readable = up_readable,
    .on_writable = up_writable,
    .on_close = up_close,
};
