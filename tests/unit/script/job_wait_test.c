/* handle:wait(): what a spawned function has returned, and who hears of it when nothing is returned. */
#include "world.h"

#include "script/state.h"

#define SCRIPT(text) "local tidewire = require 'tidewire'\n" text

static void a_wait_gives_what_the_function_returns(void) {
    run_script(SCRIPT("tidewire.spawn(function()\n"
                      "  local h = tidewire.spawn(function() tidewire.sleep(1) return 'a', nil, 3, nil end)\n"
                      "  print('first', select('#', h:wait()), h:wait()) print('again', h:wait(0)) end)\n"
                      "tidewire.spawn(function() print('nothing', select('#', tidewire.spawn(function() end):wait())) end)\n"
                      "return {}"));
    advance(0.9);
    CHECK(!logged("first"));
    advance(0.2);
    CHECK(logged("first\t5\ttrue\ta\tnil\t3\tnil"));
    CHECK(logged("again\ttrue\ta\tnil\t3\tnil"));
    CHECK(logged("nothing\t1"));
}

static void the_code_of_a_stream_waits_for_what_the_stream_has_spawned(void) {
    run_script(SCRIPT("return { Greet = function(s, r)\n"
                      "  local function half(_, text) tidewire.sleep(1) return r.name .. text end\n"
                      "  local a, b = s:spawn(half, '1'), s:spawn(half, '2')\n"
                      "  local fine, x = a:wait() local also, y = b:wait()\n"
                      "  return { greeting = tostring(fine and also) .. x .. y } end }"));
    struct test_call *call = unary(GREET, "x");
    advance(1);
    CHECK_STR(sent(call), "truex1x2");
    CHECK_STR(status_of(call), "OK");
}

static void all_who_wait_get_it_and_each_in_its_turn(void) {
    run_script(SCRIPT("local h = tidewire.spawn(function() tidewire.sleep(1) return {} end) local seen\n"
                      "for i = 1, 3 do tidewire.spawn(function() local _, t = h:wait() print(i, seen == nil or seen == t) seen = t end) end\n"
                      "return {}"));
    advance(1);
    CHECK(logged("1\ttrue") && logged("2\ttrue") && logged("3\ttrue"));
}

static void a_wait_ends_in_time_and_may_be_repeated(void) {
    run_script(SCRIPT("tidewire.spawn(function() local h = tidewire.spawn(function() tidewire.sleep(2) return 7 end)\n"
                      "  print('at once', h:wait(0)) print('a second', h:wait(1)) print('then', h:wait(5)) end) return {}"));
    advance(3);
    CHECK(logged("at once\tnil\ttimeout") && logged("a second\tnil\ttimeout") && logged("then\ttrue\t7"));
}

static void an_error_is_logged_and_told_to_who_waits(void) {
    run_script(SCRIPT("tidewire.spawn(function() local h = tidewire.spawn(function() tidewire.sleep(1) error({ why = 'oh' }) end)\n"
                      "  local fine, what, more = h:wait() print(fine, what.why, more) print(select(2, h:wait()) == what) end) return {}"));
    advance(1);
    CHECK(logged("false\toh\tnil") && logged("] true"));
    CHECK_INT(times_logged("a timer or spawned function failed"), 1);
}

static void an_error_in_a_streams_own_ends_the_stream_and_its_waits(void) {
    run_script(SCRIPT("local handle\n"
                      "return { GreetStream = function(s) handle = s:spawn(function() tidewire.sleep(1) error('oh', 0) end)\n"
                      "    print('own', pcall(handle.wait, handle)) end,\n"
                      "  Greet = function() print('other', handle:wait()) return {} end }"));
    struct test_call *stream = open_call(GREET_STREAM), *other = unary(GREET, "x");
    advance(1);
    CHECK_STR(status_of(stream), "INTERNAL");
    CHECK(logged("own\tfalse\tcancelled"));
    CHECK(logged("other\tfalse\toh"));
    CHECK_STR(status_of(other), "OK");
}

static void a_cancel_wakes_who_waits(void) {
    run_script(SCRIPT("local waiting = tidewire.spawn(function() tidewire.sleep(100) end)\n"
                      "local ready = tidewire.spawn(function() print('never') end) ready:cancel()\n"
                      "local caught = tidewire.spawn(function() pcall(tidewire.sleep, 100) return 'cleaned up' end)\n"
                      "local stubborn = tidewire.spawn(function() pcall(tidewire.sleep, 100) tidewire.sleep(100) end)\n"
                      "for name, h in pairs { waiting = waiting, ready = ready, caught = caught, stubborn = stubborn } do\n"
                      "  tidewire.spawn(function() print(name, h:wait()) print(name .. ' again', h:wait()) end) end\n"
                      "tidewire.timer.at(1, function() waiting:cancel() caught:cancel() stubborn:cancel() end) return {}"));
    settle();
    CHECK(logged("ready\tnil\tcancelled") && !logged("never") && !logged("waiting"));
    advance(1);
    CHECK(logged("waiting\tnil\tcancelled") && logged("waiting again\tnil\tcancelled"));
    CHECK(logged("caught\ttrue\tcleaned up") && logged("caught again\ttrue\tcleaned up"));
    CHECK(logged("stubborn\tnil\tcancelled"));
}

static void the_end_of_a_waiter_leaves_the_other_alone(void) {
    run_script(SCRIPT("local h = tidewire.spawn(function() tidewire.sleep(2) print('done') return 'kept' end)\n"
                      "return { GreetStream = function() print('waiter', pcall(h.wait, h)) end,\n"
                      "  Greet = function() return { greeting = select(2, h:wait()) } end }"));
    struct test_call *call = open_call(GREET_STREAM);
    cancel_call(call);
    CHECK(logged("waiter\tfalse\tcancelled") && !logged("done"));
    advance(2);
    CHECK(logged("done"));
    CHECK_STR(sent(unary(GREET, "x")), "kept");
}

static void the_end_of_a_stream_tells_those_who_wait_elsewhere(void) {
    run_script(SCRIPT("local handle\n"
                      "return { Chat = { on_open = function(s) handle = s:spawn(function() tidewire.sleep(100) end) end },\n"
                      "  Greet = function() print('other', handle:wait()) return {} end }"));
    struct test_call *call = open_call(CHAT), *other = unary(GREET, "x");
    CHECK(!logged("other"));
    cancel_call(call);
    settle();
    CHECK(logged("other\tnil\tcancelled"));
    CHECK_STR(status_of(other), "OK");
    CHECK_STR(status_of(unary(GREET, "y")), "OK");
    CHECK_INT(times_logged("other\tnil\tcancelled"), 2);
}

static void a_reload_ends_what_load_code_has_spawned_for_who_waits_in_an_old_stream(void) {
    run_script(SCRIPT("local h = tidewire.spawn(function() tidewire.sleep(100) end)\n"
                      "local serves = tidewire.spawn(function() tidewire.sleep(100) end, { serve = true })\n"
                      "return { GreetStream = function(s) print('h', h:wait()) print('serves', serves:wait(1)) end }"));
    struct test_call *call = open_call(GREET_STREAM);
    run_script("return {}");
    settle();
    CHECK(logged("h\tnil\tcancelled"));
    advance(1);
    CHECK(logged("serves\tnil\ttimeout"));
    CHECK_STR(status_of(call), "OK");
}

static void waiting_for_oneself_raises_in_the_last_of_the_circle(void) {
    run_script(SCRIPT("local a, b, c\n"
                      "a = tidewire.spawn(function() print('alone', pcall(function() local x = a:wait() end)) end)\n"
                      "b = tidewire.spawn(function() print('b', c:wait()) end)\n"
                      "c = tidewire.spawn(function() print('c', pcall(function() local x = b:wait() end)) return 'fine' end)\n"
                      "return {}"));
    settle();
    CHECK(logged("alone\tfalse\tmain.lua:3: handle:wait(): this coroutine would wait for itself"));
    CHECK(logged("c\tfalse\tmain.lua:5: handle:wait(): this coroutine would wait for itself"));
    CHECK(logged("b\ttrue\tfine"));
}

static void a_wait_works_inside_a_coroutine_of_the_script(void) {
    run_script(SCRIPT("tidewire.spawn(function() local h = tidewire.spawn(function() tidewire.sleep(1) return 1, 2 end)\n"
                      "  print(coroutine.wrap(function() return h:wait() end)()) end) return {}"));
    advance(1);
    CHECK(logged("true\t1\t2"));
}

static void a_handle_that_nobody_holds_keeps_nothing(void) {
    run_script(SCRIPT("local kept = setmetatable({}, { __mode = 'k' })\n"
                      "local big = function() local t = {} kept[t] = true return t end\n"
                      "local held = tidewire.spawn(big) tidewire.spawn(big)\n"
                      "tidewire.spawn(function() tidewire.sleep(1) print('ended without a handle') return {} end)\n"
                      "tidewire.spawn(function() print('temporary', tidewire.spawn(function() tidewire.sleep(2) return 5 end):wait()) end)\n"
                      "return { Greet = function() local n = 0 for _ in pairs(kept) do n = n + 1 end\n"
                      "  return { greeting = n .. tostring(held:wait()) } end }"));
    settle();
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    CHECK_STR(sent(unary(GREET, "x")), "1true");
    advance(2);
    CHECK(logged("ended without a handle") && logged("temporary\ttrue\t5"));
}

static void many_results_arrive_whole(void) {
    run_script(SCRIPT("tidewire.spawn(function()\n"
                      "  local t = {} for i = 1, 3000 do t[i] = i end\n"
                      "  local h = tidewire.spawn(function() tidewire.sleep(1) return unpack(t) end)\n"
                      "  print('many', select('#', h:wait()), (select(3001, h:wait()))) end) return {}"));
    advance(1);
    CHECK(logged("many\t3001\t3000"));
}

static void what_cannot_be_waited_for_says_so(void) {
    run_script(SCRIPT("local h = tidewire.spawn(function() end) assert(select(2, h:wait(0)) == 'timeout')\n"
                      "print('load', pcall(h.wait, h)) print('timer', pcall(function() tidewire.timer.at(1, print):wait() end))\n"
                      "print('misuse', select(2, pcall(h.wait, 1)) == select(2, pcall(h.wait, h, 'x')), pcall(h.wait, 1))\n"
                      "return { Chat = { on_open = function(s) s:spawn(function() tidewire.sleep(9) end) end,\n"
                      "  on_close = function(s) print('close', pcall(h.wait, h)) end } }"));
    CHECK(logged("load\tfalse\thandle:wait() cannot wait while the script is loaded"));
    CHECK(logged("timer\tfalse\tmain.lua:3: a timer has no \"wait\""));
    CHECK(logged("misuse\ttrue\tfalse\texpected handle:wait([timeout])"));
    settle();
    struct test_call *call = open_call(CHAT);
    cancel_call(call);
    CHECK(logged("close\ttrue\ttrue"));
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        RUN_IN_WORLD(a_wait_gives_what_the_function_returns);
        RUN_IN_WORLD(the_code_of_a_stream_waits_for_what_the_stream_has_spawned);
        RUN_IN_WORLD(all_who_wait_get_it_and_each_in_its_turn);
        RUN_IN_WORLD(a_wait_ends_in_time_and_may_be_repeated);
        RUN_IN_WORLD(an_error_is_logged_and_told_to_who_waits);
        RUN_IN_WORLD(an_error_in_a_streams_own_ends_the_stream_and_its_waits);
        RUN_IN_WORLD(a_cancel_wakes_who_waits);
        RUN_IN_WORLD(the_end_of_a_waiter_leaves_the_other_alone);
        RUN_IN_WORLD(the_end_of_a_stream_tells_those_who_wait_elsewhere);
        RUN_IN_WORLD(a_reload_ends_what_load_code_has_spawned_for_who_waits_in_an_old_stream);
        RUN_IN_WORLD(waiting_for_oneself_raises_in_the_last_of_the_circle);
        RUN_IN_WORLD(a_wait_works_inside_a_coroutine_of_the_script);
        RUN_IN_WORLD(a_handle_that_nobody_holds_keeps_nothing);
        RUN_IN_WORLD(many_results_arrive_whole);
        RUN_IN_WORLD(what_cannot_be_waited_for_says_so);
    }
    return 0;
}
