/* gateway/check.c - gateway_check(): one worker's worth of loading, without a thread or a socket. */
#include <stdatomic.h>

#include "fanout/rate.h"
#include "fanout/topic.h"
#include "gateway/gateway.h"
#include "gateway/paths.h"
#include "gateway/revision.h"
#include "gateway/worker.h"
#include "net/loop.h"
#include "script/script.h"
#include "upstream/upstream.h"

static void set_health(void *context, const char *service, bool is_serving) {
    (void)context, (void)service, (void)is_serving;
}

static void gone(void *context) { (void)context; }

static bool check_scripts(struct revision *revision, struct error *error) {
    struct topic_registry *registry = topic_registry_new(1, revision->config->limits.topics);
    struct rate_registry *rates = rate_registry_new();
    struct rpc_limits limits = worker_rpc_limits(revision->config, 1);
    struct loop *loop = loop_new();
    struct rpc *rpc = rpc_new(loop, &limits);
    struct upstreams *upstreams = upstreams_new(rpc);
    struct upstream_set *set = upstream_set_new(upstreams, revision->config, error);
    struct topics *topics = topics_new(registry, 0, loop);
    struct script *script = script_new(&(struct script_host){.loop = loop,
                                                             .rpc = rpc,
                                                             .topics = topics,
                                                             .rates = rates,
                                                             .worker_count = 1,
                                                             .lua_path = gateway_lua_path(),
                                                             .set_health = set_health});
    struct generation *generation = NULL;
    if (set)
        generation = generation_load(script, revision->config, revision->schema, revision->dicts, revision->number, gone,
                                     NULL, error);
    bool is_fine = generation != NULL;
    if (generation) generation_retire(generation);
    loop_turn(loop);
    upstreams_stop(upstreams);
    rpc_free(&rpc);
    script_free(&script);
    upstream_set_free(&set);
    upstreams_free(&upstreams);
    topics_free(&topics);
    topic_registry_free(&registry);
    rate_registry_free(&rates);
    loop_free(&loop);
    return is_fine;
}

bool gateway_check(const char *config_file, struct error *error) {
    atomic_uint alive = 0;
    struct revision *revision = revision_read(config_file, 1, &alive, error);
    if (!revision) return false;
    bool is_fine = revision_open_dicts(revision, NULL, error) && check_scripts(revision, error);
    revision_unref(&revision);
    return is_fine;
}
