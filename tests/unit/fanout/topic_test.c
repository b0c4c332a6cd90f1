#include "fanout/topic.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fanout/fake.h"

static void publish(struct topic *topic, const char *text, const struct call *publisher) {
    struct message *message = message_copy(text, strlen(text));
    topic_publish(topic, message, publisher);
    message_unref(&message);
    bundle_go_out(&topic->topics->bundle); /* as if each were published in a turn of its own */
}

static void everyone_gets_each_message_in_order(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake a = {.room = 100}, b = {.room = 100};
    struct subscription_options options = {.queue = 4};
    topic_subscribe(topic, &a.call, &options);
    topic_subscribe(topic, &b.call, &options);
    CHECK_INT(topic_count(topic), 2);
    publish(topic, "1", NULL);
    publish(topic, "2", &a.call);
    CHECK_STR(a.got, "1 2 ");
    CHECK_STR(b.got, "1 2 ");
    topics_call_closed(one.topics, &a.call);
    CHECK_INT(topic_count(topic), 1);
    publish(topic, "3", NULL);
    CHECK_STR(a.got, "1 2 ");
    topics_call_closed(one.topics, &b.call);
    topic_unref(&topic);
    teardown(&one);
}

static void no_echo_skips_only_the_publisher(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake a = {.room = 9}, b = {.room = 9};
    topic_subscribe(topic, &a.call, &(struct subscription_options){.queue = 4, .no_echo = true});
    topic_subscribe(topic, &b.call, &(struct subscription_options){.queue = 4, .no_echo = true});
    publish(topic, "x", &a.call);
    CHECK_STR(a.got, "");
    CHECK_STR(b.got, "x ");
    topics_call_closed(one.topics, &a.call);
    topics_call_closed(one.topics, &b.call);
    topic_unref(&topic);
    teardown(&one);
}

static void drop_old_keeps_the_newest_and_counts(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake slow = {.room = 1};
    topic_subscribe(topic, &slow.call, &(struct subscription_options){.queue = 3, .policy = TOPIC_DROP_OLD});
    for (char text[] = "a"; text[0] <= 'g'; text[0]++) publish(topic, text, NULL);
    CHECK_STR(slow.got, "a ");
    slow.room = 10;
    topics_call_writable(one.topics, &slow.call);
    CHECK_STR(slow.got, "a e f g ");
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_OLD), 3);
    publish(topic, "h", NULL);
    CHECK_STR(slow.got, "a e f g h ");
    topics_call_closed(one.topics, &slow.call);
    topic_unref(&topic);
    teardown(&one);
}

static void drop_new_keeps_the_oldest_and_counts(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake slow = {.room = 1};
    topic_subscribe(topic, &slow.call, &(struct subscription_options){.queue = 3, .policy = TOPIC_DROP_NEW});
    for (char text[] = "a"; text[0] <= 'g'; text[0]++) publish(topic, text, NULL);
    slow.room = 10;
    topics_call_writable(one.topics, &slow.call);
    CHECK_STR(slow.got, "a b c d ");
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_NEW), 3);
    topics_call_closed(one.topics, &slow.call);
    topic_unref(&topic);
    teardown(&one);
}

/* fields.Sample { name, small } as text: "\n\x01" NAME "\x18" DIGIT. */
static void say(struct topic *topic, char name, char small) {
    char text[] = {1 << 3 | 2, 1, name, 3 << 3, small, 0};
    publish(topic, text, NULL);
}

static void coalesce_keeps_the_newest_of_each_key_and_drops_the_oldest_key(void) {
    struct one one = setup(0);
    struct error error;
    char path[] = "tests/unit/fanout/fields.proto", *const files[] = {path, NULL}, *const paths[] = {NULL};
    struct schema *schema = schema_load(paths, files, &error);
    const struct message_type *type = schema_message(schema, "fields.Sample");
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake slow = {.room = 0};
    topic_subscribe(topic, &slow.call,
                    &(struct subscription_options){.queue = 2, .policy = TOPIC_COALESCE, .type = type,
                                                   .key = message_field(type, "name", 4)});
    say(topic, 'a', '1');
    say(topic, 'b', '2');
    say(topic, 'a', '3');
    say(topic, 'a', '4');
    say(topic, 'c', '5');
    slow.room = 10;
    topics_call_writable(one.topics, &slow.call);
    CHECK_STR(slow.got, "\n\1b\0302 \n\1c\0305 ");
    CHECK_INT(topic_counter(topic, TOPIC_COALESCED), 2);
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_OLD), 1);
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 2);
    topics_call_closed(one.topics, &slow.call);
    topic_unref(&topic);
    schema_unref(&schema);
    teardown(&one);
}

static void each_message_that_passes_is_counted_once_for_each_subscriber(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake fast = {.room = 100}, old = {.room = 2}, new = {.room = 2}, closing = {.room = 2}, leaving = {.room = 2};
    struct subscription_options options = {.queue = 3};
    topic_subscribe(topic, &fast.call, &options);
    topic_subscribe(topic, &closing.call, &options);
    topic_subscribe(topic, &leaving.call, &(struct subscription_options){.queue = 100});
    options.policy = TOPIC_DROP_OLD;
    topic_subscribe(topic, &old.call, &options);
    options.policy = TOPIC_DROP_NEW;
    topic_subscribe(topic, &new.call, &options);
    for (char text[] = "a"; text[0] <= 'j'; text[0]++) publish(topic, text, NULL);
    loop_turn(one.loop);
    struct fake *all[] = {&fast, &old, &new, &closing, &leaving};
    for (int i = 0; i < 5; i++) topics_call_closed(one.topics, &all[i]->call);
    loop_turn(one.loop);
    CHECK_INT(topic_counter(topic, TOPIC_PUBLISHED), 10);
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 10 + 4 * 2);
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_OLD), 5);
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_NEW), 5);
    CHECK_INT(topic_counter(topic, TOPIC_DISCARDED), 3 + 3 + (3 + 1) + 8); /* the queues' rest, and what closed one */
    CHECK_INT(topic_counter(topic, TOPIC_CLOSED), 1);
    topic_unref(&topic);
    teardown(&one);
}

static bool takes_one(void *context, struct message *message) {
    (void)message;
    ++*(int *)context;
    return false;
}

static void a_busy_function_is_given_nothing_until_it_goes_on(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    int count = 0;
    struct subscription *subscription = topic_subscribe(
        topic, NULL,
        &(struct subscription_options){.queue = 2, .policy = TOPIC_DROP_NEW, .on_message = takes_one, .context = &count});
    publish(topic, "m", NULL);
    loop_turn(one.loop);
    for (int i = 0; i < 5; i++) publish(topic, "m", NULL);
    loop_turn(one.loop);
    CHECK_INT(count, 1);
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_NEW), 3);
    subscription_go_on(subscription);
    loop_turn(one.loop);
    CHECK_INT(count, 2);
    subscription_cancel(&subscription);
    loop_turn(one.loop);
    topic_unref(&topic);
    teardown(&one);
}

static void close_ends_the_slow_one_and_nobody_else(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake slow = {.room = 0}, fast = {.room = 100};
    topic_subscribe(topic, &slow.call, &(struct subscription_options){.queue = 2, .policy = TOPIC_CLOSE});
    topic_subscribe(topic, &fast.call, &(struct subscription_options){.queue = 2, .policy = TOPIC_CLOSE});
    for (char text[] = "a"; text[0] <= 'e'; text[0]++) publish(topic, text, NULL);
    CHECK_INT(slow.finished, STATUS_OK); /* not inside the publish */
    loop_turn(one.loop);
    CHECK_INT(slow.finished, STATUS_RESOURCE_EXHAUSTED);
    CHECK_STR(fast.got, "a b c d e ");
    CHECK_INT(topic_count(topic), 1);
    CHECK_INT(topic_counter(topic, TOPIC_CLOSED), 1);
    topics_call_closed(one.topics, &slow.call);
    topics_call_closed(one.topics, &fast.call);
    topic_unref(&topic);
    teardown(&one);
}

/* It is told later in the turn: by then the call may be gone. */
static void a_slow_one_that_closes_in_the_same_turn_is_told_nothing(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake *slow = calloc(1, sizeof *slow), again = {.room = 5};
    struct subscription_options options = {.queue = 1, .policy = TOPIC_CLOSE};
    topic_subscribe(topic, &slow->call, &options);
    topic_subscribe(topic, &again.call, &options);
    publish(topic, "a", NULL);
    publish(topic, "b", NULL);
    CHECK_INT(topic_counter(topic, TOPIC_CLOSED), 1);
    topics_call_closed(one.topics, &slow->call);
    CHECK(!topics_has_call(one.topics, &slow->call));
    free(slow);
    loop_turn(one.loop);
    CHECK_STR(again.got, "a b ");
    topics_call_closed(one.topics, &again.call);
    topic_unref(&topic);
    teardown(&one);
}

static void a_closing_call_gets_what_was_queued_and_no_more(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake call = {.room = 1};
    topic_subscribe(topic, &call.call, &(struct subscription_options){.queue = 9});
    publish(topic, "a", NULL);
    publish(topic, "b", NULL);
    publish(topic, "c", NULL);
    call.room = 1;
    CHECK(!topics_flush_call(one.topics, &call.call));
    publish(topic, "late", NULL);
    call.room = 5;
    CHECK(topics_flush_call(one.topics, &call.call));
    CHECK_STR(call.got, "a b c ");
    topics_call_closed(one.topics, &call.call);
    topic_unref(&topic);
    teardown(&one);
}

static int ends;
static void on_end(void *context) { (void)context, ends++; }
static bool only_b(void *context, const struct message *message) {
    (void)context;
    return message->data[0] == 'b';
}

static void subscribing_again_sets_the_filter_and_keeps_the_queue(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    struct fake call = {.room = 0};
    ends = 0;
    struct subscription *first =
        topic_subscribe(topic, &call.call, &(struct subscription_options){.queue = 9, .on_end = on_end});
    publish(topic, "a1", NULL);
    struct subscription *second = topic_subscribe(
        topic, &call.call, &(struct subscription_options){.queue = 9, .filter = only_b, .on_end = on_end});
    CHECK(first == second);
    CHECK_INT(ends, 1);
    publish(topic, "a2", NULL);
    publish(topic, "b1", NULL);
    call.room = 9;
    topics_call_writable(one.topics, &call.call);
    CHECK_STR(call.got, "a1 b1 ");
    CHECK_INT(topic_count(topic), 1);
    topics_call_closed(one.topics, &call.call);
    loop_turn(one.loop);
    CHECK_INT(ends, 2);
    topic_unref(&topic);
    teardown(&one);
}

static struct topic *chained;
static int heard;
static bool hear_and_publish_once(void *context, struct message *message) {
    (void)context;
    heard++;
    if (message->length == 1) publish(chained, "again", NULL);
    return true;
}

static void a_function_hears_later_and_may_publish(void) {
    struct one one = setup(0);
    chained = topic_open(one.topics, "room", 4);
    heard = 0;
    struct subscription *subscription =
        topic_subscribe(chained, NULL, &(struct subscription_options){.queue = 9, .on_message = hear_and_publish_once});
    publish(chained, "x", NULL);
    CHECK_INT(heard, 0);
    loop_turn(one.loop);
    loop_turn(one.loop);
    CHECK_INT(heard, 2);
    subscription_cancel(&subscription);
    loop_turn(one.loop);
    topic_unref(&chained);
    teardown(&one);
}

static bool count_one(void *context, struct message *message) {
    (void)message;
    ++*(int *)context;
    return true;
}

static void a_function_with_much_to_hear_lets_others_have_their_turn(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    int count = 0;
    struct subscription *subscription = topic_subscribe(
        topic, NULL, &(struct subscription_options){.queue = 1000, .on_message = count_one, .context = &count});
    for (int i = 0; i < 1000; i++) publish(topic, "m", NULL);
    loop_turn(one.loop);
    CHECK(count > 0 && count < 1000);
    for (int i = 0; i < 100 && count < 1000; i++) loop_turn(one.loop);
    CHECK_INT(count, 1000);
    subscription_cancel(&subscription);
    topic_unref(&topic);
    teardown(&one);
}

static void a_topic_has_one_type_and_forgets_it_when_it_goes(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "room", 4);
    const char *has;
    CHECK(topic_set_type(topic, "a.B", &has));
    CHECK(topic_set_type(topic, "a.B", &has));
    CHECK(!topic_set_type(topic, "a.C", &has));
    CHECK_STR(has, "a.B");
    topic_unref(&topic);
    topic = topic_open(one.topics, "room", 4);
    CHECK(topic_type(topic) == NULL);
    topic_unref(&topic);
    teardown(&one);
}

static void names_are_bounded_and_freed_ones_make_room(void) {
    struct one one = setup(2);
    struct topic *a = topic_open(one.topics, "a", 1), *b = topic_open(one.topics, "b", 1);
    CHECK(a && b && !topic_open(one.topics, "c", 1));
    struct topic *again = topic_open(one.topics, "a", 1);
    CHECK(again == a);
    topic_unref(&again);
    topic_unref(&a);
    struct topic *c = topic_open(one.topics, "c", 1);
    CHECK(c);
    topic_unref(&b);
    topic_unref(&c);
    teardown(&one);
}

/* ---- presence ---- */

static char events[256];
static void note_event(struct topic_watch *watch, enum topic_event event, const char *text, size_t length) {
    (void)watch;
    size_t used = strlen(events);
    snprintf(events + used, sizeof events - used, "%c%.*s ", "+-?"[event], (int)length, text);
}

static const char *members(const struct topic *topic) {
    static char text[256];
    struct buffer out = {0};
    topic_members(topic, &out);
    snprintf(text, sizeof text, "%.*s", (int)buffer_length(&out), (const char *)buffer_bytes(&out));
    buffer_free(&out);
    return text;
}

static void members_of_all_workers_are_known_and_told_in_order(void) {
    struct pair pair = setup_pair();
    struct topic *one = topic_open(pair.sides[0], "t", 1), *two = topic_open(pair.sides[1], "t", 1);
    struct fake a = {.room = 9}, b = {.room = 9}, quiet = {.room = 9};
    struct subscription_options options = {.queue = 1, .show = "1", .show_length = 1};
    struct topic_watch watch = {.on_event = note_event};
    events[0] = 0;
    topic_watch(two, &watch);
    topic_subscribe(one, &a.call, &options);
    options.show = "2";
    topic_subscribe(two, &b.call, &options);
    topic_subscribe(two, &quiet.call, &(struct subscription_options){.queue = 1});
    CHECK_STR(members(one), "1\n2\n");
    CHECK_STR(events, ""); /* not from inside */
    turn_pair(&pair);
    CHECK_STR(events, "+1 +2 ");
    options.show = "3";
    topic_subscribe(one, &a.call, &options); /* shows something else */
    topic_subscribe(one, &a.call, &options); /* the same again */
    CHECK_STR(members(two), "2\n3\n");
    topics_call_closed(pair.sides[1], &b.call);
    turn_pair(&pair);
    CHECK_STR(events, "+1 +2 -1 +3 -2 ");
    topic_unwatch(&watch);
    topics_call_closed(pair.sides[0], &a.call);
    topics_call_closed(pair.sides[1], &quiet.call);
    turn_pair(&pair);
    CHECK_STR(events, "+1 +2 -1 +3 -2 ");
    CHECK_STR(members(one), "");
    topic_unref(&one);
    topic_unref(&two);
    teardown_pair(&pair);
}

/* ---- two workers ---- */

enum { MESSAGES = 20000 };

struct side {
    struct topic_registry *registry;
    struct loop *loop;
    struct topics *topics;
    uint32_t index;
    struct topic *topic;
    struct subscription *subscription;
    struct task task;
    int next_to_send, next_expected, out_of_order;
};

static atomic_int sides_ready, sides_done;

static bool note(void *context, struct message *message) {
    struct side *side = context;
    char text[32] = {0};
    memcpy(text, message->data, message->length < 31 ? message->length : 31);
    int who, number;
    if (sscanf(text, "%d %d", &who, &number) != 2 || who == (int)side->index) return true;
    if (number != side->next_expected) side->out_of_order++;
    side->next_expected = number + 1;
    return true;
}

static void work(struct task *task) {
    struct side *side = container_of(task, struct side, task);
    char text[32];
    if (atomic_load(&sides_ready) == 2)
        for (int i = 0; i < 100 && side->next_to_send < MESSAGES; i++) {
            snprintf(text, sizeof text, "%u %d", (unsigned)side->index, side->next_to_send++);
            publish(side->topic, text, NULL);
        }
    if (side->next_expected == MESSAGES && side->next_to_send == MESSAGES) {
        side->next_expected++; /* counted once */
        atomic_fetch_add(&sides_done, 1);
    }
    if (atomic_load(&sides_done) == 2) loop_stop(side->loop);
    else loop_defer(side->loop, LOOP_RUN, task);
}

static void *run_side(void *context) {
    struct side *side = context;
    side->topic = topic_open(side->topics, "both", 4);
    side->subscription = topic_subscribe(
        side->topic, NULL, &(struct subscription_options){.queue = 1 << 20, .on_message = note, .context = side});
    task_init(&side->task, work);
    atomic_fetch_add(&sides_ready, 1);
    loop_defer(side->loop, LOOP_RUN, &side->task);
    loop_run(side->loop);
    subscription_cancel(&side->subscription);
    topic_unref(&side->topic);
    loop_turn(side->loop);
    return NULL;
}

static void messages_of_one_publisher_cross_workers_in_order(void) {
    struct side sides[2] = {{0}};
    pthread_t threads[2];
    struct topic_registry *registry = topic_registry_new(2, 0);
    for (uint32_t i = 0; i < 2; i++) {
        sides[i] = (struct side){.registry = registry, .loop = loop_new(), .index = i};
        sides[i].topics = topics_new(registry, i, sides[i].loop);
    }
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, run_side, &sides[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(sides[i].out_of_order, 0);
        CHECK_INT(sides[i].next_expected, MESSAGES + 1);
    }
    for (int i = 0; i < 2; i++) topics_free(&sides[i].topics);
    topic_registry_free(&registry);
    for (int i = 0; i < 2; i++) loop_free(&sides[i].loop);
}

/* More than a worker's mailbox takes, while that worker does not look; then it looks. */
static void overrun(struct topic *topic, struct loop *behind, const struct fake *closing) {
    static char large[1 << 20];
    struct message *message = message_copy(large, sizeof large);
    for (int i = 0; i < 80; i++) topic_publish(topic, message, NULL);
    message_unref(&message);
    uint64_t deadline = clock_monotonic() + 30 * NS_PER_S;
    while (closing->finished == STATUS_OK) {
        CHECK(clock_monotonic() < deadline);
        loop_turn(behind);
    }
}

static void subscribers_of_a_worker_whose_mailbox_was_full_learn_that_they_missed_something(void) {
    struct topic_registry *registry = topic_registry_new(2, 0);
    struct loop *loops[] = {loop_new(), loop_new()};
    struct topics *sides[] = {topics_new(registry, 0, loops[0]), topics_new(registry, 1, loops[1])};
    struct topic *from = topic_open(sides[0], "t", 1), *to = topic_open(sides[1], "t", 1);
    struct fake closing[2] = {{.room = 1 << 20}, {.room = 1 << 20}}, dropping = {.room = 1 << 20};
    struct subscription_options options = {.queue = 256, .policy = TOPIC_DROP_OLD};
    topic_subscribe(to, &dropping.call, &options);
    options.policy = TOPIC_CLOSE;
    for (int i = 0; i < 2; i++) { /* the second time is told too */
        topic_subscribe(to, &closing[i].call, &options);
        CHECK_INT(topic_count(from), 2);
        overrun(from, loops[1], &closing[i]);
        CHECK_INT(closing[i].finished, STATUS_RESOURCE_EXHAUSTED);
        CHECK(closing[i].room > (1 << 20) - 80);
        CHECK_INT(topic_count(from), 1);
        topics_call_closed(sides[1], &closing[i].call);
    }
    CHECK_INT(dropping.finished, STATUS_OK);
    uint64_t refused = topic_counter(from, TOPIC_REFUSED);
    CHECK(refused > 0 && refused < 160);
    for (int i = 0; i < 100; i++) loop_turn(loops[1]);
    CHECK_INT((1 << 20) - dropping.room + refused, 160); /* none is lost without a count */
    topics_call_closed(sides[1], &dropping.call);
    topic_unref(&from);
    topic_unref(&to);
    for (int i = 0; i < 2; i++) loop_turn(loops[i]);
    for (int i = 0; i < 2; i++) topics_free(&sides[i]);
    topic_registry_free(&registry);
    for (int i = 0; i < 2; i++) loop_free(&loops[i]);
}

int main(void) {
    RUN(everyone_gets_each_message_in_order);
    RUN(no_echo_skips_only_the_publisher);
    RUN(drop_old_keeps_the_newest_and_counts);
    RUN(drop_new_keeps_the_oldest_and_counts);
    RUN(coalesce_keeps_the_newest_of_each_key_and_drops_the_oldest_key);
    RUN(each_message_that_passes_is_counted_once_for_each_subscriber);
    RUN(a_busy_function_is_given_nothing_until_it_goes_on);
    RUN(close_ends_the_slow_one_and_nobody_else);
    RUN(a_slow_one_that_closes_in_the_same_turn_is_told_nothing);
    RUN(a_closing_call_gets_what_was_queued_and_no_more);
    RUN(subscribing_again_sets_the_filter_and_keeps_the_queue);
    RUN(a_function_hears_later_and_may_publish);
    RUN(a_function_with_much_to_hear_lets_others_have_their_turn);
    RUN(a_topic_has_one_type_and_forgets_it_when_it_goes);
    RUN(names_are_bounded_and_freed_ones_make_room);
    RUN(members_of_all_workers_are_known_and_told_in_order);
    RUN(messages_of_one_publisher_cross_workers_in_order);
    RUN(subscribers_of_a_worker_whose_mailbox_was_full_learn_that_they_missed_something);
    return 0;
}
