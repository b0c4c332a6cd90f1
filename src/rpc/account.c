/* rpc/account.c - see account.h. What calls make the process keep: counted per call, account and worker, and bounded.
 *
 * An account at a bound is "limited": its calls get no window back, and the connection that it is of, if it is of one,
 * neither, until it is below three quarters again. Calls of a limited account that move nothing for limits.stalled end,
 * largest first. A call that has ended, and whose peer takes nothing of the rest for so long, goes without any bound. */
#include "rpc/account.h"

#include <inttypes.h>
#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/raw.h"

/* ---- life ---- */

struct account *account_new(struct rpc *rpc) {
    struct account *account = memory_new(sizeof *account);
    account->rpc = rpc;
    account->references = 1;
    list_init(&account->limited);
    list_init(&account->calls);
    timer_init(&account->stalled, account_stalled);
    return account;
}

struct account *account_ref(struct account *account) {
    account->references++;
    return account;
}

/* This may be after rpc_free(). */
void account_unref(struct account **handle) {
    struct account *account = *handle;
    *handle = NULL;
    if (account && !--account->references) free(account);
}

struct account *call_account(const struct call *call) { return rpc_call_of_const(call)->account; }

/* ---- bounds ---- */

static uint64_t three_quarters(uint64_t n) { return n / 4 * 3; }

/* When the worker's total grows tight, those go first that hold more than their share, so that one greedy
 * account does not stop the others. */
static bool is_over_share(const struct account *account, uint64_t total) {
    const struct rpc *rpc = account->rpc;
    return counter_read(&rpc->counters.buffered) >= three_quarters(total) &&
           account->buffered >= three_quarters(total) / rpc->account_count;
}

/* Of a relay's, one client that does not read would stop all others: it has only its share of the total. */
static uint64_t own_bound(const struct account *account) {
    const struct rpc_connection *connection = account->connection;
    return connection && rpc_connection_is_relay(connection) ? UINT64_MAX
                                                             : account->rpc->limits.buffered_per_connection;
}

static bool is_at_bound(const struct account *account) {
    const struct rpc *rpc = account->rpc;
    uint64_t total = rpc->limits.buffered_total;
    return account->buffered >= own_bound(account) || counter_read(&rpc->counters.buffered) >= total || is_over_share(account, total);
}

static bool has_room(const struct account *account) {
    const struct rpc *rpc = account->rpc;
    uint64_t total = rpc->limits.buffered_total;
    return account->buffered < three_quarters(own_bound(account)) &&
           counter_read(&rpc->counters.buffered) < total && !is_over_share(account, total);
}

static void look_later(struct account *account) {
    struct rpc *rpc = account->rpc;
    if (rpc->limits.stalled && !timer_is_running(&account->stalled))
        timer_start(rpc->loop, &account->stalled, loop_now(rpc->loop) + rpc->limits.stalled);
}

static void set_window_open(const struct account *account, bool is_open) {
    struct http_session *session = account->connection ? account->connection->session : NULL;
    if (session) http_session_set_window_open(session, is_open);
}

static void limit(struct account *account) {
    struct rpc *rpc = account->rpc;
    list_append(&rpc->limited, &account->limited);
    set_window_open(account, false);
    look_later(account);
    log_debug(account->connection ? &account->connection->log : NULL,
              "buffering %" PRIu64 " bytes: no more window until some are gone", account->buffered);
}

static void relax(struct account *account) {
    list_remove(&account->limited);
    set_window_open(account, true);
    for (struct list *node = account->calls.next; node != &account->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, charged);
        if (call->is_raw)
            raw_resume(call);
        else
            inbound_resume(call);
        if (call->is_choked && call->outbox.bytes <= call->most_queued / 2) call_wake(call, NEWS_WRITABLE);
    }
}

/* ---- who is on it ---- */

void account_join(struct account *account, struct rpc_call *call) {
    call->account = account_ref(account);
    if (list_is_empty(&account->calls)) account->rpc->account_count++;
    list_append(&account->calls, &call->charged);
}

void account_leave(struct rpc_call *call) {
    struct account *account = call->account;
    list_remove(&call->charged);
    if (list_is_empty(&account->calls)) {
        account->rpc->account_count--;
        timer_stop(account->rpc->loop, &account->stalled);
        if (account_is_limited(account)) relax(account); /* by others: at the bound of all */
    }
    account_unref(&call->account);
}

void account_close(struct account **handle) {
    (*handle)->connection = NULL;
    account_unref(handle);
}

/* ---- what is on it ---- */

void account_charge(struct rpc_call *call, uint64_t bytes) {
    struct account *account = call->account;
    struct rpc *rpc = account->rpc;
    call->buffered += bytes;
    account->buffered += bytes;
    counter_add(&rpc->counters.buffered, bytes);
    if (!account_is_limited(account) && is_at_bound(account)) limit(account);
}

void account_discharge(struct rpc_call *call, uint64_t bytes) {
    struct account *account = call->account;
    struct rpc *rpc = account->rpc;
    call->buffered -= bytes;
    account->buffered -= bytes;
    counter_take(&rpc->counters.buffered, bytes);
    if (list_is_empty(&rpc->limited)) return;
    for (struct list *node = rpc->limited.next, *next; node != &rpc->limited; node = next) {
        next = node->next;
        struct account *limited = container_of(node, struct account, limited);
        if (has_room(limited)) relax(limited);
    }
}

/* ---- who moves nothing ---- */

void account_ended(struct rpc_call *call) {
    call->progress = loop_now(call->call.rpc->loop);
    look_later(call->account);
}

/* Nothing is left to do for it but what its peer must take. */
static bool has_ended(const struct rpc_call *call) {
    return call->stream && (call->state >= CALL_OVER || (call->state == CALL_FINISHING && !call->is_client));
}

/* When the call counts as stalled unless it moves; 0: it never does. */
static uint64_t patience_ends(const struct rpc_call *call) {
    bool is_watched = has_ended(call) || (account_is_limited(call->account) && call->buffered);
    return is_watched ? call->progress + call->call.rpc->limits.stalled : 0;
}

static void abandon_stalled(struct account *account, uint64_t now) {
    for (struct list *node = account->calls.next; node != &account->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, charged);
        if (has_ended(call) && patience_ends(call) <= now) call_abandon(call);
    }
}

static struct rpc_call *largest_stalled(struct account *account, uint64_t now) {
    struct rpc_call *largest = NULL;
    for (struct list *node = account->calls.next; node != &account->calls; node = node->next) {
        struct rpc_call *call = container_of(node, struct rpc_call, charged);
        if (call->buffered && patience_ends(call) <= now && (!largest || call->buffered > largest->buffered))
            largest = call;
    }
    return largest;
}

static void fail_stalled(struct account *account, uint64_t now) {
    struct rpc_call *call;
    while (account_is_limited(account) && (call = largest_stalled(account, now))) {
        uint64_t before = call->buffered;
        counter_add(&account->rpc->counters.limited, 1);
        call_fail(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT,
                  "too much is buffered, and this call made no progress");
        if (call->buffered >= before) break; /* nothing of it could be freed */
    }
}

/* 0: there is nothing to wait for. */
static uint64_t next_look(const struct account *account, uint64_t now) {
    uint64_t least = now + account->rpc->limits.stalled;
    bool is_needed = account_is_limited(account);
    for (struct list *node = account->calls.next; node != &account->calls; node = node->next) {
        uint64_t due = patience_ends(container_of(node, struct rpc_call, charged));
        is_needed |= due != 0;
        if (due > now && due < least) least = due;
    }
    return is_needed ? least : 0;
}

void account_stalled(struct timer *timer) {
    struct account *account = container_of(timer, struct account, stalled);
    uint64_t now = loop_now(account->rpc->loop);
    abandon_stalled(account, now);
    fail_stalled(account, now);
    uint64_t next = next_look(account, now);
    if (next) timer_start(account->rpc->loop, timer, next);
}
