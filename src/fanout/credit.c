/* fanout/credit.c - see credit.h; and topic_reserve() of topic.h */
#include "fanout/credit.h"

#include "fanout/mail.h"
#include "fanout/subscription.h"
#include "fanout/topic_private.h"

enum { MOST_CREDITS = 1 << 16 };

/* ---- the subscribers' side ---- */

static bool somebody_waits(const struct topic *topic) {
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++)
        if (atomic_load(&topic->shared->shares[i].has_waiting)) return true;
    return false;
}

static void woken(struct topic_mail *mail, struct share *share, struct topic *topic) {
    (void)mail, (void)share;
    if (topic) topic_defer(topic, &topic->resume);
}

static void wake_all(struct topic *topic) {
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++) {
        if (!atomic_load(&topic->shared->shares[i].has_waiting) ||
            !atomic_exchange(&topic->shared->shares[i].has_waiting, false))
            continue;
        if (i == topic->topics->index) topic_defer(topic, &topic->resume);
        else topic_mail_send(topic->topics->registry, topic->shared, i, woken);
    }
}

static void take_back(struct share *share, int count) {
    int there = atomic_load(&share->credits), taken;
    do {
        taken = there < count ? there : count;
        if (taken <= 0) return;
    } while (!atomic_compare_exchange_weak(&share->credits, &there, there - taken));
    share->granted -= taken;
}

static void grant(struct topic *topic, int room) {
    struct share *share = topic->share;
    int missing = room - share->granted;
    if (missing < 0) take_back(share, -missing);
    if (missing <= 0) return;
    share->granted = room;
    atomic_fetch_add(&share->credits, missing);
    wake_all(topic);
}

static uint32_t room_of(const struct subscription *subscription) {
    uint32_t count = subscription->queue.count, queue = subscription->options.queue;
    return count < queue ? queue - count : 0;
}

/* A full subscriber: whether it has held up publishers for too long. If not, `due` is when it would have. */
static bool is_out_of_time(struct subscription *subscription, bool is_waited_for, uint64_t now, uint64_t *due) {
    if (!subscription->full_since && !is_waited_for) return false;
    if (!subscription->full_since) subscription->full_since = now;
    uint64_t mine = subscription->full_since + subscription->options.timeout;
    if (now < mine) {
        if (!*due || mine < *due) *due = mine;
        return false;
    }
    if (!is_waited_for) subscription->full_since = 0; /* who waited has gone */
    return is_waited_for;
}

static void settle(struct topic *topic) {
    struct loop *loop = topic->topics->loop;
    bool is_waited_for = somebody_waits(topic);
    uint64_t now = loop_now(loop), due = 0;
    uint32_t least = MOST_CREDITS;
    for (struct list *node = topic->prompt.next, *next; node != &topic->prompt; node = next) {
        next = node->next;
        struct subscription *subscription = container_of(node, struct subscription, of_topic);
        if (!subscription_blocks(subscription)) continue;
        uint32_t room = room_of(subscription);
        if (room) {
            subscription->full_since = 0;
        } else if (is_out_of_time(subscription, is_waited_for, now, &due)) {
            subscription_close_slow(subscription);
            continue;
        }
        if (room < least) least = room;
    }
    if (due) timer_start(loop, &topic->patience, due);
    else timer_stop(loop, &topic->patience);
    grant(topic, (int)least);
}

static void run_settle(struct task *task) {
    struct topic *topic = topic_ref(container_of(task, struct topic, settle));
    settle(topic);
    topic_unref(&topic);
}

static void lose_patience(struct timer *timer) {
    struct topic *topic = topic_ref(container_of(timer, struct topic, patience));
    settle(topic);
    topic_unref(&topic);
}

void credit_note_room(struct topic *topic) { topic_defer(topic, &topic->settle); }

/* The first grants at once, so that nobody waits without need. */
void credit_blocker_joined(struct topic *topic) {
    bool is_first = atomic_load(&topic->share->blockers) == 0;
    if (is_first) settle(topic);
    atomic_fetch_add(&topic->share->blockers, 1);
    if (!is_first) credit_note_room(topic);
}

void credit_blocker_left(struct topic *topic) {
    if (atomic_fetch_sub(&topic->share->blockers, 1) == 1) wake_all(topic);
    else credit_note_room(topic);
}

/* ---- the publishers' side ---- */

static void pressed(struct topic_mail *mail, struct share *share, struct topic *topic) {
    (void)mail;
    atomic_store(&share->is_pressed, false);
    if (topic) credit_note_room(topic);
}

static void press(struct topic *topic, uint32_t worker) {
    struct share *share = &topic->shared->shares[worker];
    if (share == topic->share) credit_note_room(topic);
    else if (!atomic_exchange(&share->is_pressed, true)) topic_mail_send(topic->topics->registry, topic->shared, worker, pressed);
}

static bool take_one(struct share *share) {
    int credits = atomic_load(&share->credits);
    while (credits > 0)
        if (atomic_compare_exchange_weak(&share->credits, &credits, credits - 1)) return true;
    return false;
}

static void give_back(struct topic *topic, uint32_t count) {
    bool has_given = false;
    for (uint32_t i = 0; i < count; i++) {
        if (!topic->topics->held[i]) continue;
        topic->topics->held[i] = false;
        atomic_fetch_add(&topic->shared->shares[i].credits, 1);
        has_given = true;
    }
    if (has_given) wake_all(topic); /* somebody may have found none while they were held here */
}

/* One credit of each worker that has blocking subscribers, into ->held; or none, and the worker without is pressed. */
static bool take_all(struct topic *topic) {
    bool *held = topic->topics->held;
    for (uint32_t i = 0; i < topic->topics->registry->workers; i++) {
        struct share *share = &topic->shared->shares[i];
        held[i] = false;
        if (!atomic_load(&share->blockers)) continue;
        held[i] = take_one(share);
        if (held[i]) continue;
        give_back(topic, i);
        press(topic, i);
        return false;
    }
    return true;
}

bool topic_reserve(struct topic *topic) { return list_is_empty(&topic->waiting) && take_all(topic); }

void topic_publish_later(struct topic *topic, struct topic_wait *wait, struct message *message,
                         const struct call *publisher) {
    wait->topic = topic_ref(topic);
    wait->message = message_ref(message);
    wait->publisher = topic_find_publisher(topic, publisher);
    list_append(&topic->waiting, &wait->node);
    topic_add(topic, TOPIC_WAITED, 1);
    topic_defer(topic, &topic->resume);
}

static void leave_row(struct topic_wait *wait) {
    list_remove(&wait->node);
    message_unref(&wait->message);
    topic_unref(&wait->topic);
}

void topic_wait_cancel(struct topic_wait *wait) {
    if (wait->topic) leave_row(wait);
}

static void resume(struct task *task) {
    struct topic *topic = topic_ref(container_of(task, struct topic, resume));
    while (!list_is_empty(&topic->waiting)) {
        atomic_store(&topic->share->has_waiting, true);
        if (!take_all(topic)) break;
        struct topic_wait *wait = container_of(topic->waiting.next, struct topic_wait, node);
        struct topic_receipt receipt = topic_publish_held(topic, wait->message, wait->publisher);
        leave_row(wait);
        wait->on_published(wait, &receipt);
    }
    if (list_is_empty(&topic->waiting)) atomic_store(&topic->share->has_waiting, false);
    topic_unref(&topic);
}

/* ---- the handle ---- */

void credit_open(struct topic *topic) {
    list_init(&topic->waiting);
    task_init(&topic->resume, resume);
    task_init(&topic->settle, run_settle);
    timer_init(&topic->patience, lose_patience);
}

void credit_close(struct topic *topic) {
    atomic_store(&topic->share->has_waiting, false);
    task_cancel(&topic->resume);
    task_cancel(&topic->settle);
    timer_stop(topic->topics->loop, &topic->patience);
}
