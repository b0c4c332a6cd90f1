/* Channels: the order of values and of those who wait, time-outs, closing, and the ends of those who wait. */
#include "world.h"

#include "script/state.h"

static void values_come_out_in_the_order_in_which_they_went_in(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(3)\n"
               "tidewire.spawn(function() for i = 1, 10 do assert(c:put(i) == true) end c:close() end)\n"
               "tidewire.spawn(function() local t = {} for v in c:values() do t[#t + 1] = v end print(table.concat(t, ',')) end)\n"
               "return {}");
    settle();
    CHECK(logged("1,2,3,4,5,6,7,8,9,10"));
}

static void a_full_channel_holds_back_who_puts(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(2)\n"
               "tidewire.spawn(function() for i = 1, 5 do c:put(i) print('put ' .. i) end end)\n"
               "tidewire.timer.at(1, function() print('got ' .. c:get(), c:count()) end) return {}");
    settle();
    CHECK(logged("put 2") && !logged("put 3"));
    advance(1);
    CHECK(logged("got 1\t2") && logged("put 3") && !logged("put 4"));
}

static void a_channel_without_room_hands_over(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(0)\n"
               "tidewire.spawn(function() print(c:put('a', 0)) c:put('b') print('b is taken') end)\n"
               "tidewire.timer.at(1, function() print(c:count(), c:get(), c:get(0)) end) return {}");
    settle();
    CHECK(logged("nil\ttimeout") && !logged("b is taken"));
    advance(1);
    CHECK(logged("0\tb\tnil\ttimeout") && logged("b is taken"));
}

static void who_waits_first_is_served_first(void) {
    run_script("local tidewire = require 'tidewire' local c, full = tidewire.channel(1), tidewire.channel(1) full:put(0)\n"
               "for i = 1, 4 do tidewire.spawn(function() print(i .. ' gets ' .. c:get()) end) end\n"
               "for i = 1, 4 do tidewire.spawn(function() full:put(i) end) end\n"
               "tidewire.timer.at(1, function() for _, v in ipairs { 'a', 'b', 'c', 'd' } do c:put(v) end\n"
               "  local t = {} for i = 1, 5 do t[i] = full:get() end print(unpack(t)) end) return {}");
    advance(1);
    CHECK(logged("1 gets a") && logged("2 gets b") && logged("3 gets c") && logged("4 gets d"));
    CHECK(logged("0\t1\t2\t3\t4"));
}

static void waits_end_in_time_and_leave_nothing_behind(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(1)\n"
               "tidewire.spawn(function() print('get', c:get(2)) c:put('x') print('put', c:put('lost', 2)) print(c:get(), c:get(0)) end)\n"
               "return {}");
    advance(1.9);
    CHECK(!logged("get"));
    advance(0.2);
    CHECK(logged("get\tnil\ttimeout") && !logged("put"));
    advance(2);
    CHECK(logged("put\tnil\ttimeout") && logged("x\tnil\ttimeout"));
}

static void closing_wakes_all_and_leaves_what_is_queued(void) {
    run_script("local tidewire = require 'tidewire' local c, empty = tidewire.channel(1), tidewire.channel(1)\n"
               "c:put('kept')\n"
               "for i = 1, 2 do tidewire.spawn(function() print('put' .. i, c:put(i)) end)\n"
               "  tidewire.spawn(function() print('get' .. i, empty:get()) end) end\n"
               "tidewire.timer.at(1, function() c:close() c:close() empty:close() print(c:put('late')) print(c:get(), c:get()) end)\n"
               "return {}");
    advance(1);
    CHECK(logged("put1\tnil\tclosed") && logged("put2\tnil\tclosed"));
    CHECK(logged("get1\tnil\tclosed") && logged("get2\tnil\tclosed"));
    CHECK(logged("] nil\tclosed") && logged("kept\tnil\tclosed"));
}

static void a_stream_that_ends_takes_its_waits_along(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(1)\n"
               "return { GreetStream = function(s) if s:recv().name == 'get' then print(pcall(c.get, c)) else c:put(1)\n"
               "    print(pcall(c.put, c, 2)) end end,\n"
               "  Greet = function() c:put('free', 0) return { greeting = tostring(c:get(0)) .. tostring(c:get(0)) } end }");
    struct test_call *getter = open_call(GREET_STREAM);
    say_text(getter, 1, "get");
    cancel_call(getter);
    CHECK(logged("false\tcancelled"));
    forget_log();
    CHECK_STR(sent(unary(GREET, "x")), "freenil");
    struct test_call *putter = open_call(GREET_STREAM);
    say_text(putter, 1, "put");
    cancel_call(putter);
    CHECK(logged("false\tcancelled"));
    CHECK_STR(sent(unary(GREET, "x")), "1nil"); /* the 2 went with its stream */
}

static void waits_of_load_code_end_with_its_generation(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(0)\n"
               "tidewire.spawn(function() print(pcall(c.get, c)) end)\n"
               "tidewire.spawn(function() print(pcall(c.get, c)) end, { serve = true }) return {}");
    run_script("return {}");
    CHECK_INT(times_logged("false\tcancelled"), 2);
}

static void a_wait_works_inside_of_a_coroutine_of_the_script(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(0)\n"
               "local doubled = function() return coroutine.wrap(function() for v in c:values() do coroutine.yield(2 * v) end end) end\n"
               "tidewire.spawn(function() for v in doubled() do print('double ' .. v) end print('over') end)\n"
               "tidewire.spawn(function() c:put(4) c:put(5) c:close() end) return {}");
    settle();
    CHECK(logged("double 8") && logged("double 10") && logged("over"));
}

static void who_waits_in_a_channel_that_nobody_holds_is_woken(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "tidewire.spawn(function() print('get', tidewire.channel(1):get()) end)\n"
               "tidewire.spawn(function() print('put', tidewire.channel(0):put('x')) end) return {}");
    settle();
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    settle();
    CHECK(logged("get\tnil\tclosed") && logged("put\tnil\tclosed"));
}

static void a_channel_that_holds_itself_is_collected_with_its_values(void) {
    run_script("local tidewire = require 'tidewire' local gone = tidewire.channel(9)\n"
               "tidewire.spawn(function() for i = 1, 100 do local c = tidewire.channel(2) c:put(c) c:put(string.rep('x', 100000)) end end)\n"
               "return {}");
    settle();
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    CHECK(lua_gc(world.script->L, LUA_GCCOUNT, 0) < 5000);
}

static void misuse_names_the_signature(void) {
    run_script("local tidewire = require 'tidewire' local c = tidewire.channel(1)\n"
               "print(pcall(tidewire.channel)) print(pcall(tidewire.channel, 0.5)) print(pcall(c.put, c)) print(pcall(c.get, c, 'x'))\n"
               "print(pcall(c.get, 1)) print(pcall(function() return c.gett end)) print(pcall(c.get, c))\n"
               "print(c:put(false), c:get()) print(pcall(table.sort, { 1, 2 }, function() c:get() end)) return {}");
    CHECK_INT(times_logged("expected tidewire.channel(n)"), 2);
    CHECK(logged("nil cannot be put") && logged("expected channel:get([timeout])"));
    CHECK(logged("a channel has no \"gett\" (did you mean \"get\"?)"));
    CHECK(logged("channel:get() cannot wait while the script is loaded"));
    CHECK(logged("true\tfalse"));
}

static void many_workers_of_a_queue_take_each_value_once(void) {
    run_script("local tidewire = require 'tidewire' local c, seen = tidewire.channel(7), {}\n"
               "for i = 1, 20 do tidewire.spawn(function() for v in c:values() do\n"
               "  assert(not seen[v]) seen[v] = true if v % 3 == 0 then tidewire.sleep(0.01) end end end) end\n"
               "for i = 0, 9 do tidewire.spawn(function() for n = 1, 200 do c:put(i * 200 + n) if n % 50 == 0 then tidewire.sleep(0.02) end end end) end\n"
               "tidewire.timer.at(60, function() for i = 1, 2000 do assert(seen[i]) end print('all', #seen) end) return {}");
    advance(60);
    CHECK(logged("all\t2000"));
}

#define RUN_IN_WORLD(test) do { open_world(); RUN(test); close_world(); } while (0)

int main(void) {
    RUN_IN_WORLD(values_come_out_in_the_order_in_which_they_went_in);
    RUN_IN_WORLD(a_full_channel_holds_back_who_puts);
    RUN_IN_WORLD(a_channel_without_room_hands_over);
    RUN_IN_WORLD(who_waits_first_is_served_first);
    RUN_IN_WORLD(waits_end_in_time_and_leave_nothing_behind);
    RUN_IN_WORLD(closing_wakes_all_and_leaves_what_is_queued);
    RUN_IN_WORLD(a_stream_that_ends_takes_its_waits_along);
    RUN_IN_WORLD(waits_of_load_code_end_with_its_generation);
    RUN_IN_WORLD(a_wait_works_inside_of_a_coroutine_of_the_script);
    RUN_IN_WORLD(who_waits_in_a_channel_that_nobody_holds_is_woken);
    RUN_IN_WORLD(a_channel_that_holds_itself_is_collected_with_its_values);
    RUN_IN_WORLD(misuse_names_the_signature);
    RUN_IN_WORLD(many_workers_of_a_queue_take_each_value_once);
    return 0;
}
