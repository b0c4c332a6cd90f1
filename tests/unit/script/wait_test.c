/* Waiting: what wakes it, back-pressure, cancelling, the script's own coroutines. */
#include "world.h"

/* ---- recv, timeouts ---- */

static void recv_gives_nil_at_half_close_and_timeout_in_time(void) {
    run_script("return { GreetStream = function(s)\n"
               "  local m, why = s:recv(2) s:send { greeting = tostring(m) .. ' ' .. tostring(why) }\n"
               "  m, why = s:recv(2) s:send { greeting = m.name }\n"
               "  m, why = s:recv() s:send { greeting = tostring(m) .. ' ' .. tostring(why) } end }");
    struct test_call *call = open_call(GREET_STREAM);
    advance(1.9);
    CHECK_STR(sent(call), "");
    advance(0.2);
    CHECK_STR(sent(call), "nil timeout");
    say_text(call, 1, "a");
    CHECK_STR(sent(call), "nil timeout,a");
    advance(5); /* the second timeout was stopped */
    half_close(call);
    CHECK_STR(sent(call), "nil timeout,a,nil nil");
    CHECK_STR(status_of(call), "OK");
}

static void recv_times_out_too_behind_many_messages_in_a_row(void) {
    run_script("return { GreetStream = function(s) local count = 0\n"
               "  while true do local m, why = s:recv(2) if not m then break end count = count + 1 end\n"
               "  s:send { greeting = tostring(count) } end }");
    struct test_call *call = new_call(GREET_STREAM);
    for (int i = 0; i < 256; i++) put_text(call, 1, "x");
    begin(call);
    settle();
    CHECK_STR(status_of(call), "open");
    advance(3);
    CHECK_STR(sent(call), "256");
    CHECK_STR(status_of(call), "OK");
}

static void a_second_concurrent_recv_raises(void) {
    run_script("return { GreetStream = function(s) s:spawn(function() print(pcall(s.recv, s)) end) s:recv() end,\n"
               "  Chat = { on_message = function(s) print(pcall(s.recv, s)) end } }");
    struct test_call *call = open_call(GREET_STREAM), *chat = open_call(CHAT);
    CHECK(logged("false") && logged("another coroutine waits"));
    say_text(chat, 1, "x");
    CHECK(logged("go to its on_message hook"));
    half_close(call);
}

/* ---- back-pressure ---- */

static void send_waits_while_the_peer_does_not_read(void) {
    run_script("return { GreetServerStream = function(s) for i = 1, 6 do assert(s:send { greeting = tostring(i) }) end end }");
    struct test_call *call = new_call(GREET_SERVER);
    call->room = 2;
    put_text(call, 1, "x");
    call->is_half_closed = true;
    begin(call);
    CHECK_STR(sent(call), "1,2");
    peer_reads(call, 1);
    CHECK_STR(sent(call), "1,2,3");
    peer_reads(call, 2);
    CHECK_STR(sent(call), "1,2,3,4,5");
    CHECK_STR(status_of(call), "open");
    peer_reads(call, 2);
    CHECK_STR(sent(call), "1,2,3,4,5,6");
    CHECK_STR(status_of(call), "OK");
}

static void senders_are_served_in_the_order_of_their_calls(void) {
    run_script("return { GreetStream = function(s) for i = 1, 4 do s:spawn(function(s) s:send { greeting = 'a' .. i }\n"
               "  s:send { greeting = 'b' .. i } end) end s:wait() end }");
    struct test_call *call = new_call(GREET_STREAM);
    call->room = 1;
    begin(call);
    for (int i = 0; i < 7; i++) peer_reads(call, 1);
    CHECK_STR(sent(call), "a1,b1,a2,a3,a4,b2,b3,b4");
}

static void a_reply_by_return_waits_for_room_too_and_holds_back_what_follows(void) {
    run_script("return { GreetStream = { on_message = function(_, m)\n"
               "  return { { greeting = m.name .. 1 }, { greeting = m.name .. 2 }, { greeting = m.name .. 3 } } end } }");
    struct test_call *call = new_call(GREET_STREAM);
    call->room = 2;
    begin(call);
    put_text(call, 1, "a");
    put_text(call, 1, "b");
    tell_readable(call);
    half_close(call);
    CHECK_STR(sent(call), "a1,a2");
    CHECK_INT(call->in_taken, 1);
    peer_reads(call, 2);
    CHECK_STR(sent(call), "a1,a2,a3,b1");
    CHECK_STR(status_of(call), "open");
    peer_reads(call, 2);
    CHECK_STR(sent(call), "a1,a2,a3,b1,b2,b3");
    CHECK_STR(status_of(call), "OK");
}

static void a_list_stays_together_and_waits_its_turn_among_senders(void) {
    run_script("local tidewire = require 'tidewire' return { GreetStream = {\n"
               "  on_open = function(s) s:spawn(function() s:send { greeting = 'a' } s:send { greeting = 'b' }\n"
               "    tidewire.sleep(1) s:send { greeting = 'c' } end) end,\n"
               "  on_message = function() return { { greeting = 'l1' }, { greeting = 'l2' }, { greeting = 'l3' } } end } }");
    struct test_call *call = new_call(GREET_STREAM);
    call->room = 1;
    begin(call);
    say_text(call, 1, "x");
    CHECK_STR(sent(call), "a");
    peer_reads(call, 1);
    peer_reads(call, 1);
    CHECK_STR(sent(call), "a,b,l1"); /* who waited before the list was first */
    advance(1);
    for (int i = 0; i < 3; i++) peer_reads(call, 1);
    CHECK_STR(sent(call), "a,b,l1,l2,l3,c");
}

static void a_projected_reply_waits_for_room_too(void) {
    run_script("local tidewire = require 'tidewire' return { AccumulateNumbers = { on_message =\n"
               "  tidewire.project({ fields = { 'num' }, reply = { 'sum' } }, function(_, num) return num end) } }");
    struct test_call *call = new_call(NUMBERS);
    call->room = 1;
    begin(call);
    for (int i = 1; i <= 3; i++) put_number(call, (uint64_t)i);
    tell_readable(call);
    settle();
    CHECK_STR(sent(call), "1");
    peer_reads(call, 1);
    peer_reads(call, 1);
    CHECK_STR(sent(call), "1,2,3");
}

static void messages_that_come_together_are_answered_in_their_order_in_every_way(void) {
    run_script("local tidewire = require 'tidewire' return { GreetStream = { on_message = function(s, m)\n"
               "  if m.name == 'list' then return { { greeting = 'l1' }, { greeting = 'l2' } } end\n"
               "  if m.name == 'drop' then return tidewire.DROP end\n"
               "  if m.name == 'wait' then tidewire.sleep(1) end\n"
               "  if m.name == 'send' then s:send { greeting = 'sent' } return end\n"
               "  if m.name == 'blame' then error('not here', 2) end\n"
               "  return { greeting = m.name } end } }");
    struct test_call *call = open_call(GREET_STREAM);
    static const char *const names[] = {"a", "list", "drop", "b", "wait", "send", "c", "blame", "d"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) put_text(call, 1, names[i]);
    tell_readable(call);
    settle();
    CHECK_STR(sent(call), "a,l1,l2,b");
    advance(1);
    settle();
    CHECK_STR(sent(call), "a,l1,l2,b,wait,sent,c");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("handler failed: main.lua:6: not here"));
}

static void try_send_never_waits_and_send_can_time_out(void) {
    run_script("return { GreetStream = function(s) assert(s:send { greeting = 'a' })\n"
               "  local a, b = s:try_send { greeting = 'b' } assert(a == nil and b == 'full')\n"
               "  a, b = s:send({ greeting = 'c' }, 1) print(a, b, s:pending()) s:close('ABORTED') end }");
    struct test_call *call = new_call(GREET_STREAM);
    call->room = 1;
    begin(call);
    advance(1.1);
    CHECK(logged("nil\ttimeout\t1\t10"));
    CHECK_STR(sent(call), "a");
}

static void on_writable_tells_when_there_is_room_again(void) {
    run_script("return { Chat = { on_message = function(s) while s:try_send { sender = 'x' } do end end,\n"
               "  on_writable = function(s) s:try_send { sender = 'w' } end } }");
    struct test_call *call = new_call(CHAT);
    call->room = 2;
    begin(call);
    say_text(call, 1, "x");
    CHECK_STR(sent(call), "x,x");
    peer_reads(call, 1);
    CHECK_STR(sent(call), "x,x,w");
}

/* ---- cancelling ---- */

static void a_cancel_raises_in_every_wait_of_the_stream_and_is_not_logged(void) {
    run_script("local tidewire = require 'tidewire' local done = {}\n"
               "local function try(name, f, ...) local fine, fault = pcall(f, ...)\n"
               "  print(name, fine, fault == tidewire.cancelled) error(fault, 0) end\n"
               "return { GreetStream = function(s)\n"
               "  s:spawn(function() try('sleep', tidewire.sleep, 100) end)\n"
               "  s:spawn(function() try('send', function() while true do s:send { greeting = 'x' } end end) end)\n"
               "  s:after(0.5, function() try('timer', tidewire.sleep, 100) end)\n"
               "  try('recv', function() for m in s:messages() do end end) end }");
    struct test_call *call = new_call(GREET_STREAM);
    call->room = 1;
    begin(call);
    advance(1);
    cancel_call(call);
    CHECK(logged("sleep\tfalse\ttrue"));
    CHECK(logged("send\tfalse\ttrue"));
    CHECK(logged("timer\tfalse\ttrue"));
    CHECK(logged("recv\tfalse\ttrue"));
    CHECK(!logged("failed"));
}

static void a_cancel_gets_through_direct_calls_iterators_and_metamethods(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "local lazy = setmetatable({}, { __index = function() tidewire.sleep(9) end, __add = function() tidewire.sleep(9) end })\n"
               "local function name(n, fine, fault) print(n, fine, fault == tidewire.cancelled) end\n"
               "local function tail() return tidewire.sleep(9) end\n"
               "return { GreetStream = function(s)\n"
               "  s:spawn(function() name('direct', pcall(tidewire.sleep, 9)) end)\n"
               "  s:spawn(function() name('tail', pcall(tail)) end)\n"
               "  s:spawn(function() name('index', pcall(function() return lazy.x end)) end)\n"
               "  s:spawn(function() name('add', pcall(function() return lazy + 1 end)) end)\n"
               "  s:spawn(function() name('xpcall', xpcall(tidewire.sleep, function(e) return e end, 9)) end)\n"
               "  s:spawn(function() name('wrap', pcall(coroutine.wrap(tidewire.sleep), 9)) end)\n"
               "  s:spawn(function() name('resume', coroutine.resume(coroutine.create(function() tidewire.sleep(9) end))) end)\n"
               "  s:spawn(function() local co = coroutine.wrap(function() local inner = coroutine.wrap(function()\n"
               "    name('inner', pcall(tidewire.sleep, 9)) end) inner() coroutine.yield(1) end) co() end)\n"
               "  s:wait() end }");
    struct test_call *call = open_call(GREET_STREAM);
    cancel_call(call);
    static const char *const names[] = {"direct", "tail", "index", "add", "xpcall", "wrap", "resume", "inner"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *line = memory_format("%s\tfalse\ttrue", names[i]);
        if (!logged(line)) log_flush(), fprintf(stderr, "%s\n", line);
        CHECK(logged(line));
        free(line);
    }
    CHECK(!logged("failed"));
}

static void one_that_catches_the_cancel_and_waits_again_never_runs_again(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetStream = function(s) while true do print(pcall(s.recv, s)) end end,\n"
               "  Chat = function(s) while true do pcall(function() s:send {} s:send {} tidewire.sleep(1) end) end end }");
    struct test_call *call = open_call(GREET_STREAM), *chat = open_call(CHAT);
    cancel_call(call);
    cancel_call(chat);
    forget_log();
    advance(10);
    CHECK(!logged("cancelled"));
}

static void the_first_send_to_a_peer_that_has_gone_says_so_the_next_is_cancelled(void) {
    run_script("local tidewire = require 'tidewire' local last\n"
               "return { GreetStream = function(s) last = s s:wait() print('gone')\n"
               "    print(s:send { greeting = 'a' }) print(pcall(s.send, s, { greeting = 'b' })) while true do pcall(s.send, s, {}) end end,\n"
               "  Greet = function() for i = 1, 3 do print('stranger', last:send {}) end return {} end }");
    struct test_call *call = open_call(GREET_STREAM);
    cancel_call(call);
    CHECK(logged("gone\n"));
    CHECK(logged("nil\tclosed\n"));
    CHECK(logged("false\tcancelled\n"));
    unary(GREET, "x");
    CHECK(logged("stranger\tnil\tclosed\n"));
    CHECK(!logged("failed"));
}

static void strangers_that_wait_on_a_stream_are_told_when_it_ends(void) {
    run_script("local last return { GreetStream = function(s) last = s s:wait() end,\n"
               "  Chat = { on_message = function(s, m) if m.sender == 'wait' then return { sender = tostring(last:wait()) } end\n"
               "    if m.sender == 'recv' then local a, b = last:recv() return { sender = tostring(b) } end\n"
               "    last:send { greeting = 'x' } local a, b = last:send { greeting = 'y' } return { sender = tostring(b) } end } }");
    struct test_call *call = new_call(GREET_STREAM), *calls[3];
    call->room = 1;
    begin(call);
    const char *const words[] = {"wait", "recv", "send"};
    for (int i = 0; i < 3; i++) {
        calls[i] = open_call(CHAT);
        say_text(calls[i], 1, words[i]);
        CHECK_STR(sent(calls[i]), "");
    }
    cancel_call(call);
    CHECK_STR(sent(calls[0]), "true");
    CHECK_STR(sent(calls[1]), "closed");
    CHECK_STR(sent(calls[2]), "closed");
}

static void a_cancel_while_a_hook_waits_drops_what_it_would_return(void) {
    run_script("local tidewire = require 'tidewire' return { Chat = { on_message = function() tidewire.sleep(1) return {} end } }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 1, "x");
    cancel_call(call);
    advance(5);
    CHECK_INT(call->out_count, 0);
}

/* ---- the script's own coroutines ---- */

static void a_wait_inside_a_generator_reaches_the_scheduler(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "local function numbers() for i = 1, 3 do tidewire.sleep(1) coroutine.yield(i) end end\n"
               "return { GreetServerStream = function(s, r)\n"
               "  for i in coroutine.wrap(numbers) do s:send { greeting = tostring(i) } end\n"
               "  local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) tidewire.sleep(1) return b, nil end)\n"
               "  local n = select('#', coroutine.resume(co, 1)) assert(n == 2)\n"
               "  local results = { coroutine.resume(co, 'last') } s:send { greeting = tostring(results[1]) .. results[2] }\n"
               "  assert(coroutine.status(co) == 'dead') local fine, fault = coroutine.resume(co)\n"
               "  assert(not fine and fault:find('dead')) assert(coroutine.running() == nil)\n"
               "  coroutine.wrap(function() assert(coroutine.running() ~= nil) end)()\n"
               "  fine, fault = pcall(coroutine.yield, 1) assert(not fine and fault:find('outside a coroutine'), fault)\n"
               "  fine, fault = pcall(coroutine.wrap(function() error('inside') end)) assert(fault:find('inside')) end }");
    struct test_call *call = unary(GREET_SERVER, "x");
    CHECK_STR(sent(call), "");
    advance(1);
    CHECK_STR(sent(call), "1");
    advance(2);
    CHECK_STR(sent(call), "1,2,3");
    advance(1);
    CHECK_STR(sent(call), "1,2,3,truelast");
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void a_wait_where_lua_cannot_suspend_raises(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "local fine, fault = pcall(tidewire.sleep, 1) assert(not fine and fault:find('while the script is loaded'), fault)\n"
               "return { Greet = function() local fine, fault = pcall(table.sort, { 2, 1 }, function(a, b) tidewire.sleep(1) end)\n"
               "  assert(not fine and fault:find('table.sort'), fault) fine, fault = pcall(string.gsub, 'a', 'a', function() tidewire.sleep(1) end)\n"
               "  assert(not fine and fault:find('cannot wait here'), fault) return {} end }");
    struct test_call *call = unary(GREET, "x");
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void errors_keep_their_positions_through_pcall(void) {
    run_script("return { Greet = function()\n"
               "  local _, fault = pcall(error, 'plain') assert(fault == 'plain', fault)\n"
               "  _, fault = pcall(function() error('here') end) assert(fault == 'main.lua:3: here', fault)\n"
               "  _, fault = pcall(function() error('up', 2) end) assert(fault == 'up', fault)\n"
               "  local t = {} _, fault = pcall(error, t) assert(fault == t)\n"
               "  local n = select('#', pcall(function() return nil, nil end)) assert(n == 3)\n"
               "  assert(select(2, xpcall(function() error('x', 0) end, function(e) return e .. '!' end)) == 'x!')\n"
               "  return {} end }");
    struct test_call *call = unary(GREET, "x");
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void coroutines_too_deep_inside_one_another_are_an_error(void) {
    run_script("local function deeper() return coroutine.wrap(deeper)() end\n"
               "return { Greet = function() local is_fine, why = pcall(deeper)\n"
               "  return { greeting = tostring(is_fine) .. ' ' .. why } end }");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(sent(call), "false too many coroutines inside one another");
}

static void an_error_through_pcall_does_not_name_the_guards_line(void) {
    run_script("return { GreetServerStream = function(s) local _, why = pcall(s.recv, s, 'x') print('pcall: ' .. why)\n"
               "  xpcall(s.recv, function(e) print('xpcall: ' .. e) end, s, 'x') end }");
    unary(GREET_SERVER, "x");
    CHECK(logged("pcall: expected stream:recv([timeout])") && logged("xpcall: expected stream:recv([timeout])"));
}

static void an_xpcall_handler_is_called_for_a_cancel_too(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetStream = function(s)\n"
               "  local is_fine, what = xpcall(s.recv, function(e) print('handled: ' .. tostring(e)) return 'late' end, s)\n"
               "  print(tostring(is_fine) .. ' ' .. what) end }");
    cancel_call(open_call(GREET_STREAM));
    CHECK(logged("handled: cancelled") && logged("false late"));
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        fprintf(stderr, "jit = %s\n", jit ? "on" : "off");
        RUN_IN_WORLD(recv_gives_nil_at_half_close_and_timeout_in_time);
        RUN_IN_WORLD(recv_times_out_too_behind_many_messages_in_a_row);
        RUN_IN_WORLD(a_second_concurrent_recv_raises);
        RUN_IN_WORLD(coroutines_too_deep_inside_one_another_are_an_error);
        RUN_IN_WORLD(an_error_through_pcall_does_not_name_the_guards_line);
        RUN_IN_WORLD(an_xpcall_handler_is_called_for_a_cancel_too);
        RUN_IN_WORLD(send_waits_while_the_peer_does_not_read);
        RUN_IN_WORLD(senders_are_served_in_the_order_of_their_calls);
        RUN_IN_WORLD(a_reply_by_return_waits_for_room_too_and_holds_back_what_follows);
        RUN_IN_WORLD(a_list_stays_together_and_waits_its_turn_among_senders);
        RUN_IN_WORLD(a_projected_reply_waits_for_room_too);
        RUN_IN_WORLD(messages_that_come_together_are_answered_in_their_order_in_every_way);
        RUN_IN_WORLD(try_send_never_waits_and_send_can_time_out);
        RUN_IN_WORLD(on_writable_tells_when_there_is_room_again);
        RUN_IN_WORLD(a_cancel_raises_in_every_wait_of_the_stream_and_is_not_logged);
        RUN_IN_WORLD(a_cancel_gets_through_direct_calls_iterators_and_metamethods);
        RUN_IN_WORLD(one_that_catches_the_cancel_and_waits_again_never_runs_again);
        RUN_IN_WORLD(the_first_send_to_a_peer_that_has_gone_says_so_the_next_is_cancelled);
        RUN_IN_WORLD(strangers_that_wait_on_a_stream_are_told_when_it_ends);
        RUN_IN_WORLD(a_cancel_while_a_hook_waits_drops_what_it_would_return);
        RUN_IN_WORLD(a_wait_inside_a_generator_reaches_the_scheduler);
        RUN_IN_WORLD(a_wait_where_lua_cannot_suspend_raises);
        RUN_IN_WORLD(errors_keep_their_positions_through_pcall);
    }
    return 0;
}
