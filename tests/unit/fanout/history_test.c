#include "fanout/history.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "fanout/fake.h"
#include "fanout/fields.h"
#include "schema/schema.h"

static const struct message_type *type;
static const struct field *large;

/* ---- the ring ---- */

static void add(struct history *history, struct history_account *account, const char *text, uint64_t now) {
    struct parcel *parcel = parcel_new(text, strlen(text));
    history_append(history, account, parcel, now);
    parcel_unref(&parcel);
}

/* The texts of a replay, which it frees. */
static const char *texts(struct replay *replay) {
    static char text[1024];
    text[0] = 0;
    for (uint32_t i = 0; i < replay->count; i++)
        strncat(text, (const char *)replay->parcels[i]->data, replay->parcels[i]->length);
    replay_free(replay);
    return text;
}

static void it_keeps_the_last_ones(void) {
    struct history_account account = {0};
    struct history *history = history_new();
    struct replay replay;
    history_set(history, &account, 20, 0, 0);
    for (char text[] = "A"; text[0] <= 'Z'; text[0]++) add(history, &account, text, 0);
    history_last(history, UINT64_MAX, &replay);
    CHECK_STR(texts(&replay), "GHIJKLMNOPQRSTUVWXYZ");
    history_last(history, 3, &replay);
    CHECK_STR(texts(&replay), "XYZ");
    history_last(history, 0, &replay);
    CHECK_STR(texts(&replay), "");
    history_set(history, &account, 2, 0, 0);
    history_last(history, 20, &replay);
    CHECK_STR(texts(&replay), "YZ");
    CHECK_INT(atomic_load(&account.bytes), 2 * (sizeof(struct parcel) + 1));
    history_free(&history, &account);
    CHECK_INT(atomic_load(&account.bytes), 0);
}

static void what_is_too_old_goes(void) {
    struct history_account account = {0};
    struct history *history = history_new();
    struct replay replay;
    history_set(history, &account, 20, 100, 0);
    add(history, &account, "a", 0);
    add(history, &account, "b", 50);
    history_trim(history, &account, 99);
    CHECK_INT(history->kept.count, 2);
    CHECK_INT(history_end(history), 150);
    history_trim(history, &account, 100);
    history_last(history, 20, &replay);
    CHECK_STR(texts(&replay), "b");
    history_free(&history, &account);
}

/* By a clock that began a moment ago. */
static void what_was_too_old_when_it_came_is_not_kept(void) {
    struct history_account account = {0};
    struct history *history = history_new();
    const struct {
        uint64_t age;
        uint32_t kept;
    } cases[] = {{50, 1}, {99, 2}, {100, 0}, {5000, 0}, {20, 1}};
    history_set(history, &account, 20, 100, 0);
    history_restart(history, &account, 10);
    for (uint64_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parcel *parcel = parcel_new("a", 1);
        history_store(history, &account, parcel, 11 + i, cases[i].age, 60);
        CHECK_INT(history->kept.count, cases[i].kept);
        CHECK_INT(history->last, 11 + i);
        CHECK_INT(history->floor, 11 + i - cases[i].kept);
        parcel_unref(&parcel);
    }
    history_free(&history, &account);
    CHECK_INT(atomic_load(&account.bytes), 0);
}

static void all_histories_together_have_a_bound(void) {
    struct history_account account = {.most = 3 * (sizeof(struct parcel) + 1)};
    struct history *one = history_new(), *two = history_new();
    history_set(one, &account, 20, 0, 0);
    history_set(two, &account, 20, 0, 0);
    for (char text[] = "a"; text[0] <= 'c'; text[0]++) add(one, &account, text, 0);
    add(two, &account, "x", 0);
    CHECK_INT(two->kept.count, 0); /* its own goes, nobody else's */
    add(one, &account, "d", 0);
    CHECK_INT(one->kept.count, 3);
    history_free(&one, &account);
    add(two, &account, "y", 0);
    CHECK_INT(two->kept.count, 1);
    history_free(&two, &account);
}

static void behind_a_position_nothing_is_missing_or_it_says_so(void) {
    struct history_account account = {0};
    struct history *history = history_new();
    struct replay replay;
    history_set(history, &account, 3, 0, 0);
    CHECK(history_after(history, history->last, &replay));
    CHECK_STR(texts(&replay), "");
    for (char text[] = "a"; text[0] <= 'e'; text[0]++) add(history, &account, text, 0);
    CHECK(history_after(history, history->last, &replay));
    CHECK_STR(texts(&replay), "");
    CHECK(history_after(history, history->last - 3, &replay));
    CHECK_STR(texts(&replay), "cde");
    CHECK(!history_after(history, history->last - 4, &replay));
    CHECK_STR(texts(&replay), "cde");
    CHECK(!history_after(history, history->floor - 100, &replay)); /* an earlier process's */
    CHECK_STR(texts(&replay), "cde");
    CHECK(!history_after(history, history->last + 1, &replay));
    CHECK_STR(texts(&replay), "cde");
    history_free(&history, &account);
}

/* ---- topics ---- */

static void publish(struct topic *topic, const char *text) {
    struct message *message = message_copy(text, strlen(text));
    topic_publish(topic, message, NULL);
    message_unref(&message);
    bundle_go_out(&topic->topics->bundle); /* as if each were published in a turn of its own */
}

static void who_comes_later_gets_what_was_then_what_is(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake slow = {.room = 2}, last = {.room = 100}, live = {.room = 100};
    topic_keep(topic, 3, 0, NULL);
    for (char text[] = "a"; text[0] <= 'd'; text[0]++) publish(topic, text);
    topic_subscribe(topic, &slow.call, &(struct subscription_options){.queue = 9, .since = TOPIC_ALL});
    topic_subscribe(topic, &last.call, &(struct subscription_options){.queue = 9, .since = TOPIC_LAST, .position = 1});
    topic_subscribe(topic, &live.call, &(struct subscription_options){.queue = 9});
    publish(topic, "e"); /* before the replay has begun */
    loop_turn(one.loop);
    publish(topic, "f"); /* in its middle */
    CHECK_STR(slow.got, "b c ");
    CHECK_STR(last.got, "d e f ");
    CHECK_STR(live.got, "e f ");
    slow.room = 100;
    topics_call_writable(one.topics, &slow.call);
    publish(topic, "g");
    CHECK_STR(slow.got, "b c d e f g ");
    CHECK_INT(topic_counter(topic, TOPIC_REPLAYED), 4);
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 3 + 3 + 3);
    struct fake *all[] = {&slow, &last, &live};
    for (int i = 0; i < 3; i++) topics_call_closed(one.topics, &all[i]->call);
    topic_unref(&topic);
    teardown(&one);
}

/* What is replayed comes to its worker, too, a moment later. */
static void who_subscribes_again_in_a_replay_hears_nothing_twice(void) {
    struct pair pair = setup_pair();
    struct topic *here = topic_open(pair.sides[0], "t", 1), *there = topic_open(pair.sides[1], "t", 1);
    struct fake call = {.room = 100}, witness = {.room = 100};
    topic_keep(here, 10, 0, NULL);
    topic_subscribe(there, &witness.call, &(struct subscription_options){.queue = 9});
    publish(here, "a");
    topic_subscribe(there, &call.call, &(struct subscription_options){.queue = 9, .since = TOPIC_ALL});
    topic_subscribe(there, &call.call, &(struct subscription_options){.queue = 9});
    publish(here, "b");
    turn_pair(&pair);
    CHECK_STR(witness.got, "a b ");
    CHECK_STR(call.got, "a b ");
    topics_call_closed(pair.sides[1], &call.call);
    topics_call_closed(pair.sides[1], &witness.call);
    topic_unref(&here);
    topic_unref(&there);
    teardown_pair(&pair);
}

static void who_cancels_in_a_replay_gets_nothing_more(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake call = {.room = 300}, closes = {.room = 1};
    topic_keep(topic, 1000, 0, NULL);
    for (int i = 0; i < 600; i++) publish(topic, "x");
    struct subscription *subscription =
        topic_subscribe(topic, &call.call, &(struct subscription_options){.queue = 9, .since = TOPIC_ALL});
    topic_subscribe(topic, &closes.call, &(struct subscription_options){.queue = 9, .since = TOPIC_ALL});
    loop_turn(one.loop);
    CHECK(call.room > 0 && call.room < 300); /* in its middle */
    int room = call.room;
    publish(topic, "y"); /* waits behind it */
    subscription_cancel(&subscription);
    topics_call_closed(one.topics, &closes.call);
    publish(topic, "z");
    loop_turn(one.loop);
    topics_call_writable(one.topics, &call.call);
    CHECK_INT(call.room, room);
    CHECK_INT(topic_count(topic), 0);
    CHECK_INT(topic_counter(topic, TOPIC_DISCARDED), 2); /* "y", of both: what was to be replayed is not counted */
    CHECK_INT(topic_counter(topic, TOPIC_REPLAYED), (uint64_t)(300 - room) + 1);
    topic_subscribe(topic, &call.call, &(struct subscription_options){.queue = 9, .since = TOPIC_LAST, .position = 2});
    loop_turn(one.loop);
    CHECK_INT(call.room, room - 2);
    topics_call_closed(one.topics, &call.call);
    topic_unref(&topic);
    teardown(&one);
}

static void a_closing_call_gets_the_rest_of_its_replay(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake call = {.room = 1};
    topic_keep(topic, 1000, 0, NULL);
    for (int i = 0; i < 600; i++) publish(topic, "x");
    topic_subscribe(topic, &call.call, &(struct subscription_options){.queue = 9, .since = TOPIC_ALL});
    CHECK(!topics_flush_call(one.topics, &call.call));
    publish(topic, "late");
    call.room = 1000;
    CHECK(topics_flush_call(one.topics, &call.call));
    CHECK_INT(1000 - call.room, 599);
    topics_call_closed(one.topics, &call.call);
    topic_unref(&topic);
    teardown(&one);
}

static void a_history_with_an_age_outlives_its_topics_users(void) {
    struct one one = setup(1);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake call = {.room = 100};
    const char *has;
    topic_set_type(topic, "a.B", &has);
    topic_keep(topic, 10, 3600 * NS_PER_S, NULL);
    publish(topic, "a");
    uint64_t position = topic_position(topic);
    topic_unref(&topic);
    CHECK(!topic_open(one.topics, "u", 1)); /* it is still there, and there may be one */
    topic = topic_open(one.topics, "t", 1);
    CHECK_STR(topic_type(topic), "a.B");
    CHECK_INT(topic_position(topic), position);
    topic_subscribe(topic, &call.call, &(struct subscription_options){.queue = 9, .since = TOPIC_AFTER, .position = position - 1});
    loop_turn(one.loop);
    CHECK_STR(call.got, "a ");
    topics_call_closed(one.topics, &call.call);
    loop_turn(one.loop);
    topic_keep(topic, 10, NS_PER_MS, NULL);
    publish(topic, "b");
    topic_unref(&topic);
    for (uint64_t end = clock_monotonic() + 2 * NS_PER_MS; clock_monotonic() < end;) continue;
    topic = topic_open(one.topics, "u", 1); /* now it has gone */
    CHECK(topic);
    topic_unref(&topic);
    teardown(&one);
}

static void keep_and_let_go(struct one *one, const char *name, uint64_t ttl) {
    struct topic *topic = topic_open(one->topics, name, strlen(name));
    topic_keep(topic, 10, ttl, NULL);
    publish(topic, "a");
    topic_unref(&topic);
}

static void a_history_that_is_too_old_goes_though_nobody_asks(void) {
    struct one one = setup(9);
    struct timer *sweeper = &one.topics->sweeper;
    CHECK(!timer_is_running(sweeper));
    keep_and_let_go(&one, "long", 3600 * NS_PER_S);
    keep_and_let_go(&one, "short", NS_PER_MS);
    CHECK(timer_is_running(sweeper));
    for (uint64_t end = clock_monotonic() + 2 * NS_PER_MS; clock_monotonic() < end;) continue;
    timer_stop(one.loop, sweeper);
    sweeper->fire(sweeper);
    CHECK_INT(one.registry->by_name.count, 1);
    CHECK(timer_is_running(sweeper));
    topic_registry_set_most(one.registry, 1);
    struct topic *topic = topic_open(one.topics, "long", 4);
    CHECK(topic);
    timer_stop(one.loop, sweeper);
    sweeper->fire(sweeper);
    CHECK(!timer_is_running(sweeper)); /* nothing lingers */
    topic_unref(&topic);
    teardown(&one);
}

/* ---- two threads: each publishes, while another subscriber of each comes and goes ---- */

enum { MESSAGES = 20000 };

struct side {
    struct loop *loop;
    struct topics *topics;
    struct topic *topic;
    struct subscription *subscription;
    struct task task;
    uint64_t seen, from;
    int sent, wrong, joined, heard;
    bool is_done;
};

static atomic_int sides_ready, sides_done;

static bool hear(void *context, struct message *message) {
    struct side *side = context;
    struct fields fields;
    struct field_value value;
    fields_init(&fields, message->data, message->length);
    CHECK(field_read(type, large, &fields, &value));
    if (value.bits != side->seen + 1) side->wrong++;
    side->seen = value.bits;
    side->heard++;
    return true;
}

static void come_and_go(struct side *side) {
    if (side->subscription && side->heard < side->joined % 97) return;
    subscription_cancel(&side->subscription);
    side->heard = 0;
    side->joined++;
    side->subscription = topic_subscribe(
        side->topic, NULL,
        &(struct subscription_options){
            .queue = 1 << 20, .on_message = hear, .context = side, .since = TOPIC_AFTER, .position = side->seen});
    CHECK(!subscription_has_gap(side->subscription));
}

static void work(struct task *task) {
    struct side *side = container_of(task, struct side, task);
    come_and_go(side);
    if (atomic_load(&sides_ready) == 2)
        for (int i = 0; i < 10 && side->sent < MESSAGES; i++, side->sent++) publish(side->topic, "\n\001x");
    if (side->seen == side->from + 2 * MESSAGES && !side->is_done) {
        side->is_done = true;
        atomic_fetch_add(&sides_done, 1);
    }
    if (atomic_load(&sides_done) == 2) loop_stop(side->loop);
    else loop_defer(side->loop, LOOP_RUN, task);
}

static void *run_side(void *context) {
    struct side *side = context;
    task_init(&side->task, work);
    atomic_fetch_add(&sides_ready, 1);
    loop_defer(side->loop, LOOP_RUN, &side->task);
    loop_run(side->loop);
    subscription_cancel(&side->subscription);
    loop_turn(side->loop);
    return NULL;
}

static void who_comes_back_between_threads_misses_nothing_and_hears_nothing_twice(void) {
    struct side sides[2] = {{0}};
    pthread_t threads[2];
    struct pair pair = setup_pair();
    for (int i = 0; i < 2; i++) {
        sides[i] = (struct side){.loop = pair.loops[i], .topics = pair.sides[i]};
        sides[i].topic = topic_open(sides[i].topics, "t", 1);
        topic_keep(sides[i].topic, 3 * MESSAGES, 0, large);
        sides[i].seen = sides[i].from = topic_position(sides[0].topic);
    }
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, run_side, &sides[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(sides[i].wrong, 0);
        CHECK(sides[i].joined > 10);
        topic_unref(&sides[i].topic);
    }
    teardown_pair(&pair);
}

int main(void) {
    struct error error;
    char path[] = "tests/unit/fanout/fields.proto", *const files[] = {path, NULL}, *const paths[] = {NULL};
    struct schema *schema = schema_load(paths, files, &error);
    CHECK(schema);
    type = schema_message(schema, "fields.Sample");
    large = message_field(type, "large", 5);
    RUN(it_keeps_the_last_ones);
    RUN(what_is_too_old_goes);
    RUN(what_was_too_old_when_it_came_is_not_kept);
    RUN(all_histories_together_have_a_bound);
    RUN(behind_a_position_nothing_is_missing_or_it_says_so);
    RUN(who_comes_later_gets_what_was_then_what_is);
    RUN(who_subscribes_again_in_a_replay_hears_nothing_twice);
    RUN(who_cancels_in_a_replay_gets_nothing_more);
    RUN(a_closing_call_gets_the_rest_of_its_replay);
    RUN(a_history_with_an_age_outlives_its_topics_users);
    RUN(a_history_that_is_too_old_goes_though_nobody_asks);
    RUN(who_comes_back_between_threads_misses_nothing_and_hears_nothing_twice);
    schema_unref(&schema);
    return 0;
}
