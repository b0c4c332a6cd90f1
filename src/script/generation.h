/* script/generation.h - one loading of the scripts: its files and modules, its handlers, and everything that
 * its code has started and that is not a stream's. */
#ifndef TIDEWIRE_SCRIPT_GENERATION_H
#define TIDEWIRE_SCRIPT_GENERATION_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/loop.h"
#include "rpc/router.h"
#include "script/message.h"
#include "script/script.h"
#include "script/watchdog.h"

struct call_handler;
struct dict_set;
struct upstream;
struct upstream_set;

/* A script that services name, loaded once however many do. */
struct script_file {
    struct script_file *next;
    const char *path; /* the config's */
    char *name;       /* as written: what messages and logs say */
    bool is_jit;
    int table; /* what it returned */
};

/* A service of the config that has a script. */
struct script_service {
    const struct config_service *config;
    struct script_file *file;
    struct script_file **more; /* the filters behind it, ended by NULL; or NULL */
    struct twl_message_options options;
    bool has_star; /* some file has an entry for every method */
};

bool script_service_has(const struct script_service *service, const struct script_file *file);

/* How the script answers one method; or how its code sees the calls of that method that it makes itself ("client", a
 * function's call without a function). Hooks that it does not have are LUA_NOREF. */
struct handler {
    struct handler *next;
    struct generation *generation;
    const struct script_service *service; /* NULL: a client's */
    const struct method *method;
    const struct message_type *takes, *sends; /* of one message in, and out */
    bool sends_many;
    const struct twl_message_options *options;
    const char *file; /* the script's, for logs */
    const struct script_file *script; /* of a client: NULL */
    bool is_function;
    bool is_first; /* in no other's `then`: calls begin with it */
    int run; /* the function form's */
    int on_open, on_message, on_half_close, on_writable, on_close, on_drain, on_reload, on_request, on_response;
    bool moves; /* open streams of older generations come over to it: there is on_reload */
    const struct handler *successor; /* in the generation in force: its streams go there (move.h); NULL: they stay */
    struct projection *projection; /* on_message, when it is one */
    struct projection *request_projection, *response_projection; /* on_request, on_response */
    struct glance *request_glance, *response_glance;             /* where these only look at the message */
    bool is_filter;            /* before an upstream; else it answers by itself */
    struct upstream *upstream; /* of a filter */
    struct handler *then;      /* of a filter: the next script's */
    struct call_limits limits;
    struct origin origin;
    uint32_t budget; /* watchdog ticks */
};

struct generation {
    struct list node; /* in script->generations */
    struct script *script;
    const struct config *config;
    struct schema *schema;
    const struct dict_set *dicts; /* the caller's; NULL: none */
    uint32_t number;
    uint32_t budget; /* watchdog ticks of code that is no stream's */
    void (*on_gone)(void *context);
    void *context;

    struct script_file *files;
    struct script_service *services;
    size_t service_count;
    struct handler *handlers, *client_handlers;
    struct call_limits client_limits;
    struct upstream_set *upstreams; /* the caller's; NULL: none can be opened */
    struct twl_schema *messages;
    int modules;                        /* table: name → what the module returned */
    struct twl_message_options options; /* of code that is no stream's */

    bool is_started, is_retired, is_gone;
    struct list open, unseen; /* stream.node: of clients; `unseen`: move.h has yet to look at them */
    uint32_t routers, streams; /* that hold it */
    uint32_t detached;         /* of the streams: those that end with it instead */
    struct task end;           /* frees it, when nothing of it is on any stack */

    /* What its code has started: what load code did ends with the next generation's start, the rest with this
     * one. */
    struct list load_fibers, fibers;
    struct list load_jobs, jobs;
    struct list load_subscribers, subscribers;
    struct list keepings; /* until it starts */
    struct list load_opened, opened; /* client.node: streams that outlive the one that opened them, or had none */
};

/* A stream of it has ended. */
void generation_stream_ended(struct generation *generation);
void generation_free(struct generation *generation);
#endif
