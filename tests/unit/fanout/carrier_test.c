/* The seam to a carrier: one that notes what it is told, and brings what the test says. */
#include "fanout/carrier.h"

#include "fanout/fake.h"

struct notes {
    struct topic_carrier carrier; /* first */
    struct topic_registry *registry;
    int noted, published;
    struct carrier_message *stored;
    bool is_full;
};

static void note(struct topic_carrier *carrier, struct shared_topic *topic) {
    struct notes *notes = (struct notes *)carrier;
    notes->noted++;
    carrier_unref(notes->registry, topic);
}

static void publish(struct topic_carrier *carrier, struct shared_topic *topic, const void *bytes, size_t length) {
    (void)topic, (void)bytes, (void)length;
    ((struct notes *)carrier)->published++;
}

static bool store(struct topic_carrier *carrier, struct carrier_message *message) {
    struct notes *notes = (struct notes *)carrier;
    if (notes->is_full) return false;
    CHECK(!notes->stored);
    notes->stored = message;
    return true;
}

static struct topic *begin(struct one *one, struct notes *notes, bool stores) {
    *one = setup(0);
    *notes = (struct notes){.carrier = {.note = note, .publish = publish, .store = store}, .registry = one->registry};
    atomic_init(&notes->carrier.stores, stores);
    topic_registry_set_carrier(one->registry, &notes->carrier);
    return topic_open(one->topics, "t", 1);
}

static void leave(const struct one *one, struct fake *fake) { topics_call_closed(one->topics, &fake->call); }

static void end(struct one *one, struct topic **topic) {
    topic_unref(topic);
    topic_registry_set_carrier(one->registry, NULL);
    teardown(one);
}

static struct topic_receipt say(struct topic *topic, const char *text) {
    struct message *message = message_copy(text, strlen(text));
    struct topic_receipt receipt = topic_publish(topic, message, NULL);
    message_unref(&message);
    return receipt;
}

static void a_carrier_hears_of_changes_once_until_it_looks(void) {
    struct one one;
    struct notes notes;
    struct carrier_topic state;
    struct topic *topic = begin(&one, &notes, false);
    struct fake a = {.room = 9};
    CHECK_INT(notes.noted, 1);
    topic_set_type(topic, "T", &(const char *){NULL});
    struct subscription *subscription = topic_subscribe(topic, &a.call, &(struct subscription_options){.queue = 1});
    CHECK_INT(notes.noted, 1);
    carrier_look(one.registry, topic->shared, &state);
    CHECK_STR(state.type, "T");
    CHECK(state.is_used && !state.is_kept);
    CHECK_INT(state.subscribers, 1);
    subscription_cancel(&subscription);
    CHECK_INT(notes.noted, 2);
    say(topic, "x");
    CHECK_INT(notes.published, 1);
    leave(&one, &a);
    end(&one, &topic);
    CHECK_INT(notes.noted, 2);
}

static void what_it_brings_goes_to_all_but_is_not_given_back_to_it(void) {
    struct one one;
    struct notes notes;
    struct topic *topic = begin(&one, &notes, false);
    struct fake a = {.room = 9}, stuck = {.room = 0};
    topic_subscribe(topic, &a.call, &(struct subscription_options){.queue = 1});
    topic_subscribe(topic, &stuck.call, &(struct subscription_options){.queue = 2, .policy = TOPIC_BLOCK});
    for (const char *text = "1234"; *text; text++) carrier_deliver(one.registry, topic->shared, text, 1);
    loop_turn(one.loop);
    CHECK_STR(a.got, "1 2 3 4 ");
    CHECK_INT(notes.published, 0);
    CHECK_INT(topic_counter(topic, TOPIC_RECEIVED), 4);
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_OLD), 2); /* who blocks publishers cannot block those elsewhere */
    carrier_set_elsewhere(topic->shared, 5);
    CHECK_INT(topic_count(topic), 2);
    CHECK_INT(topic_count_everywhere(topic), 7);
    leave(&one, &a);
    leave(&one, &stuck);
    end(&one, &topic);
}

static void what_it_stores_comes_when_it_has_its_place(void) {
    struct one one;
    struct notes notes;
    struct topic *topic = begin(&one, &notes, true);
    struct fake live = {.room = 9}, late = {.room = 9}, third = {.room = 9};
    const struct subscription_options options = {.queue = 9}, all = {.queue = 9, .since = TOPIC_ALL};
    topic_keep(topic, 10, 0, NULL);
    carrier_restart(one.registry, topic->shared, 100);
    topic_subscribe(topic, &live.call, &options);
    struct subscription *waiting = topic_subscribe(topic, &late.call, &all);
    CHECK(subscription_is_waiting(waiting));

    CHECK_INT(say(topic, "own").position, 0);
    CHECK(notes.stored != NULL);
    loop_turn(one.loop);
    CHECK_STR(live.got, "");
    carrier_store(one.registry, topic->shared, "old", 3, 101, 0, NULL, true); /* of before: to nobody */
    carrier_store(one.registry, topic->shared, "own", 3, 103, 0, notes.stored, false);
    carrier_store(one.registry, topic->shared, "again", 5, 103, 0, NULL, false);
    carrier_message_free(one.registry, notes.stored);
    notes.stored = NULL;
    loop_turn(one.loop);
    CHECK_STR(live.got, "own ");
    CHECK_STR(late.got, "");
    carrier_loaded(one.registry, topic->shared, 100);
    loop_turn(one.loop);
    CHECK(!subscription_is_waiting(waiting));
    CHECK_STR(late.got, "old own ");
    CHECK_INT(carrier_position(topic->shared), 103);

    say(topic, "held"); /* as nobody stores it now */
    uint64_t ticket = carrier_hold(one.registry, topic->shared, notes.stored);
    loop_turn(one.loop);
    CHECK_STR(live.got, "own held ");
    CHECK_STR(late.got, "old own held ");
    topic_subscribe(topic, &third.call, &all);
    loop_turn(one.loop);
    CHECK_STR(third.got, "old own held ");
    carrier_store(one.registry, topic->shared, "held", 4, 104, 0, NULL, true);
    carrier_release(topic->shared, ticket);
    carrier_message_free(one.registry, notes.stored);
    loop_turn(one.loop);
    CHECK_STR(live.got, "own held ");

    notes.is_full = true; /* a message that it does not take is a loss, which is not silent */
    say(topic, "lost");
    loop_turn(one.loop);
    CHECK_INT(live.finished, STATUS_RESOURCE_EXHAUSTED);
    CHECK_INT(topic_counter(topic, TOPIC_REFUSED), 1);
    leave(&one, &live);
    leave(&one, &late);
    leave(&one, &third);
    end(&one, &topic);
}

static void a_history_that_was_left_is_waited_for_again(void) {
    struct one one;
    struct notes notes;
    struct topic *topic = begin(&one, &notes, true);
    struct fake late = {.room = 9};
    topic_keep(topic, 10, 600 * NS_PER_S, NULL);
    carrier_loaded(one.registry, topic->shared, 0);
    carrier_restart(one.registry, topic->shared, 100);
    carrier_store(one.registry, topic->shared, "1", 1, 101, 0, NULL, true);
    carrier_set_stored(one.registry, topic->shared, false);
    topic_unref(&topic);
    topic = topic_open(one.topics, "t", 1);
    topic_subscribe(topic, &late.call, &(struct subscription_options){.queue = 9, .since = TOPIC_ALL});
    loop_turn(one.loop);
    CHECK_STR(late.got, "");
    carrier_store(one.registry, topic->shared, "2", 1, 102, 0, NULL, true); /* meanwhile, elsewhere */
    carrier_loaded(one.registry, topic->shared, 0);
    loop_turn(one.loop);
    CHECK_STR(late.got, "1 2 ");
    leave(&one, &late);
    end(&one, &topic);
}

static void members_of_other_hosts_stand_among_ours(void) {
    struct one one;
    struct notes notes;
    struct topic *topic = begin(&one, &notes, false);
    struct fake a = {.room = 9};
    struct buffer out = {0};
    struct member *member = carrier_member_join(one.registry, topic->shared, "\"eve\"", 5);
    topic_subscribe(topic, &a.call, &(struct subscription_options){.queue = 1, .show = "1", .show_length = 1});
    CHECK_INT(topic_members(topic, &out), 2);
    buffer_append_byte(&out, 0);
    CHECK_STR((const char *)buffer_bytes(&out), "\"eve\"\n1\n");
    buffer_free(&out);
    carrier_member_leave(one.registry, topic->shared, &member);
    CHECK_INT(topic_members(topic, &out), 1);
    buffer_free(&out);
    leave(&one, &a);
    end(&one, &topic);
}

int main(void) {
    RUN(a_carrier_hears_of_changes_once_until_it_looks);
    RUN(what_it_brings_goes_to_all_but_is_not_given_back_to_it);
    RUN(what_it_stores_comes_when_it_has_its_place);
    RUN(a_history_that_was_left_is_waited_for_again);
    RUN(members_of_other_hosts_stand_among_ours);
    return 0;
}
