/* tidewire.topic: subscribers, filters, policies, types. */
#include "world.h"

static const char chat[] =
    "local room = require('tidewire').topic 'room'\n"
    "return { Chat = { on_open = function(s) room:subscribe(s, { echo = s:metadata 'echo' ~= 'off' }) end,\n"
    "  on_message = function(s, m) s.ctx.reached = room:publish(m) end,\n"
    "  on_close = function() print('encoded', room:counters().encoded) end,\n"
    "  on_half_close = function(s) s:close() end } }";

static void what_one_says_all_hear(void) {
    run_script(chat);
    struct test_call *a = open_call(CHAT), *b = open_call(CHAT), *c = new_call(CHAT);
    metadata_add(&c->metadata, "echo", 4, "off", 3);
    begin(c);
    say_text(a, 1, "ann");
    say_text(c, 1, "cid");
    CHECK_STR(sent(a), "ann,cid");
    CHECK_STR(sent(b), "ann,cid");
    CHECK_STR(sent(c), "ann");
    half_close(a);
    CHECK_STR(status_of(a), "OK");
    say_text(b, 1, "bob");
    CHECK_STR(sent(a), "ann,cid");
    CHECK_STR(sent(b), "ann,cid,bob");
    CHECK(logged("encoded\t0")); /* what came as bytes leaves as bytes */
}

/* A topic's messages wait for the end of the turn; what a stream sends by itself meanwhile must not overtake them. */
static void what_a_stream_sends_comes_behind_what_it_has_published(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic 'room'\n"
               "return { Chat = function(s) room:subscribe(s)\n"
               "  for m in s:messages() do s:send { sender = 'before' } room:publish(m) s:send { sender = 'between' }\n"
               "    room:publish(m) s:send(m) room:publish { sender = 'last' } print('pending', (s:pending())) end\n"
               "  room:publish { sender = 'bye' } print('encoded', room:counters().encoded) end }");
    struct test_call *a = open_call(CHAT), *b = open_call(CHAT);
    say_text(a, 1, "ann");
    CHECK_STR(sent(a), "before,ann,between,ann,ann,last");
    CHECK_STR(sent(b), "ann,ann,last");
    half_close(a);
    CHECK_STR(sent(a), "before,ann,between,ann,ann,last,bye");
    CHECK_STR(status_of(a), "OK");
    CHECK(logged("encoded\t2"));
}

static void streams_of_old_and_new_generations_meet(void) {
    run_script(chat);
    struct test_call *old = open_call(CHAT);
    run_script(chat);
    struct test_call *now = open_call(CHAT);
    say_text(old, 1, "old");
    say_text(now, 1, "new");
    CHECK_STR(sent(old), "old,new");
    CHECK_STR(sent(now), "old,new");
}

static void filters_choose_for_their_own_stream(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) local kind, filter = s:metadata 'kind'\n"
               "  if kind == 'function' then filter = function(stream, m) return m.sender ~= stream.ctx.not_this end s.ctx.not_this = 'b'\n"
               "  elseif kind == 'projection' then filter = tidewire.project({ fields = { 'sender' } }, function(stream, sender) return sender < 'c' end)\n"
               "  elseif kind == 'equals' then filter = { sender = 'c', timestamp = 0 } end\n"
               "  room:subscribe(s, { filter = filter }) end },\n"
               "  Greet = function(_, r) room:publish { sender = r.name } return {} end }");
    static const char *const kinds[] = {"function", "projection", "equals", "none"}, *const expected[] = {"a,c", "a,b", "c", "a,b,c"};
    struct test_call *calls[4];
    for (int i = 0; i < 4; i++) {
        calls[i] = new_call(CHAT);
        metadata_add(&calls[i]->metadata, "kind", 4, kinds[i], strlen(kinds[i]));
        begin(calls[i]);
    }
    unary(GREET, "a");
    unary(GREET, "b");
    unary(GREET, "c");
    for (int i = 0; i < 4; i++) CHECK_STR(sent(calls[i]), expected[i]);
}

static void subscribing_again_sets_the_new_filter(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_message = function(s, m) local want = m.sender\n"
               "    room:subscribe(s, { filter = function(_, e) return e.sender == want end }) end },\n"
               "  Greet = function(_, r) assert(room:count() == 1) room:publish { sender = r.name } return {} end }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 1, "a");
    unary(GREET, "a");
    unary(GREET, "b");
    say_text(call, 1, "b");
    unary(GREET, "a");
    unary(GREET, "b");
    CHECK_STR(sent(call), "a,b");
    CHECK(!logged("failed"));
}

static void a_filter_that_fails_ends_its_own_stream(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) room:subscribe(s, { filter = function(_, m) error('oh') end }) end },\n"
               "  GreetStream = { on_open = function(s) s:hold() end },\n"
               "  Greet = function() for i = 1, 3 do room:publish { sender = 'x' } end return {} end }");
    struct test_call *call = open_call(CHAT), *publisher = unary(GREET, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK_STR(status_of(publisher), "OK");
    CHECK_INT(times_logged("a topic's filter failed"), 1);
}

static void a_filter_may_not_wait_publish_or_subscribe(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) local sub sub = room:subscribe(s, { filter = function(_, m)\n"
               "    print('wait', pcall(tidewire.sleep, 1)) print('publish', pcall(room.publish, room, m))\n"
               "    print('cancel', pcall(sub.cancel, sub)) print('co', pcall(coroutine.wrap(function() tidewire.sleep(1) end)))\n"
               "    return true end }) end }, Greet = function() room:publish { sender = 'x' } return {} end }");
    struct test_call *call = open_call(CHAT);
    unary(GREET, "x");
    CHECK_STR(sent(call), "x");
    CHECK(logged("wait\tfalse") && logged("publish\tfalse") && logged("cancel\tfalse") && logged("co\tfalse"));
}

static void functions_subscribe_in_order_and_may_wait(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "room:subscribe(function(m) tidewire.sleep(1) print('heard', m.sender) if m.sender == 'bad' then error('oh') end end, { queue = 3, policy = 'drop_old' })\n"
               "return { Greet = function(_, r) room:publish { sender = r.name } return {} end }");
    unary(GREET, "bad");
    for (char name[] = "a"; *name < 'f'; ++*name) unary(GREET, name);
    CHECK(!logged("heard"));
    advance(10);
    CHECK(logged("heard\tbad"));
    CHECK(logged("a topic's subscriber failed: main.lua:2: oh"));
    CHECK(!logged("heard\ta\n") && !logged("heard\tb\n")); /* the oldest went */
    CHECK(logged("heard\tc\n[0 main.lua] heard\td\n[0 main.lua] heard\te\n"));
}

static void a_function_that_falls_behind_is_no_longer_a_subscriber(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "room:subscribe(function(m) tidewire.sleep(1) end, { queue = 2 })\n"
               "return { Greet = function(_, r) return { greeting = tostring(room:publish { sender = r.name }) } end }");
    for (int i = 0; i < 3; i++) CHECK_STR(sent(unary(GREET, "x")), "1");
    unary(GREET, "x");
    CHECK(logged("no longer one"));
    CHECK_STR(sent(unary(GREET, "x")), "0");
    advance(5);
}

static void a_slow_subscriber_is_closed_or_loses_the_oldest(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) room:subscribe(s, { queue = 2, policy = s:metadata 'policy' }) end },\n"
               "  Greet = function(_, r) room:publish { sender = r.name } return {} end }");
    struct test_call *close = new_call(CHAT), *drop = new_call(CHAT), *fast = open_call(CHAT);
    metadata_add(&drop->metadata, "policy", 6, "drop_old", 8);
    close->room = drop->room = 1;
    begin(close);
    begin(drop);
    for (char name[] = "a"; *name < 'f'; ++*name) unary(GREET, name);
    CHECK_STR(status_of(close), "RESOURCE_EXHAUSTED");
    CHECK_STR(sent(fast), "a,b,c,d,e");
    CHECK_STR(sent(drop), "a");
    peer_reads(drop, 1);
    peer_reads(drop, 1);
    CHECK_STR(sent(drop), "a,d,e");
}

static void what_a_subscription_has_queued_is_sent_before_the_end(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) room:subscribe(s) end, on_half_close = function(s) s:close('ABORTED', 'bye') end },\n"
               "  Greet = function(_, r) room:publish { sender = r.name } return {} end }");
    struct test_call *call = new_call(CHAT);
    call->room = 1;
    begin(call);
    unary(GREET, "a");
    unary(GREET, "b");
    unary(GREET, "c");
    half_close(call);
    CHECK_STR(status_of(call), "open");
    unary(GREET, "late");
    peer_reads(call, 1);
    CHECK_STR(status_of(call), "open");
    peer_reads(call, 1);
    CHECK_STR(sent(call), "a,b,c");
    CHECK_STR(status_of(call), "ABORTED");
    CHECK_STR(call->text, "bye");
}

static void a_subscription_keeps_a_half_closed_stream_until_it_is_cancelled(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) s.ctx.sub = room:subscribe(s) end, on_message = function(s) s.ctx.sub:cancel() s.ctx.sub:cancel() end },\n"
               "  Greet = function(_, r) room:publish { sender = r.name } return {} end }");
    struct test_call *stays = open_call(CHAT), *goes = open_call(CHAT);
    half_close(stays);
    CHECK_STR(status_of(stays), "open");
    say_text(goes, 1, "x");
    half_close(goes);
    CHECK_STR(status_of(goes), "OK");
    unary(GREET, "a");
    CHECK_STR(sent(stays), "a");
    CHECK_STR(sent(goes), "");
}

static void a_half_closed_stream_ends_when_another_cancels_its_last_subscription(void) {
    run_script("local room, subscription = require('tidewire').topic('room', { type = 'chat.ChatMessage' })\n"
               "return { Chat = { on_open = function(s) subscription = room:subscribe(s) end },\n"
               "  Greet = function() subscription:cancel() return {} end }");
    struct test_call *call = open_call(CHAT);
    half_close(call);
    CHECK_STR(status_of(call), "open");
    CHECK_STR(status_of(unary(GREET, "x")), "OK");
    CHECK_STR(status_of(call), "OK");
}

static void a_topic_has_one_type(void) {
    run_script("local tidewire = require 'tidewire' local room, bare = tidewire.topic 'room', tidewire.topic 'bare'\n"
               "local function raises(text, f, ...) local fine, fault = pcall(f, ...) assert(not fine and fault:find(text, 1, true), tostring(fault)) end\n"
               "raises('no message type yet', bare.subscribe, bare, print) raises('chat.Nothing', tidewire.topic, 'x', { type = 'chat.Nothing' })\n"
               "raises('load code cannot publish', room.publish, room, {})\n"
               "return { Chat = { on_open = function(s) room:subscribe(s) end },\n"
               "  Greet = function(s) raises('carries chat.ChatMessage, not tutorial.NumberRequest', tidewire.topic, 'room', { type = 'tutorial.NumberRequest' })\n"
               "    raises('one reply', room.subscribe, room, s) raises('no message type yet', bare.publish, bare, {})\n"
               "    bare:publish(tidewire.message.new('chat.ChatMessage', {})) bare:publish { sender = 'x' } raises('sendr', bare.publish, bare, { sendr = 1 })\n"
               "    raises('topic:subscribe', room.subscribe, room, 5) raises('\"fitler\"', room.subscribe, room, print, { fitler = 1 })\n"
               "    raises('belongs to', room.subscribe, room, print, { key = 'sender' }) raises('belongs to', room.subscribe, room, print, { policy = 'coalesce' })\n"
               "    raises('mean \"sender\"', room.subscribe, room, print, { policy = 'coalesce', key = 'sendr' })\n"
               "    raises('drop_old', room.subscribe, room, print, { policy = 'x' }) raises('queue', room.subscribe, room, print, { queue = 0 })\n"
               "    raises('no field \"sendr\"', room.subscribe, room, print, { filter = { sendr = 'x' } })\n"
               "    raises('filter is', room.subscribe, room, print, { filter = 5 }) raises('topic:publish', room.publish, room) assert(tostring(room) == 'topic room')\n"
               "    assert(room:count() == 1) return {} end }");
    open_call(CHAT);
    struct test_call *call = unary(GREET, "x");
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void an_enum_name_in_a_filter_is_its_number(void) {
    run_script("local tidewire = require 'tidewire' local entries = tidewire.topic('entries', { type = 'logger.LogEntry' })\n"
               "return { Monitor = { on_open = function(s) entries:subscribe(s, { filter = { level = 'LEVEL_WARN' } })\n"
               "    assert(not pcall(entries.subscribe, entries, s, { filter = { level = 'WARN' } })) end },\n"
               "  Greet = function() entries:publish { level = 2, message = 'no' } entries:publish { level = 3, message = 'yes' } return {} end }");
    struct test_call *call = open_call("logger.Logger/Monitor");
    unary(GREET, "x");
    CHECK_INT(call->out_count, 1);
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        RUN_IN_WORLD(what_one_says_all_hear);
        RUN_IN_WORLD(what_a_stream_sends_comes_behind_what_it_has_published);
        RUN_IN_WORLD(streams_of_old_and_new_generations_meet);
        RUN_IN_WORLD(filters_choose_for_their_own_stream);
        RUN_IN_WORLD(subscribing_again_sets_the_new_filter);
        RUN_IN_WORLD(a_filter_that_fails_ends_its_own_stream);
        RUN_IN_WORLD(a_filter_may_not_wait_publish_or_subscribe);
        RUN_IN_WORLD(functions_subscribe_in_order_and_may_wait);
        RUN_IN_WORLD(a_function_that_falls_behind_is_no_longer_a_subscriber);
        RUN_IN_WORLD(a_slow_subscriber_is_closed_or_loses_the_oldest);
        RUN_IN_WORLD(what_a_subscription_has_queued_is_sent_before_the_end);
        RUN_IN_WORLD(a_subscription_keeps_a_half_closed_stream_until_it_is_cancelled);
        RUN_IN_WORLD(a_half_closed_stream_ends_when_another_cancels_its_last_subscription);
        RUN_IN_WORLD(a_topic_has_one_type);
        RUN_IN_WORLD(an_enum_name_in_a_filter_is_its_number);
    }
    return 0;
}
