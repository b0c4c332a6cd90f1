/* upstream/upstreams.c - a worker's upstreams, and the sets that configs name. See upstream.h. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "rpc/rpc.h"
#include "upstream/peer_private.h"

struct upstream_set {
    struct upstreams *all;
    char *name_servers; /* "host:port,…", or NULL */
    char *node;         /* our own id for peers, or NULL */
    struct upstream **members;
    size_t count;
};

struct upstreams *upstreams_new(struct rpc *rpc) {
    enum { OPENINGS_KEPT = 1024 };
    struct upstreams *upstreams = memory_new(sizeof *upstreams);
    upstreams->rpc = rpc;
    upstreams->loop = rpc_loop(rpc);
    upstreams->dice.state = clock_monotonic() ^ (uint64_t)(uintptr_t)upstreams;
    list_init(&upstreams->all);
    pool_init(&upstreams->openings, sizeof(struct opening), OPENINGS_KEPT);
    upstreams->host.worker_count = 1;
    upstreams->registry = peer_registry_new();
    return upstreams;
}

void upstreams_set_host(struct upstreams *upstreams, const struct upstreams_host *host) {
    peer_registry_free(&upstreams->registry);
    upstreams->host = *host;
    upstreams->registry = host->registry;
}

struct resolver *upstreams_resolver(struct upstreams *upstreams) {
    if (!upstreams->resolver) upstreams->resolver = resolver_new(upstreams->loop, upstreams->name_servers);
    return upstreams->resolver;
}

/* Calls `f` for each; `f` may let go of the one that it is given. */
static void each(const struct upstreams *upstreams, void (*f)(struct upstream *upstream)) {
    for (struct list *node = upstreams->all.next, *next; node != &upstreams->all; node = next) {
        next = node->next;
        f(container_of(node, struct upstream, node));
    }
}

static void stop(struct upstream *upstream) {
    upstream_ref(upstream);
    if (upstream->peer) peer_cut(upstream->peer);
    upstream_refuse_waiting(upstream, "the server ends");
    for (size_t i = 0; i < upstream->target_count; i++) {
        health_stop(upstream->targets[i]);
        target_cut(upstream->targets[i], "the server ends");
    }
    for (struct list *node = upstream->leaving.next, *next; node != &upstream->leaving; node = next) {
        next = node->next;
        target_cut(container_of(node, struct target, node), "the server ends");
    }
    upstream_unref(&upstream);
}

void upstreams_stop(struct upstreams *upstreams) {
    upstreams->is_stopped = true;
    each(upstreams, stop);
    resolver_free(&upstreams->resolver);
}

void upstreams_free(struct upstreams **handle) {
    struct upstreams *upstreams = *handle;
    *handle = NULL;
    if (!upstreams) return;
    resolver_free(&upstreams->resolver);
    if (!upstreams->host.registry) peer_registry_free(&upstreams->registry);
    free(upstreams->name_servers);
    pool_clear(&upstreams->openings);
    free(upstreams);
}

static void drain(struct upstream *upstream) {
    if (upstream->peer) peer_drain(upstream->peer);
    for (size_t i = 0; i < upstream->target_count; i++) {
        health_stop(upstream->targets[i]);
        target_close_idle(upstream->targets[i]);
    }
}

void upstreams_drain(struct upstreams *upstreams) {
    upstreams->is_draining = true;
    each(upstreams, drain);
}

/* ---- sets ---- */

static struct tls_client *new_tls(const struct config_upstream *config, struct error *error) {
    const struct config_upstream_tls *tls = config->tls;
    return tls_client_new(&(struct tls_client_options){.server_name = tls->server_name,
                                                       .ca = tls->ca,
                                                       .certificate = tls->certificate,
                                                       .key = tls->key,
                                                       .is_unverified = !tls->is_verified,
                                                       .protocols = (const char *const[]){"h2", NULL},
                                                       .requires_protocol = true},
                          error);
}

static struct upstream *find_same(const struct upstreams *upstreams, const struct config_upstream *config) {
    for (struct list *node = upstreams->all.next; node != &upstreams->all; node = node->next) {
        struct upstream *upstream = container_of(node, struct upstream, node);
        if (strcmp(upstream->config->name, config->name) == 0 &&
            strcmp(upstream->config->fingerprint, config->fingerprint) == 0)
            return upstream_ref(upstream);
    }
    return NULL;
}

static char *join(char **texts) {
    struct buffer joined = {0};
    for (; texts && *texts; texts++) buffer_format(&joined, "%s%s", buffer_length(&joined) ? "," : "", *texts);
    char *copy = buffer_length(&joined) ? memory_copy(buffer_bytes(&joined), buffer_length(&joined)) : NULL;
    buffer_free(&joined);
    return copy;
}

struct upstream_set *upstream_set_new(struct upstreams *upstreams, const struct config *config,
                                      struct error *error) {
    struct upstream_set *set = memory_new(sizeof *set);
    set->all = upstreams;
    set->name_servers = join(config->name_servers);
    set->node = config->node ? memory_copy_string(config->node) : NULL;
    set->members = memory_new((config->upstream_count + 1) * sizeof *set->members);
    for (; set->count < config->upstream_count; set->count++) {
        struct config_upstream *settings = config->upstreams[set->count];
        struct upstream *upstream = find_same(upstreams, settings);
        if (!upstream) {
            struct tls_client *tls = settings->tls ? new_tls(settings, error) : NULL;
            if (settings->tls && !tls) {
                struct error why = *error;
                error_set(error, "upstream %s: %s", settings->name, why.text);
                upstream_set_free(&set);
                return NULL;
            }
            upstream = upstream_new(upstreams, settings, tls);
        }
        upstream->uses++;
        set->members[set->count] = upstream;
    }
    return set;
}

/* Queries that are under way fail, and are asked again by the next call. */
static void use_name_servers(struct upstreams *upstreams, const char *servers) {
    const char *before = upstreams->name_servers;
    if (before == servers || (before && servers && strcmp(before, servers) == 0)) return;
    free(upstreams->name_servers);
    upstreams->name_servers = servers ? memory_copy_string(servers) : NULL;
    resolver_free(&upstreams->resolver);
}

void upstream_set_start(struct upstream_set *set) {
    use_name_servers(set->all, set->name_servers);
    for (size_t i = 0; i < set->count; i++) upstream_start(set->members[i]);
}

void upstream_set_free(struct upstream_set **handle) {
    struct upstream_set *set = *handle;
    *handle = NULL;
    if (!set) return;
    for (size_t i = 0; i < set->count; i++) {
        if (--set->members[i]->uses == 0) upstream_retire(set->members[i]);
        upstream_unref(&set->members[i]);
    }
    free(set->members);
    free(set->name_servers);
    free(set->node);
    free(set);
}

struct upstream *upstream_set_find(const struct upstream_set *set, const char *name) {
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(upstream_name(set->members[i]), name) == 0) return set->members[i];
    return NULL;
}

const char *upstream_set_node(const struct upstream_set *set) { return set->node; }

void upstream_set_each_peer(const struct upstream_set *set, void (*visit)(void *context, struct upstream *peer),
                            void *context) {
    for (size_t i = 0; i < set->count; i++)
        if (upstream_is_peer(set->members[i])) visit(context, set->members[i]);
}

void upstreams_each(const struct upstreams *upstreams, void (*visit)(void *context, struct upstream *upstream),
                    void *context) {
    for (struct list *node = upstreams->all.next, *next; node != &upstreams->all; node = next) {
        next = node->next;
        visit(context, container_of(node, struct upstream, node));
    }
}
