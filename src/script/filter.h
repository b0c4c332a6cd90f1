/* script/filter.h - calls of a service with a script and an upstream: what the client sends goes through the hooks of
 * the scripts to the server behind, and what that answers goes back through them.
 *
 *   client ── down ──┬─ request:  on_request of script 1 … N ──┬── up ── server
 *                    └─ response: on_response of N … 1 ────────┘
 *
 * Two directions, each with one pump: it takes a message, leads it through the hooks, and passes on what they made of
 * it. A hook that waits stops its direction alone. Each script has a stream of its own for the call (stream.ctx). */
#ifndef TIDEWIRE_SCRIPT_FILTER_H
#define TIDEWIRE_SCRIPT_FILTER_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/stint.h"
#include "net/loop.h"
#include "rpc/call.h"

struct fiber;
struct filter;
struct generation;
struct handler;
struct script;
struct stream;
struct upstream;

/* What is left of a list that a hook has returned. */
struct filter_rest {
    int list; /* LUA_NOREF: nothing */
    int at;   /* so many of it have been handed on */
};

/* What a direction has to do next. */
enum filter_event {
    FILTER_NOTHING, /* until it is pumped again */
    FILTER_REST,    /* of a list */
    FILTER_MESSAGE, /* direction->message has come */
    FILTER_END,     /* the source has no more */
};

struct filter_direction {
    struct filter *filter;
    struct fiber *fiber;         /* runs or waits in a hook; or between two */
    struct call_frame frame;     /* the last that was taken; borrowed, unless there is `kept_frame` */
    struct call_message message; /* what is in it, or what hooks have made of it; borrowed, unless there is `kept` */
    struct message *kept, *kept_frame;
    struct filter_rest *rests;   /* by stage; NULL without hooks */
    enum filter_event next;
    struct stint stint; /* messages since it was pumped, or a hook has waited */
    unsigned stage; /* whose hook runs, or ran last */
    unsigned ended; /* so many stages know that the source has ended */
    bool is_response;
    bool has_hooks;   /* without, nothing is decoded */
    bool has_lists;   /* a projection has more than one argument, or none */
    bool is_ended;    /* the source has no more messages */
    bool is_finished; /* and the sink knows */
    bool is_half_closing; /* the hook is an on_half_close */
    bool is_raw;      /* the hook that runs has no object, from which the message could go on */
    bool is_original; /* what goes from hook to hook is still what came */
    bool has_passed;  /* a message has gone to the sink */
};

struct filter {
    struct generation *generation;
    struct call *down, *up; /* NULL: closed; up: or not opened yet */
    struct upstream *upstream;
    struct metadata *metadata; /* for the server; NULL: the client's, or it has left */
    struct filter_direction request, response;
    struct task again; /* pumps what has had its stint */
    int upstream_object; /* stream.upstream, once it was asked for */
    unsigned opened;     /* on_open of so many scripts has returned */
    bool is_open;        /* of all */
    bool is_connected;   /* up was opened */
    bool is_over;
    unsigned count;
    struct stream *streams[]; /* one for each script, in order */
};

extern const struct call_handler filter_handler;

/* One of its streams is over: so is everything else. */
void filter_be_over(struct filter *filter);
/* The server's call; opens it. NULL when everything is over. */
struct call *filter_connect(struct filter *filter);
/* The metadata for the server, as long as it has not left; NULL then. */
struct metadata *filter_metadata(struct filter *filter);
void filter_finish(struct filter *filter, enum status status, const char *text, const void *details,
                   size_t details_length);

/* Between two messages of both directions, or will be when the coroutine of `asking` (NULL: nobody's) has ended: its
 * streams can go over to another generation. */
bool filter_is_between(const struct filter *filter, const struct filter_direction *asking);
/* They have. */
void filter_has_moved(struct filter *filter, struct generation *generation);
/* Both directions go on. */
void filter_pump_again(struct filter *filter);

/* ---- script/filter_pump.c ---- */

void filter_direction_init(struct filter_direction *direction, struct filter *filter, bool is_response);
void filter_direction_end(struct filter_direction *direction);
/* Its scripts' handlers are others now. */
void filter_direction_renew(struct filter_direction *direction);
void filter_pump(struct filter_direction *direction);
/* A hook of it waits: what its message borrows is kept. */
void filter_has_waited(struct fiber *fiber);
/* Once a state: the function that pump.lua is loaded with. */
void filter_push_step(lua_State *L, struct script *script);

/* ---- script/bind_upstream.c ---- */

/* Pushes stream.upstream. */
int filter_push_upstream(lua_State *L, struct filter *filter);
void filter_forget_upstream(struct filter *filter);
/* stream:set_upstream(), into the table at the top; and the class of stream.upstream. */
void bind_upstream_functions(lua_State *L, struct script *script);
#endif
