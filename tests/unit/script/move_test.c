/* on_reload: which streams go over to new scripts, when, and what of theirs stays. */
#include "world.h"

#include "script/state.h"

#define SCRIPT(text) "local tidewire = require 'tidewire'\n" text
/* Says how many messages the stream has seen and how often its scripts were replaced: "1 0". */
#define COUNTER(more)                                                                                       \
    SCRIPT("return { GreetStream = { on_reload = function(s) s.ctx.moves = (s.ctx.moves or 0) + 1 end,\n"    \
           "  on_message = function(s, m) s.ctx.n = (s.ctx.n or 0) + 1\n" more                               \
           "    return { greeting = s.ctx.n .. ' ' .. (s.ctx.moves or 0) } end } }")

static struct version *number(uint32_t n) { return world.versions[n - 1]; }
static void say(struct test_call *call, const char *text) { say_text(call, 1, text); }

static void a_stream_goes_over_with_what_it_has(void) {
    run_script(COUNTER(""));
    struct test_call *call = open_call(GREET_STREAM);
    say(call, "a");
    run_script(COUNTER(""));
    CHECK(number(1)->is_gone);
    say(call, "b");
    run_script(COUNTER(""));
    run_script(COUNTER(""));
    CHECK(number(2)->is_gone && number(3)->is_gone);
    say(call, "c");
    CHECK_STR(sent(call), "1 0,2 1,3 3");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
}

static void true_is_enough(void) {
    run_script("return { GreetStream = { on_message = function(s) s.ctx.old = true return { greeting = 'old' } end,\n"
               "  on_close = function() print 'the old end' end } }");
    struct test_call *call = open_call(GREET_STREAM);
    say(call, "a");
    run_script("return { GreetStream = { on_reload = true, on_close = function(s) print('the end', s.ctx.old) end,\n"
               "  on_message = function() return { greeting = 'new' } end } }");
    CHECK(number(1)->is_gone);
    CHECK(logged("open streams moved to generation 2: 1"));
    say(call, "b");
    CHECK_STR(sent(call), "old,new");
    half_close(call);
    CHECK(logged("the end\ttrue") && !logged("the old end"));
}

static void who_has_no_on_reload_stays(void) {
    run_script(SCRIPT("local function run(s) for m in s:messages() do s:send { greeting = 'function' } end end\n"
                      "return { GreetStream = { on_message = function() return { greeting = 'hooks' } end, on_reload = true },\n"
                      "  GreetClientStream = { on_message = function() end,\n"
                      "    on_half_close = function() return { greeting = 'old' } end }, GreetServerStream = run, Greet = run }"));
    struct test_call *hooks = open_call(GREET_STREAM), *client = open_call(GREET_CLIENT);
    run_script("return { GreetStream = { on_message = function() return { greeting = 'new' } end },\n"
               "  GreetClientStream = function(s) return { greeting = 'new' } end }");
    say(hooks, "a");
    half_close(client);
    CHECK_STR(sent(hooks), "hooks");
    CHECK_STR(sent(client), "old");
    CHECK(!number(1)->is_gone);
    half_close(hooks);
    CHECK(number(1)->is_gone);
}

static void a_function_finishes_where_it_began(void) {
    run_script("return { GreetStream = function(s) for m in s:messages() do s:send { greeting = 'old' } end end }");
    struct test_call *call = open_call(GREET_STREAM);
    run_script("return { GreetStream = { on_reload = true, on_message = function() return { greeting = 'new' } end } }");
    say(call, "a");
    CHECK_STR(sent(call), "old");
    half_close(call);
    CHECK(number(1)->is_gone);
    const char *text = load_error("return { GreetStream = { run = function() end, on_reload = true } }");
    CHECK(strstr(text, "run and on_reload exclude each other: run goes on to its end on the scripts that it began with"));
    CHECK(strstr(load_error("return { GreetStream = { on_reload = 1 } }"), "on_reload is a function, or true"));
    CHECK(strstr(load_error("return { GreetStream = { on_reload = false } }"), "on_reload is a function, or true"));
}

/* ---- when ---- */

static void a_hook_that_waits_ends_on_its_own_scripts_and_the_next_message_is_for_the_new(void) {
    run_script(SCRIPT("return { GreetStream = { on_message = function(s, m) tidewire.sleep(1)\n"
                      "  return { greeting = 'old ' .. m.name } end } }"));
    struct test_call *call = open_call(GREET_STREAM);
    put_text(call, 1, "a");
    put_text(call, 1, "b");
    say(call, "c");
    run_script("return { GreetStream = { on_reload = function(s) s:send { greeting = 'moves' } end,\n"
               "  on_message = function(s, m) return { greeting = 'new ' .. m.name } end } }");
    CHECK_STR(sent(call), "");
    CHECK(!number(1)->is_gone);
    advance(1);
    CHECK_STR(sent(call), "old a,moves,new b,new c");
    CHECK(number(1)->is_gone);
}

static void on_open_that_waits_ends_first(void) {
    run_script(SCRIPT("return { GreetStream = { on_open = function(s) tidewire.sleep(1) s.ctx.opened = true end } }"));
    struct test_call *call = open_call(GREET_STREAM);
    say(call, "a");
    run_script("return { GreetStream = { on_reload = true,\n"
               "  on_open = function() error 'not again' end,\n"
               "  on_message = function(s) return { greeting = tostring(s.ctx.opened) } end } }");
    advance(1);
    CHECK_STR(sent(call), "true");
    CHECK(number(1)->is_gone);
}

static void several_reloads_meanwhile_are_one_move(void) {
    run_script(COUNTER("if m.name == 'wait' then tidewire.sleep(1) end\n"));
    struct test_call *call = open_call(GREET_STREAM);
    say(call, "wait");
    run_script(COUNTER(""));
    run_script(COUNTER(""));
    CHECK(number(2)->is_gone && !number(1)->is_gone);
    advance(1);
    CHECK(number(1)->is_gone);
    say(call, "b");
    CHECK_STR(sent(call), "1 0,2 1");
}

static void what_runs_beside_the_messages_ends_first(void) {
    run_script(SCRIPT("return { GreetStream = { on_drain = function(s) tidewire.sleep(1) s:send { greeting = 'drained' } end,\n"
                      "  on_message = function() return { greeting = 'old' } end } }"));
    struct test_call *call = open_call(GREET_STREAM);
    call->call.handler->on_drain(&call->call);
    settle();
    run_script("return { GreetStream = { on_reload = true, on_message = function() return { greeting = 'new' } end } }");
    say(call, "a");
    CHECK(!number(1)->is_gone);
    advance(1);
    say(call, "b");
    CHECK_STR(sent(call), "old,drained,new");
    CHECK(number(1)->is_gone);
}

static void a_method_that_is_gone_for_a_while_keeps_its_streams(void) {
    run_script(COUNTER(""));
    struct test_call *call = open_call(GREET_STREAM);
    run_script("return {}");
    say(call, "a");
    run_script("return { GreetStream = function() end }");
    say(call, "b");
    CHECK(!number(1)->is_gone && number(2)->is_gone);
    run_script(COUNTER(""));
    say(call, "c");
    CHECK_STR(sent(call), "1 0,2 0,3 1");
    CHECK(number(1)->is_gone && number(3)->is_gone);
}

static void very_many_go_over(void) {
    enum { STREAMS = 300 };
    static struct test_call *calls[STREAMS];
    run_script(COUNTER(""));
    for (int i = 0; i < STREAMS; i++) calls[i] = open_call(GREET_STREAM);
    run_script(COUNTER(""));
    CHECK(logged("open streams moved to generation 2: 300"));
    for (int i = 0; i < STREAMS; i++) {
        say(calls[i], "a");
        CHECK_STR(sent(calls[i]), "1 1");
    }
    CHECK(number(1)->is_gone);
}

/* ---- what stays, and what ends ---- */

static void timers_and_coroutines_end_and_new_ones_begin(void) {
    run_script(SCRIPT("return { GreetStream = { on_open = function(s)\n"
                      "  s.ctx.ticks = s:every(1, function() print 'old tick' end)\n"
                      "  s:after(5, function() print 'old end' end)\n"
                      "  s.ctx.spawned = s:spawn(function() local ok, why = pcall(tidewire.sleep, 60)\n"
                      "    print('spawned', why == tidewire.cancelled) end)\n"
                      "  s:on_close(function() print 'closed' end) end } }"));
    struct test_call *call = open_call(GREET_STREAM);
    advance(1.5);
    CHECK_INT(times_logged("old tick"), 1);
    run_script(SCRIPT("return { GreetStream = { on_reload = function(s)\n"
                      "  s:every(1, function() print 'new tick' end) s:spawn(function() print 'new' end)\n"
                      "  print('reloads', pcall(tidewire.sleep, 1)) end,\n"
                      "  on_message = function(s) print('was', s.ctx.spawned:wait()) s.ctx.ticks:cancel() end } }"));
    CHECK(logged("spawned\ttrue"));
    CHECK(logged("reloads\tfalse\t"));
    CHECK(logged("cannot wait here: filters, on_close and on_reload may not wait"));
    CHECK_INT(times_logged("] new\n"), 1);
    advance(10);
    CHECK_INT(times_logged("old tick"), 1);
    CHECK_INT(times_logged("new tick"), 10);
    CHECK(!logged("old end"));
    say(call, "a");
    CHECK(logged("was\ttrue")); /* it has caught its cancel */
    cancel_call(call);
    CHECK_INT(times_logged("closed"), 1);
}

static void a_stream_that_old_timers_kept_open_ends(void) {
    run_script("return { GreetStream = { on_open = function(s) s:after(60, function() end) end } }");
    struct test_call *first = open_call(GREET_STREAM), *second = open_call(GREET_STREAM);
    half_close(first);
    half_close(second);
    put_text(second, 1, "never");
    CHECK_STR(status_of(first), "open");
    run_script("local first = true\n"
               "return { GreetStream = { on_reload = function(s)\n"
               "  if not first then s:after(2, function() s:send { greeting = 'late' } end) end first = false end } }");
    CHECK_STR(status_of(first), "OK");
    CHECK_STR(status_of(second), "open");
    advance(3);
    CHECK_STR(sent(second), "late");
    CHECK_STR(status_of(second), "OK");
}

#define TOPIC SCRIPT("local topic = tidewire.topic('t', { type = 'greet.GreetStreamResponse' })\n")
#define PUBLISHER "Greet = function(_, r) topic:publish { greeting = r.name } return {} end"

static void subscriptions_stay_with_their_queues(void) {
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_open = function(s)\n"
                     "  s.ctx.subscription = topic:subscribe(s, { show = 'here', queue = 5 }) end } }");
    struct test_call *call = open_call(GREET_STREAM);
    call->room = 1;
    unary(GREET, "a");
    unary(GREET, "b");
    unary(GREET, "c");
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_reload = true,\n"
                     "  on_message = function(s) s.ctx.subscription:cancel() print('left', topic:count(), #topic:members()) end } }");
    CHECK(number(1)->is_gone);
    unary(GREET, "d");
    peer_reads(call, 1);
    peer_reads(call, 1);
    peer_reads(call, 1);
    peer_reads(call, 1);
    CHECK_STR(sent(call), "a,b,c,d");
    call->room = MOST_MESSAGES;
    say(call, "x");
    CHECK(logged("left\t0\t0"));
    unary(GREET, "e");
    CHECK_STR(sent(call), "a,b,c,d");
}

static void filters_of_data_stay_and_filters_of_code_end(void) {
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_open = function(s)\n"
                     "  topic:subscribe(s, { filter = { greeting = 'a' } }) end },\n"
                     "  GreetServerStream = { on_open = function(s)\n"
                     "  tidewire.topic('u', { type = 'greet.GreetServerStreamResponse' }):subscribe(s, { filter = function() error 'old code' end }) end } }");
    struct test_call *data = open_call(GREET_STREAM);
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_reload = true } }");
    CHECK(number(1)->is_gone);
    CHECK(!logged("without the filter"));
    unary(GREET, "a");
    unary(GREET, "b");
    CHECK_STR(sent(data), "a");
}

static void subscribing_again_sets_the_filter_and_keeps_the_queue(void) {
    const char *old = TOPIC "return { " PUBLISHER ", GreetStream = { on_open = function(s)\n"
                            "  topic:subscribe(s, { filter = function(_, m) return m.greeting ~= 'old' end }) end } }";
    run_script(old);
    struct test_call *call = open_call(GREET_STREAM), *other = open_call(GREET_STREAM);
    call->room = 1;
    unary(GREET, "old");
    unary(GREET, "a");
    unary(GREET, "b");
    run_script(TOPIC "local first = true\n"
                     "return { " PUBLISHER ", GreetStream = { on_reload = function(s)\n"
                     "  if first then topic:subscribe(s, { filter = function(_, m) return m.greeting ~= 'new' end }) end\n"
                     "  first = false end } }");
    CHECK(number(1)->is_gone);
    CHECK(logged("open streams moved to generation 2: 2") && logged("without the filter that they had, which was code: 1"));
    unary(GREET, "new");
    unary(GREET, "old");
    for (int i = 0; i < 3; i++) peer_reads(call, 1);
    CHECK_STR(sent(call), "a,b,old");
    CHECK_STR(sent(other), "a,b,new,old");
}

static void coalescing_goes_on_by_its_key(void) {
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_open = function(s)\n"
                     "  topic:subscribe(s, { policy = 'coalesce', key = 'greeting' }) end } }");
    struct test_call *call = open_call(GREET_STREAM);
    call->room = 1;
    unary(GREET, "a");
    unary(GREET, "b");
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_reload = true } }");
    unary(GREET, "c");
    unary(GREET, "b");
    for (int i = 0; i < 3; i++) peer_reads(call, 1);
    CHECK_STR(sent(call), "a,b,c");
}

/* ---- faults ---- */

static void an_error_leaves_the_stream_where_it_was(void) {
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_open = function(s)\n"
                     "  s.ctx.n = 0 s:every(1, function() s.ctx.n = s.ctx.n + 1 end)\n"
                     "  topic:subscribe(s, { filter = function(_, m) return m.greeting == 'old' end }) end,\n"
                     "  on_message = function(s) return { greeting = 'old ' .. s.ctx.n } end } }");
    struct test_call *call = open_call(GREET_STREAM);
    run_script(TOPIC "return { " PUBLISHER ", GreetStream = { on_reload = function(s)\n"
                     "  s:every(1, function() print 'never' end) s:spawn(function() print 'never' end)\n"
                     "  topic:subscribe(s)\n  local x = nil + 1 end } }");
    CHECK(logged("on_reload failed, the stream stays on its scripts: main.lua:6: "));
    CHECK(logged("a nil value traceback=stack traceback:\n\tmain.lua:6: in function <main.lua:3>"));
    advance(2);
    unary(GREET, "new");
    unary(GREET, "old");
    say(call, "a");
    say(call, "b");
    CHECK_STR(sent(call), "old,old 2,old 2");
    CHECK_INT(times_logged("on_reload failed"), 1);
    CHECK(!logged("never") && !number(1)->is_gone);
    run_script("return { GreetStream = { on_reload = true, on_message = function(s) return { greeting = 'new' } end } }");
    say(call, "c");
    CHECK_STR(sent(call), "old,old 2,old 2,new");
    CHECK(number(1)->is_gone && number(2)->is_gone);
}

static void on_reload_may_end_the_stream(void) {
    run_script("return { GreetStream = { on_open = function(s) s:after(60, function() end) end,\n"
               "  on_close = function() print 'the old end' end } }");
    struct test_call *first = open_call(GREET_STREAM), *second = open_call(GREET_STREAM);
    run_script(SCRIPT("local first = true\n"
                      "return { GreetStream = { on_reload = function(s) s:spawn(function() print 'never' end)\n"
                      "  if first then first = false tidewire.fail('ABORTED', 'too old') end s:close() end } }"));
    CHECK_STR(status_of(first), "ABORTED");
    CHECK_STR(first->text, "too old");
    CHECK_STR(status_of(second), "OK");
    CHECK_INT(times_logged("the old end"), 2);
    CHECK(!logged("never") && number(1)->is_gone);
}

static void an_on_reload_that_never_returns_is_run_once(void) {
    run_script(SCRIPT("return { GreetStream = { on_message = function() return { greeting = 'old' } end } }"));
    struct test_call *one = open_call(GREET_STREAM), *two = open_call(GREET_STREAM), *three = open_call(GREET_STREAM);
    world.handler_time = 50 * NS_PER_MS;
    run_script("return { GreetStream = { on_reload = function() while true do end end } }");
    say(one, "a");
    say(two, "a");
    say(three, "a");
    CHECK_INT(times_logged("on_reload failed"), 1);
    CHECK_INT(times_logged("takes too long"), 1);
    CHECK_STR(sent(one), "old");
    CHECK_STR(sent(three), "old");
    world.handler_time = NS_PER_S;
    run_script("return { GreetStream = { on_reload = true, on_message = function() return { greeting = 'new' } end } }");
    say(two, "b");
    CHECK_STR(sent(two), "old,new");
}

static void the_end_of_all_scripts_moves_nobody(void) {
    run_script(SCRIPT("return { GreetStream = { on_message = function() tidewire.sleep(1) return { greeting = 'old' } end } }"));
    struct test_call *call = open_call(GREET_STREAM);
    say(call, "a");
    run_script("return { GreetStream = { on_reload = function() error 'no' end } }");
    generation_retire(world.version->generation);
    advance(1);
    CHECK_STR(sent(call), "old");
    CHECK(!logged("on_reload failed"));
}

/* ---- filters ---- */

static char *kept[64];
static size_t kept_count;

/* A service whose calls go through the scripts a.lua and, unless it is NULL, b.lua. */
static void filter(const char *a, const char *b) {
    static char upstream[] = "behind";
    struct error error;
    struct version *version = new_version();
    write_file("a.lua", a);
    if (b) write_file("b.lua", b);
    add_service(version, "greet.GreetService", "a.lua");
    version->services[0].upstream = upstream;
    char *path = kept[kept_count++] = memory_format("%s/b.lua", world.folder);
    char *name = kept[kept_count++] = memory_copy_string("b.lua");
    char *scripts[] = {path, NULL}, *names[] = {name, NULL};
    if (b) version->services[0].more_scripts = scripts, version->services[0].more_script_names = names;
    version->generation = generation_load(world.script, &version->config, version->schema, version->dicts, world.version_count,
                                          world_gone, version, &error);
    if (version->generation) generation_add_routes(version->generation, &version->router);
    put_in_force(version->generation ? version : NULL, &error);
    version->services[0].more_scripts = version->services[0].more_script_names = NULL;
}

static struct test_call *server(void) {
    struct test_call *call = world.calls[world.call_count - 1];
    CHECK(call->is_upstream);
    return call;
}

#define APPENDS(word, more)                                                                       \
    "return { GreetStream = { on_request = function(_, m) m.name = m.name .. '" word "' end,\n"   \
    "  on_response = function(_, m) m.greeting = m.greeting .. '" word "' end" more " } }"
#define MOVES ", on_reload = function(s) s.ctx.n = (s.ctx.n or 0) + 1 print('moves', s.ctx.n) end"

static void a_filtered_call_goes_over(void) {
    filter(APPENDS("1", ""), NULL);
    struct test_call *call = open_call(GREET_STREAM), *up = server();
    say(call, "a");
    say(up, "a");
    filter(APPENDS("2", MOVES), NULL);
    CHECK(number(1)->is_gone);
    say(call, "b");
    say(up, "b");
    filter("return { GreetStream = { on_reload = true } }", NULL);
    say(call, "c");
    say(up, "c");
    filter(APPENDS("4", MOVES), NULL);
    say(call, "d");
    say(up, "d");
    CHECK_STR(sent(up), "a1,b2,c,d4");
    CHECK_STR(sent(call), "a1,b2,c,d4");
    CHECK(number(2)->is_gone && number(3)->is_gone);
    half_close(call);
    CHECK(up->has_sent_end);
    test_call_over(up, STATUS_OK, "");
    settle();
    CHECK_STR(status_of(call), "OK");
}

static void all_scripts_of_a_filter_go_over_or_none(void) {
    filter(APPENDS("1", ""), APPENDS("x", ""));
    struct test_call *call = open_call(GREET_STREAM), *up = server();
    filter(APPENDS("2", MOVES), APPENDS("y", ""));
    say(call, "a");
    filter(APPENDS("3", MOVES), NULL);
    say(call, "b");
    filter(APPENDS("4", MOVES), APPENDS("z", ", on_reload = function() error 'oh' end"));
    say(call, "c");
    CHECK_INT(times_logged("on_reload failed"), 1);
    CHECK_STR(sent(up), "a1x,b1x,c1x");
    CHECK(!number(1)->is_gone);
    filter(APPENDS("5", MOVES), APPENDS("w", MOVES));
    say(call, "d");
    say(up, "d");
    CHECK_STR(sent(up), "a1x,b1x,c1x,d5w");
    CHECK_STR(sent(call), "dw5");
    for (uint32_t i = 1; i < 5; i++) CHECK(number(i)->is_gone);
}

static void a_filter_goes_over_when_no_hook_of_it_waits(void) {
    const char *old = SCRIPT("return { GreetStream = { on_request = function(_, m) tidewire.sleep(2) m.name = m.name .. '1' end,\n"
                             "  on_response = function(_, m) tidewire.sleep(3) return { { greeting = 'l' }, { greeting = 'm' } } end } }");
    filter(old, NULL);
    struct test_call *call = open_call(GREET_STREAM), *up = server();
    put_text(call, 1, "a");
    put_text(call, 1, "b");
    say(call, "c");
    say(up, "x");
    filter(APPENDS("2", MOVES), NULL);
    advance(2.5); /* the second request waits in its hook */
    CHECK_STR(sent(up), "a1");
    call->room = 1;
    advance(1); /* of the first reply's list, half has room */
    CHECK_STR(sent(call), "l");
    CHECK(!logged("moves"));
    advance(1);
    CHECK_STR(sent(up), "a1,b1");
    CHECK(!logged("moves"));
    call->room = MOST_MESSAGES;
    call->was_full = true;
    peer_reads(call, 1);
    CHECK_STR(sent(call), "l,m");
    advance(2);
    CHECK(logged("moves\t1"));
    CHECK(number(1)->is_gone);
    say(call, "d");
    say(up, "y");
    CHECK_STR(sent(up), "a1,b1,c1,d2");
    CHECK_STR(sent(call), "l,m,y2");
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    RUN_IN_WORLD(a_stream_goes_over_with_what_it_has);
    RUN_IN_WORLD(true_is_enough);
    RUN_IN_WORLD(who_has_no_on_reload_stays);
    RUN_IN_WORLD(a_function_finishes_where_it_began);
    RUN_IN_WORLD(a_hook_that_waits_ends_on_its_own_scripts_and_the_next_message_is_for_the_new);
    RUN_IN_WORLD(on_open_that_waits_ends_first);
    RUN_IN_WORLD(several_reloads_meanwhile_are_one_move);
    RUN_IN_WORLD(what_runs_beside_the_messages_ends_first);
    RUN_IN_WORLD(a_method_that_is_gone_for_a_while_keeps_its_streams);
    RUN_IN_WORLD(very_many_go_over);
    RUN_IN_WORLD(timers_and_coroutines_end_and_new_ones_begin);
    RUN_IN_WORLD(a_stream_that_old_timers_kept_open_ends);
    RUN_IN_WORLD(subscriptions_stay_with_their_queues);
    RUN_IN_WORLD(filters_of_data_stay_and_filters_of_code_end);
    RUN_IN_WORLD(subscribing_again_sets_the_filter_and_keeps_the_queue);
    RUN_IN_WORLD(coalescing_goes_on_by_its_key);
    RUN_IN_WORLD(an_error_leaves_the_stream_where_it_was);
    RUN_IN_WORLD(on_reload_may_end_the_stream);
    RUN_IN_WORLD(an_on_reload_that_never_returns_is_run_once);
    RUN_IN_WORLD(the_end_of_all_scripts_moves_nobody);
    RUN_IN_WORLD(a_filtered_call_goes_over);
    RUN_IN_WORLD(all_scripts_of_a_filter_go_over_or_none);
    RUN_IN_WORLD(a_filter_goes_over_when_no_hook_of_it_waits);
    while (kept_count) free(kept[--kept_count]);
    return 0;
}
