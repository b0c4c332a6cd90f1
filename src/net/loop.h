/* net/loop.h - one thread's event loop: turns, deferred tasks, timers.
 *
 * A turn: wait for sockets, timers and mail; run their callbacks; run the tasks that these deferred
 * (LOOP_RUN, then LOOP_FLUSH, LOOP_AGAIN and LOOP_FREE); flush the log. Everything here belongs to the loop's own
 * thread unless it says otherwise; a loop may be made in one thread and run in another. */
#ifndef TIDEWIRE_NET_LOOP_H
#define TIDEWIRE_NET_LOOP_H
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;

struct loop *loop_new(void);
/* Runs what is still deferred for LOOP_FREE. Whatever else used the loop must be gone. */
void loop_free(struct loop **loop);
/* Returns after loop_stop(), at the end of that turn. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn that does not wait. */
void loop_turn(struct loop *loop);
/* Monotonic nanoseconds, read once a turn, when first asked for. */
uint64_t loop_now(struct loop *loop);
/* Reads the clock anew: for after long work in a turn. */
uint64_t loop_update_now(struct loop *loop);

enum loop_phase {
    LOOP_RUN,   /* handlers: may defer more of any phase */
    LOOP_FLUSH, /* one gathered write for each connection */
    LOOP_AGAIN, /* more of what has had its stint (base/stint.h): as much as fits into this one, at least one
                   task; the rest keeps its place for the next */
    LOOP_FREE,  /* objects that were closed in this turn are freed: nothing on the stack holds them */
    LOOP_PHASES
};

/* Work for later in this turn. Embed it; queue it as often as you like, it runs once. Work that a task defers
 * is done in the same turn too, save itself for the same phase or an earlier one: that runs in the next turn,
 * which then does not wait. (So does the rest of a chain of tasks that has no end, and what LOOP_FREE defers
 * for the phases before it.) */
struct task {
    struct list node;
    void (*run)(struct task *task);
};
static inline void task_init(struct task *task, void (*run)(struct task *task)) {
    list_init(&task->node);
    task->run = run;
}
void loop_defer(struct loop *loop, enum loop_phase phase, struct task *task);
static inline bool task_is_deferred(const struct task *task) { return !list_is_empty(&task->node); }
void task_cancel(struct task *task);

/* A one-shot timer, good to some milliseconds, never early. Embed it; timer_init() once; starting a running
 * timer moves it. `fire` may start it again or free its object. Timers of the same moment fire in the order
 * in which they were started. */
struct timer {
    void (*fire)(struct timer *timer);
    uint64_t due;   /* monotonic nanoseconds */
    uint32_t place; /* in the loop's heap, from 1; 0: not running */
    uint32_t order; /* among timers of the same moment */
};
static inline void timer_init(struct timer *timer, void (*fire)(struct timer *timer)) {
    *timer = (struct timer){.fire = fire};
}
static inline bool timer_is_running(const struct timer *timer) { return timer->place != 0; }
void timer_start(struct loop *loop, struct timer *timer, uint64_t due);
void timer_stop(struct loop *loop, struct timer *timer);

/* Calls `on_signal` in the loop's thread. One loop of the process only (libevent). */
struct signal_watch;
struct signal_watch *signal_watch_new(struct loop *loop, int signal_number,
                                      void (*on_signal)(void *context, int number), void *context);
void signal_watch_free(struct signal_watch **watch);
#endif
