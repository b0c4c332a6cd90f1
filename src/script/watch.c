/* script/watch.c - topic:watch(): a function that hears who subscribes and who leaves. Its life is that of a function
 * subscriber, and so is its struct. Events are told one after the other; while the function waits they stand in a row. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fanout/topic.h"
#include "script/fiber.h"
#include "script/json_value.h"
#include "script/state.h"
#include "script/subscriber_private.h"

enum { MOST_EVENTS = 1024, BATCH = 64 /* events before others have their turn */ };

struct event {
    struct list node;
    enum topic_event event;
    size_t length;
    char text[];
};

struct watching {
    struct topic_watch watch;
    struct subscriber *subscriber;
    struct list events;
    uint32_t count;
    struct task task; /* tells some of them */
    bool *is_gone;    /* of the task that runs: told when the watcher is freed */
};

static const char *const names[] = {[TOPIC_JOIN] = "join", [TOPIC_LEAVE] = "leave", [TOPIC_MISSED] = "missed"};

static bool ended(struct fiber *fiber, enum fiber_outcome outcome);
static const struct fiber_kind kind = {ended};

/* False: another host shows what makes no sense here. */
static bool push_member(struct script *script, const struct event *event) {
    struct error error;
    if (event->length)
        return json_value_decode(script->L, event->text, event->length, script->ref.json_null, script->ref.json_array,
                                 &script->scratch, &error);
    lua_pushnil(script->L);
    return true;
}

static void run(struct subscriber *subscriber, struct event *event) {
    struct script *script = subscriber->script;
    enum topic_event what = event->event;
    bool is_fine = push_member(script, event);
    free(event);
    if (!is_fine) return;
    struct fiber *fiber = fiber_take(script, subscriber->generation, NULL, &kind, subscriber, &subscriber->origin);
    fiber->is_loads = subscriber->is_loads;
    push_ref(fiber->L, subscriber->function);
    lua_pushstring(fiber->L, names[what]);
    lua_xmove(script->L, fiber->L, 1);
    subscriber->fiber = fiber;
    fiber_run(fiber, 2);
}

static void run_some(struct task *task) {
    struct watching *watching = container_of(task, struct watching, task);
    struct subscriber *subscriber = watching->subscriber;
    bool is_gone = false;
    watching->is_gone = &is_gone;
    for (int i = 0; i < BATCH && !is_gone && !subscriber->fiber && watching->count; i++) {
        watching->count--;
        run(subscriber, container_of(list_take(&watching->events), struct event, node));
    }
    if (is_gone) return;
    watching->is_gone = NULL;
    if (watching->count && !subscriber->fiber) loop_defer(subscriber->script->host.loop, LOOP_RUN, task);
}

static bool ended(struct fiber *fiber, enum fiber_outcome outcome) {
    struct subscriber *subscriber = fiber->context; /* NULL: over, and gone */
    subscriber_log_failure(fiber, outcome, "a topic's watcher failed");
    if (!subscriber) return true;
    subscriber->fiber = NULL;
    loop_defer(subscriber->script->host.loop, LOOP_RUN, &subscriber->watching->task);
    return true;
}

static void drop_events(struct watching *watching) {
    struct list *node;
    while ((node = list_take(&watching->events))) free(container_of(node, struct event, node));
    watching->count = 0;
}

static void on_event(struct topic_watch *watch, enum topic_event what, const char *text, size_t length) {
    struct watching *watching = container_of(watch, struct watching, watch);
    if (watching->count == MOST_EVENTS) {
        drop_events(watching);
        what = TOPIC_MISSED;
        length = 0;
    }
    struct event *event = memory_new(sizeof *event + length);
    list_init(&event->node);
    event->event = what;
    event->length = length;
    if (length) memcpy(event->text, text, length);
    list_append(&watching->events, &event->node);
    watching->count++;
    loop_defer(watching->subscriber->script->host.loop, LOOP_RUN, &watching->task);
}

void watching_new(struct subscriber *subscriber) {
    struct watching *watching = subscriber->watching = memory_new(sizeof *watching);
    list_init(&watching->watch.node);
    list_init(&watching->events);
    task_init(&watching->task, run_some);
    watching->watch.on_event = on_event;
    watching->subscriber = subscriber;
}

void watching_begin(struct subscriber *subscriber) { topic_watch(subscriber->topic, &subscriber->watching->watch); }

void watching_free(struct subscriber *subscriber) {
    topic_unwatch(&subscriber->watching->watch);
    drop_events(subscriber->watching);
    task_cancel(&subscriber->watching->task);
    if (subscriber->watching->is_gone) *subscriber->watching->is_gone = true;
    free(subscriber->watching);
    subscriber->watching = NULL;
}
