/* script/generation.h - one loading of the scripts: its files and modules, its handlers, and everything that
 * its code has started and that is not a stream's. */
#ifndef TIDEWIRE_SCRIPT_GENERATION_H
#define TIDEWIRE_SCRIPT_GENERATION_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/loop.h"
#include "script/message.h"
#include "script/script.h"
#include "script/watchdog.h"

struct call_handler;

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
    struct twl_message_options options;
};

/* How the script answers one method. Hooks that it does not have are LUA_NOREF. */
struct handler {
    struct handler *next;
    struct generation *generation;
    const struct script_service *service;
    const struct method *method;
    bool is_function;
    int run; /* the function form's */
    int on_open, on_message, on_half_close, on_writable, on_close, on_drain;
    struct projection *projection; /* on_message, when it is one */
    struct origin origin;
    uint32_t budget; /* watchdog ticks */
};

struct generation {
    struct list node; /* in script->generations */
    struct script *script;
    const struct config *config;
    struct schema *schema;
    uint32_t number;
    uint32_t budget; /* watchdog ticks of code that is no stream's */
    void (*on_gone)(void *context);
    void *context;

    struct script_file *files;
    struct script_service *services;
    size_t service_count;
    struct handler *handlers;
    struct twl_schema *messages;
    int modules;                        /* table: name → what the module returned */
    struct twl_message_options options; /* of code that is no stream's */

    bool is_started, is_retired, is_gone;
    uint32_t routers, streams; /* that hold it */
    struct task end;           /* frees it, when nothing of it is on any stack */

    /* What its code has started: what load code did ends with the next generation's start, the rest with this
     * one. */
    struct list load_fibers, fibers;
    struct list load_jobs, jobs;
    struct list load_subscribers, subscribers;
};

/* A stream of it has ended. */
void generation_stream_ended(struct generation *generation);
void generation_free(struct generation *generation);
#endif
