/* script/move.c - see move.h */
#include "script/move.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "script/failure.h"
#include "script/fiber.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/job.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/subscriber.h"

enum { MOVES_A_TURN = 256 };

/* ---- who has a successor ---- */

static bool is_same_method(const struct method *a, const struct method *b) {
    return a->is_client_streaming == b->is_client_streaming && a->is_server_streaming == b->is_server_streaming &&
           !strcmp(a->request->full_name, b->request->full_name) &&
           !strcmp(a->response->full_name, b->response->full_name);
}

/* Script by script; where there are several, each must be the same file. */
static bool is_successor(const struct handler *after, const struct handler *before) {
    bool is_chain = before->then || after->then;
    if (!is_same_method(after->method, before->method) || after->is_filter != before->is_filter) return false;
    for (; after && before; after = after->then, before = before->then) {
        if (!after->moves || after->is_function) return false;
        if (is_chain && strcmp(after->script->name, before->script->name) != 0) return false;
    }
    return !after && !before;
}

static bool find_successors(struct generation *generation, const struct map *handlers) {
    bool any = false;
    for (struct handler *handler = generation->handlers; handler; handler = handler->next) {
        const char *name = handler->method->full_name;
        const struct handler *after = handler->is_first && !handler->is_function && handlers
                                          ? map_get(handlers, name, strlen(name)) : NULL;
        handler->successor = after && is_successor(after, handler) ? after : NULL;
        any |= handler->successor != NULL;
    }
    return any;
}

static void each_older(struct script *script, const struct map *handlers) {
    for (struct list *node = script->generations.next; node != &script->generations; node = node->next) {
        struct generation *generation = container_of(node, struct generation, node);
        bool is_older = generation != script->in_force && generation->is_retired;
        if (find_successors(generation, is_older ? handlers : NULL)) list_splice(&generation->unseen, &generation->open);
    }
}

void moves_begin(struct script *script) {
    struct map handlers = {0};
    for (struct handler *handler = script->in_force->handlers; handler; handler = handler->next)
        if (handler->is_first && handler->moves)
            map_put(&handlers, handler->method->full_name, strlen(handler->method->full_name), handler);
    each_older(script, &handlers);
    map_free(&handlers, NULL);
    script->moved = script->unfiltered = 0;
    loop_defer(script->host.loop, LOOP_AGAIN, &script->move_task);
}

void moves_end(struct script *script) {
    script->in_force = NULL;
    each_older(script, NULL);
    task_cancel(&script->move_task);
}

/* ---- one stream ---- */

/* A stream on its way: what the old code has begun is here while on_reload runs. */
struct move {
    struct stream *stream;
    const struct handler *before;
    struct list jobs, subscribers;
};

static void take_apart(struct move *move, struct stream *stream, const struct handler *after) {
    move->stream = stream;
    move->before = stream->handler;
    list_init(&move->jobs);
    list_init(&move->subscribers);
    if (stream->extra) {
        list_splice(&move->jobs, &stream->extra->jobs);
        list_splice(&move->subscribers, &stream->extra->subscribers);
    }
    stream->handler = after;
    stream->generation = after->generation;
    stream->is_moving = true;
}

/* Whoever waits for the many other streams of such a handler shall not wait for that again and again. */
static void give_up(const struct handler *before) {
    const struct log_scope scope = {.script = before->file};
    for (struct handler *handler = before->generation->handlers; handler; handler = handler->next)
        if (handler == before) handler->successor = NULL;
    log_warn(&scope, "on_reload of %s takes too long: the other streams stay on their scripts, too",
             before->method->full_name);
}

/* False: it has ended the stream, or failed, as the log says then. */
static bool run_on_reload(struct stream *stream, bool *has_run_out) {
    const struct handler *handler = stream->handler;
    struct script *script = handler->generation->script;
    struct failure failure;
    if (handler->on_reload == LUA_NOREF) return true;
    struct fiber *fiber = fiber_take(script, handler->generation, stream, NULL, NULL, &handler->origin);
    push_ref(fiber->L, handler->on_reload);
    push_stream(fiber->L, stream);
    bool has_raised = fiber_call_plainly(fiber, 1, 0) != 0, has_failed = false;
    *has_run_out = fiber->has_run_out;
    if (has_raised && to_failure(script, fiber->L, -1, &failure)) {
        stream_finish(stream, failure.status, failure.text, failure.details, failure.details_length);
    } else if (has_raised) {
        struct log_scope scope = stream_scope(stream);
        log_lua_error(script, fiber->L, &scope, "on_reload failed, the stream stays on its scripts", &handler->origin);
        has_failed = true;
    }
    fiber_give(fiber, !has_raised);
    return !has_failed && !stream->is_over;
}

/* Nothing of what it has begun has happened. */
static void stay(struct move *move) {
    struct stream *stream = move->stream;
    struct stream_extra *extra = stream->extra;
    stream->stays = stream->generation->number;
    if (extra) {
        jobs_end(&extra->jobs);
        subscribers_end(&extra->subscribers);
        list_splice(&extra->jobs, &move->jobs);
        list_splice(&extra->subscribers, &move->subscribers);
        if (stream->is_over) jobs_end(&extra->jobs);
    }
    stream->handler = move->before;
    stream->generation = move->before->generation;
    stream->is_moving = false;
}

/* What runs or waits of the old code. */
static void end_coroutines(struct list *fibers) {
    while (!list_is_empty(fibers)) fiber_cancel(container_of(fibers->next, struct fiber, node));
}

static void go_over(struct move *move) {
    struct stream *stream = move->stream;
    struct stream_extra *extra = stream->extra;
    struct generation *after = stream->generation;
    struct list fibers;
    list_init(&fibers);
    list_splice(&fibers, &stream->fibers);
    after->streams++;
    list_remove(&stream->node);
    list_append(&after->open, &stream->node);
    stream->is_moving = false;
    if (extra) {
        subscribers_start(&extra->subscribers); /* one to the same topic takes the place of the one before */
        subscribers_move(&move->subscribers, stream->handler);
        list_splice(&extra->subscribers, &move->subscribers);
        jobs_start(&extra->jobs);
    }
    jobs_end(&move->jobs);
    end_coroutines(&fibers);
    generation_stream_ended(move->before->generation);
}

/* The streams of one call, all or none; to the chain that begins with `first`. */
static bool move_all(struct stream *const *streams, unsigned count, const struct handler *first) {
    struct move *moves = memory_new(count * sizeof *moves);
    struct call *call = streams[0]->call;
    const struct handler *after = first;
    bool is_fine = true, has_run_out = false;
    for (unsigned i = 0; i < count; i++, after = after->then) take_apart(&moves[i], streams[i], after);
    for (unsigned i = 0; i < count && is_fine; i++) is_fine = run_on_reload(streams[i], &has_run_out);
    for (unsigned i = 0; i < count && !is_fine; i++) stay(&moves[i]);
    if (has_run_out && !is_fine) give_up(moves[0].before);
    if (is_fine) {
        call->log.script = first->file;
        call_move(call, first->method);
        first->generation->script->moved++;
    }
    for (unsigned i = 0; i < count && is_fine; i++) go_over(&moves[i]);
    free(moves);
    return is_fine;
}

static bool is_between(const struct stream *stream) {
    return stream->has_opened && !stream->main && !stream->asides && !stream->is_over;
}

bool stream_move(struct stream *stream) {
    const struct handler *after = stream->handler->successor;
    struct script *script = after->generation->script;
    struct filter *filter = stream->filter;
    if (script->running || stream->is_moving) return false;
    if (!filter) return is_between(stream) && move_all(&stream, 1, after);
    if (!filter_is_between(filter, NULL) || !move_all(filter->streams, filter->count, after)) return false;
    filter_has_moved(filter, after->generation);
    return true;
}

/* ---- all of them ---- */

static void look_at(struct stream *stream) {
    if (stream->is_over || !stream_has_successor(stream)) return;
    if (stream->filter) filter_pump_again(stream->filter);
    else hooks_pump(stream);
}

static struct generation *next_unseen(struct script *script) {
    for (struct list *node = script->generations.next; node != &script->generations; node = node->next) {
        struct generation *generation = container_of(node, struct generation, node);
        if (!list_is_empty(&generation->unseen)) return generation;
    }
    return NULL;
}

static void report(const struct script *script) {
    if (!script->moved) return;
    log_info(NULL, "open streams moved to generation %u: %u", (unsigned)script->in_force->number,
             (unsigned)script->moved);
    if (script->unfiltered)
        log_warn(NULL, "subscriptions of theirs without the filter that they had, which was code: %u; on_reload can subscribe again",
                 (unsigned)script->unfiltered);
}

static void look_at_some(struct task *task) {
    struct script *script = container_of(task, struct script, move_task);
    struct generation *generation;
    struct stint *stint = &script->move_stint;
    stint_begin(stint);
    while ((generation = next_unseen(script))) {
        if (stint_is_over(stint, STINT_TIME)) {
            loop_defer(script->host.loop, LOOP_AGAIN, task);
            return;
        }
        struct stream *stream = container_of(list_take(&generation->unseen), struct stream, node);
        list_append(&generation->open, &stream->node);
        stint_note(stint, MOVES_A_TURN, STINT_TIME);
        look_at(stream);
    }
    report(script);
}

void moves_open_state(struct script *script) { task_init(&script->move_task, look_at_some); }
