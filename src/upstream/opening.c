/* upstream/opening.c - one call to an upstream, from its opening to its end: it may have several attempts. */
#include <stdlib.h>
#include <string.h>

#include "http/stream.h"
#include "upstream/peer_private.h"

enum {
    MOST_UNSEEN = 5, /* attempts that servers refuse without looking at them, one after the other */
    MOST_UNSEEN_BY_PEER = 200, /* one that closes idle connections at once may do so again and again */
    REPLAY = 64 * 1024,
};
#define UNSEEN_PAUSE (10 * NS_PER_MS) /* of a peer's, after the first few */

static struct upstreams *all_of(const struct opening *opening) { return opening->upstream->all; }
static uint64_t now_of(const struct opening *opening) { return loop_now(all_of(opening)->loop); }

static void count_waiting(struct opening *opening, bool is_waiting) {
    if (opening->is_counted == is_waiting) return;
    opening->is_counted = is_waiting;
    opening->upstream->waiting_count += is_waiting ? 1 : -1u;
    counter_add(&opening->upstream->figures->waiting, is_waiting ? 1 : UINT64_MAX);
}

/* Out of whatever list it waits in. */
static void stop_waiting(struct opening *opening) {
    timer_stop(all_of(opening)->loop, &opening->timer);
    list_remove(&opening->node);
    if (opening->target && !opening->is_attached) {
        opening->target->waiting_count--;
        target_stop_dialling(opening->target);
        opening->target = NULL;
    }
}

void opening_wait(struct opening *opening, struct list *list, struct target *target) {
    stop_waiting(opening);
    opening->target = target;
    if (target) target->waiting_count++;
    list_append(list, &opening->node);
    count_waiting(opening, true);
}

bool opening_may_wait(struct opening *opening) {
    const struct upstream *upstream = opening->upstream;
    if (opening->only || opening->is_counted || upstream->waiting_count < upstream->config->waiting) return true;
    opening_refuse(opening, "too many calls wait for a connection");
    return false;
}

bool opening_attach(struct opening *opening, struct target *target, struct rpc_link *link) {
    if (!rpc_call_attach(opening->call, link)) return false;
    stop_waiting(opening);
    count_waiting(opening, false);
    opening->target = target;
    opening->is_attached = true;
    opening->attached_at = now_of(opening);
    opening->has_paid = false;
    ++*(opening->only ? &target->checks : &target->streams);
    counter_add(&opening->upstream->figures->streams, !opening->only);
    target->calls++;
    return true;
}

void opening_refuse(struct opening *opening, const char *text) {
    opening->upstream->refused++;
    counter_add(&opening->upstream->figures->refused, 1);
    rpc_call_refuse(opening->call, STATUS_UNAVAILABLE, text); /* on_over() frees it */
}

/* ---- what rpc/ tells ---- */

/* The attempt on its target is over. */
static void leave(struct opening *opening, const struct rpc_outcome *outcome) {
    struct target *target = opening->target;
    opening->is_attached = false;
    opening->target = NULL;
    opening->last = target;
    --*(opening->only ? &target->checks : &target->streams);
    counter_take(&opening->upstream->figures->streams, !opening->only);
    if (!opening->only) target_judge(target, outcome, opening->attached_at);
    target_free_if_left(target);
}

static void on_timer(struct timer *timer) {
    struct opening *opening = container_of(timer, struct opening, timer);
    if (opening->target && opening->upstream->peer) {
        peer_waited_enough(opening->upstream->peer, opening);
        return;
    }
    upstream_place(opening->upstream, opening);
}

/* gRPC: A6, "Throttling Retry Attempts and Hedged RPCs". */
static bool is_throttled(const struct upstream *upstream) {
    const struct config_retry *retry = upstream->config->retry;
    return retry->tokens && upstream->tokens <= (uint64_t)retry->tokens * TOKEN / 2;
}

/* What the outcome of an attempt does to the upstream's tokens. */
static void pay(struct opening *opening, const struct rpc_outcome *outcome) {
    struct upstream *upstream = opening->upstream;
    const struct config_retry *retry = upstream->config->retry;
    if (!retry || opening->only || opening->has_paid || outcome->is_unseen || outcome->is_cancelled) return;
    uint64_t most = (uint64_t)retry->tokens * TOKEN;
    opening->has_paid = true;
    if (outcome->status == STATUS_OK)
        upstream->tokens = upstream->tokens + retry->refill < most ? upstream->tokens + retry->refill : most;
    else if (retry->on & 1u << outcome->status || (outcome->has_pushback && outcome->pushback < 0))
        upstream->tokens -= upstream->tokens < TOKEN ? upstream->tokens : TOKEN;
}

/* Whether the policy wants another attempt, and when. */
static bool wants_retry(struct opening *opening, const struct rpc_outcome *outcome, uint64_t *wait) {
    const struct config_retry *retry = opening->upstream->config->retry;
    if (!retry || !(retry->on & 1u << outcome->status)) return false;
    if (rpc_call_attempts(opening->call) >= retry->attempts || is_throttled(opening->upstream)) return false;
    if (outcome->has_pushback) {
        opening->steps = 0;
        *wait = outcome->pushback < 0 ? 0 : (uint64_t)outcome->pushback;
        return outcome->pushback >= 0;
    }
    *wait = backoff_after(++opening->steps, retry->backoff, 2, retry->backoff_most, &all_of(opening)->dice);
    return true;
}

/* The server has done nothing with it. */
static bool may_repeat(struct opening *opening, uint64_t *wait) {
    bool is_peer = opening->upstream->peer != NULL;
    opening->unseen++;
    *wait = is_peer && opening->unseen > MOST_UNSEEN ? UNSEEN_PAUSE : 0;
    return opening->unseen <= (is_peer ? MOST_UNSEEN_BY_PEER : MOST_UNSEEN);
}

static bool on_failure(void *context, const struct rpc_outcome *outcome) {
    struct opening *opening = context;
    struct upstream *upstream = opening->upstream;
    uint64_t wait = 0;
    if (upstream->all->is_stopped || opening->only) return false;
    pay(opening, outcome);
    bool is_again = outcome->is_unseen ? may_repeat(opening, &wait) : wants_retry(opening, outcome, &wait);
    if (!is_again) return false;
    upstream->retries++;
    counter_add(&upstream->figures->retries, 1);
    leave(opening, outcome);
    if (wait) {
        count_waiting(opening, true);
        timer_start(upstream->all->loop, &opening->timer, now_of(opening) + wait);
    } else { /* in this turn, when the link has told what happened to it */
        opening_wait(opening, &upstream->waiting, NULL);
        upstream_look_again(upstream);
    }
    return true;
}

static void on_over(void *context, const struct rpc_outcome *outcome) {
    struct opening *opening = context;
    struct upstream *upstream = opening->upstream;
    if (opening->is_attached) {
        pay(opening, outcome);
        leave(opening, outcome);
    }
    stop_waiting(opening);
    count_waiting(opening, false);
    pool_give(&upstream->all->openings, opening);
    upstream_unref(&upstream);
}

static void on_answer(void *context) {
    struct opening *opening = context;
    if (opening->is_attached && !opening->only) target_answered(opening->target);
}

static const struct rpc_opener opener = {.on_failure = on_failure, .on_answer = on_answer, .on_over = on_over};

/* ---- beginning ---- */

static void use_key(struct opening *opening, const char *value, size_t length) {
    opening->key = balance_hash(value, length);
    opening->has_key = true;
}

static void find_key(struct opening *opening, const struct upstream_request *request) {
    const struct rpc_request *call = &request->call;
    const char *name = opening->upstream->config->hash_key;
    size_t length = name ? strlen(name) : 0, place = 0;
    const struct metadata_entry *entry =
        name && call->metadata ? metadata_find(call->metadata, name, length, &place) : NULL;
    if (request->hash) use_key(opening, request->hash, request->hash_length);
    else if (entry) use_key(opening, entry->value, entry->value_length);
    if (!name || opening->has_key) return;
    const struct http_header *header = http_header_find(call->headers, call->header_count, name);
    if (header) use_key(opening, header->value, header->value_length);
}

static struct opening *opening_new(struct upstream *upstream, const struct upstream_request *request) {
    struct opening *opening = pool_take(&upstream->all->openings);
    const struct config_retry *retry = upstream->config->retry;
    struct rpc_request call = request->call;
    list_init(&opening->node);
    timer_init(&opening->timer, on_timer);
    opening->upstream = upstream_ref(upstream);
    opening->waits = request->waits || upstream->config->waits;
    find_key(opening, request);
    if (!call.account) call.account = upstream->account;
    if (!call.authority) call.authority = upstream->config->authority;
    opening->call = rpc_call_open(upstream->all->rpc, &call, &opener, opening, retry ? retry->buffer : REPLAY);
    return opening;
}

struct call *opening_start(struct upstream *upstream, const struct upstream_request *request) {
    struct opening *opening = opening_new(upstream, request);
    struct call *call = opening->call; /* the opening may be gone in a moment */
    upstream->calls++;
    counter_add(&upstream->figures->calls, 1);
    upstream_place(upstream, opening);
    return call;
}

struct call *opening_start_on(struct target *target, const struct upstream_request *request) {
    struct opening *opening = opening_new(target->upstream, request);
    struct call *call = opening->call;
    opening->only = target;
    if (!target_has_room(target) && loop_now(all_of(opening)->loop) < target->backoff_until)
        opening_refuse(opening, target->error);
    else
        target_give(target, opening);
    return call;
}
