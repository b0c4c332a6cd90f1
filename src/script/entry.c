/* script/entry.c - see entry.h */
#include "script/entry.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/config.h"
#include "script/generation.h"
#include "script/glance.h"
#include "script/state.h"

/* The hooks of a table, and where a handler keeps each. */
static const struct hook {
    const char *name;
    size_t place;
} hooks[] = {
    {"run", offsetof(struct handler, run)},
    {"on_open", offsetof(struct handler, on_open)},
    {"on_message", offsetof(struct handler, on_message)},
    {"on_half_close", offsetof(struct handler, on_half_close)},
    {"on_writable", offsetof(struct handler, on_writable)},
    {"on_drain", offsetof(struct handler, on_drain)},
    {"on_close", offsetof(struct handler, on_close)},
    {"on_reload", offsetof(struct handler, on_reload)},
    {"on_request", offsetof(struct handler, on_request)},
    {"on_response", offsetof(struct handler, on_response)},
};
enum { HOOKS = sizeof hooks / sizeof *hooks };
static const char *const hook_names[] = {"run",         "on_open",  "on_message", "on_half_close",
                                         "on_writable", "on_drain", "on_close",   "on_reload",
                                         "on_request",  "on_response", NULL};
/* Those that take a message, and may be projections. */
static const char *const message_hooks[] = {"on_message", "on_request", "on_response", NULL};

static int *hook_place(struct handler *handler, const struct hook *hook) {
    return (int *)(void *)((char *)handler + hook->place);
}

/* What is checked, for error texts. */
struct entry {
    struct generation *generation;
    const struct script_file *file;
    const char *name; /* the method's, or "*" */
    int line;         /* 0: not known */
    struct error *error;
};

__attribute__((format(printf, 2, 3))) static bool fault(const struct entry *entry, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_at(entry->error, entry->file->path, entry->line, "%s", text);
}

/* `text`, and the word of `words` that is nearest to the wrong one. */
static bool fault_near(const struct entry *entry, const char *text, const char *wrong,
                       const char *const *words) {
    const char *nearest = error_nearest(wrong, words);
    if (!nearest) return fault(entry, "%s \"%s\"", text, wrong);
    return fault(entry, "%s \"%s\" (did you mean \"%s\"?)", text, wrong, nearest);
}

/* Of a function or projection; line 0 for others. */
static struct origin origin_of_hook(lua_State *L, int index) {
    if (lua_isfunction(L, index)) return function_origin(L, index);
    if (!twl_is_projection(L, index)) return (struct origin){0};
    twl_projection_declared(L, index);
    struct origin origin = function_origin(L, -1);
    lua_pop(L, 1);
    return origin;
}

/* The first line of a function at `index`, or of any in the table there; 0 without one. */
static struct origin find_origin(lua_State *L, int index) {
    if (!lua_istable(L, index)) return origin_of_hook(L, index);
    struct origin origin = {0};
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        struct origin here = origin_of_hook(L, -1);
        if (here.line > 0 && (!origin.line || here.line < origin.line)) origin = here;
    }
    return origin;
}

static int line_of(const struct script_file *file, lua_State *L, int index) {
    struct origin origin = find_origin(L, index);
    return origin.file && strcmp(origin.file, file->name) == 0 ? origin.line : 0;
}

static bool list_has(const char *const *words, const char *word) {
    for (; *words; words++)
        if (strcmp(*words, word) == 0) return true;
    return false;
}

static bool unknown_hook(const struct entry *entry, const char *name) {
    char text[256];
    snprintf(text, sizeof text, "%s: there is no hook", entry->name);
    return fault_near(entry, text, name, hook_names);
}

/* Its name is at -2, its value at -1. */
static bool check_hook(const struct entry *entry, lua_State *L) {
    if (lua_type(L, -2) != LUA_TSTRING)
        return fault(entry, "%s: a table of hooks has their names as keys, not a %s", entry->name,
                     luaL_typename(L, -2));
    const char *name = lua_tostring(L, -2);
    if (!list_has(hook_names, name)) return unknown_hook(entry, name);
    if (lua_isfunction(L, -1)) return true;
    if (list_has(message_hooks, name) && twl_is_projection(L, -1)) return true;
    if (strcmp(name, "on_reload") == 0)
        return (lua_isboolean(L, -1) && lua_toboolean(L, -1)) ||
               fault(entry, "%s: on_reload is a function, or true", entry->name);
    return fault(entry, "%s: %s is a function, not a %s", entry->name, name, luaL_typename(L, -1));
}

/* Pushes what stands in the table itself: no code of the script runs here. */
static void push_field(lua_State *L, int index, const char *name) {
    if (index < 0) index += lua_gettop(L) + 1;
    lua_pushstring(L, name);
    lua_rawget(L, index);
}

static bool has_field(lua_State *L, int index, const char *name) {
    push_field(L, index, name);
    bool has = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return has;
}

static bool check_mixture(const struct entry *entry, lua_State *L, int index) {
    static const char *const not_with_run[] = {"on_open", "on_message", "on_half_close", "on_writable", "on_reload"};
    if (!has_field(L, index, "run")) return true;
    for (size_t i = 0; i < sizeof not_with_run / sizeof *not_with_run; i++)
        if (has_field(L, index, not_with_run[i]))
            return fault(entry, "%s: run and %s exclude each other: run %s", entry->name, not_with_run[i],
                         strcmp(not_with_run[i], "on_reload") ? "receives the messages itself"
                                                              : "goes on to its end on the scripts that it began with");
    return true;
}

/* What an __index would give is neither checked nor called. */
static bool check_plain(const struct entry *entry, lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return true;
    lua_pop(L, 1);
    return fault(entry, "%s: a table with a metatable: copy into the table itself what belongs to it",
                 entry->name ? entry->name : "a script returns a plain table");
}

/* The entry's value is at `index`. */
static bool check_entry(const struct entry *entry, lua_State *L, int index) {
    if (lua_isfunction(L, index)) return true;
    if (twl_is_projection(L, index))
        return fault(entry, "%s: a projection goes to the on_message of a table of hooks", entry->name);
    if (!lua_istable(L, index))
        return fault(entry, "%s: an entry is a function or a table of hooks, not a %s", entry->name,
                     luaL_typename(L, index));
    if (!check_plain(entry, L, index)) return false;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (check_hook(entry, L)) continue;
        lua_pop(L, 2);
        return false;
    }
    return check_mixture(entry, L, index);
}

/* ---- handlers ---- */

static void drop_hooks(struct handler *handler) {
    lua_State *L = handler->generation->script->L;
    for (size_t i = 0; i < HOOKS; i++) drop_ref(L, hook_place(handler, &hooks[i]));
    twl_projection_free(L, &handler->projection);
    twl_projection_free(L, &handler->request_projection);
    twl_projection_free(L, &handler->response_projection);
    glance_free(L, &handler->request_glance);
    glance_free(L, &handler->response_glance);
}

void handler_free(struct handler *handler) {
    drop_hooks(handler);
    free(handler);
}

struct handler *handler_of_client(struct generation *generation, const struct method *method,
                                  const struct twl_message_options *options, const char *file) {
    struct handler *handler = generation->client_handlers;
    for (; handler; handler = handler->next)
        if (handler->method == method && handler->options == options && handler->file == file) return handler;
    handler = memory_new(sizeof *handler);
    *handler = (struct handler){.next = generation->client_handlers,
                                .generation = generation,
                                .method = method,
                                .takes = method->response,
                                .sends = method->request,
                                .sends_many = method->is_client_streaming,
                                .options = options,
                                .file = file,
                                .is_function = true,
                                .origin = {.file = file},
                                .budget = generation->budget};
    for (size_t i = 0; i < HOOKS; i++) *hook_place(handler, &hooks[i]) = LUA_NOREF;
    generation->client_handlers = handler;
    return handler;
}

static bool form_fault(const struct handler *handler, struct error *error, const char *text) {
    return error_at(error, handler->script->path, handler->origin.line, "%s: %s", handler->method->name, text);
}

/* A service with an upstream has filters, any other has answers. */
static bool check_form(const struct handler *handler, struct error *error) {
    bool has_filters = handler->on_request != LUA_NOREF || handler->on_response != LUA_NOREF ||
                       handler->request_projection || handler->response_projection;
    if (!handler->service->config->upstream)
        return !has_filters || form_fault(handler, error, "on_request and on_response are filters before an upstream, "
                                                          "and the service names none: here it is on_message");
    if (handler->is_function && handler->service->more)
        return form_fault(handler, error, "the service has several scripts: their entries are tables of hooks");
    if (handler->is_function)
        return !has_filters || form_fault(handler, error, "run and the filters on_request and on_response exclude each "
                                                          "other: run has the upstream as stream.upstream");
    if (handler->on_message != LUA_NOREF || handler->projection)
        return form_fault(handler, error, "the service has an upstream: its messages go to on_request and on_response, "
                                          "not to on_message");
    return handler->on_writable == LUA_NOREF ||
           form_fault(handler, error, "the service has an upstream, and a filter has no on_writable");
}

/* Where the projection at the top of the stack belongs; what it reads, and what it makes. */
static bool take_projection(struct handler *handler, const char *hook, lua_State *L, struct error *error) {
    const struct method *method = handler->method;
    bool is_request = strcmp(hook, "on_request") == 0, is_response = strcmp(hook, "on_response") == 0;
    struct projection **place = is_request    ? &handler->request_projection
                                : is_response ? &handler->response_projection
                                              : &handler->projection;
    const struct message_type *type = is_response ? method->response : method->request;
    *place = twl_projection_resolve(L, -1, handler->generation->messages, type, method->response,
                                    &handler->service->options, error);
    if (!*place) return false;
    if (is_request || is_response)
        return !twl_projection_is_reply(*place) ||
               form_fault(handler, error, "a filter changes the message: its projection has `patch`, not `reply`");
    return !twl_projection_is_patch(*place) ||
           form_fault(handler, error, "a projection with `patch` is for filters before an upstream; here it is `reply`");
}

/* The filter at the top may be one that only looks at its message. */
static void take_glance(struct handler *handler, const char *hook, lua_State *L) {
    const struct method *method = handler->method;
    bool is_request = strcmp(hook, "on_request") == 0, is_response = strcmp(hook, "on_response") == 0;
    if (!is_request && !is_response) return;
    *(is_request ? &handler->request_glance : &handler->response_glance) =
        glance_new(handler->generation->script, L, -1, handler->generation->messages,
                   is_request ? method->request : method->response, &handler->service->options);
}

/* The entry, checked, is at `index`. */
static bool take_hooks(struct handler *handler, lua_State *L, int index, struct error *error) {
    handler->origin = find_origin(L, index);
    if (!handler->origin.file) handler->origin.file = handler->file;
    if (lua_isfunction(L, index)) {
        handler->is_function = true;
        lua_pushvalue(L, index);
        handler->run = luaL_ref(L, LUA_REGISTRYINDEX);
        return true;
    }
    bool is_fine = true;
    handler->moves = has_field(L, index, "on_reload");
    for (size_t i = 0; i < HOOKS && is_fine; i++) {
        push_field(L, index, hooks[i].name);
        if (lua_isfunction(L, -1)) {
            take_glance(handler, hooks[i].name, L);
            *hook_place(handler, &hooks[i]) = luaL_ref(L, LUA_REGISTRYINDEX);
            continue;
        }
        if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) is_fine = take_projection(handler, hooks[i].name, L, error);
        lua_pop(L, 1);
    }
    handler->is_function = handler->run != LUA_NOREF;
    return is_fine;
}

static struct handler *handler_new(struct generation *generation, const struct script_service *service,
                                   const struct script_file *file, const struct method *method) {
    const struct config_limits *limits = config_method_limits(service->config, method->name);
    struct handler *handler = memory_new(sizeof *handler);
    handler->next = generation->handlers;
    handler->generation = generation;
    handler->service = service;
    handler->method = method;
    handler->takes = method->request;
    handler->sends = method->response;
    handler->sends_many = method->is_server_streaming;
    handler->options = &service->options;
    handler->script = file;
    handler->file = file->name;
    handler->budget = watchdog_budget(limits->handler_time);
    handler->limits = (struct call_limits){.message = limits->message,
                                           .buffered_per_stream = limits->buffered_per_stream,
                                           .named = limits->named,
                                           .service = service->config->name};
    handler->origin.file = file->name;
    for (size_t i = 0; i < HOOKS; i++) *hook_place(handler, &hooks[i]) = LUA_NOREF;
    generation->handlers = handler;
    return handler;
}

/* The file's answer to the method, if it has any, behind `*chain`. */
static bool make_handler(struct generation *generation, const struct script_service *service,
                         const struct script_file *file, const struct method *method, struct handler **chain,
                         struct error *error) {
    lua_State *L = generation->script->L;
    push_ref(L, file->table);
    push_field(L, -1, method->name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push_field(L, -1, "*");
    }
    bool is_fine = true;
    if (!lua_isnil(L, -1)) {
        while (*chain) chain = &(*chain)->then;
        struct handler *handler = *chain = handler_new(generation, service, file, method);
        is_fine = take_hooks(handler, L, lua_gettop(L), error) && check_form(handler, error);
        handler->is_filter = service->config->upstream && !handler->is_function;
    }
    lua_pop(L, 2);
    return is_fine;
}

/* A method without an entry is nobody's; before an upstream it is passed on (generation_add_routes()). */
static bool make_handlers(struct generation *generation, const struct script_service *service,
                          const struct method *method, struct error *error) {
    struct handler *chain = NULL;
    bool is_fine = make_handler(generation, service, service->file, method, &chain, error);
    for (size_t i = 0; is_fine && service->more && service->more[i]; i++)
        is_fine = make_handler(generation, service, service->more[i], method, &chain, error);
    if (chain) chain->is_first = true;
    return is_fine;
}

/* ---- the walk over services and files ---- */

/* Which of the generation's services with a script owns a service of the schema. */
static const struct script_service *owner_of(const struct generation *generation,
                                             const struct service *service) {
    const struct config_service *config = config_find_service(generation->config, service->full_name);
    for (size_t i = 0; i < generation->service_count; i++)
        if (generation->services[i].config == config) return &generation->services[i];
    return NULL;
}

static bool is_method_of_file(const struct generation *generation, const struct script_file *file,
                              const char *name, const char **names, size_t most) {
    size_t count = 0;
    names[0] = NULL;
    for (size_t i = 0; i < schema_service_count(generation->schema); i++) {
        const struct service *service = schema_service_at(generation->schema, i);
        const struct script_service *owner = owner_of(generation, service);
        if (!owner || !script_service_has(owner, file)) continue;
        if (service_method(service, name, strlen(name))) return true;
        for (size_t m = 0; m < service->method_count && count < most; m++)
            names[count++] = service->methods[m].name;
        names[count] = NULL;
    }
    return false;
}

static bool check_name(const struct entry *entry) {
    enum { MOST = 256 };
    const char *names[MOST + 1];
    if (strcmp(entry->name, "*") == 0) return true;
    if (is_method_of_file(entry->generation, entry->file, entry->name, names, MOST)) return true;
    return fault_near(entry, "no service of this script has a method", entry->name, names);
}

static bool check_file(struct generation *generation, const struct script_file *file, struct error *error) {
    lua_State *L = generation->script->L;
    bool is_fine = true;
    push_ref(L, file->table);
    int table = lua_gettop(L);
    is_fine = check_plain(&(struct entry){.generation = generation, .file = file, .error = error}, L, table);
    for (lua_pushnil(L); is_fine && lua_next(L, table); lua_settop(L, table + 1)) {
        struct entry entry = {.generation = generation, .file = file, .error = error};
        if (lua_type(L, table + 1) != LUA_TSTRING) {
            is_fine = fault(&entry, "a script's table has method names as keys, not a %s",
                            luaL_typename(L, table + 1));
            continue;
        }
        entry.name = lua_tostring(L, table + 1);
        entry.line = line_of(file, L, table + 2);
        is_fine = check_name(&entry) && check_entry(&entry, L, table + 2);
    }
    lua_settop(L, table - 1);
    return is_fine;
}

static bool no_such_service(const struct generation *generation, const struct config_service *service,
                            struct error *error) {
    size_t count = schema_service_count(generation->schema);
    const char **names = memory_new((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) names[i] = schema_service_at(generation->schema, i)->full_name;
    const char *nearest = error_nearest(service->name, names);
    free(names);
    if (!nearest)
        return error_at(error, service->file, service->line, "no .proto file has the service \"%s\"",
                        service->name);
    return error_at(error, service->file, service->line,
                    "no .proto file has the service \"%s\" (did you mean \"%s\"?)", service->name, nearest);
}

/* A service that the config names in full must exist; a pattern may match nothing yet. */
static bool check_services(const struct generation *generation, struct error *error) {
    for (size_t i = 0; i < generation->service_count; i++) {
        const struct config_service *service = generation->services[i].config;
        if (strchr(service->name, '*')) continue;
        if (schema_service(generation->schema, service->name, strlen(service->name))) continue;
        return no_such_service(generation, service, error);
    }
    return true;
}

static void look_for_stars(struct generation *generation) {
    for (const struct script_file *file = generation->files; file; file = file->next) {
        push_ref(generation->script->L, file->table);
        bool has = has_field(generation->script->L, -1, "*");
        lua_pop(generation->script->L, 1);
        for (size_t i = 0; has && i < generation->service_count; i++)
            generation->services[i].has_star |= script_service_has(&generation->services[i], file);
    }
}

bool entry_make_handlers(struct generation *generation, struct error *error) {
    if (!check_services(generation, error)) return false;
    for (const struct script_file *file = generation->files; file; file = file->next)
        if (!check_file(generation, file, error)) return false;
    look_for_stars(generation);
    for (size_t i = 0; i < schema_service_count(generation->schema); i++) {
        const struct service *service = schema_service_at(generation->schema, i);
        const struct script_service *owner = owner_of(generation, service);
        for (size_t m = 0; owner && m < service->method_count; m++)
            if (!make_handlers(generation, owner, &service->methods[m], error)) return false;
    }
    return true;
}
