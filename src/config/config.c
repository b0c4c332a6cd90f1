/* config/config.c - see config.h: the steps from the file to the struct. */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/build.h"
#include "config/outline.h"
#include "config/source.h"
#include "config/tree.h"

static struct config *read_source(struct source *source, struct error *error) {
    size_t lost;
    if (!outline_check(source, &lost, error)) return NULL;
    cfg_t *tree = tree_parse(source, error);
    if (!tree) return NULL;
    if (lost < source->count) { /* libconfuse has taken what we did not: its names are unchecked */
        place_error(source->tokens[lost].place, error, "this is not understood");
        tree_free(tree);
        return NULL;
    }
    struct config *config = memory_new(sizeof *config);
    config->files = source->files;
    config->file = source->files[0];
    bool is_fine = build_config(config, source, tree, error);
    tree_free(tree);
    if (is_fine) return config;
    config->files = NULL; /* the source frees them */
    config_free(&config);
    return NULL;
}

struct config *config_read_text(const char *file, const char *text, size_t length, struct error *error) {
    struct source source;
    struct config *config =
        source_read(&source, file, text, length, error) ? read_source(&source, error) : NULL;
    source_free(&source, config != NULL);
    return config;
}

struct config *config_read(const char *file, struct error *error) {
    return config_read_text(file, NULL, 0, error);
}

static void free_list(char **list) {
    for (char **text = list; text && *text; text++) free(*text);
    free(list);
}

static void free_listener(struct config_listener *listener) {
    free(listener->address);
    free(listener->host);
    free(listener->port);
    free(listener->path);
    free_list(listener->proxy_from);
    if (listener->cors) {
        free_list(listener->cors->origins);
        free_list(listener->cors->headers);
    }
    free(listener->cors);
    if (!listener->tls) return;
    free_list(listener->tls->certificates);
    free_list(listener->tls->keys);
    free(listener->tls->client_ca);
    free(listener->tls);
}

static void free_tls(struct config_upstream_tls *tls) {
    if (!tls) return;
    free(tls->ca);
    free(tls->certificate);
    free(tls->key);
    free(tls->server_name);
    free(tls);
}

struct config_bus *config_bus_ref(struct config_bus *bus) {
    atomic_fetch_add(&bus->references, 1);
    return bus;
}

void config_bus_unref(struct config_bus **handle) {
    struct config_bus *bus = *handle;
    *handle = NULL;
    if (!bus || atomic_fetch_sub(&bus->references, 1) != 1) return;
    char *const texts[] = {bus->name,  bus->subject,     bus->user, bus->password,
                           bus->token, bus->credentials, bus->nkey, bus->nkey_seed};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    free_list(bus->urls);
    free_tls(bus->tls);
    if (bus->stream) free(bus->stream->name);
    free(bus->stream);
    free(bus->fingerprint);
    free(bus);
}

struct config_upstream *config_upstream_ref(struct config_upstream *upstream) {
    atomic_fetch_add(&upstream->references, 1);
    return upstream;
}

void config_upstream_unref(struct config_upstream **handle) {
    struct config_upstream *upstream = *handle;
    *handle = NULL;
    if (!upstream || atomic_fetch_sub(&upstream->references, 1) != 1) return;
    free_list(upstream->targets);
    free(upstream->name);
    free(upstream->hash_key);
    free(upstream->authority);
    free(upstream->peer.id);
    free(upstream->peer.node);
    free(upstream->fingerprint);
    free_tls(upstream->tls);
    if (upstream->health) free(upstream->health->service);
    free(upstream->health);
    free(upstream->ejection);
    free(upstream->retry);
    free(upstream);
}

struct config_upstream *config_find_upstream(const struct config *config, const char *name) {
    for (size_t i = 0; i < config->upstream_count; i++)
        if (!strcmp(config->upstreams[i]->name, name)) return config->upstreams[i];
    return NULL;
}

static void free_service(struct config_service *service) {
    for (size_t i = 0; i < service->method_count; i++) free(service->methods[i].name);
    free(service->methods);
    free(service->name);
    free(service->script);
    free(service->script_name);
    free_list(service->more_scripts);
    free_list(service->more_script_names);
    free(service->upstream);
}

void config_free(struct config **config) {
    struct config *old = *config;
    *config = NULL;
    if (!old) return;
    for (size_t i = 0; i < old->listener_count; i++) free_listener(&old->listeners[i]);
    for (size_t i = 0; i < old->admin_count; i++) free_listener(&old->admins[i]);
    for (size_t i = 0; i < old->service_count; i++) free_service(&old->services[i]);
    for (size_t i = 0; i < old->upstream_count; i++) config_upstream_unref(&old->upstreams[i]);
    free(old->listeners);
    free(old->admins);
    free(old->upstreams);
    free(old->services);
    free_list(old->proto_path);
    free_list(old->name_servers);
    free_list(old->proto);
    free_list(old->files);
    free(old->script_path);
    for (size_t i = 0; i < old->route_count; i++) {
        free(old->routes[i].websocket);
        free(old->routes[i].http);
        free(old->routes[i].body);
        free(old->routes[i].response_body);
        free(old->routes[i].event_id);
        free(old->routes[i].method);
    }
    free(old->routes);
    for (size_t i = 0; i < old->dict_count; i++) free(old->dicts[i].name);
    free(old->dicts);
    config_bus_unref(&old->bus);
    for (size_t i = 0; i < old->named_limit_count; i++) {
        free(old->named_limits[i].name);
        free(old->named_limits[i].scope);
    }
    free(old->named_limits);
    for (size_t i = 0; i < old->limit_list_count; i++) free(old->limit_lists[i]);
    free(old->limit_lists);
    free(old->node);
    free(old->pages);
    free(old->log.file);
    free(old);
}

/* How well the service's pattern fits: the length of what must be equal and one more where all of it is; 0
 * not. */
static size_t match(const char *pattern, const char *name) {
    size_t length = strlen(pattern);
    if (pattern[length - 1] != '*') return strcmp(pattern, name) ? 0 : length + 1;
    return strncmp(pattern, name, length - 1) ? 0 : length;
}

const struct config_service *config_find_service(const struct config *config, const char *name) {
    const struct config_service *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < config->service_count; i++) {
        size_t fit = match(config->services[i].name, name);
        if (fit > most) most = fit, best = &config->services[i];
    }
    return best;
}

const struct config_limits *config_method_limits(const struct config_service *service, const char *method) {
    for (size_t i = 0; i < service->method_count; i++)
        if (!strcmp(service->methods[i].name, method)) return &service->methods[i].limits;
    return &service->limits;
}
