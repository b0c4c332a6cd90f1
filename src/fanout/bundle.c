/* fanout/bundle.c - see bundle.h */
#include "fanout/bundle.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"
#include "rpc/call.h"

enum {
    IN_RUN_MOST = 1024,       /* bytes: larger ones are referenced one by one */
    WRITE_LEAST = 16 * 1024,  /* bytes for one connection that are worth a write of their own */
    WRITE_MOST = 128 * 1024,
    SUBSCRIPTION_HOT = offsetof(struct subscription, options),
    SCOUTS = 1 + CALL_APPROACH_STEPS,
    APART = 2, /* places */
};

static void at_end_of_turn(struct task *task);

void bundle_init(struct bundle *bundle, struct loop *loop) {
    bundle->loop = loop;
    bundle->first = 1;
    task_init(&bundle->task, at_end_of_turn);
}

static void empty(struct bundle *bundle) {
    for (uint32_t i = 0; i < bundle->count; i++) message_unref(&bundle->deliveries[i].message);
    message_unref(&bundle->run);
    bundle->first += bundle->count;
    bundle->count = 0;
    bundle->bytes = 0;
    topic_unref(&bundle->topic);
}

void bundle_free(struct bundle *bundle) {
    task_cancel(&bundle->task);
    empty(bundle);
    free(bundle->deliveries);
}

/* ---- in ---- */

static void begin(struct bundle *bundle, struct topic *topic) {
    bundle->topic = topic_ref(topic);
    bundle->run = message_new(IN_RUN_MOST);
    if (!bundle->deliveries) bundle->deliveries = memory_resize(NULL, BUNDLE_MOST * sizeof *bundle->deliveries);
    loop_defer(bundle->loop, LOOP_RUN, &bundle->task);
}

static void add_to_run(struct bundle *bundle, struct message *message) {
    struct message *run = bundle->run;
    size_t size = MESSAGE_PREFIX + (size_t)message->length;
    if (!run) return;
    if (size > IN_RUN_MOST) {
        message_unref(&bundle->run);
        return;
    }
    if (run->capacity - run->length < size) run = bundle->run = message_resize(run, 2 * (run->length + size));
    message_set_prefix(message, 0);
    memcpy(run->data + run->length, message->prefix, size);
    run->length += (uint32_t)size;
    bundle->ends[bundle->count + 1] = run->length;
}

void bundle_add(struct bundle *bundle, struct topic *topic, const struct delivery *delivery) {
    if (bundle->topic != topic || bundle->count == BUNDLE_MOST || bundle->bytes >= BUNDLE_MOST_BYTES)
        bundle_go_out(bundle);
    if (!bundle->topic) begin(bundle, topic);
    struct delivery *own = &bundle->deliveries[bundle->count];
    own->message = message_ref(delivery->message);
    own->publisher = delivery->publisher;
    own->order = delivery->order;
    own->has_credit = false;
    own->is_carried = delivery->is_carried;
    fields_init(&own->fields, own->message->data, own->message->length);
    add_to_run(bundle, own->message);
    bundle->bytes += own->message->length;
    bundle->count++;
}

/* ---- out ---- */

/* Those from `from` up to `to`; what they were in bytes, if they are with the call now. */
static size_t give_some(struct bundle *bundle, struct subscription *subscription, uint32_t from, uint32_t to) {
    const uint32_t *ends = bundle->ends;
    if (bundle->run && subscription_hand_over_run(subscription, bundle->run, ends[from], ends[to], to - from))
        return ends[to] - ends[from];
    for (uint32_t i = from; i < to; i++) subscription_take(subscription, &bundle->deliveries[i]);
    return 0;
}

static size_t give(struct bundle *bundle, struct subscription *subscription) {
    uint32_t i = subscription->given > bundle->first ? (uint32_t)(subscription->given - bundle->first) : 0;
    size_t bytes = 0;
    if (subscription_wants_all(subscription)) return give_some(bundle, subscription, i, bundle->count);
    for (uint32_t end; i < bundle->count; i = end) {
        end = i + 1;
        if (!subscription_wants(subscription, &bundle->deliveries[i])) continue;
        while (end < bundle->count && subscription_wants(subscription, &bundle->deliveries[end])) end++;
        bytes += give_some(bundle, subscription, i, end);
    }
    return bytes;
}

void bundle_give(struct bundle *bundle, struct subscription *subscription) {
    if (bundle->topic != subscription->topic || bundle->is_busy || subscription->given == bundle_next(bundle)) return;
    bundle->is_busy = true;
    /* Not as a run, which may still grow. */
    struct message *run = bundle->run;
    bundle->run = NULL;
    if (!subscription->is_prompt) give(bundle, subscription);
    bundle->run = run;
    subscription->given = bundle_next(bundle);
    bundle->is_busy = false;
}

/* What deliveries touch is more than a cache holds when subscribers are many; but who comes next is known. So before each
 * delivery something is brought nearer for those that are a few places further on, a step for each of these places, as
 * one step finds what the next one brings. Nobody joins or leaves the list meanwhile but the one that is at hand. */
struct scouts {
    struct list *nodes[SCOUTS]; /* the first is the farthest */
};

static void scout(struct list *node, int step) {
    struct subscription *subscription = container_of(node, struct subscription, of_topic);
    if (step == 0) memory_prefetch(subscription, SUBSCRIPTION_HOT);
    else if (subscription->call) call_approach(subscription->call, step - 1);
}

static void scouts_go_on(struct scouts *scouts, const struct list *all) {
    for (int i = 0; i < SCOUTS; i++) {
        if (scouts->nodes[i] == all) continue;
        scout(scouts->nodes[i], i);
        scouts->nodes[i] = scouts->nodes[i]->next;
    }
}

static void scouts_set_out(struct scouts *scouts, struct list *all) {
    for (int i = 0; i < SCOUTS; i++) {
        scouts->nodes[i] = all->next;
        for (int lead = (SCOUTS - i) * APART; lead && scouts->nodes[i] != all; lead--)
            scouts->nodes[i] = scouts->nodes[i]->next;
    }
}

/* A connection whose calls have got a write's worth is written at once, while all that is still at hand. */
static void go_out(struct bundle *bundle, bool may_write) {
    struct list *all = &bundle->topic->subscriptions;
    struct call *last = NULL;
    size_t bytes = 0;
    struct scouts scouts;
    bundle->is_busy = true;
    scouts_set_out(&scouts, all);
    for (struct list *node = all->next, *next; node != all; node = next) {
        scouts_go_on(&scouts, all);
        struct subscription *subscription = container_of(node, struct subscription, of_topic);
        struct call *call = subscription->call;
        next = node->next;
        if (may_write && last && bytes >= WRITE_LEAST && (bytes >= WRITE_MOST || !call_shares_connection(last, call))) {
            call_flush(last);
            bytes = 0;
        } else if (last && !call_shares_connection(last, call)) {
            bytes = 0;
        }
        bytes += give(bundle, subscription);
        last = call;
    }
    if (may_write && bytes >= WRITE_LEAST) call_flush(last);
    bundle->is_busy = false;
    empty(bundle);
}

static void at_end_of_turn(struct task *task) {
    struct bundle *bundle = container_of(task, struct bundle, task);
    if (bundle->topic) go_out(bundle, true);
}

void bundle_go_out(struct bundle *bundle) {
    if (!bundle->topic || bundle->is_busy) return;
    task_cancel(&bundle->task);
    go_out(bundle, false);
}
