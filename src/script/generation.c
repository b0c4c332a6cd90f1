/* script/generation.c - see generation.h and script.h */
#include "script/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/config.h"
#include "rpc/router.h"
#include "script/entry.h"
#include "script/fiber.h"
#include "script/filter.h"
#include "script/job.h"
#include "script/keeping.h"
#include "script/loader.h"
#include "script/move.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/subscriber.h"
#include "upstream/pass.h"
#include "upstream/upstream.h"

/* ---- loading ---- */

static struct script_file *file_for(struct generation *generation, const char *path, const char *name, bool is_jit) {
    struct script_file **place = &generation->files;
    for (; *place; place = &(*place)->next)
        if (strcmp((*place)->path, path) == 0) return *place;
    struct script_file *file = memory_new(sizeof *file);
    file->path = path;
    file->name = memory_copy_string(name ? name : path);
    file->is_jit = is_jit;
    file->table = LUA_NOREF;
    *place = file;
    return file;
}

static struct script_file **more_files(struct generation *generation, const struct config_service *service) {
    size_t count = 0;
    while (service->more_scripts && service->more_scripts[count]) count++;
    if (!count) return NULL;
    struct script_file **files = memory_new((count + 1) * sizeof *files);
    for (size_t i = 0; i < count; i++)
        files[i] = file_for(generation, service->more_scripts[i], service->more_script_names[i], service->is_jit);
    return files;
}

static struct twl_message_options message_options(const struct config_service *service,
                                                  const struct config_limits *limits) {
    static const enum int64_form forms[] = {
        [INT64_NUMBER] = INT64_AS_NUMBER, [INT64_STRING] = INT64_AS_STRING, [INT64_EXACT] = INT64_AS_EXACT};
    uint64_t elements = limits->list_elements;
    return (struct twl_message_options){
        .int64 = service ? forms[service->int64] : INT64_AS_NUMBER,
        .list_elements = elements > UINT32_MAX ? UINT32_MAX : (uint32_t)elements,
    };
}

bool script_service_has(const struct script_service *service, const struct script_file *file) {
    if (service->file == file) return true;
    for (size_t i = 0; service->more && service->more[i]; i++)
        if (service->more[i] == file) return true;
    return false;
}

static void take_services(struct generation *generation) {
    const struct config *config = generation->config;
    generation->services = memory_new((config->service_count + 1) * sizeof *generation->services);
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        if (!service->script) continue;
        generation->services[generation->service_count++] = (struct script_service){
            .config = service,
            .file = file_for(generation, service->script, service->script_name, service->is_jit),
            .more = more_files(generation, service),
            .options = message_options(service, &service->limits),
        };
    }
}

static void end(struct task *task) { generation_free(container_of(task, struct generation, end)); }

static struct generation *generation_new(struct script *script, const struct config *config,
                                         struct schema *schema, uint32_t number) {
    struct generation *generation = memory_new(sizeof *generation);
    struct list *lists[] = {&generation->node,       &generation->load_fibers, &generation->fibers,
                            &generation->load_jobs,  &generation->jobs,        &generation->load_subscribers,
                            &generation->subscribers, &generation->load_opened, &generation->opened,
                            &generation->keepings,    &generation->open,        &generation->unseen};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) list_init(lists[i]);
    list_append(&script->generations, &generation->node);
    task_init(&generation->end, end);
    generation->script = script;
    generation->config = config;
    generation->schema = schema_ref(schema);
    generation->number = number;
    generation->budget = watchdog_budget(config->limits.handler_time);
    generation->options = message_options(NULL, &config->limits);
    generation->client_limits = (struct call_limits){.message = config->limits.message,
                                                     .buffered_per_stream = config->limits.buffered_per_stream};
    lua_newtable(script->L);
    generation->modules = luaL_ref(script->L, LUA_REGISTRYINDEX);
    take_services(generation);
    return generation;
}

static int open_messages(lua_State *L) {
    struct generation *generation = lua_touserdata(L, 1);
    generation->messages = twl_schema_open(L, generation->schema);
    return 0;
}

static bool load(struct generation *generation, struct error *error) {
    lua_State *L = generation->script->L;
    if (lua_cpcall(L, open_messages, generation)) {
        error_set(error, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        return false;
    }
    return loader_run_files(generation, error) && entry_make_handlers(generation, error);
}

struct generation *generation_load(struct script *script, const struct config *config, struct schema *schema,
                                   const struct dict_set *dicts, uint32_t number,
                                   void (*on_gone)(void *context), void *context, struct error *error) {
    if (!loader_load_lua_half(script, error)) return NULL;
    struct generation *generation = generation_new(script, config, schema, number);
    generation->dicts = dicts;
    script->loading = generation;
    script_bound_heap(script, config->limits.handler_memory);
    bool is_fine = load(generation, error);
    script->loading = NULL;
    script_note_turn(script);
    if (!is_fine) {
        generation_free(generation);
        return NULL;
    }
    generation->on_gone = on_gone;
    generation->context = context;
    return generation;
}

void generation_set_upstreams(struct generation *generation, struct upstream_set *upstreams) {
    generation->upstreams = upstreams;
    for (struct handler *handler = generation->handlers; handler; handler = handler->next)
        if (handler->is_filter) handler->upstream = upstream_set_find(upstreams, handler->service->config->upstream);
}

static const struct call_handler *form_of(const struct handler *handler) {
    if (handler->is_filter) return &filter_handler;
    return handler->is_function ? &function_handler : &hooks_handler;
}

void generation_add_routes(struct generation *generation, struct router *router) {
    generation->routers++;
    for (struct handler *handler = generation->handlers; handler; handler = handler->next)
        if (handler->is_first) router_add(router, handler->method, form_of(handler), handler, &handler->limits);
    for (size_t i = 0; i < generation->service_count; i++) {
        const struct script_service *service = &generation->services[i];
        if (service->config->upstream && !service->has_star)
            pass_add_rest(router, service->config, generation->upstreams);
    }
}

/* ---- taking over and ending ---- */

/* What they spawn while they unwind never begins. */
static void cancel_fibers(struct list *fibers) {
    while (!list_is_empty(fibers)) fiber_cancel(container_of(fibers->next, struct fiber, node));
}

static void end_what_load_code_started(struct generation *generation, uint64_t now) {
    if (generation->is_started) jobs_run_due(&generation->load_jobs, now);
    jobs_end(&generation->load_jobs);
    subscribers_end(&generation->load_subscribers);
    cancel_fibers(&generation->load_fibers);
    clients_cancel(&generation->load_opened);
    keepings_drop(&generation->keepings);
}

static void end_the_rest(struct generation *generation) {
    generation->is_gone = true;
    jobs_end(&generation->jobs);
    subscribers_end(&generation->subscribers);
    cancel_fibers(&generation->fibers);
    clients_cancel(&generation->opened);
}

/* When nothing holds it: what is left of its code ends now, its memory at the end of the turn in which the last of the
 * streams that it had opened has closed. */
static void look_whether_gone(struct generation *generation) {
    if (!generation->is_retired || generation->routers || generation->streams > generation->detached) return;
    if (!generation->is_gone) end_the_rest(generation);
    if (!generation->streams) loop_defer(generation->script->host.loop, LOOP_FREE, &generation->end);
}

void generation_retire(struct generation *generation) {
    struct script *script = generation->script;
    if (generation->is_retired) return;
    if (script->in_force == generation) moves_end(script);
    end_what_load_code_started(generation, loop_now(script->host.loop));
    generation->is_retired = true;
    look_whether_gone(generation);
}

void generation_start(struct generation *generation) {
    struct script *script = generation->script;
    if (script->in_force) generation_retire(script->in_force);
    script->in_force = generation;
    generation->is_started = true;
    keepings_start(&generation->keepings);
    subscribers_start(&generation->load_subscribers);
    jobs_start_timers(&generation->load_jobs); /* a tick in between would be nobody's */
    moves_begin(script);
}

void generation_begin(struct generation *generation) {
    if (generation->is_retired) return;
    jobs_start(&generation->load_jobs);
    jobs_start(&generation->jobs);
}

void generation_release(struct generation *generation) {
    generation->routers--;
    look_whether_gone(generation);
}

void generation_stream_ended(struct generation *generation) {
    generation->streams--;
    look_whether_gone(generation);
}

static void free_files(struct generation *generation) {
    lua_State *L = generation->script->L;
    for (struct script_file *file = generation->files, *next; file; file = next) {
        next = file->next;
        drop_ref(L, &file->table);
        free(file->name);
        free(file);
    }
    generation->files = NULL;
}

void generation_free(struct generation *generation) {
    struct script *script = generation->script;
    jobs_end(&generation->load_jobs);
    jobs_end(&generation->jobs);
    subscribers_end(&generation->load_subscribers);
    subscribers_end(&generation->subscribers);
    keepings_drop(&generation->keepings);
    cancel_fibers(&generation->load_fibers);
    cancel_fibers(&generation->fibers);
    clients_cancel(&generation->opened);
    clients_forget_opener(&generation->opened);
    task_cancel(&generation->end);
    if (script->in_force == generation) moves_end(script);
    while (generation->handlers) {
        struct handler *handler = generation->handlers;
        generation->handlers = handler->next;
        handler_free(handler);
    }
    while (generation->client_handlers) {
        struct handler *handler = generation->client_handlers;
        generation->client_handlers = handler->next;
        handler_free(handler);
    }
    free_files(generation);
    drop_ref(script->L, &generation->modules);
    if (generation->messages) twl_schema_close(script->L, &generation->messages);
    schema_unref(&generation->schema);
    for (size_t i = 0; i < generation->service_count; i++) free(generation->services[i].more);
    free(generation->services);
    list_remove(&generation->node);
    if (generation->on_gone) generation->on_gone(generation->context);
    free(generation);
    script_collect_soon(script);
}
