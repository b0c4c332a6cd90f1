/* script/watchdog.c - see watchdog.h */
#include "script/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/state.h"

#ifndef sigev_notify_thread_id /* glibc before 2.38 has the member, not its name */
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define TICK (20 * NS_PER_MS)
#ifdef __SANITIZE_THREAD__
/* It holds back signals until the program calls something that it knows, which Lua code never does: all but
 * those that tell of a fault. */
#define TICK_SIGNAL SIGTRAP
#else
#define TICK_SIGNAL (SIGRTMIN + 2)
#endif

/* A thread that waits until there is something to say: a signal handler may not log. */
struct watchdog_helper {
    pthread_t thread;
    sem_t bell;
    volatile bool is_stopping;
    char file[128];
    int line;
};

static void *help(void *context) {
    struct watchdog_helper *helper = context;
    for (;;) {
        while (sem_wait(&helper->bell) != 0) continue;
        if (helper->is_stopping) return NULL;
        const char *file = *helper->file ? helper->file : NULL;
        log_error(&(struct log_scope){.script = file},
                  "the handler at %s:%d has used twice its CPU budget and cannot be stopped where it is: "
                  "its worker serves nobody",
                  file ? file : "?", helper->line);
    }
}

/* In the signal handler, where little is allowed: the text is cut by hand. */
static void report(struct watchdog *watchdog) {
    struct watchdog_helper *helper = watchdog->helper;
    const struct origin *origin = watchdog->origin;
    size_t i = 0;
    for (; origin && origin->file[i] && i + 1 < sizeof helper->file; i++) helper->file[i] = origin->file[i];
    helper->file[i] = 0;
    helper->line = origin ? origin->line : 0;
    watchdog->is_reported = true;
    sem_post(&helper->bell);
}

/* Where the script was, or whom it had called: the gateway's own Lua is no place of the script. */
static void note_place(struct watchdog *watchdog, lua_State *L, lua_Debug *activation) {
    lua_getinfo(L, "Sl", activation);
    for (int level = 1; strncmp(activation->source, "=tidewire/", 10) == 0 || activation->currentline < 0; level++) {
        if (!lua_getstack(L, level, activation)) break;
        lua_getinfo(L, "Sl", activation);
    }
    snprintf(watchdog->place, sizeof watchdog->place, "%s:%d", activation->short_src,
             activation->currentline);
}

/* Once: a handler that catches the error and goes on has the next one when it grows again. */
RAISES static void check_growth(lua_State *L, struct script *script, lua_Debug *activation) {
    struct watchdog *watchdog = &script->watchdog;
    watchdog->has_outgrown = false;
    if (!watchdog->has_barked) lua_sethook(L, NULL, 0, 0);
    lua_gc(L, LUA_GCCOLLECT, 0); /* the collector may have stood still so far */
    watchdog->has_restarted_collector = true;
    if (script_used_bytes(script) <= script->heap.guard.limit) return;
    counter_add(&script->figures->out_of_memory, 1);
    note_place(watchdog, L, activation);
    lua_pushfstring(L, "%s: the handler has used up its memory (limits.handler_memory) without waiting", watchdog->place);
    *watchdog->place = 0;
    lua_error(L);
}

RAISES static void hook(lua_State *L, lua_Debug *activation) {
    struct script *script = script_of_state(L);
    struct watchdog *watchdog = &script->watchdog;
    if (watchdog->is_cancelling) {
        watchdog_cancel_done(watchdog);
        push_ref(L, script->ref.cancelled);
        lua_error(L);
    }
    if (watchdog->has_barked) {
        /* It is raised again and again on the way out: where it was first is where the handler was. */
        if (!*watchdog->place) {
            counter_add(&script->figures->out_of_time, 1);
            note_place(watchdog, L, activation);
        }
        lua_pushfstring(L, "%s: the handler has used up its CPU budget (limits.handler_time) without waiting",
                        watchdog->place);
        lua_error(L);
    }
    if (watchdog->has_outgrown) {
        check_growth(L, script, activation);
        return;
    }
    lua_sethook(L, NULL, 0, 0);
}

static void on_tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    struct watchdog *watchdog = info->si_value.sival_ptr;
    uint32_t used = ++watchdog->ticks - watchdog->mark;
    if (!watchdog->is_watching || used < 2) return;
    /* Handlers run with the collector stopped; one that takes this long may need it. */
    lua_gc(watchdog->L, LUA_GCRESTART, 0);
    watchdog->has_restarted_collector = true;
    if (!watchdog->budget || used <= watchdog->budget) return;
    if (!watchdog->has_barked) {
        watchdog->has_barked = true;
        lua_sethook(watchdog->L, hook, LUA_MASKCOUNT, 1);
    } else if (used / 2 > watchdog->budget && !watchdog->is_reported) {
        report(watchdog);
    }
}

static void install_handler(void) {
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(TICK_SIGNAL, &action, NULL) != 0) abort();
}

static void start_helper(struct watchdog *watchdog) {
    struct watchdog_helper *helper = memory_new(sizeof *helper);
    sigset_t all, before;
    sem_init(&helper->bell, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&helper->thread, NULL, help, helper);
    if (fault) error_exit("the watchdog of a worker has no thread: %s", strerror(fault));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    watchdog->helper = helper;
}

void watchdog_start(struct watchdog *watchdog, lua_State *L) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    watchdog->L = L;
    start_helper(watchdog);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL};
    event.sigev_value.sival_ptr = watchdog;
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &watchdog->timer) != 0)
        error_exit("the watchdog of a worker has no timer: %s", strerror(errno));
    const struct timespec tick = {.tv_nsec = TICK};
    timer_settime(watchdog->timer, 0, &(struct itimerspec){.it_interval = tick, .it_value = tick}, NULL);
}

void watchdog_stop(struct watchdog *watchdog) {
    if (!watchdog->helper) return;
    /* A tick that is already under way to this thread must not find freed memory. */
    sigset_t tick, before;
    sigemptyset(&tick);
    sigaddset(&tick, TICK_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &tick, &before);
    timer_delete(watchdog->timer);
    while (sigtimedwait(&tick, NULL, &(struct timespec){0}) > 0) continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    struct watchdog_helper *helper = watchdog->helper;
    helper->is_stopping = true;
    sem_post(&helper->bell);
    pthread_join(helper->thread, NULL);
    sem_destroy(&helper->bell);
    free(helper);
    watchdog->helper = NULL;
}

uint32_t watchdog_budget(uint64_t budget) {
    uint64_t ticks = (budget + TICK - 1) / TICK;
    return ticks > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)ticks;
}

void watchdog_outgrown(struct watchdog *watchdog) {
    if (watchdog->has_outgrown || watchdog->is_cancelling) return;
    watchdog->has_outgrown = true;
    if (!watchdog->has_barked) lua_sethook(watchdog->L, hook, LUA_MASKCOUNT, 1);
}

void watchdog_unbark(struct watchdog *watchdog) {
    watchdog->has_barked = watchdog->has_outgrown = false;
    watchdog->is_reported = false;
    *watchdog->place = 0;
    lua_sethook(watchdog->L, NULL, 0, 0);
}

void watchdog_cancel_next(struct watchdog *watchdog) {
    watchdog->is_cancelling = true;
    lua_sethook(watchdog->L, hook, LUA_MASKCOUNT, 1);
}

void watchdog_cancel_done(struct watchdog *watchdog) {
    if (!watchdog->is_cancelling) return;
    watchdog->is_cancelling = false;
    if (!watchdog->has_barked && !watchdog->has_outgrown) lua_sethook(watchdog->L, NULL, 0, 0);
}
