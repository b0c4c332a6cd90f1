/* upstream/peer_inside.c - between the workers of the process: the home serves sockets that the others have made. There are
 * two kinds, each with a router of its own. Over the one come calls, all for the peer; over the other the Link of a
 * connection that was accepted elsewhere. So nothing that a client can say makes the one the other. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "http/stream.h"
#include "rpc/rpc.h"
#include "upstream/peer_private.h"

static const struct call_limits passed = {.message = UINT32_MAX, .buffered_per_stream = 1024 * 1024};

uint32_t peer_home(const struct upstream *upstream) {
    const char *id = upstream->config->peer.id;
    return (uint32_t)(balance_hash(id, strlen(id)) % upstream->all->host.worker_count);
}

bool peer_is_home(const struct upstream *upstream) { return peer_home(upstream) == upstream->all->host.worker; }

int peer_connect_home(const struct upstream *upstream, bool is_arrival) {
    const struct upstreams_host *host = &upstream->all->host;
    int ends[2];
    if (!host->connect) return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        log_warn(NULL, "peer %s: no socket between workers: %s", upstream->config->name, strerror(errno));
        return -1;
    }
    host->connect(host->context, peer_home(upstream), ends[1], config_upstream_ref(upstream->config), is_arrival);
    return ends[0];
}

/* ---- in the home ---- */

static void closed(struct call *call, enum status status, const char *text) { (void)call, (void)status, (void)text; }
static const struct call_handler outward = {.on_close = closed};

static void on_request(struct call *call, const struct http_header *headers, size_t count, bool is_end) {
    struct peer *peer = call->data;
    uint64_t now = loop_now(rpc_loop(call->rpc));
    const struct upstream_request request = {
        .call = {.headers = headers,
                 .header_count = count,
                 .is_end = is_end,
                 .timeout = !call->deadline ? 0 : call->deadline > now ? call->deadline - now : 1,
                 .handler = &outward,
                 .limits = &passed,
                 .account = call_account(call)}};
    call->upstream = upstream_name(peer->upstream);
    call_join(call, upstream_open(peer->upstream, &request));
}

static const struct call_handler inward = {.on_request = on_request, .on_close = closed};

void peer_add_inner_routes(struct peer *peer) {
    peer->calls = router_new(0, NULL, NULL);
    router_add_pattern(peer->calls, "*", &inward, peer, &passed);
    peer->arrivals = router_new(0, NULL, NULL);
    router_add(peer->arrivals, &rpc_tunnel_method, &peer_arrival_handler, peer, &rpc_tunnel_limits);
}

/* The other worker's upstream may be of another generation than what is in force here. A connection is for the peer that
 * is in force, whoever accepted it; calls are for the one that they were opened on while that is there. */
static struct upstream *find(const struct upstreams *upstreams, const struct config_upstream *config, bool is_arrival) {
    struct upstream *best = NULL;
    int best_fit = 0;
    for (struct list *node = upstreams->all.next; node != &upstreams->all; node = node->next) {
        struct upstream *upstream = container_of(node, struct upstream, node);
        if (!upstream->peer || strcmp(upstream->config->peer.id, config->peer.id) != 0) continue;
        bool is_same = strcmp(upstream->config->fingerprint, config->fingerprint) == 0;
        int fit = 1 + (is_same ? (is_arrival ? 1 : 2) : 0) + (upstream->uses ? (is_arrival ? 2 : 1) : 0);
        if (fit <= best_fit) continue;
        best = upstream;
        best_fit = fit;
    }
    return best;
}

static void gone(void *context) {
    struct upstream *upstream = context;
    upstream_unref(&upstream);
}

void upstreams_accept(struct upstreams *upstreams, int fd, struct config_upstream *config, bool is_arrival) {
    struct upstream *upstream = upstreams->is_stopped ? NULL : find(upstreams, config, is_arrival);
    config_upstream_unref(&config);
    if (!upstream) {
        close(fd);
        return;
    }
    rpc_accept(upstreams->rpc,
               &(struct rpc_accepted){.fd = fd,
                                      .router = is_arrival ? upstream->peer->arrivals : upstream->peer->calls,
                                      .is_internal = true,
                                      .on_gone = gone,
                                      .context = upstream_ref(upstream)});
}
