/* upstream/target.c - one address: the links to it, and the calls that wait for one. */
#include <stdlib.h>
#include <string.h>

#include "net/address.h"
#include "upstream/peer_private.h"

struct upstream_link {
    struct list node;
    struct target *target;
    struct rpc_link *link;
    struct timer linger, age;
    bool was_ready;
    bool is_counted; /* takes calls, now or when it stands */
    bool has_served;
    bool has_complained;
    bool is_unwanted; /* nobody waits for it any more: closed before it stood */
};

static struct loop *loop_of(const struct target *target) { return target->upstream->all->loop; }

/* ---- life ---- */

struct target *target_new(struct target_name *name, const struct sockaddr_storage *address, socklen_t length) {
    struct target *target = memory_new(sizeof *target);
    target->upstream = name->upstream;
    target->name = name;
    target->address = *address;
    target->address_length = length;
    target->text = name->host ? address_format((const struct sockaddr *)address, length) : memory_copy_string(name->text);
    target->hash = balance_hash(target->text, strlen(target->text));
    list_init(&target->node);
    list_init(&target->links);
    list_init(&target->waiting);
    return target;
}

struct target *target_new_for_peer(struct upstream *upstream) {
    struct target *target = memory_new(sizeof *target);
    const char *address = upstream->config->targets[0];
    target->upstream = upstream;
    target->text = peer_is_home(upstream) ? memory_copy_string(address ? address : upstream->config->peer.id)
                                          : memory_format("worker %u", (unsigned)peer_home(upstream));
    list_init(&target->node);
    list_init(&target->links);
    list_init(&target->waiting);
    return target;
}

void target_free_if_left(struct target *target) {
    if (!target->is_leaving || !list_is_empty(&target->links) || target->streams || target->checks) return;
    list_remove(&target->node);
    free(target->text);
    free(target->error);
    free(target);
}

/* They look for another target, or for this one again. */
static void move_waiting(struct target *target) {
    struct list batch;
    struct list *node;
    list_init(&batch);
    list_splice(&batch, &target->waiting);
    while ((node = list_take(&batch))) {
        struct opening *opening = container_of(node, struct opening, node);
        opening->target = NULL;
        opening->last = target;
        target->waiting_count--;
        upstream_place(target->upstream, opening);
    }
}

void target_leave(struct target *target) {
    target->is_leaving = true;
    health_stop(target);
    move_waiting(target);
    target_close_idle(target);
    target_free_if_left(target);
}

/* ---- links ---- */

static void forget_link(struct upstream_link *link) {
    struct target *target = link->target;
    struct upstream *upstream = target->upstream;
    timer_stop(loop_of(target), &link->linger);
    timer_stop(loop_of(target), &link->age);
    list_remove(&link->node);
    counter_take(&upstream->figures->connections, link->was_ready);
    rpc_link_free(&link->link);
    free(link);
    target_free_if_left(target);
    upstream_unref(&upstream);
}

static void uncount(struct upstream_link *link) {
    if (!link->is_counted) return;
    link->is_counted = false;
    link->target->link_count--;
    health_let_go(link->target);
}

static void drain_link(struct upstream_link *link, const char *reason) {
    uncount(link);
    rpc_link_drain(link->link, reason);
}

static void linger_is_over(struct timer *timer) {
    drain_link(container_of(timer, struct upstream_link, linger), "max_idle");
}
static void is_old(struct timer *timer) { drain_link(container_of(timer, struct upstream_link, age), "max_age"); }

/* A link without calls goes after a while. */
static void watch_idle(struct upstream_link *link) {
    struct target *target = link->target;
    bool is_idle = link->was_ready && !rpc_link_streams(link->link) && list_is_empty(&target->waiting);
    if (!is_idle || !link->is_counted) {
        timer_stop(loop_of(target), &link->linger);
        return;
    }
    uint64_t linger = target->is_leaving ? 0 : upstream_linger(target->upstream);
    if (!linger)
        drain_link(link, "max_idle");
    else if (!timer_is_running(&link->linger))
        timer_start(loop_of(target), &link->linger, loop_now(loop_of(target)) + linger);
}

static struct upstream_link *link_with_room(const struct target *target) {
    for (struct list *node = target->links.next; node != &target->links; node = node->next) {
        struct upstream_link *link = container_of(node, struct upstream_link, node);
        if (link->is_counted && rpc_link_room(link->link)) return link;
    }
    return NULL;
}

bool target_has_room(const struct target *target) { return link_with_room(target) != NULL; }

static bool attach(struct upstream_link *link, struct opening *opening) {
    if (!opening_attach(opening, link->target, link->link)) return false;
    link->has_served = true;
    timer_stop(loop_of(link->target), &link->linger);
    return true;
}

static void serve_waiting(struct target *target) {
    struct upstream_link *link;
    while (!list_is_empty(&target->waiting) && (link = link_with_room(target)))
        if (!attach(link, container_of(target->waiting.next, struct opening, node))) break;
    if (!list_is_empty(&target->waiting)) target_warm(target);
}

static void became_ready(struct upstream_link *link) {
    struct target *target = link->target;
    uint64_t age = target->upstream->config->max_age;
    link->was_ready = true;
    counter_add(&target->upstream->figures->connections, 1);
    target->is_dialling = false;
    if (rpc_link_is_closing(link->link)) return; /* it greets to send everybody away */
    if (age)
        timer_start(loop_of(target), &link->age,
                    loop_now(loop_of(target)) + dice_spread(&target->upstream->all->dice, age, 0.1));
    target_connected(target);
}

/* A server that finds our PINGs too many gets half as many from now on (gRPC: A8). */
static void note_complaint(struct upstream_link *link) {
    enum { MOST_HALVINGS = 16 };
    if (link->has_complained || !rpc_link_pings_too_often(link->link)) return;
    link->has_complained = true;
    if (link->target->pings_slowed < MOST_HALVINGS) link->target->pings_slowed++;
}

static void failed(struct target *target, const char *reason) {
    target_dial_failed(target, reason);
    if (target->name) names_doubt(target->name);
    move_waiting(target);
}

/* A link that goes before it took a call, while calls wait, is as good as none: a server that sends everybody away
 * would be dialled again and again without a pause. */
static bool was_in_vain(const struct upstream_link *link) {
    return link->is_counted && !link->has_served && !list_is_empty(&link->target->waiting);
}

static void on_change(void *context) {
    struct upstream_link *link = context;
    struct target *target = link->target;
    bool is_closing = rpc_link_is_closing(link->link), is_in_vain = is_closing && was_in_vain(link);
    if (!link->was_ready && rpc_link_is_ready(link->link)) became_ready(link);
    if (is_closing) {
        note_complaint(link);
        uncount(link);
    }
    if (is_in_vain)
        failed(target, "the server takes no calls on the connection");
    else
        serve_waiting(target);
    watch_idle(link);
}

static void on_gone(void *context, const char *reason) {
    struct upstream_link *link = context;
    struct target *target = link->target;
    bool has_failed = !link->is_unwanted && (!link->was_ready || was_in_vain(link));
    if (!link->was_ready) target->is_dialling = false;
    note_complaint(link);
    uncount(link);
    if (has_failed)
        failed(target, reason);
    else
        serve_waiting(target);
    forget_link(link);
}

static const char *server_name(const struct target *target) {
    const struct config_upstream_tls *tls = target->upstream->config->tls;
    return !tls || tls->server_name ? NULL : target->name->host;
}

static const struct rpc_link_events events = {on_change, on_gone};

/* A peer's calls go by way of its home. */
static struct rpc_link *connect_home(struct upstream_link *link, int fd) {
    const struct upstream *upstream = link->target->upstream;
    const struct rpc_link_options options = {.name = link->target->text,
                                             .authority = upstream->config->peer.id,
                                             .connect_timeout = upstream->config->connect_timeout};
    return rpc_link_over_fd(upstream->all->rpc, fd, &options, &events, link);
}

static struct rpc_link *dial(struct upstream_link *link) {
    const struct target *target = link->target;
    const struct config_upstream *config = target->upstream->config;
    const struct rpc_link_options options = {
        .address = (const struct sockaddr *)&target->address,
        .address_length = target->address_length,
        .name = target->text,
        .authority = target->name->host ? target->name->text : "localhost",
        .tls = target->upstream->tls,
        .server_name = server_name(target),
        .connect_timeout = config->connect_timeout,
        .keepalive_interval = config->keepalive.interval << target->pings_slowed,
        .keepalive_timeout = config->keepalive.timeout,
        .pings_without_streams = config->keepalive.without_streams,
        .most_streams = (uint32_t)config->streams,
    };
    struct error unused; /* an address always makes sense */
    return rpc_link_new(target->upstream->all->rpc, &options, &events, link, &unused);
}

void target_warm(struct target *target) {
    const struct upstream *upstream = target->upstream;
    if (target->is_dialling || target->link_count >= upstream->config->connections || upstream->all->is_stopped) return;
    if (loop_now(loop_of(target)) < target->backoff_until) return;
    int home = target->name ? -1 : peer_connect_home(upstream, false);
    if (!target->name && home < 0) {
        failed(target, "no socket");
        return;
    }
    struct upstream_link *link = memory_new(sizeof *link);
    link->target = target;
    link->is_counted = true;
    timer_init(&link->linger, linger_is_over);
    timer_init(&link->age, is_old);
    upstream_ref(target->upstream);
    list_append(&target->links, &link->node);
    target->link_count++;
    target->is_dialling = true;
    target->dials++;
    link->link = target->name ? dial(link) : connect_home(link, home);
}

void target_give(struct target *target, struct opening *opening) {
    struct upstream_link *link = list_is_empty(&target->waiting) ? link_with_room(target) : NULL;
    if (link && attach(link, opening)) return;
    if (opening_may_wait(opening)) opening_wait(opening, &target->waiting, target);
    target_warm(target); /* for the next, if not for this one */
}

void target_close_idle(struct target *target) {
    for (struct list *node = target->links.next; node != &target->links; node = node->next)
        watch_idle(container_of(node, struct upstream_link, node));
    target_stop_dialling(target);
}

/* While the upstream is in force, what was begun may as well be finished: the next call will want it. */
void target_stop_dialling(struct target *target) {
    if (target->upstream->peer) peer_look_later(target->upstream->peer);
    bool is_ending = target->is_leaving || !target->upstream->uses || target->upstream->all->is_draining;
    if (!target->is_dialling || !is_ending || !list_is_empty(&target->waiting)) return;
    for (struct list *node = target->links.next; node != &target->links; node = node->next) {
        struct upstream_link *link = container_of(node, struct upstream_link, node);
        if (link->was_ready || link->is_unwanted) continue;
        link->is_unwanted = true;
        rpc_link_close(link->link, "nobody waits for it");
    }
}

void target_cut(struct target *target, const char *reason) {
    struct list *node;
    while ((node = list_take(&target->waiting))) {
        struct opening *opening = container_of(node, struct opening, node);
        opening->target = NULL;
        target->waiting_count--;
        opening_refuse(opening, reason);
    }
    target->streams++; /* it stays for as long as this takes */
    while (!list_is_empty(&target->links)) {
        struct upstream_link *link = container_of(target->links.next, struct upstream_link, node);
        uncount(link);
        rpc_link_close(link->link, reason);
        forget_link(link);
    }
    target->streams--;
    target_free_if_left(target);
}

void target_counts(const struct target *target, struct upstream_target_counts *counts) {
    uint64_t now = loop_now(loop_of(target));
    *counts = (struct upstream_target_counts){.address = target->text,
                                              .waiting = target->waiting_count,
                                              .streams = target->streams,
                                              .calls = target->calls,
                                              .failures = target->failures,
                                              .dials = target->dials,
                                              .dial_failures = target->dial_failures,
                                              .is_connecting = target->is_dialling,
                                              .is_in_backoff = target->backoff_until > now,
                                              .is_ejected = target->ejected_until > now,
                                              .is_unhealthy = target->is_unhealthy};
    for (struct list *node = target->links.next; node != &target->links; node = node->next)
        counts->connections += container_of(node, struct upstream_link, node)->was_ready;
    if (target->upstream->peer) counts->connections += peer_connections(target->upstream->peer);
}
