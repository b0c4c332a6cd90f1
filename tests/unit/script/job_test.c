/* Timers, spawns and sleep: when they run, what they belong to, how they end. */
#include "world.h"

static int count_of(const char *text) { return times_logged(text); }

static void timers_run_after_their_time_and_every_so_often(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "tidewire.timer.at(1.5, function() print('once') end)\n"
               "tidewire.timer.every(1, function() print('tick') end)\n"
               "return {}");
    advance(1.4);
    CHECK_INT(count_of("once"), 0);
    advance(3.6);
    CHECK_INT(count_of("once"), 1);
    CHECK_INT(count_of("tick"), 5); /* five whole seconds of the process's clock have ended */
}

static void every_never_overlaps_itself(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "tidewire.timer.every(1, function() print('begin') tidewire.sleep(2.5) print('end') end) return {}");
    advance(10.5);
    CHECK(count_of("begin") >= 3 && count_of("begin") <= 4);
    CHECK(count_of("begin") - count_of("end") <= 1);
}

static void ticks_of_load_code_are_neither_lost_nor_doubled_by_reloads(void) {
    static const char script[] = "require('tidewire').timer.every(1, function() print('tick') end) return {}";
    run_script(script);
    for (int i = 0; i < 100; i++) {
        advance(0.37);
        run_script(script);
    }
    int ticks = count_of("tick");
    CHECK(ticks == 36 || ticks == 37 || ticks == 38);
    forget_log();
    uint64_t begin = world_loop.now;
    advance(0.999);
    run_script(script); /* a tick that is due at this very moment runs once */
    run_script(script);
    advance(9.001);
    CHECK_INT(count_of("tick"), 10);
    CHECK(world_loop.now > begin);
}

static void a_tick_that_is_due_at_the_takeover_is_run_by_the_old_code(void) {
    run_script("require('tidewire').timer.every(1, function() print('old tick') end) return {}");
    advance(1);
    forget_log();
    world_loop.now += NS_PER_S; /* the loop was busy: due, and not fired yet */
    run_script("require('tidewire').timer.every(1, function() print('new tick') end) return {}");
    CHECK_INT(count_of("old tick"), 1);
    CHECK_INT(count_of("new tick"), 0);
    advance(1);
    CHECK_INT(count_of("old tick"), 1);
    CHECK_INT(count_of("new tick"), 1);
}

static void what_load_code_started_ends_when_the_next_generation_takes_over(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "tidewire.spawn(function() print('spawned', pcall(tidewire.sleep, 100)) end)\n"
               "tidewire.spawn(function() while true do tidewire.sleep(1) print('serving') end end, { serve = true })\n"
               "tidewire.timer.at(50, function() print('never') end)\n"
               "tidewire.timer.every(1, function() pcall(tidewire.sleep, 0.5) end)\n"
               "return { GreetStream = function(s) for m in s:messages() do end end }");
    struct test_call *call = open_call(GREET_STREAM);
    advance(1.2);
    run_script("return {}");
    CHECK(logged("spawned\tfalse\tcancelled"));
    forget_log();
    advance(2);
    CHECK_INT(count_of("serving"), 2); /* the stream is still there */
    half_close(call);
    forget_log();
    advance(100);
    CHECK(!logged("serving"));
    CHECK(!logged("never"));
}

static void nothing_of_load_code_runs_before_the_start(void) {
    struct error error;
    struct version *version = load_script("local tidewire = require 'tidewire'\n"
                                          "local h = tidewire.spawn(function() print('spawned') end)\n"
                                          "local g = tidewire.spawn(function() print('cancelled') end) g:cancel()\n"
                                          "tidewire.timer.at(0, function() print('timer') end):cancel()\n"
                                          "tidewire.timer.at(0, function() print('second') end) return {}", &error);
    advance(5);
    CHECK(!logged("spawned") && !logged("second"));
    generation_start(version->generation);
    world.version = version;
    advance(0.1);
    CHECK(!logged("spawned") && logged("second"));
    generation_begin(version->generation);
    advance(0.1);
    CHECK(logged("spawned"));
    CHECK(!logged("cancelled") && !logged("timer"));
}

static void a_worker_option_leaves_it_to_one_worker(void) {
    world.is_jit = false;
    run_script("local tidewire = require 'tidewire'\n"
               "tidewire.spawn(function() print('here') end, { worker = 0 })\n"
               "tidewire.timer.at(0, function() print('also') end, { worker = 5 }) -- the last one there is\n"
               "assert(not pcall(tidewire.spawn, print, { worker = 'x' })) return {}");
    advance(0.1);
    CHECK(logged("here") && logged("also"));
}

static void the_jobs_of_a_stream_die_with_it(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Chat = { on_open = function(s) s:after(1, function(s) print('after', s.id) end)\n"
               "  s:every(1, function(s) print('every') end) s:spawn(function(s, a, b) print('spawn', a, b, pcall(tidewire.sleep, 50)) end, 'a', 2) end } }");
    struct test_call *call = open_call(CHAT);
    advance(2.5);
    CHECK_INT(count_of("after\t1"), 1);
    CHECK_INT(count_of("every"), 2);
    cancel_call(call);
    CHECK(logged("spawn\ta\t2\tfalse\tcancelled"));
    forget_log();
    advance(10);
    CHECK(!logged("every"));
}

static void cancelling_what_a_stream_has_spawned_leaves_the_stream_alone(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetServerStream = function(s) local h = s:spawn(function() tidewire.sleep(10) end)\n"
               "  tidewire.sleep(1) h:cancel() tidewire.sleep(1) s:send { greeting = 'alive' } end }");
    struct test_call *call = unary(GREET_SERVER, "x");
    advance(3);
    CHECK_STR(sent(call), "alive");
    CHECK_STR(status_of(call), "OK");
}

static void a_half_closed_stream_ends_when_another_cancels_its_last_timer(void) {
    run_script("local handle return { Chat = { on_open = function(s) handle = s:every(1, print) end },\n"
               "  Greet = function() handle:cancel() return {} end }");
    struct test_call *call = open_call(CHAT);
    half_close(call);
    CHECK_STR(status_of(call), "open");
    CHECK_STR(status_of(unary(GREET, "x")), "OK");
    CHECK_STR(status_of(call), "OK");
}

static void a_handle_cancels_what_it_is_of(void) {
    run_script("local tidewire = require 'tidewire' local n = 0\n"
               "local h h = tidewire.timer.every(1, function() n = n + 1 print('tick', n) if n == 2 then h:cancel() h:cancel() end end)\n"
               "local s = tidewire.spawn(function() print(pcall(tidewire.sleep, 100)) tidewire.sleep(1) print('never') end)\n"
               "tidewire.timer.at(1, function() s:cancel() end)\n"
               "tidewire.timer.at(2, function() print('kept') end) collectgarbage('count')\n"
               "local once = tidewire.timer.at(1, function() end) tidewire.timer.at(3, function() once:cancel() end)\n"
               "return {}");
    advance(10);
    CHECK_INT(count_of("tick"), 2);
    CHECK(logged("false\tcancelled"));
    CHECK(!logged("never"));
    CHECK(logged("kept"));
}

static void an_error_in_a_job_of_load_code_is_logged_and_it_goes_on(void) {
    run_script("require('tidewire').timer.every(1, function() error('oh') end) return {}");
    advance(3);
    CHECK_INT(count_of("a timer or spawned function failed: main.lua:1: oh"), 3);
}

static void an_error_in_a_job_of_a_stream_ends_the_stream(void) {
    run_script("return { Chat = { on_open = function(s) s:after(1, function() error('oh') end) end },\n"
               "  GreetStream = function(s) s:spawn(function() require('tidewire').fail('ABORTED', 'by spawn') end) s:recv() end }");
    struct test_call *call = open_call(CHAT), *function = open_call(GREET_STREAM);
    advance(1);
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK_STR(status_of(function), "ABORTED");
}

static void a_spawn_of_a_handler_outlives_its_stream(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Greet = function() tidewire.spawn(function() tidewire.sleep(5) print('later') end) return {} end }");
    CHECK_STR(status_of(unary(GREET, "x")), "OK");
    advance(6);
    CHECK(logged("later"));
}

static void what_handlers_have_started_ends_with_the_last_stream_of_their_generation(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Greet = function() tidewire.timer.every(1, function() print('every') end)\n"
               "    tidewire.timer.at(50, function() print('never') end)\n"
               "    tidewire.spawn(function() print('spawned', pcall(tidewire.sleep, 100)) end) return {} end,\n"
               "  GreetStream = function(s) for m in s:messages() do end end }");
    struct test_call *call = open_call(GREET_STREAM);
    unary(GREET, "x");
    run_script("return {}");
    advance(2.5);
    CHECK_INT(count_of("every"), 2); /* a stream is still there */
    CHECK(!logged("spawned"));
    half_close(call);
    CHECK(logged("spawned\tfalse\tcancelled"));
    forget_log();
    advance(100);
    CHECK(!logged("every") && !logged("never"));
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        RUN_IN_WORLD(timers_run_after_their_time_and_every_so_often);
        RUN_IN_WORLD(every_never_overlaps_itself);
        RUN_IN_WORLD(ticks_of_load_code_are_neither_lost_nor_doubled_by_reloads);
        RUN_IN_WORLD(a_tick_that_is_due_at_the_takeover_is_run_by_the_old_code);
        RUN_IN_WORLD(what_load_code_started_ends_when_the_next_generation_takes_over);
        RUN_IN_WORLD(nothing_of_load_code_runs_before_the_start);
        RUN_IN_WORLD(a_worker_option_leaves_it_to_one_worker);
        RUN_IN_WORLD(the_jobs_of_a_stream_die_with_it);
        RUN_IN_WORLD(cancelling_what_a_stream_has_spawned_leaves_the_stream_alone);
        RUN_IN_WORLD(a_half_closed_stream_ends_when_another_cancels_its_last_timer);
        RUN_IN_WORLD(a_handle_cancels_what_it_is_of);
        RUN_IN_WORLD(an_error_in_a_job_of_load_code_is_logged_and_it_goes_on);
        RUN_IN_WORLD(an_error_in_a_job_of_a_stream_ends_the_stream);
        RUN_IN_WORLD(a_spawn_of_a_handler_outlives_its_stream);
        RUN_IN_WORLD(what_handlers_have_started_ends_with_the_last_stream_of_their_generation);
    }
    return 0;
}
