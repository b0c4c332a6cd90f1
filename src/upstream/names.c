/* upstream/names.c - from the names in the config to targets. A name whose answer is old is asked for again when a call
 * needs it; until the new answer is there, and when there is none, the old one counts. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "net/address.h"
#include "upstream/upstream_private.h"

static bool is_same(const struct target *target, const struct sockaddr_storage *address, socklen_t length) {
    return target->address_length == length && memcmp(&target->address, address, length) == 0;
}

static struct target *find(const struct upstream *upstream, const struct target_name *name,
                           const struct sockaddr_storage *address, socklen_t length) {
    for (size_t i = 0; i < upstream->target_count; i++) {
        struct target *target = upstream->targets[i];
        if ((!name || target->name == name) && is_same(target, address, length)) return target;
    }
    return NULL;
}

/* An address that two names have is one target. */
static void add_address(struct target_name *name, const struct sockaddr_storage *address, socklen_t length) {
    if (!find(name->upstream, NULL, address, length))
        upstream_add_target(name->upstream, target_new(name, address, length));
}

/* ---- life ---- */

static void read_name(struct target_name *name) {
    struct sockaddr_storage address = {0};
    struct sockaddr_un *path = (struct sockaddr_un *)&address;
    socklen_t length = sizeof *path;
    struct error error;
    bool is_address;
    if (strncmp(name->text, "unix:", 5) == 0) {
        is_address = address_of_path(name->text + 5, path, &error);
    } else {
        address_split(name->text, &name->host, &name->port, &error); /* the config has checked it */
        is_address = resolver_read_address(name->host, name->port, &address, &length);
    }
    if (!is_address) return;
    name->stale_at = UINT64_MAX;
    add_address(name, &address, length);
}

void names_init(struct upstream *upstream) {
    char **targets = upstream->config->targets;
    while (targets[upstream->name_count]) upstream->name_count++;
    upstream->names = memory_new(upstream->name_count * sizeof *upstream->names);
    for (size_t i = 0; i < upstream->name_count; i++) {
        struct target_name *name = &upstream->names[i];
        name->upstream = upstream;
        name->text = targets[i];
        read_name(name);
    }
}

void names_free(struct upstream *upstream) {
    while (upstream->target_count) upstream_remove_target(upstream, upstream->target_count - 1);
    for (size_t i = 0; i < upstream->name_count; i++) {
        struct target_name *name = &upstream->names[i];
        resolver_query_free(&name->query);
        free(name->host);
        free(name->port);
        free(name->error);
    }
    free(upstream->names);
}

/* ---- asking ---- */

static bool is_resolved(const struct target *target, const struct resolved *resolved) {
    for (size_t i = 0; i < resolved->count; i++)
        if (is_same(target, &resolved->addresses[i], resolved->lengths[i])) return true;
    return false;
}

static void take_addresses(struct target_name *name, const struct resolved *resolved) {
    struct upstream *upstream = name->upstream;
    for (size_t i = 0; i < resolved->count; i++) add_address(name, &resolved->addresses[i], resolved->lengths[i]);
    for (size_t i = upstream->target_count; i-- > 0;) {
        const struct target *target = upstream->targets[i];
        if (target->name == name && !is_resolved(target, resolved)) upstream_remove_target(upstream, i);
    }
}

static void on_resolved(void *context, const struct resolved *resolved) {
    struct target_name *name = context;
    struct upstream *upstream = upstream_ref(name->upstream);
    name->stale_at = loop_now(upstream->all->loop) + resolved->age;
    free(name->error);
    name->error = NULL;
    if (resolved->count) {
        take_addresses(name, resolved);
    } else {
        name->error = memory_format("%s: %s", name->host, resolved->error);
        log_warn(NULL, "upstream %s: %s: %s", upstream->config->name, name->host, resolved->error);
    }
    resolver_query_free(&name->query);
    upstream_look_again(upstream);
    upstream_unref(&upstream);
}

static void ask(struct target_name *name) {
    struct upstreams *all = name->upstream->all;
    if (name->query || all->is_stopped) return;
    name->query = resolver_ask(upstreams_resolver(all), name->host, name->port, on_resolved, name);
}

void names_refresh(struct upstream *upstream) {
    uint64_t now = loop_now(upstream->all->loop);
    for (size_t i = 0; i < upstream->name_count; i++)
        if (upstream->names[i].stale_at <= now) ask(&upstream->names[i]);
}

void names_doubt(struct target_name *name) {
    uint64_t now = loop_now(name->upstream->all->loop);
    if (name->stale_at != UINT64_MAX && name->stale_at > now + NS_PER_S) name->stale_at = now + NS_PER_S;
}

const char *names_error(const struct upstream *upstream) {
    const char *error = NULL;
    for (size_t i = 0; i < upstream->name_count; i++) {
        if (upstream->names[i].query) return NULL;
        if (!error) error = upstream->names[i].error;
    }
    return error;
}
