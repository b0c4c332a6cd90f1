/* Semaphores: how many hold one at once, who is next, and what streams give back when they end. */
#include "world.h"

#include "script/state.h"

static void no_more_than_n_hold_it_at_once(void) {
    run_script("local tidewire = require 'tidewire' local s, now, most, done = tidewire.semaphore(3), 0, 0, 0\n"
               "for i = 1, 20 do tidewire.spawn(function() assert(s:acquire() == true) now = now + 1 most = math.max(most, now)\n"
               "  tidewire.sleep(i / 100) now = now - 1 done = done + 1 s:release() end) end\n"
               "tidewire.timer.at(10, function() print('most', most, done, s:count()) end) return {}");
    advance(10);
    CHECK(logged("most\t3\t20\t3"));
}

static void who_waits_first_holds_it_next_and_nobody_gets_past(void) {
    run_script("local tidewire = require 'tidewire' local s, order = tidewire.semaphore(1), {} s:acquire()\n"
               "for i = 1, 4 do tidewire.spawn(function() s:acquire() order[#order + 1] = i tidewire.sleep(1) s:release() end) end\n"
               "tidewire.timer.at(1, function() s:release() print('past', s:acquire(0)) end)\n"
               "tidewire.timer.at(9, function() print('order', unpack(order)) end) return {}");
    advance(10);
    CHECK(logged("past\tnil\ttimeout"));
    CHECK(logged("order\t1\t2\t3\t4"));
}

static void waiting_for_it_ends_in_time(void) {
    run_script("local tidewire = require 'tidewire' local s = tidewire.semaphore(1) s:acquire()\n"
               "tidewire.spawn(function() print('late', s:acquire(2)) s:release() print('now', s:acquire(2)) end) return {}");
    advance(1.9);
    CHECK(!logged("late"));
    advance(0.2);
    CHECK(logged("late\tnil\ttimeout") && logged("now\ttrue"));
}

static void what_a_stream_holds_comes_back_with_its_end(void) {
    run_script("local tidewire = require 'tidewire' local s = tidewire.semaphore(2)\n"
               "return { GreetStream = function(stream) s:acquire() s:acquire() stream:recv() end,\n"
               "  Greet = function() return { greeting = tostring(s:count()) } end,\n"
               "  GreetServerStream = function(stream) s:acquire() stream:send { greeting = 'mine' } s:acquire() end }");
    struct test_call *call = open_call(GREET_STREAM);
    CHECK_STR(sent(unary(GREET, "x")), "0");
    struct test_call *next = unary(GREET_SERVER, "x");
    CHECK_STR(sent(next), "");
    cancel_call(call);
    settle();
    CHECK_STR(sent(next), "mine");
    CHECK_STR(status_of(next), "OK");
    CHECK_STR(sent(unary(GREET, "x")), "2");
}

static void on_close_may_release_what_on_open_has_acquired(void) {
    run_script("local tidewire = require 'tidewire' local s = tidewire.semaphore(1)\n"
               "return { Chat = { on_open = function(stream) if not s:acquire(0) then tidewire.fail('RESOURCE_EXHAUSTED') end end,\n"
               "    on_close = function(_, code) if code ~= 'RESOURCE_EXHAUSTED' then s:release() end print('free', s:count()) end } }");
    struct test_call *first = open_call(CHAT);
    CHECK_STR(status_of(open_call(CHAT)), "RESOURCE_EXHAUSTED");
    forget_log();
    cancel_call(first);
    CHECK(logged("free\t1"));
    CHECK_STR(status_of(open_call(CHAT)), "open");
}

static void a_permit_that_was_handed_to_one_who_is_cancelled_is_not_lost(void) {
    run_script("local tidewire = require 'tidewire' local s = tidewire.semaphore(1) s:acquire()\n"
               "local h = tidewire.spawn(function() local ok = s:acquire() print('got', ok, pcall(tidewire.sleep, 9)) s:release() end)\n"
               "tidewire.timer.at(1, function() s:release() h:cancel() end)\n"
               "tidewire.timer.at(2, function() print('free', s:count()) end) return {}");
    advance(3);
    CHECK(logged("got\ttrue\tfalse\tcancelled"));
    CHECK(logged("free\t1"));
}

static void who_holds_nothing_releases_nothing(void) {
    run_script("local tidewire = require 'tidewire' local s = tidewire.semaphore(2) s:acquire()\n"
               "print(pcall(tidewire.semaphore, 0)) print(pcall(tidewire.semaphore)) print(pcall(s.acquire, s, -1))\n"
               "return { Greet = function() print(pcall(s.release, s)) s:acquire() s:release() print(pcall(s.release, s)) return {} end,\n"
               "  Chat = function() tidewire.spawn(function() s:release() print('loose', pcall(s.release, s)) end) end }");
    CHECK_INT(times_logged("expected tidewire.semaphore(n)"), 2);
    CHECK(logged("expected semaphore:acquire([timeout])"));
    unary(GREET, "x");
    CHECK_INT(times_logged("the code of this stream holds none of it"), 2);
    open_call(CHAT);
    CHECK(logged("loose\tfalse") && logged("code of no stream holds none of it"));
}

static void one_that_nobody_holds_any_more_wakes_who_waits_and_leaves_streams_alone(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "local function taken() local s = tidewire.semaphore(1) s:acquire() return s end\n"
               "return { GreetStream = function(stream) print('waited', taken():acquire()) stream:recv() end }");
    struct test_call *call = open_call(GREET_STREAM);
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    settle();
    CHECK(logged("waited\tnil\tclosed"));
    half_close(call);
    CHECK_STR(status_of(call), "OK");
}

static void waits_of_load_code_end_with_its_generation(void) {
    run_script("local tidewire = require 'tidewire' local one = tidewire.semaphore(1)\n"
               "tidewire.spawn(function() one:acquire() print('held', pcall(tidewire.sleep, 60)) end)\n"
               "tidewire.spawn(function() print('waited', pcall(one.acquire, one)) end)\n"
               "tidewire.spawn(function() print('served', pcall(one.acquire, one)) end, { serve = true })\n"
               "return { GreetStream = function(s) s:recv() print('left', one:count()) one:acquire(0) end }");
    struct test_call *call = open_call(GREET_STREAM);
    run_script("return {}");
    CHECK(logged("held\tfalse\tcancelled") && logged("waited\tfalse\tcancelled"));
    CHECK(!logged("served"));
    half_close(call);
    CHECK(logged("left\t0")); /* what code of no stream holds is released by such code alone */
    CHECK(logged("served\tfalse\tcancelled"));
}

#define RUN_IN_WORLD(test) do { open_world(); RUN(test); close_world(); } while (0)

int main(void) {
    RUN_IN_WORLD(no_more_than_n_hold_it_at_once);
    RUN_IN_WORLD(who_waits_first_holds_it_next_and_nobody_gets_past);
    RUN_IN_WORLD(waiting_for_it_ends_in_time);
    RUN_IN_WORLD(what_a_stream_holds_comes_back_with_its_end);
    RUN_IN_WORLD(on_close_may_release_what_on_open_has_acquired);
    RUN_IN_WORLD(a_permit_that_was_handed_to_one_who_is_cancelled_is_not_lost);
    RUN_IN_WORLD(who_holds_nothing_releases_nothing);
    RUN_IN_WORLD(one_that_nobody_holds_any_more_wakes_who_waits_and_leaves_streams_alone);
    RUN_IN_WORLD(waits_of_load_code_end_with_its_generation);
    return 0;
}
