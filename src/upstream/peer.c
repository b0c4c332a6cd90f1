/* upstream/peer.c - one peer in its home: the hands of the state machine, and the calls that wait for a link. */
#include "upstream/peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "upstream/peer_private.h"

bool upstream_is_peer(const struct upstream *upstream) { return upstream->config->peer.id != NULL; }
const char *upstream_peer_id(const struct upstream *upstream) { return upstream->config->peer.id; }

void peer_counts(const struct upstream *upstream, struct peer_counts *counts) {
    *counts = (struct peer_counts){.name = upstream->config->name, .id = upstream->config->peer.id};
    peer_record_read(upstream->record, counts);
}

uint64_t peer_now(const struct peer *peer) { return loop_now(peer->upstream->all->loop); }

bool peer_is_ending(const struct peer *peer) { return !peer->upstream->uses || peer->upstream->all->is_draining; }

/* ---- what the state machine wants done ---- */

static void act_dial(void *context, uint64_t number) {
    struct peer *peer = context;
    peer->dial = peer_dial_new(peer, number);
}

static void act_give_up(void *context) {
    struct peer *peer = context;
    peer_link_free(&peer->dial);
}

static void act_take(void *context, void *link, uint64_t void_up_to) {
    struct peer *peer = context;
    peer->failures_in_row = 0;
    peer_arrival_take(link, void_up_to);
}

static void act_refuse(void *context, void *link) {
    (void)context;
    peer_arrival_refuse(link);
}

static void act_let_go(void *context, void *link) {
    (void)context;
    peer_link_leave(link);
}

static const struct peer_actions actions = {act_dial, act_give_up, act_take, act_refuse, act_let_go};

/* ---- what it is to know ---- */

static bool is_wanted(const struct peer *peer) {
    bool is_always = peer->upstream->config->peer.connect == CONNECT_ALWAYS && peer->upstream->is_started;
    return !list_is_empty(&peer->target->waiting) || (is_always && !peer_is_ending(peer));
}

uint32_t peer_connections(const struct peer *peer) {
    uint32_t count = 0;
    for (struct list *node = peer->links.next; node != &peer->links; node = node->next)
        count += container_of(node, struct peer_link, node)->stands;
    return count;
}

static void tell_record(struct peer *peer) {
    const struct peer_state *state = &peer->state;
    const struct peer_link *link = state->link;
    struct peer_numbers now = {.waiting = peer->target->waiting_count,
                               .streams = peer->target->streams,
                               .dials = state->dials,
                               .dial_failures = state->dial_failures,
                               .accepted = state->accepted,
                               .refused = state->refused,
                               .simultaneous = state->simultaneous};
    now.links = link && link->link && rpc_link_is_ready(link->link);
    now.dialled_links = now.links && link->is_ours;
    now.connections = peer_connections(peer);
    if (memcmp(&now, &peer->told, sizeof now) == 0) return;
    peer_record_add(peer->record, &peer->told, &now);
    counter_add(&peer->upstream->figures->connections, now.connections - peer->told.connections);
    counter_add(&peer->upstream->figures->dial_failures, now.dial_failures - peer->told.dial_failures);
    peer->told = now;
}

static void serve_waiting(struct peer *peer) {
    struct list *waiting = &peer->target->waiting;
    const struct peer_link *link = peer->state.link;
    while (link && !list_is_empty(waiting) && rpc_link_room(link->link))
        if (!opening_attach(container_of(waiting->next, struct opening, node), peer->target, link->link)) break;
}

void peer_look(struct peer *peer) {
    struct loop *loop = peer->upstream->all->loop;
    serve_waiting(peer);
    peer_state_want(&peer->state, is_wanted(peer), peer_now(peer));
    if (peer_is_ending(peer) && !is_wanted(peer)) peer_state_stop(&peer->state);
    uint64_t due = peer_state_due(&peer->state);
    if (due == UINT64_MAX)
        timer_stop(loop, &peer->timer);
    else
        timer_start(loop, &peer->timer, due);
    tell_record(peer);
}

void peer_look_later(struct peer *peer) { loop_defer(peer->upstream->all->loop, LOOP_RUN, &peer->look); }
static void look(struct task *task) { peer_look(container_of(task, struct peer, look)); }

static void tick(struct timer *timer) {
    struct peer *peer = container_of(timer, struct peer, timer);
    peer->state.is_wanted = is_wanted(peer);
    peer_state_tick(&peer->state, peer_now(peer));
    peer_look(peer);
}

void peer_dial_failed(struct peer *peer, const char *reason) {
    const struct config_upstream *config = peer->upstream->config;
    uint64_t wait = backoff_after(++peer->failures_in_row, config->backoff, 1.6, config->backoff_most,
                                  &peer->upstream->all->dice);
    free(peer->error);
    peer->error = memory_copy_string(reason);
    peer_record_set_error(peer->record, reason);
    log_info(NULL, "peer %s: %s; next attempt in %.1f s at the earliest", config->name, reason,
             (double)wait / (double)NS_PER_S);
    peer_state_failed(&peer->state, wait, peer_now(peer));
    peer_look(peer);
}

/* ---- calls ---- */

void peer_place(struct peer *peer, struct opening *opening) {
    const struct peer_link *link = peer->state.link;
    bool is_first = list_is_empty(&peer->target->waiting);
    if (link && is_first && rpc_link_room(link->link) && opening_attach(opening, peer->target, link->link)) {
        peer_look_later(peer);
        return;
    }
    if (!opening_may_wait(opening)) return;
    opening_wait(opening, &peer->target->waiting, peer->target);
    timer_start(peer->upstream->all->loop, &opening->timer, peer_now(peer) + peer->upstream->config->peer.wait);
    peer_look_later(peer);
}

void peer_waited_enough(struct peer *peer, struct opening *opening) {
    const struct config_upstream *config = peer->upstream->config;
    const char *lack = peer->state.link ? "no room on the connection" : "no connection", *why = peer->error;
    char *text = memory_format("peer %s: %s within %.1f s%s%s", config->name, lack,
                               (double)config->peer.wait / (double)NS_PER_S, why ? ": " : "", why ? why : "");
    opening_refuse(opening, text);
    free(text);
}

/* ---- life ---- */

struct peer *peer_new(struct upstream *upstream) {
    const struct config_peer *config = &upstream->config->peer;
    struct peer *peer = memory_new(sizeof *peer);
    peer->upstream = upstream;
    peer->target = upstream->targets[0];
    peer->record = upstream->record;
    list_init(&peer->links);
    timer_init(&peer->timer, tick);
    task_init(&peer->look, look);
    peer_state_init(&peer->state, strcmp(config->node, config->id) < 0, upstream->config->targets[0],
                    peer_record_dials(peer->record), &actions, peer);
    peer->told.dials = peer->state.dials;
    peer_add_inner_routes(peer);
    return peer;
}

void peer_free(struct peer **handle) {
    struct peer *peer = *handle;
    *handle = NULL;
    if (!peer) return;
    tell_record(peer);
    timer_stop(peer->upstream->all->loop, &peer->timer);
    task_cancel(&peer->look);
    router_free(&peer->calls);
    router_free(&peer->arrivals);
    free(peer->error);
    free(peer);
}

void peer_start(struct peer *peer) { peer_look(peer); }

/* Those that stand, which none of these functions frees; a dial may come and go meanwhile. */
static void each_standing(struct peer *peer, void (*f)(struct peer_link *link)) {
    for (struct list *node = peer->links.next; node != &peer->links; node = node->next) {
        struct peer_link *link = container_of(node, struct peer_link, node);
        if (link->stands) f(link);
    }
}

void peer_retire(struct peer *peer) {
    each_standing(peer, peer_link_retire);
    peer_look_later(peer);
}

void peer_drain(struct peer *peer) {
    each_standing(peer, peer_link_changed);
    peer_look_later(peer);
}

void peer_cut(struct peer *peer) {
    struct upstream *upstream = upstream_ref(peer->upstream);
    peer_state_stop(&peer->state);
    peer->state.link = NULL;
    while (!list_is_empty(&peer->links)) {
        struct peer_link *link = container_of(peer->links.next, struct peer_link, node);
        peer_link_free(&link);
    }
    upstream_unref(&upstream);
}
