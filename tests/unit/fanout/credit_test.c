/* TOPIC_BLOCK: publishers that wait. */
#include <pthread.h>
#include <stdatomic.h>

#include "fanout/fake.h"
#include "fanout/subscription.h"

static const struct subscription_options blocking = {.queue = 2, .policy = TOPIC_BLOCK, .timeout = 60 * NS_PER_S};

struct waiter {
    struct topic_wait wait;
    int published;
};

static void on_published(struct topic_wait *wait, const struct topic_receipt *receipt) {
    (void)receipt;
    ((struct waiter *)wait)->published++;
}

/* True when it need not wait. */
static bool publish(struct topic *topic, const char *text, struct waiter *waiter) {
    struct message *message = message_copy(text, strlen(text));
    bool has_room = topic_reserve(topic);
    if (has_room) {
        topic_publish_reserved(topic, message, NULL);
    } else {
        *waiter = (struct waiter){.wait.on_published = on_published};
        topic_publish_later(topic, &waiter->wait, message, NULL);
    }
    message_unref(&message);
    return has_room;
}

static void a_publisher_waits_until_the_full_queue_has_room(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake slow = {.room = 1}, fast = {.room = 100};
    struct waiter waiters[2];
    topic_subscribe(topic, &slow.call, &blocking);
    topic_subscribe(topic, &fast.call, &blocking);
    for (char text[] = "a"; text[0] <= 'c'; text[0]++) {
        CHECK(publish(topic, text, NULL));
        loop_turn(one.loop);
    }
    CHECK(!publish(topic, "d", &waiters[0]));
    CHECK(!publish(topic, "e", &waiters[1])); /* behind the other */
    loop_turn(one.loop);
    CHECK_STR(fast.got, "a b c ");
    slow.room = 1;
    topics_call_writable(one.topics, &slow.call);
    for (int i = 0; i < 3; i++) loop_turn(one.loop);
    CHECK_INT(waiters[0].published, 1);
    CHECK_INT(waiters[1].published, 0);
    CHECK_STR(fast.got, "a b c d ");
    slow.room = 9;
    topics_call_writable(one.topics, &slow.call);
    for (int i = 0; i < 3; i++) loop_turn(one.loop);
    CHECK_INT(waiters[1].published, 1);
    CHECK_STR(slow.got, "a b c d e ");
    CHECK_INT(topic_counter(topic, TOPIC_WAITED), 2);
    CHECK_INT(topic_counter(topic, TOPIC_PUBLISHED), 5);
    topics_call_closed(one.topics, &slow.call);
    topics_call_closed(one.topics, &fast.call);
    topic_unref(&topic);
    teardown(&one);
}

static void one_that_leaves_lets_publishers_go_on(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake slow = {.room = 0}, fast = {.room = 100};
    struct waiter waiter;
    topic_subscribe(topic, &slow.call, &blocking);
    topic_subscribe(topic, &fast.call, &(struct subscription_options){.queue = 1});
    for (int i = 0; i < 2; i++) {
        CHECK(publish(topic, "x", NULL));
        loop_turn(one.loop);
    }
    CHECK(!publish(topic, "last", &waiter));
    loop_turn(one.loop);
    topics_call_closed(one.topics, &slow.call);
    for (int i = 0; i < 2; i++) loop_turn(one.loop);
    CHECK_INT(waiter.published, 1);
    CHECK_STR(fast.got, "x x last ");
    topics_call_closed(one.topics, &fast.call);
    topic_unref(&topic);
    teardown(&one);
}

static void a_publisher_that_gives_up_has_published_nothing(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake slow = {.room = 0};
    struct waiter waiter;
    topic_subscribe(topic, &slow.call, &blocking);
    while (publish(topic, "x", &waiter)) loop_turn(one.loop);
    topic_wait_cancel(&waiter.wait);
    slow.room = 9;
    topics_call_writable(one.topics, &slow.call);
    for (int i = 0; i < 3; i++) loop_turn(one.loop);
    CHECK_INT(waiter.published, 0);
    CHECK_STR(slow.got, "x x ");
    CHECK(publish(topic, "y", NULL));
    topics_call_closed(one.topics, &slow.call);
    topic_unref(&topic);
    teardown(&one);
}

static void turn_until_closed(struct loop *loop, const struct fake *call) {
    uint64_t deadline = clock_monotonic() + 30 * NS_PER_S;
    while (call->finished == STATUS_OK) {
        CHECK(clock_monotonic() < deadline);
        loop_turn(loop);
    }
}

static void who_holds_up_publishers_for_too_long_is_closed_and_nobody_else(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake stuck = {.room = 0}, patient = {.room = 0};
    struct subscription_options options = blocking;
    struct waiter waiter;
    topic_subscribe(topic, &patient.call, &options);
    options.timeout = 20 * NS_PER_MS;
    topic_subscribe(topic, &stuck.call, &options);
    while (publish(topic, "x", &waiter)) loop_turn(one.loop);
    uint64_t before = clock_monotonic();
    turn_until_closed(one.loop, &stuck);
    CHECK(clock_monotonic() - before >= 20 * NS_PER_MS);
    CHECK_INT(stuck.finished, STATUS_RESOURCE_EXHAUSTED);
    CHECK_INT(patient.finished, STATUS_OK);
    CHECK_INT(waiter.published, 0); /* the patient one is full too */
    patient.room = 9;
    topics_call_writable(one.topics, &patient.call);
    for (int i = 0; i < 3; i++) loop_turn(one.loop);
    CHECK_INT(waiter.published, 1);
    CHECK_INT(topic_counter(topic, TOPIC_CLOSED), 1);
    topics_call_closed(one.topics, &stuck.call);
    topics_call_closed(one.topics, &patient.call);
    topic_unref(&topic);
    teardown(&one);
}

static void full_without_a_publisher_is_not_too_slow(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake full = {.room = 0};
    struct subscription_options options = blocking;
    struct waiter waiter;
    options.timeout = NS_PER_MS;
    topic_subscribe(topic, &full.call, &options);
    for (int i = 0; i < 2; i++) {
        CHECK(publish(topic, "x", NULL));
        loop_turn(one.loop);
    }
    for (uint64_t end = clock_monotonic() + 20 * NS_PER_MS; clock_monotonic() < end;) loop_turn(one.loop);
    CHECK_INT(full.finished, STATUS_OK);
    CHECK(!publish(topic, "y", &waiter));
    turn_until_closed(one.loop, &full);
    for (int i = 0; i < 3; i++) loop_turn(one.loop);
    CHECK_INT(waiter.published, 1);
    topics_call_closed(one.topics, &full.call);
    topic_unref(&topic);
    teardown(&one);
}

static void who_cannot_wait_closes_the_full_one(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake full = {.room = 0};
    topic_subscribe(topic, &full.call, &blocking);
    struct message *message = message_copy("x", 1);
    for (int i = 0; i < 3; i++) topic_publish(topic, message, NULL);
    message_unref(&message);
    loop_turn(one.loop);
    CHECK_INT(full.finished, STATUS_RESOURCE_EXHAUSTED);
    CHECK_INT(topic_counter(topic, TOPIC_DISCARDED), 3);
    topics_call_closed(one.topics, &full.call);
    for (int i = 0; i < 9; i++) CHECK(publish(topic, "y", NULL)); /* nobody blocks any more */
    topic_unref(&topic);
    teardown(&one);
}

static void a_publisher_waits_for_the_subscribers_of_other_workers(void) {
    struct pair pair = setup_pair();
    struct topic *from = topic_open(pair.sides[0], "t", 1), *to = topic_open(pair.sides[1], "t", 1);
    struct fake slow = {.room = 0}, stuck = {.room = 0};
    struct subscription_options options = blocking;
    struct waiter waiter;
    topic_subscribe(to, &slow.call, &options);
    CHECK(publish(from, "a", NULL) && publish(from, "b", NULL));
    CHECK(!publish(from, "c", &waiter)); /* two places, although the other worker has not looked yet */
    turn_pair(&pair);
    CHECK_INT(waiter.published, 0);
    slow.room = 1;
    topics_call_writable(pair.sides[1], &slow.call);
    turn_pair(&pair);
    CHECK_INT(waiter.published, 1);
    options.timeout = NS_PER_MS;
    topic_subscribe(to, &stuck.call, &options);
    turn_pair(&pair);
    slow.room = 100;
    topics_call_writable(pair.sides[1], &slow.call);
    turn_pair(&pair);
    while (publish(from, "x", &waiter)) turn_pair(&pair);
    uint64_t deadline = clock_monotonic() + 30 * NS_PER_S;
    while (!waiter.published) {
        CHECK(clock_monotonic() < deadline);
        turn_pair(&pair);
    }
    CHECK_INT(stuck.finished, STATUS_RESOURCE_EXHAUSTED);
    CHECK_INT(slow.finished, STATUS_OK);
    topics_call_closed(pair.sides[1], &slow.call);
    topics_call_closed(pair.sides[1], &stuck.call);
    topic_unref(&from);
    topic_unref(&to);
    teardown_pair(&pair);
}

/* ---- two threads ---- */

enum { MESSAGES = 5000, SLOW = 3 };

struct slow {
    struct subscription *subscription;
    int next[2], wrong, most_queued;
    bool is_busy;
};

struct side {
    struct loop *loop;
    struct topics *topics;
    uint32_t index;
    struct topic *topic;
    struct slow slow[SLOW];
    struct waiter waiter;
    struct task task;
    int next_to_send;
    bool is_waiting, is_done;
};

static atomic_int sides_ready, sides_done;

static bool hear(void *context, struct message *message) {
    struct slow *slow = context;
    char text[32] = {0};
    int who, number;
    memcpy(text, message->data, message->length);
    if (sscanf(text, "%d %d", &who, &number) != 2 || number != slow->next[who]) slow->wrong++;
    slow->next[who]++;
    int queued = (int)slow->subscription->queue.count + 1;
    if (queued > slow->most_queued) slow->most_queued = queued;
    slow->is_busy = true;
    return false;
}

static void send_some(struct side *side) {
    char text[32];
    if (side->is_waiting && !side->waiter.published) return;
    side->is_waiting = false;
    while (side->next_to_send < MESSAGES && !side->is_waiting) {
        snprintf(text, sizeof text, "%u %d", (unsigned)side->index, side->next_to_send++);
        side->is_waiting = !publish(side->topic, text, &side->waiter);
    }
}

static void work(struct task *task) {
    struct side *side = container_of(task, struct side, task);
    bool has_all = side->next_to_send == MESSAGES;
    if (atomic_load(&sides_ready) == 2) send_some(side);
    for (int i = 0; i < SLOW; i++) {
        struct slow *slow = &side->slow[i];
        if (slow->is_busy) {
            slow->is_busy = false;
            subscription_go_on(slow->subscription);
        }
        if (slow->next[0] + slow->next[1] < 2 * MESSAGES) has_all = false;
    }
    if (has_all && !side->is_done) {
        side->is_done = true;
        atomic_fetch_add(&sides_done, 1);
    }
    if (atomic_load(&sides_done) == 2) loop_stop(side->loop);
    else loop_defer(side->loop, LOOP_RUN, task);
}

static void *run_side(void *context) {
    static const uint32_t queues[SLOW] = {1, 3, 50};
    struct side *side = context;
    struct subscription_options options = blocking;
    options.on_message = hear;
    side->topic = topic_open(side->topics, "both", 4);
    for (int i = 0; i < SLOW; i++) {
        options.queue = queues[i];
        options.context = &side->slow[i];
        side->slow[i].subscription = topic_subscribe(side->topic, NULL, &options);
    }
    task_init(&side->task, work);
    atomic_fetch_add(&sides_ready, 1);
    loop_defer(side->loop, LOOP_RUN, &side->task);
    loop_run(side->loop);
    for (int i = 0; i < SLOW; i++) {
        CHECK_INT(side->slow[i].wrong, 0);
        CHECK(side->slow[i].most_queued <= (int)queues[i]);
        subscription_cancel(&side->slow[i].subscription);
    }
    topic_unref(&side->topic);
    loop_turn(side->loop);
    return NULL;
}

static void between_two_threads_nothing_is_lost_and_no_queue_grows_beyond_its_bound(void) {
    struct side sides[2] = {{0}};
    pthread_t threads[2];
    struct pair pair = setup_pair();
    for (uint32_t i = 0; i < 2; i++)
        sides[i] = (struct side){.loop = pair.loops[i], .topics = pair.sides[i], .index = i};
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, run_side, &sides[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    teardown_pair(&pair);
}

int main(void) {
    RUN(a_publisher_waits_until_the_full_queue_has_room);
    RUN(one_that_leaves_lets_publishers_go_on);
    RUN(a_publisher_that_gives_up_has_published_nothing);
    RUN(who_holds_up_publishers_for_too_long_is_closed_and_nobody_else);
    RUN(full_without_a_publisher_is_not_too_slow);
    RUN(who_cannot_wait_closes_the_full_one);
    RUN(a_publisher_waits_for_the_subscribers_of_other_workers);
    RUN(between_two_threads_nothing_is_lost_and_no_queue_grows_beyond_its_bound);
    return 0;
}
