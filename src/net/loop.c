/* net/loop.c - see loop.h
 *
 * libevent waits and watches sockets; timers and tasks are our own. Its one timeout event wakes the loop for
 * the soonest timer: it is only ever made earlier, so that the timers of calls that come and go (deadlines)
 * do not touch it; a wake-up that comes too early because of that finds nothing due and waits again. */
#include "net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stint.h"
#include "net/loop_private.h"
#include "net/timer_heap.h"

/* Rounds of tasks that defer tasks in one turn, before sockets and timers get their turn again. */
enum { MOST_ROUNDS = 64 };

/* Of a turn, for each of: timers that are due together, and LOOP_AGAIN. */
#define TIMERS_TIME (2 * NS_PER_MS)
#define AGAIN_TIME NS_PER_MS

struct loop {
    struct event_base *base;
    struct event alarm;
    uint64_t alarm_due; /* 0: not set */
    uint64_t now;       /* 0: not read in this turn */
    struct timer_heap timers;
    struct stint timers_stint;
    struct list tasks[LOOP_PHASES];
    struct list next_turn[LOOP_PHASES]; /* deferred by themselves */
    struct task *running;               /* in `phase` */
    enum loop_phase phase;
    bool is_stopping;
    struct loop_scratch scratch;
};

static void on_alarm(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct loop *loop = context;
    loop->alarm_due = 0; /* waking up was all: the turn looks at the timers by itself */
}

struct loop *loop_new(void) {
    struct event_config *config = event_config_new();
    if (!config) abort();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    struct loop *loop = memory_new(sizeof *loop);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!loop->base) error_exit("an event loop has no epoll descriptor: %s", strerror(errno));
    event_assign(&loop->alarm, loop->base, -1, 0, on_alarm, loop);
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        list_init(&loop->tasks[phase]);
        list_init(&loop->next_turn[phase]);
    }
    loop->scratch.read = memory_resize(NULL, LOOP_READ_SIZE);
    return loop;
}

struct event_base *loop_event_base(struct loop *loop) {
    return loop->base;
}
struct loop_scratch *loop_scratch(struct loop *loop) {
    return &loop->scratch;
}

uint64_t loop_update_now(struct loop *loop) { return loop->now = clock_monotonic(); }
uint64_t loop_now(struct loop *loop) { return loop->now ? loop->now : loop_update_now(loop); }

void loop_defer(struct loop *loop, enum loop_phase phase, struct task *task) {
    if (task_is_deferred(task)) return;
    bool is_again = task == loop->running && phase <= loop->phase;
    list_append(is_again ? &loop->next_turn[phase] : &loop->tasks[phase], &task->node);
}

void task_cancel(struct task *task) { list_remove(&task->node); }

static void run_phase(struct loop *loop, enum loop_phase phase) {
    struct list batch, *node;
    list_init(&batch);
    list_splice(&batch, &loop->tasks[phase]);
    loop->phase = phase;
    while ((node = list_take(&batch))) {
        loop->running = container_of(node, struct task, node);
        loop->running->run(loop->running);
    }
    loop->running = NULL;
}

static void run_and_flush(struct loop *loop) {
    for (int round = 0; round < MOST_ROUNDS; round++) {
        if (!list_is_empty(&loop->tasks[LOOP_RUN])) run_phase(loop, LOOP_RUN);
        else if (!list_is_empty(&loop->tasks[LOOP_FLUSH])) run_phase(loop, LOOP_FLUSH);
        else break;
    }
}

/* At least one; what is deferred meanwhile is behind all that were there. */
static void run_again(struct loop *loop) {
    struct list batch, *node;
    uint64_t began = clock_monotonic();
    list_init(&batch);
    list_splice(&batch, &loop->tasks[LOOP_AGAIN]);
    loop->phase = LOOP_AGAIN;
    while ((node = list_take(&batch))) {
        loop->running = container_of(node, struct task, node);
        loop->running->run(loop->running);
        if (clock_monotonic() - began >= AGAIN_TIME) break;
    }
    loop->running = NULL;
    list_splice(&batch, &loop->tasks[LOOP_AGAIN]);
    list_splice(&loop->tasks[LOOP_AGAIN], &batch);
}

static void run_tasks(struct loop *loop) {
    run_and_flush(loop);
    if (!list_is_empty(&loop->tasks[LOOP_AGAIN])) {
        run_again(loop);
        run_and_flush(loop);
    }
    run_phase(loop, LOOP_FREE);
    for (int phase = 0; phase < LOOP_PHASES; phase++)
        list_splice(&loop->tasks[phase], &loop->next_turn[phase]);
}

void timer_start(struct loop *loop, struct timer *timer, uint64_t due) {
    timer_stop(loop, timer);
    timer->due = due;
    timer_heap_add(&loop->timers, timer);
}

void timer_stop(struct loop *loop, struct timer *timer) {
    if (timer_is_running(timer)) timer_heap_remove(&loop->timers, timer);
}

/* At most as many as run now: one that starts itself again for this very moment must not keep the loop here. Neither
 * must very many: the others are the first of the next turn, which does not wait. */
static void fire_timers(struct loop *loop) {
    struct stint *stint = &loop->timers_stint;
    stint_begin(stint);
    for (uint32_t left = loop->timers.count; left && !stint_is_over(stint, TIMERS_TIME); left--) {
        stint_note(stint, STINT_UNCOUNTED, TIMERS_TIME);
        struct timer *timer = timer_heap_first(&loop->timers);
        if (!timer || timer->due > loop_now(loop)) return;
        timer_heap_remove(&loop->timers, timer);
        timer->fire(timer);
    }
}

/* False when a timer is due already. */
static bool set_alarm(struct loop *loop) {
    struct timer *timer = timer_heap_first(&loop->timers);
    if (!timer || (loop->alarm_due && loop->alarm_due <= timer->due)) return true;
    uint64_t now = clock_monotonic();
    if (timer->due <= now) return false;
    uint64_t wait = (timer->due - now + 999) / 1000;
    struct timeval timeout = {.tv_sec = (time_t)(wait / 1000000), .tv_usec = (suseconds_t)(wait % 1000000)};
    if (timeout.tv_sec > 86400)
        timeout.tv_sec = 86400; /* libevent adds it to its clock: no room for "never" */
    event_add(&loop->alarm, &timeout);
    loop->alarm_due = timer->due;
    return true;
}

static bool has_tasks(const struct loop *loop) {
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        if (!list_is_empty(&loop->tasks[phase])) return true;
    }
    return false;
}

static void turn(struct loop *loop, bool may_wait) {
    loop->now = 0;
    /* NONBLOCK alone would go on for as long as sockets have something. */
    event_base_loop(loop->base, EVLOOP_ONCE | (may_wait ? EVLOOP_NO_EXIT_ON_EMPTY : EVLOOP_NONBLOCK));
    fire_timers(loop);
    run_tasks(loop);
    log_flush();
}

void loop_turn(struct loop *loop) { turn(loop, false); }

void loop_run(struct loop *loop) {
    loop->is_stopping = false;
    do {
        turn(loop, set_alarm(loop) && !has_tasks(loop));
    } while (!loop->is_stopping);
}

void loop_stop(struct loop *loop) { loop->is_stopping = true; }

void loop_free(struct loop **loop) {
    struct loop *old = *loop;
    if (!old) return;
    *loop = NULL;
    while (!list_is_empty(&old->tasks[LOOP_FREE])) run_phase(old, LOOP_FREE);
    event_del(&old->alarm);
    event_base_free(old->base);
    timer_heap_free(&old->timers);
    buffer_free(&old->scratch.plain);
    buffer_free(&old->scratch.cipher);
    free(old->scratch.read);
    free(old);
}
