/* upstream/verdict.c - is a target fit to be called: after dials that failed, calls that failed, checks of its health. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "upstream/upstream_private.h"

static const struct log_scope *no_scope = NULL;

static uint64_t now_of(const struct target *target) { return loop_now(target->upstream->all->loop); }

bool target_is_usable(const struct target *target, uint64_t now) {
    if (target->is_leaving || target->is_unhealthy || target->ejected_until > now) return false;
    return target->backoff_until <= now || target->link_count > 0;
}

uint64_t target_usable_at(const struct target *target, uint64_t now) {
    if (target->is_unhealthy) return UINT64_MAX; /* a check will tell */
    uint64_t at = target->backoff_until > target->ejected_until ? target->backoff_until : target->ejected_until;
    return at > now ? at : now;
}

/* ---- dials ---- */

void target_dial_failed(struct target *target, const char *reason) {
    const struct config_upstream *config = target->upstream->config;
    uint64_t wait = backoff_after(++target->dial_failures_in_row, config->backoff, 1.6, config->backoff_most,
                                  &target->upstream->all->dice);
    target->dial_failures++;
    counter_add(&target->upstream->figures->dial_failures, 1);
    target->backoff_until = now_of(target) + wait;
    free(target->error);
    target->error = strstr(reason, target->text) ? memory_copy_string(reason)
                                                 : memory_format("%s: %s", target->text, reason);
    log_info(no_scope, "upstream %s: %s; next attempt in %.1f s", config->name, target->error,
             (double)wait / (double)NS_PER_S);
}

void target_connected(struct target *target) {
    target->dial_failures_in_row = 0;
    target->backoff_until = 0;
    free(target->error);
    target->error = NULL;
    upstream_look_again(target->upstream);
}

/* ---- calls ---- */

static bool is_failure(const struct rpc_outcome *outcome) {
    if (outcome->is_lost) return true;
    if (outcome->has_answer || outcome->is_unseen) return false;
    return outcome->status == STATUS_UNAVAILABLE || outcome->status == STATUS_INTERNAL ||
           outcome->status == STATUS_UNKNOWN;
}

/* As many as `most` percent, but never all. */
static bool may_eject(const struct upstream *upstream, uint64_t now) {
    size_t ejected = 1;
    for (size_t i = 0; i < upstream->target_count; i++) ejected += upstream->targets[i]->ejected_until > now;
    return ejected < upstream->target_count &&
           ejected * 100 <= upstream->target_count * upstream->config->ejection->most;
}

static void eject(struct target *target, const struct rpc_outcome *outcome) {
    const struct config_upstream *config = target->upstream->config;
    uint64_t now = now_of(target), time = config->ejection->time * ++target->ejections;
    target->ejected_until = now + time;
    target->failures_in_row = 0;
    log_warn(no_scope, "upstream %s: %s is left out for %.1f s: %u calls in a row have failed, the last %s%s%s",
             config->name, target->text, (double)time / (double)NS_PER_S, config->ejection->failures,
             status_name(outcome->status), *outcome->text ? ": " : "", outcome->text);
}

void target_answered(struct target *target) { target->answered_at = now_of(target); }

/* A server that accepts every call and answers none. */
static bool is_silent(const struct target *target, const struct rpc_outcome *outcome, uint64_t since) {
    const struct config_ejection *ejection = target->upstream->config->ejection;
    return ejection && ejection->silence && outcome->is_expired && !outcome->has_answer &&
           now_of(target) - since >= ejection->silence && target->answered_at <= since;
}

void target_judge(struct target *target, const struct rpc_outcome *outcome, uint64_t since) {
    const struct config_ejection *ejection = target->upstream->config->ejection;
    uint64_t now = now_of(target);
    bool was_silent = is_silent(target, outcome, since);
    if (outcome->is_cancelled && !was_silent) return;
    if (!was_silent && !outcome->is_lost && !outcome->is_unseen) target_answered(target);
    if (!was_silent && !is_failure(outcome)) {
        target->failures_in_row = 0;
        if (target->ejected_until <= now) target->ejections = 0;
        return;
    }
    target->failures++;
    counter_add(&target->upstream->figures->failures, 1);
    target->failures_in_row++;
    if (ejection && target->failures_in_row >= ejection->failures && target->ejected_until <= now &&
        may_eject(target->upstream, now))
        eject(target, outcome);
}

/* ---- health ---- */

static void set_health(struct target *target, bool is_healthy) {
    target->checks_in_row = 0;
    if (is_healthy != target->is_unhealthy) return;
    target->is_unhealthy = !is_healthy;
    log_warn(no_scope, "upstream %s: %s is %s", target->upstream->config->name, target->text,
             is_healthy ? "healthy again" : "unhealthy");
    if (is_healthy) upstream_look_again(target->upstream);
}

void target_declined(struct target *target) { set_health(target, false); }

void target_checked(struct target *target, bool is_healthy) {
    const struct config_upstream *config = target->upstream->config;
    if (is_healthy != target->is_unhealthy) { /* as it was */
        target->checks_in_row = 0;
        return;
    }
    if (++target->checks_in_row < (is_healthy ? config->health->healthy : config->health->unhealthy)) return;
    set_health(target, is_healthy);
}

/* ---- why not ---- */

char *verdict_text(const struct upstream *upstream) {
    uint64_t now = loop_now(upstream->all->loop);
    const char *error = upstream->target_count ? NULL : names_error(upstream);
    size_t unhealthy = 0, ejected = 0;
    for (size_t i = 0; i < upstream->target_count; i++) {
        const struct target *target = upstream->targets[i];
        unhealthy += target->is_unhealthy;
        ejected += target->ejected_until > now;
        if (!error) error = target->error;
    }
    const char *name = upstream->config->name;
    if (error) return memory_format("upstream %s: %s", name, error);
    if (unhealthy) return memory_format("upstream %s: no target is healthy", name);
    return memory_format("upstream %s: %s", name, ejected ? "all targets are ejected" : "there is no target");
}
