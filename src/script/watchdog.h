/* script/watchdog.h - stops a handler that uses more CPU or memory between two waits than it may.
 *
 * A timer of the worker thread's own CPU clock sends that thread a signal every few milliseconds of work; its
 * handler counts ticks. Entering a handler stores the count, so that a message costs no system call. When the
 * budget is used up, a hook is armed that raises an error at the next instruction, again and again until the
 * handler has unwound. What the hook can't reach (a loop inside a C function, a message handler of xpcall) is
 * logged by a helper thread.
 *
 * The same hook raises tidewire.cancelled: LuaJIT has one hook for all coroutines of a state. */
#ifndef TIDEWIRE_SCRIPT_WATCHDOG_H
#define TIDEWIRE_SCRIPT_WATCHDOG_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* For functions whose work is to raise. The thread sanitizer keeps its own stack of calls, which a raise does
 * not unwind: after 65,000 of them it overflows, unless their functions are not on it. */
#ifdef __SANITIZE_THREAD__
#define RAISES __attribute__((no_sanitize_thread))
#else
#define RAISES
#endif

/* Where a function of a script begins, for logs. The text belongs to the function's prototype. */
struct origin {
    const char *file;
    int line;
};

struct watchdog_helper;

struct watchdog {
    lua_State *L;
    volatile uint32_t ticks;
    volatile uint32_t mark;    /* ticks when the handler was entered */
    volatile uint32_t budget;  /* in ticks; 0: none */
    volatile bool is_watching; /* a handler runs */
    volatile bool has_barked;  /* its budget is used up; the hook is armed */
    volatile bool has_outgrown; /* the handler has used up its memory; the hook is armed */
    volatile bool is_reported; /* the helper was told that it did not stop */
    volatile bool
        has_restarted_collector; /* for a handler that takes long; whoever stopped it stops it again */
    bool is_cancelling;          /* the hook is armed to cancel one wait */
    const struct origin *volatile origin; /* of the handler */
    char place[96];                       /* file:line where it was when the hook first came; empty before */
    timer_t timer;
    struct watchdog_helper *helper;
};

/* In the thread that will run the handlers. */
void watchdog_start(struct watchdog *watchdog, lua_State *L);
/* When no handler runs and none will. */
void watchdog_stop(struct watchdog *watchdog); /* idempotent */
/* A budget in ns of CPU as the ticks that watchdog_enter() takes. */
uint32_t watchdog_budget(uint64_t budget);

/* The outermost handler begins and ends. */
static inline void watchdog_enter(struct watchdog *watchdog, uint32_t budget, const struct origin *origin) {
    watchdog->mark = watchdog->ticks;
    watchdog->budget = budget;
    watchdog->origin = origin;
    watchdog->is_watching = true;
}
/* For what belongs to the handler that has just ended: it has what that one has left of its budget. */
static inline void watchdog_go_on(struct watchdog *watchdog) {
    watchdog->origin = NULL; /* may be gone */
    watchdog->is_watching = true;
}
/* It goes on with its next message, for which it has the whole budget again. */
static inline void watchdog_renew(struct watchdog *watchdog) { watchdog->mark = watchdog->ticks; }
void watchdog_unbark(struct watchdog *watchdog);
static inline void watchdog_leave(struct watchdog *watchdog) {
    watchdog->is_watching = false;
    if (watchdog->has_barked || watchdog->has_outgrown) watchdog_unbark(watchdog);
}

/* From inside an allocation: the handler that runs gets an error at its next instruction, unless the collector finds
 * that what it has made is garbage. */
void watchdog_outgrown(struct watchdog *watchdog);

/* The coroutine that is resumed next gets tidewire.cancelled raised at its first instruction. */
void watchdog_cancel_next(struct watchdog *watchdog);
/* After that resume: whether or not the hook came to it, it is no longer armed for cancelling. */
void watchdog_cancel_done(struct watchdog *watchdog);
#endif
