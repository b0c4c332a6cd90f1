/* upstream/peer_link.c - one connection with a peer. Who has made it closes it, when neither side has had calls for a
 * while: both sessions are drained, so that a call which is on its way is refused unseen, and made again. */
#include <stdlib.h>

#include "base/log.h"
#include "http/stream.h"
#include "upstream/peer_private.h"

static struct loop *loop_of(const struct peer_link *link) { return link->peer->upstream->all->loop; }

static size_t streams_of(const struct peer_link *link) {
    size_t streams = link->link ? rpc_link_streams(link->link) : 0;
    return link->is_ours && link->tunnel && streams ? streams - 1 : streams; /* Link/Connect is none */
}

static bool has_calls(const struct peer_link *link) {
    return streams_of(link) || (link->tunnel && rpc_tunnel_streams(link->tunnel));
}

static void linger_is_over(struct timer *timer) {
    struct peer_link *link = container_of(timer, struct peer_link, timer);
    struct peer *peer = link->peer;
    if (has_calls(link)) return;
    log_debug(NULL, "peer %s: the connection has had no calls for a while", peer->upstream->config->name);
    peer_link_leave(link);
    peer_state_gone(&peer->state, link, peer_now(peer));
    peer_look(peer);
}

struct peer_link *peer_link_new(struct peer *peer, bool is_ours) {
    struct peer_link *link = memory_new(sizeof *link);
    link->peer = peer;
    link->is_ours = is_ours;
    timer_init(&link->timer, linger_is_over);
    task_init(&link->task, NULL);
    list_append(&peer->links, &link->node);
    upstream_ref(peer->upstream);
    return link;
}

void peer_link_free(struct peer_link **handle) {
    struct peer_link *link = *handle;
    *handle = NULL;
    if (!link) return;
    struct upstream *upstream = link->peer->upstream;
    timer_stop(loop_of(link), &link->timer);
    task_cancel(&link->task);
    list_remove(&link->node);
    if (link->call) {
        link->call->data = NULL;
        call_reset(link->call, HTTP_CANCEL);
    }
    if (link->tunnel) {
        rpc_tunnel_close(link->tunnel, "the connection with the peer ends");
        rpc_tunnel_free(&link->tunnel);
    }
    if (link->link) {
        rpc_link_close(link->link, "the connection with the peer ends");
        rpc_link_free(&link->link);
    }
    resolver_query_free(&link->query);
    free(link->addresses);
    free(link->lengths);
    free(link->reason);
    free(link);
    upstream_unref(&upstream);
}

void peer_link_stand(struct peer_link *link) {
    link->stands = true;
    timer_stop(loop_of(link), &link->timer);
    link->timer.fire = linger_is_over;
}

/* Its two sessions take no calls any more, and end behind the last. */
static void close_gently(struct peer_link *link) {
    link->is_leaving = true;
    timer_stop(loop_of(link), &link->timer);
    if (link->tunnel) rpc_tunnel_drain(link->tunnel);
    if (link->link) rpc_link_drain(link->link, "max_idle");
}

/* Also while calls wait: they would have been attached if they could be. */
static void watch_idle(struct peer_link *link) {
    struct peer *peer = link->peer;
    const struct config_upstream *config = peer->upstream->config;
    bool is_ending = link->is_leaving || peer_is_ending(peer);
    bool lingers = !link->is_ours || config->peer.connect == CONNECT_ALWAYS;
    if (has_calls(link) || (lingers && !is_ending)) {
        timer_stop(loop_of(link), &link->timer);
    } else if (is_ending || !config->linger) {
        close_gently(link);
    } else {
        timer_start(loop_of(link), &link->timer, peer_now(peer) + config->linger);
    }
}

void peer_link_changed(struct peer_link *link) {
    struct peer *peer = link->peer;
    if (link == peer->state.link && !rpc_link_is_closing(link->link)) {
        peer_look(peer);     /* calls that wait go first */
        if (rpc_link_is_ready(link->link)) watch_idle(link);
    } else {
        link->is_leaving = true;
        watch_idle(link);
    }
    if (link->is_leaving) peer_state_gone(&peer->state, link, peer_now(peer));
    peer_look(peer);
}

void peer_link_leave(struct peer_link *link) {
    link->is_leaving = true;
    watch_idle(link);
}

void peer_link_retire(struct peer_link *link) {
    link->is_leaving = true;
    if (link->tunnel) rpc_tunnel_drain(link->tunnel);
    if (!link->is_ours) rpc_link_drain(link->link, "graceful_stop");
    peer_link_changed(link);
}

/* ---- what rpc/ tells ---- */

static void on_change(void *context) {
    struct peer_link *link = context;
    if (link->stands)
        peer_link_changed(link);
    else
        peer_dial_changed(link);
}

static void on_gone(void *context, const char *reason) {
    struct peer_link *link = context;
    struct peer *peer = link->peer;
    if (!link->stands) {
        peer_dial_gone(link, reason);
        return;
    }
    log_info(NULL, "peer %s: the connection ends: %s", peer->upstream->config->name, reason);
    struct upstream *upstream = upstream_ref(peer->upstream);
    peer_state_gone(&peer->state, link, peer_now(peer));
    peer_link_free(&link);
    peer_look(peer);
    upstream_unref(&upstream);
}

const struct rpc_link_events peer_link_events = {on_change, on_gone};

static void on_tunnel_idle(void *context) { peer_link_changed(context); }

/* The peer wants the connection no more, or has lost it: then the link is gone as well in a moment. */
static void on_tunnel_gone(void *context, const char *reason) {
    struct peer_link *link = context;
    (void)reason;
    rpc_tunnel_free(&link->tunnel);
    link->is_leaving = true;
    peer_link_changed(link);
}

const struct rpc_tunnel_events peer_tunnel_events = {on_tunnel_idle, on_tunnel_gone};
