/* upstream/upstream.c - one upstream: which of its targets gets a call. */
#include <stdlib.h>
#include <string.h>

#include "base/figures.h"
#include "upstream/peer_private.h"

/* ---- life ---- */

static void place_waiting(struct upstream *upstream) {
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &upstream->waiting);
    struct list *node;
    upstream_ref(upstream);
    while ((node = list_take(&batch))) upstream_place(upstream, container_of(node, struct opening, node));
    upstream_unref(&upstream);
}

static void again(struct task *task) { place_waiting(container_of(task, struct upstream, again)); }
static void wake(struct timer *timer) { place_waiting(container_of(timer, struct upstream, wake)); }

static void become_peer(struct upstream *upstream) {
    upstream->record = peer_record_of(upstream->all->registry, upstream->config->peer.id);
    upstream_add_target(upstream, target_new_for_peer(upstream));
    if (peer_is_home(upstream)) upstream->peer = peer_new(upstream);
}

struct figures *upstream_figures_new(uint32_t workers) {
    return figures_new(workers, sizeof(struct upstream_figures) / sizeof(atomic_uint_least64_t), UPSTREAM_FIGURES_MOST,
                       &(struct figures_name){{"others"}});
}

/* The calls of a peer all go by its home, which counts them. */
static void open_figures(struct upstream *upstream) {
    const struct upstreams_host *host = &upstream->all->host;
    bool is_elsewhere = upstream_is_peer(upstream) && !peer_is_home(upstream);
    upstream->figures = &upstream->own_figures;
    if (host->figures && !is_elsewhere)
        upstream->figures = figures_open(host->figures, host->worker, &(struct figures_name){{upstream->config->name}});
}

struct upstream *upstream_new(struct upstreams *upstreams, struct config_upstream *config, struct tls_client *tls) {
    struct upstream *upstream = memory_new(sizeof *upstream);
    upstream->all = upstreams;
    upstream->config = config_upstream_ref(config);
    upstream->tls = tls;
    upstream->account = account_new(upstreams->rpc);
    if (config->retry) upstream->tokens = TOKEN * config->retry->tokens;
    upstream->references = 1;
    list_init(&upstream->leaving);
    list_init(&upstream->waiting);
    task_init(&upstream->again, again);
    timer_init(&upstream->wake, wake);
    list_append(&upstreams->all, &upstream->node);
    open_figures(upstream);
    if (upstream_is_peer(upstream))
        become_peer(upstream);
    else
        names_init(upstream);
    return upstream;
}

struct upstream *upstream_ref(struct upstream *upstream) {
    upstream->references++;
    return upstream;
}

void upstream_unref(struct upstream **handle) {
    struct upstream *upstream = *handle;
    *handle = NULL;
    if (!upstream || --upstream->references) return;
    task_cancel(&upstream->again);
    timer_stop(upstream->all->loop, &upstream->wake);
    list_remove(&upstream->node);
    peer_free(&upstream->peer);
    names_free(upstream);
    tls_client_free(&upstream->tls);
    account_unref(&upstream->account);
    config_upstream_unref(&upstream->config);
    free(upstream->targets);
    free(upstream->candidates);
    free(upstream);
}

void upstream_start(struct upstream *upstream) {
    if (upstream->is_started || (!upstream->config->health && !upstream->peer)) return;
    upstream->is_started = true;
    if (upstream->peer) peer_start(upstream->peer);
    if (!upstream->config->health) return;
    names_refresh(upstream);
    for (size_t i = 0; i < upstream->target_count; i++) health_start(upstream->targets[i]);
}

void upstream_retire(struct upstream *upstream) {
    upstream->is_started = false;
    if (upstream->peer) peer_retire(upstream->peer);
    for (size_t i = 0; i < upstream->target_count; i++) {
        health_stop(upstream->targets[i]);
        target_close_idle(upstream->targets[i]);
    }
}

const char *upstream_name(const struct upstream *upstream) { return upstream->config->name; }

uint64_t upstream_linger(const struct upstream *upstream) {
    return upstream->uses && !upstream->all->is_draining ? upstream->config->linger : 0;
}

/* ---- targets ---- */

void upstream_add_target(struct upstream *upstream, struct target *target) {
    size_t count = ++upstream->target_count;
    upstream->targets = memory_resize(upstream->targets, count * sizeof *upstream->targets);
    upstream->candidates = memory_resize(upstream->candidates, count * sizeof *upstream->candidates);
    upstream->targets[count - 1] = target;
    if (upstream->is_started && !upstream->all->is_draining) health_start(target);
}

void upstream_remove_target(struct upstream *upstream, size_t index) {
    struct target *target = upstream->targets[index];
    upstream->target_count--;
    memmove(upstream->targets + index, upstream->targets + index + 1,
            (upstream->target_count - index) * sizeof *upstream->targets);
    list_append(&upstream->leaving, &target->node);
    target_leave(target);
}

/* ---- who gets a call ---- */

/* `but`: not this one; `ready`: only those that would take a call at once. */
static int choose(struct upstream *upstream, const struct opening *opening, const struct target *but, bool ready) {
    uint64_t now = loop_now(upstream->all->loop);
    size_t count = upstream->target_count;
    for (size_t i = 0; i < count; i++) {
        struct target *target = upstream->targets[i];
        upstream->candidates[i] =
            (struct candidate){.hash = target->hash,
                               .load = target->streams + target->waiting_count,
                               .is_usable = target != but && target_is_usable(target, now) &&
                                            (!ready || target_has_room(target))};
    }
    switch (upstream->config->balance) {
    case BALANCE_LEAST_STREAMS: return balance_least(upstream->candidates, count, &upstream->next);
    case BALANCE_HASH:
        if (opening->has_key) return balance_by_hash(upstream->candidates, count, opening->key);
        break;
    default: break;
    }
    return balance_in_turn(upstream->candidates, count, &upstream->next);
}

static void wait_for_any(struct upstream *upstream, struct opening *opening) {
    uint64_t now = loop_now(upstream->all->loop), due = UINT64_MAX;
    opening_wait(opening, &upstream->waiting, NULL);
    for (size_t i = 0; i < upstream->target_count; i++) {
        uint64_t at = target_usable_at(upstream->targets[i], now);
        if (at < due) due = at;
    }
    for (size_t i = 0; i < upstream->name_count; i++) /* a name without an address is asked for again */
        if (upstream->names[i].stale_at < due && !upstream->names[i].query) due = upstream->names[i].stale_at;
    if (due == UINT64_MAX) return;
    if (due <= now) due = now + NS_PER_MS;
    if (!timer_is_running(&upstream->wake) || upstream->wake.due > due)
        timer_start(upstream->all->loop, &upstream->wake, due);
}

static void wait_or_refuse(struct upstream *upstream, struct opening *opening) {
    const char *names = upstream->target_count ? NULL : names_error(upstream);
    bool is_asking = !upstream->target_count && !names;
    if (is_asking || opening->waits) {
        if (opening_may_wait(opening)) wait_for_any(upstream, opening);
        return;
    }
    char *text = verdict_text(upstream);
    opening_refuse(opening, text);
    free(text);
}

void upstream_place(struct upstream *upstream, struct opening *opening) {
    if (upstream->all->is_stopped) {
        opening_refuse(opening, "the server ends");
        return;
    }
    if (opening->only) {
        opening_refuse(opening, "the target cannot be reached");
        return;
    }
    if (upstream->peer) {
        peer_place(upstream->peer, opening);
        return;
    }
    names_refresh(upstream);
    int chosen = choose(upstream, opening, opening->last, false);
    if (chosen == BALANCE_NOBODY && opening->last) chosen = choose(upstream, opening, NULL, false);
    if (chosen == BALANCE_NOBODY) {
        wait_or_refuse(upstream, opening);
        return;
    }
    struct target *target = upstream->targets[chosen];
    bool is_bound = upstream->config->balance == BALANCE_HASH && opening->has_key;
    if (!is_bound && !target_has_room(target)) { /* nobody waits for a connection while another stands */
        size_t next = upstream->next;
        int ready = choose(upstream, opening, opening->last, true);
        upstream->next = next;
        if (ready != BALANCE_NOBODY) {
            target_warm(target);
            target = upstream->targets[ready];
        }
    }
    target_give(target, opening);
}

void upstream_look_again(struct upstream *upstream) {
    if (!list_is_empty(&upstream->waiting)) loop_defer(upstream->all->loop, LOOP_RUN, &upstream->again);
}

void upstream_refuse_waiting(struct upstream *upstream, const char *text) {
    struct list *node;
    while ((node = list_take(&upstream->waiting))) opening_refuse(container_of(node, struct opening, node), text);
}

struct call *upstream_open(struct upstream *upstream, const struct upstream_request *request) {
    return opening_start(upstream, request);
}

/* ---- counts ---- */

void upstream_each_target(const struct upstream *upstream,
                          void (*visit)(void *context, const struct upstream_target_counts *counts), void *context) {
    struct upstream_target_counts counts;
    for (size_t i = 0; i < upstream->target_count; i++) {
        target_counts(upstream->targets[i], &counts);
        visit(context, &counts);
    }
    for (const struct list *node = upstream->leaving.next; node != &upstream->leaving; node = node->next) {
        target_counts(container_of(node, struct target, node), &counts);
        visit(context, &counts);
    }
}

static void add_up(void *context, const struct upstream_target_counts *target) {
    struct upstream_counts *counts = context;
    counts->connections += target->connections;
    counts->streams += target->streams;
}

void upstream_counts(const struct upstream *upstream, struct upstream_counts *counts) {
    *counts = (struct upstream_counts){.name = upstream->config->name,
                                       .waiting = upstream->waiting_count,
                                       .calls = upstream->calls,
                                       .retries = upstream->retries,
                                       .refused = upstream->refused};
    upstream_each_target(upstream, add_up, counts);
}
