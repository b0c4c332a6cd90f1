/* script/fiber.h - a coroutine that handler code runs on, and what it waits for.
 *
 * Every piece of a script that the gateway calls runs on a fiber: a hook's call, a function's whole life, a
 * timer's function, a spawn. A fiber whose code has returned goes back to a pool, so that a hook that does
 * not wait costs no coroutine. One that waits leaves its Lua stack where it is; what it waits for wakes it.
 *
 *   fiber_take → push a function and arguments on ->L → fiber_run → kind->on_end
 *                                                          └→ waits (fiber_wait) → woken → runs on … →
 * kind->on_end
 *
 * Cancelling raises tidewire.cancelled once in the wait. A fiber that was cancelled and waits again never
 * runs again. */
#ifndef TIDEWIRE_SCRIPT_FIBER_H
#define TIDEWIRE_SCRIPT_FIBER_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/message.h"
#include "base/stint.h"
#include "net/loop.h"
#include "script/watchdog.h"

struct fiber;
struct generation;
struct job;
struct script;
struct stream;

enum fiber_outcome {
    FIBER_RETURNED, /* the results are the whole stack of ->L */
    FIBER_FAILED,   /* the error value is at the top of ->L, whose frames still stand */
    FIBER_DROPPED,  /* cancelled, and waited again; or it never began */
};

/* What becomes of a fiber's end. False: the results still stand on ->L and are waited for (WAIT_RETURN); the
 * fiber is ended again later. Only FIBER_RETURNED may say so. */
struct fiber_kind {
    bool (*on_end)(struct fiber *fiber, enum fiber_outcome outcome);
};

enum fiber_wait {
    WAIT_NONE,   /* new, or running */
    WAIT_READY,  /* in script->ready; its results, if any, are on its stack */
    WAIT_RECV,   /* for a message of ->target */
    WAIT_SEND,   /* with ->message, in the row of ->target's senders */
    WAIT_RETURN, /* its function has returned messages for which there is no room yet; in the same row */
    WAIT_GONE,   /* for the end of ->target, in the row of its watchers */
    WAIT_SLEEP,  /* for its timer alone */
    WAIT_TURN,   /* has had its stint (`again`): goes on with WAIT_RECV's work, or where it has sent */
    WAIT_PUBLISH, /* for room in a topic's queues; ->publishing */
    WAIT_ROW,     /* in the row of a channel, a semaphore or a job, by fiber_wait_in_row() */
    WAIT_NEVER,  /* dropped */
    /* What a stream that a script has opened will say; in the row of ->target's watchers. */
    WAIT_HEADERS,
    WAIT_STATUS,
    WAIT_TRAILERS,
    WAIT_REPLY, /* the reader of ->target, which ends with the wait; the reply, once it is there, is on the stack */
};

struct fiber {
    struct list node;  /* in its owner's fibers, from its first wait on; or in the pool */
    struct list place; /* in the row that it waits in */
    struct generation *generation;
    struct stream *stream; /* whose code it runs, or NULL */
    const struct fiber_kind *kind;
    void *context; /* the kind's */
    const struct origin *origin;
    lua_State *L;
    lua_State *waiting;    /* the coroutine that waits: L, or one that the script made */
    struct stream *target; /* of the wait */
    struct message *message;
    struct publishing *publishing; /* of a WAIT_PUBLISH; subscriber.h */
    void (*on_leave)(struct fiber *fiber); /* the wait ends, however: lets go of what it held; NULL: nothing */
    struct job *awaits; /* in the row of its waiters; else NULL */
    int value; /* of a channel's put that waits: a reference on what is put */
    struct timer timer;   /* of the wait */
    uint64_t due;         /* of a WAIT_TURN: when the WAIT_RECV that it may become times out; 0: never */
    struct task again;    /* of a WAIT_TURN */
    struct stint stint;   /* messages that it has received and sent since it was resumed */
    int thread;           /* reference on L */
    uint16_t arguments;   /* on L, for when a ready fiber runs */
    uint8_t wait;         /* enum fiber_wait */
    bool is_loads;        /* what load code started: ends when the next generation takes over */
    bool is_condemned;    /* its owner is over: the next wait is cancelled */
    bool is_cancelled;    /* tidewire.cancelled was raised */
    bool is_cancel_due;   /* ready, to be cancelled */
    bool was_told_closed; /* a send of its own stream has said nil, "closed" */
    bool was_in_row;      /* of a WAIT_READY: that was a WAIT_ROW */
    bool is_plain;        /* runs without the right to wait */
    bool has_run_out;     /* of its budget, in its last plain call */
    bool is_filter;       /* plain, and may not touch topics either */
    bool is_in_turn;      /* has stood in the row of senders: nobody is before it any more */
    uint32_t progress;    /* how much of a returned list has been sent */
    uint32_t budget;      /* watchdog ticks */
};

#define FIBER_FOREVER UINT64_MAX

/* What one stream, direction of a filter or coroutine does in a turn before the others have theirs (base/stint.h). */
enum { STINT_OF_HOOKS = 1024, STINT_OF_FIBER = 2048 }; /* messages */
#define STINT_TIME (NS_PER_MS / 2)

static inline bool fiber_waits_for_answer(const struct fiber *fiber) { return fiber->wait >= WAIT_HEADERS; }

struct fiber *fiber_take(struct script *script, struct generation *generation, struct stream *stream,
                         const struct fiber_kind *kind, void *context, const struct origin *origin);
/* Runs what is on ->L (a function and `arguments`; or, after a wait, its results) until it ends or waits. The
 * fiber may be gone afterwards. */
void fiber_run(struct fiber *fiber, int arguments);
/* The one that runs goes on with code of this stream, of the same generation: as if it had just begun. */
void fiber_serve(struct fiber *fiber, struct stream *stream);
/* Calls what is on ->L without the right to wait. 0, or an error whose value is at the top. The caller takes
 * the results (at most `results`) and gives the fiber back with fiber_give(). */
int fiber_call_plainly(struct fiber *fiber, int arguments, int results);
/* Back to the pool; `is_reusable`: the coroutine has finished without an error. */
void fiber_give(struct fiber *fiber, bool is_reusable);
/* Out of its wait, to run later in this turn with the `arguments` values that were pushed on ->L. */
void fiber_wake(struct fiber *fiber, int arguments);
/* Cancels it now (never from inside Lua), or later in this turn. A fiber that runs, or whose WAIT_ROW has ended,
 * is cancelled at its next wait: what it was given is not lost. */
void fiber_cancel(struct fiber *fiber);
void fiber_cancel_soon(struct fiber *fiber);
/* As if it had returned: for kinds that said that results still stand. */
void fiber_end_again(struct fiber *fiber);
/* Never runs again; on_end is told FIBER_DROPPED. */
void fiber_drop(struct fiber *fiber);

/* The fiber that runs (NULL: none does) has received or sent one more message. */
static inline void fiber_note_message(struct fiber *fiber) {
    if (fiber) stint_note(&fiber->stint, STINT_OF_FIBER, STINT_TIME);
}
/* For fiber_must_give_way(): a wait here would end it neither by an error nor by a cancel. */
bool fiber_may_give_way(const struct fiber *fiber, lua_State *L);
/* It has had its stint. */
static inline bool fiber_must_give_way(struct fiber *fiber, lua_State *L) {
    return fiber && stint_is_over(&fiber->stint, STINT_TIME) && fiber_may_give_way(fiber, L);
}
/* WAIT_TURN: it goes on when others have had their turn, as the reader of `stream`, or, without one, with `true`. For
 * the C function to return. */
int fiber_give_way(lua_State *L, struct script *script, struct stream *stream, uint64_t timeout, const char *what);
/* For C functions that wait. The running fiber, made ready to wait as `wait`; raises where Lua can't wait
 * (`what` is named), and tidewire.cancelled when the fiber's owner is over. The caller puts it into a row or
 * starts its timer, unless ->wait has become WAIT_NEVER, and returns fiber_yield(). */
struct fiber *fiber_wait(lua_State *L, struct script *script, enum fiber_wait wait, const char *what);
int fiber_yield(lua_State *L, struct fiber *fiber);
/* fiber_wait() at the end of `row`, which the fiber leaves by itself; at most for `timeout` ns (FIBER_FOREVER). */
struct fiber *fiber_wait_in_row(lua_State *L, struct script *script, struct list *row, uint64_t timeout,
                                const char *what);
/* The first of a row, or NULL. */
struct fiber *fiber_first(const struct list *row);
/* All of a row go on with nil, "closed". */
void fibers_wake_closed(struct list *row);
/* `due` monotonic ns; the wait ends with nil, "timeout" (WAIT_SLEEP: nothing) then. */
void fiber_set_timeout(struct fiber *fiber, uint64_t due);
int raise_cancelled(lua_State *L, struct script *script);

/* For the Lua half: the value that a wait inside a script's own coroutine yields, the value by which the
 * scheduler answers it with a cancel, the function that resumes such a coroutine into that cancel, and
 * the one that tells errors that the watchdog's hook raises. */
void fiber_push_marks(lua_State *L, struct script *script);
/* The fibers that are ready now, once each, as long as it does not take too long; what becomes ready meanwhile waits
 * for the next turn. */
void fibers_run_ready(struct script *script);
void fibers_open_state(struct script *script); /* once a state */
void fibers_free_idle(struct script *script);
#endif
