/* What is published in one turn goes out together, and nobody can tell. */
#include "fanout/fake.h"
#include "fanout/subscription.h"

static void publish(struct topic *topic, const char *text) {
    struct message *message = message_copy(text, strlen(text));
    topic_publish(topic, message, NULL);
    message_unref(&message);
}

/* From the first to the last letter. */
static void publish_letters(struct topic *topic, char first, char last) {
    for (char text[] = {first, 0}; text[0] <= last; text[0]++) publish(topic, text);
}

static void own(struct fake *fake, const char *text) {
    struct message *message = message_copy(text, strlen(text));
    call_send(&fake->call, message);
    message_unref(&message);
}

static const struct subscription_options plain = {.queue = 4, .policy = TOPIC_DROP_OLD};

static void a_turns_messages_go_out_at_its_end_as_one_run(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake a = {.room = 100}, b = {.room = 100};
    topic_subscribe(topic, &a.call, &plain);
    topic_subscribe(topic, &b.call, &plain);
    publish_letters(topic, 'a', 'e');
    CHECK_STR(a.got, "");
    loop_turn(one.loop);
    CHECK_STR(a.got, "a b c d e ");
    CHECK_STR(b.got, "a b c d e ");
    CHECK_INT(a.runs, 5);
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 10);
    publish_letters(topic, 'f', 'g');
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 14); /* who counts sees them */
    CHECK_STR(b.got, "a b c d e f g ");
    topics_call_closed(one.topics, &a.call);
    topics_call_closed(one.topics, &b.call);
    topic_unref(&topic);
    teardown(&one);
}

static void who_is_not_among_the_first_is_approached_before_it_is_given_anything(void) {
    enum { CALLS = 30, FIRST = 8 };
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake fakes[CALLS] = {{.room = 0}};
    for (int i = 0; i < CALLS; i++) {
        fakes[i].room = 100;
        topic_subscribe(topic, &fakes[i].call, &plain);
    }
    publish_letters(topic, 'a', 'c');
    loop_turn(one.loop);
    for (int i = 0; i < CALLS; i++) CHECK_STR(fakes[i].got, "a b c ");
    for (int i = FIRST; i < CALLS; i++) CHECK_INT(fakes[i].approached, CALL_APPROACH_STEPS);
    for (int i = 0; i < CALLS; i++) topics_call_closed(one.topics, &fakes[i].call);
    topic_unref(&topic);
    teardown(&one);
}

static void more_than_a_bundle_and_larger_than_a_run_all_arrive_in_order(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake a = {.room = 1000};
    static char large[2001];
    memset(large, 'x', 2000);
    topic_subscribe(topic, &a.call, &plain);
    struct buffer expected = {0};
    char text[8];
    for (int i = 0; i < 3 * BUNDLE_MOST + 5; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish(topic, text);
        buffer_format(&expected, "%s ", text);
    }
    publish(topic, large);
    publish(topic, "end");
    buffer_format(&expected, "%s end ", large);
    loop_turn(one.loop);
    CHECK_MEM(a.got, strlen(a.got), buffer_bytes(&expected), buffer_length(&expected));
    buffer_free(&expected);
    topics_call_closed(one.topics, &a.call);
    topic_unref(&topic);
    teardown(&one);
}

static void messages_of_two_topics_keep_their_order(void) {
    struct one one = setup(0);
    struct topic *t = topic_open(one.topics, "t", 1), *u = topic_open(one.topics, "u", 1);
    struct fake both = {.room = 100};
    topic_subscribe(t, &both.call, &plain);
    topic_subscribe(u, &both.call, &plain);
    publish(t, "a");
    publish(u, "b");
    publish(u, "c");
    publish(t, "d");
    loop_turn(one.loop);
    CHECK_STR(both.got, "a b c d ");
    topics_call_closed(one.topics, &both.call);
    topic_unref(&t);
    topic_unref(&u);
    teardown(&one);
}

static void what_a_call_sends_itself_stays_in_its_place(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake a = {.room = 100}, b = {.room = 100};
    topic_subscribe(topic, &a.call, &plain);
    topic_subscribe(topic, &b.call, &plain);
    publish(topic, "a");
    own(&a, "own");
    publish(topic, "b");
    loop_turn(one.loop);
    CHECK_STR(a.got, "a own b ");
    CHECK_STR(b.got, "a b ");
    topics_call_closed(one.topics, &a.call);
    topics_call_closed(one.topics, &b.call);
    topic_unref(&topic);
    teardown(&one);
}

/* Room that a call gets in the middle of a turn is for those that have waited longer. */
static void a_queue_goes_before_the_bundle(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake slow = {.room = 1};
    topic_subscribe(topic, &slow.call, &plain);
    publish_letters(topic, 'a', 'c');
    loop_turn(one.loop);
    CHECK_STR(slow.got, "a ");
    publish(topic, "d");
    slow.room = 9;
    topics_call_writable(one.topics, &slow.call);
    CHECK_STR(slow.got, "a b c ");
    loop_turn(one.loop);
    CHECK_STR(slow.got, "a b c d ");
    slow.room = 0;
    publish_letters(topic, 'e', 'f');
    loop_turn(one.loop);
    slow.room = 9; /* of which nobody has told yet */
    publish(topic, "g");
    loop_turn(one.loop);
    topics_call_writable(one.topics, &slow.call);
    CHECK_STR(slow.got, "a b c d e f g ");
    topics_call_closed(one.topics, &slow.call);
    topic_unref(&topic);
    teardown(&one);
}

static void who_comes_and_goes_within_the_turn_gets_what_was_published_meanwhile(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake all = {.room = 100}, late = {.room = 100}, gone = {.room = 100}, closing = {.room = 100};
    topic_subscribe(topic, &all.call, &plain);
    topic_subscribe(topic, &closing.call, &plain);
    struct subscription *going = topic_subscribe(topic, &gone.call, &plain);
    publish(topic, "a");
    topic_subscribe(topic, &late.call, &plain);
    publish(topic, "b");
    subscription_cancel(&going);
    CHECK(topics_flush_call(one.topics, &closing.call));
    publish(topic, "c");
    loop_turn(one.loop);
    CHECK_STR(all.got, "a b c ");
    CHECK_STR(late.got, "b c ");
    CHECK_STR(gone.got, "a b ");
    CHECK_STR(closing.got, "a b ");
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 9);
    struct fake *rest[] = {&all, &late, &gone, &closing};
    for (int i = 0; i < 4; i++) topics_call_closed(one.topics, &rest[i]->call);
    topic_unref(&topic);
    teardown(&one);
}

static bool is_vowel(void *context, const struct message *message) {
    (void)context;
    return strchr("aeiou", message->data[0]) != NULL;
}

static void options_hold_from_where_they_are_set(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake a = {.room = 100};
    topic_subscribe(topic, &a.call, &plain);
    publish_letters(topic, 'a', 'c');
    topic_subscribe(topic, &a.call, &(struct subscription_options){.queue = 4, .filter = is_vowel});
    publish_letters(topic, 'd', 'f');
    topic_subscribe(topic, &a.call, &plain);
    publish_letters(topic, 'g', 'h');
    loop_turn(one.loop);
    CHECK_STR(a.got, "a b c e g h ");
    topics_call_closed(one.topics, &a.call);
    topic_unref(&topic);
    teardown(&one);
}

static void calls_with_a_form_of_their_own_get_the_same_message_behind_each_other(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake a = {.room = 100, .takes_no_runs = true}, b = {.room = 100, .takes_no_runs = true}, c = {.room = 100};
    topic_subscribe(topic, &a.call, &plain);
    topic_subscribe(topic, &b.call, &plain);
    topic_subscribe(topic, &c.call, &plain);
    publish(topic, "a");
    CHECK_STR(b.got, "a ");
    publish(topic, "b");
    CHECK_STR(a.got, "a b ");
    CHECK_STR(c.got, "");
    loop_turn(one.loop);
    CHECK_STR(c.got, "a b ");
    struct fake *all[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) topics_call_closed(one.topics, &all[i]->call);
    topic_unref(&topic);
    teardown(&one);
}

/* fields.Sample { name } as text. */
static void say(struct topic *topic, char name) {
    publish(topic, (char[]){1 << 3 | 2, 1, name, 0});
}

static void a_field_filter_takes_its_own_out_of_the_middle(void) {
    struct one one = setup(0);
    struct error error;
    char path[] = "tests/unit/fanout/fields.proto", *const files[] = {path, NULL}, *const paths[] = {NULL};
    struct schema *schema = schema_load(paths, files, &error);
    const struct message_type *type = schema_message(schema, "fields.Sample");
    const struct field *name = message_field(type, "name", 4);
    struct field_filter *filter = field_filter_new(type, &name, 1, "\n\1x", 3);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake a = {.room = 100}, tight = {.room = 1};
    struct subscription_options options = {.queue = 2, .policy = TOPIC_DROP_NEW, .fields = filter};
    topic_subscribe(topic, &a.call, &options);
    topic_subscribe(topic, &tight.call, &options);
    for (const char *names = "axxbxcxx"; *names; names++) say(topic, *names);
    loop_turn(one.loop);
    CHECK_STR(a.got, "\n\1x \n\1x \n\1x \n\1x \n\1x ");
    CHECK_INT(a.runs, 5);
    CHECK_STR(tight.got, "\n\1x ");
    CHECK_INT(topic_counter(topic, TOPIC_DELIVERED), 6);
    CHECK_INT(topic_counter(topic, TOPIC_DROPPED_NEW), 2);
    topics_call_closed(one.topics, &a.call);
    topics_call_closed(one.topics, &tight.call);
    CHECK_INT(topic_counter(topic, TOPIC_DISCARDED), 2);
    topic_unref(&topic);
    loop_turn(one.loop);
    field_filter_free(&filter);
    schema_unref(&schema);
    teardown(&one);
}

static void a_connection_with_much_to_write_is_written_before_the_next_ones_turn(void) {
    struct one one = setup(0);
    struct topic *topic = topic_open(one.topics, "t", 1);
    struct fake fakes[6] = {0};
    static char text[801];
    memset(text, 'x', 800);
    for (int i = 0; i < 6; i++) {
        fakes[i].room = 100;
        fakes[i].connection = i / 2;
        topic_subscribe(topic, &fakes[i].call, &plain);
    }
    for (int i = 0; i < 12; i++) publish(topic, text); /* 9.6 KB a call */
    loop_turn(one.loop);
    for (int i = 0; i < 6; i++) CHECK_INT(fakes[i].flushes, i % 2);
    publish(topic, text);
    loop_turn(one.loop);
    for (int i = 0; i < 6; i++) CHECK_INT(fakes[i].flushes, i % 2); /* at the end of the turn, with all others */
    for (int i = 0; i < 6; i++) topics_call_closed(one.topics, &fakes[i].call);
    topic_unref(&topic);
    teardown(&one);
}

/* So that the other worker gives them to its subscribers in one walk, too. But it is not left waiting for very many. */
static void another_worker_is_woken_for_all_of_a_turn_or_for_a_bundle(void) {
    struct pair pair = setup_pair();
    struct topic *from = topic_open(pair.sides[0], "t", 1), *to = topic_open(pair.sides[1], "t", 1);
    struct fake hears = {.room = 1000};
    topic_subscribe(to, &hears.call, &plain);
    turn_pair(&pair);
    publish_letters(from, 'a', 'c');
    loop_turn(pair.loops[1]);
    CHECK_STR(hears.got, "");
    loop_turn(pair.loops[0]);
    loop_turn(pair.loops[1]);
    CHECK_STR(hears.got, "a b c ");
    CHECK_INT(hears.runs, 3);
    for (int i = 0; i < BUNDLE_MOST; i++) publish(from, "x");
    loop_turn(pair.loops[1]);
    CHECK_INT(hears.runs, 3 + BUNDLE_MOST);
    topics_call_closed(pair.sides[1], &hears.call);
    topic_unref(&from);
    topic_unref(&to);
    teardown_pair(&pair);
}

int main(void) {
    RUN(a_turns_messages_go_out_at_its_end_as_one_run);
    RUN(who_is_not_among_the_first_is_approached_before_it_is_given_anything);
    RUN(more_than_a_bundle_and_larger_than_a_run_all_arrive_in_order);
    RUN(messages_of_two_topics_keep_their_order);
    RUN(what_a_call_sends_itself_stays_in_its_place);
    RUN(a_queue_goes_before_the_bundle);
    RUN(who_comes_and_goes_within_the_turn_gets_what_was_published_meanwhile);
    RUN(options_hold_from_where_they_are_set);
    RUN(calls_with_a_form_of_their_own_get_the_same_message_behind_each_other);
    RUN(a_field_filter_takes_its_own_out_of_the_middle);
    RUN(another_worker_is_woken_for_all_of_a_turn_or_for_a_bundle);
    RUN(a_connection_with_much_to_write_is_written_before_the_next_ones_turn);
    return 0;
}
