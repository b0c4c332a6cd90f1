/* Both handler forms: what is returned, how a call lives and ends. */
#include "world.h"

/* ---- functions ---- */

static void a_function_owns_its_stream(void) {
    run_script("local t = {}\n"
               "function t.AccumulateNumbers(stream)\n"
               "  local sum = 0\n"
               "  for request in stream:messages() do sum = sum + request.num stream:send { sum = sum } end\n"
               "end\n"
               "return t");
    struct test_call *call = open_call(NUMBERS);
    for (int i = 1; i <= 4; i++) say_number(call, (uint64_t)i);
    CHECK_STR(sent(call), "1,3,6,10");
    CHECK_STR(status_of(call), "open");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
    CHECK(call->is_closed);
}

static void what_a_unary_function_returns_is_the_reply(void) {
    run_script("return { Greet = function(stream, request) return { greeting = 'hi ' .. request.name } end }");
    struct test_call *call = unary(GREET, "ann");
    CHECK_STR(sent(call), "hi ann");
    CHECK_STR(status_of(call), "OK");
}

static void a_function_with_one_request_may_send_many(void) {
    run_script("return { GreetServerStream = function(stream, request)\n"
               "  for i = 1, 3 do assert(stream:send { greeting = request.name .. i } == true) end end }");
    struct test_call *call = unary(GREET_SERVER, "a");
    CHECK_STR(sent(call), "a1,a2,a3");
    CHECK_STR(status_of(call), "OK");
}

static void a_client_streaming_function_returns_its_reply_at_the_end(void) {
    run_script("return { GreetClientStream = function(stream) local all = {}\n"
               "  for m in stream:messages() do all[#all + 1] = m.name end\n"
               "  return { greeting = table.concat(all, ',') } end }");
    struct test_call *call = open_call(GREET_CLIENT);
    CHECK(call->has_headers);
    say_text(call, 1, "a");
    say_text(call, 1, "b");
    CHECK_STR(sent(call), "");
    half_close(call);
    CHECK_STR(sent(call), "a,b");
    CHECK_STR(status_of(call), "OK");
}

static void a_list_of_replies_is_sent_one_by_one(void) {
    run_script("return { GreetServerStream = function() return { { greeting = 'a' }, { greeting = 'b' } } end,\n"
               "         GreetStream = { on_message = function() return {} end } }");
    CHECK_STR(sent(unary(GREET_SERVER, "x")), "a,b");
    struct test_call *call = open_call(GREET_STREAM);
    say_text(call, 1, "x");
    CHECK_INT(call->out_count, 1); /* {} is an empty message */
    CHECK_INT(call->out[0]->length, 0);
}

static void false_and_drop_send_nothing(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetStream = { on_message = function(_, m) if m.name == 'no' then return false end\n"
               "  if m.name == 'drop' then return tidewire.DROP end return { greeting = m.name } end } }");
    struct test_call *call = open_call(GREET_STREAM);
    say_text(call, 1, "no");
    say_text(call, 1, "drop");
    say_text(call, 1, "yes");
    CHECK_STR(sent(call), "yes");
}

static void a_method_with_one_reply_that_ends_without_it_is_internal(void) {
    run_script("return { Greet = function() end, GreetClientStream = { on_message = function() end } }");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("the handler at main.lua:1"));
    call = open_call(GREET_CLIENT);
    half_close(call);
    CHECK_STR(status_of(call), "INTERNAL");
}

static void a_second_reply_of_a_method_with_one_raises(void) {
    run_script("return { Greet = function(stream) stream:send { greeting = 'one' }\n"
               "  local fine, fault = pcall(stream.send, stream, { greeting = 'two' })\n"
               "  assert(not fine and fault:find('one reply'), fault) end }");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(sent(call), "one");
    CHECK_STR(status_of(call), "OK");
}

static void a_returned_message_goes_out_as_it_came(void) {
    run_script("return { Chat = { on_message = function(_, m) return m end } }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 2, "hello");
    CHECK_MEM(call->out[0]->data, call->out[0]->length, call->in[0]->data, call->in[0]->length);
}

/* ---- hooks ---- */

static void a_table_of_hooks_answers_each_message(void) {
    run_script("return { AccumulateNumbers = { on_message = function(stream, m)\n"
               "  local sum = (stream.ctx.sum or 0) + m.num stream.ctx.sum = sum return { sum = sum } end } }");
    struct test_call *call = open_call(NUMBERS);
    CHECK(call->has_headers);
    for (int i = 1; i <= 4; i++) say_number(call, (uint64_t)i);
    CHECK_STR(sent(call), "1,3,6,10");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
}

static void hooks_of_a_unary_method_reply_by_return(void) {
    run_script("return { Greet = { on_message = function(_, m) return { greeting = m.name } end } }");
    struct test_call *call = unary(GREET, "ann");
    CHECK_STR(sent(call), "ann");
    CHECK_STR(status_of(call), "OK");
}

static void what_on_open_and_on_half_close_return_is_sent(void) {
    run_script("return { GreetStream = { on_open = function() return { greeting = 'in' } end,\n"
               "  on_half_close = function() return { greeting = 'out' } end } }");
    struct test_call *call = open_call(GREET_STREAM);
    CHECK_STR(sent(call), "in");
    half_close(call);
    CHECK_STR(sent(call), "in,out");
    CHECK_STR(status_of(call), "OK");
}

static void the_star_answers_every_method_that_is_not_named(void) {
    run_script("return { Greet = function() return { greeting = 'named' } end,\n"
               "  ['*'] = function(stream) return { greeting = stream.method } end }");
    CHECK_STR(sent(unary(GREET, "x")), "named");
    struct test_call *call = open_call(GREET_CLIENT);
    CHECK_STR(sent(call), "GreetClientStream");
}

static void a_projection_replies_without_an_object(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { AccumulateNumbers = { on_message = tidewire.project({ fields = { 'num' }, reply = { 'sum' } },\n"
               "  function(stream, num) local ctx = stream.ctx ctx.sum = (ctx.sum or 0) + num\n"
               "    if num == 5 then tidewire.sleep(1) end if num == 6 then return nil end return ctx.sum end) } }");
    struct test_call *call = open_call(NUMBERS);
    say_number(call, 1);
    say_number(call, 2);
    CHECK_STR(sent(call), "1,3");
    say_number(call, 5);
    CHECK_STR(sent(call), "1,3");
    advance(1);
    CHECK_STR(sent(call), "1,3,8");
    say_number(call, 6);
    say_number(call, 7);
    CHECK_STR(sent(call), "1,3,8,21");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
}

/* ---- order ---- */

static void a_projection_whose_result_does_not_fit_fails_its_stream(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { AccumulateNumbers = { on_message = tidewire.project({ fields = { 'num' }, reply = { 'sum' } },\n"
               "  function(_, num) if num == 1 then return 'x' end if num == 2 then tidewire.sleep(1) return {} end return num end) } }");
    struct test_call *now = open_call(NUMBERS), *later = open_call(NUMBERS), *fine = open_call(NUMBERS);
    say_number(now, 1);
    CHECK_STR(status_of(now), "INTERNAL");
    CHECK(logged("cannot send what was returned by the handler at main.lua:3: "));
    say_number(later, 2);
    advance(1);
    CHECK_STR(status_of(later), "INTERNAL");
    say_number(fine, 3);
    CHECK_STR(sent(fine), "3");
    put_bytes(fine, "\xff", 1);
    tell_readable(fine);
    settle();
    CHECK_STR(status_of(fine), "INTERNAL");
}

static void messages_wait_behind_a_hook_that_waits(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetStream = { on_message = function(_, m) tidewire.sleep(1) return { greeting = m.name } end } }");
    struct test_call *call = open_call(GREET_STREAM);
    say_text(call, 1, "a");
    say_text(call, 1, "b");
    CHECK_INT(call->in_taken, 1); /* flow control closes behind the hook */
    advance(1);
    CHECK_STR(sent(call), "a");
    CHECK_INT(call->in_taken, 2);
    half_close(call);
    CHECK_STR(status_of(call), "open");
    advance(1);
    CHECK_STR(sent(call), "a,b");
    CHECK_STR(status_of(call), "OK");
}

static void a_stream_with_much_to_say_lets_others_have_their_turn(void) {
    run_script("return { GreetStream = { on_message = function(_, m) return { greeting = m.name } end },\n"
               "  AccumulateNumbers = function(s) for m in s:messages() do s:send { sum = m.num } end end }");
    struct test_call *hooks = open_call(GREET_STREAM), *function = open_call(NUMBERS);
    for (int i = 0; i < 5000; i++) {
        put_text(hooks, 1, "x");
        put_number(function, 1);
    }
    tell_readable(hooks);
    tell_readable(function);
    CHECK(hooks->out_count < 2500 && hooks->out_count > 50);
    CHECK(function->out_count < 2500 && function->out_count > 50);
    settle();
    CHECK_INT(hooks->out_count, 5000);
    CHECK_INT(function->out_count, 5000);
}

/* ---- headers ---- */

static void headers_leave_when_on_open_has_returned(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Chat = { on_open = function(s) tidewire.sleep(1) s:set_header('a', '1') end },\n"
               "  GreetStream = function(s) s:set_header('b', '2') tidewire.sleep(1) end,\n"
               "  Greet = function(s) tidewire.sleep(1) s:set_header('c', '3') return {} end }");
    struct test_call *hooks = open_call(CHAT), *function = open_call(GREET_STREAM), *one = unary(GREET, "x");
    CHECK(!hooks->has_headers);
    CHECK(function->has_headers);
    CHECK(!one->has_headers);
    advance(1);
    CHECK(hooks->has_headers);
    CHECK_INT(hooks->headers.count, 1);
    CHECK_STR(status_of(one), "OK");
    CHECK_STR(one->headers.entries[0].value, "3");
}

static void a_failure_before_the_first_wait_is_trailers_only(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetStream = function(s) tidewire.fail('NOT_FOUND', 'no room') end,\n"
               "  Chat = { on_open = function(s) tidewire.fail('UNAUTHENTICATED', 'who?') end } }");
    struct test_call *call = open_call(GREET_STREAM);
    CHECK(!call->has_headers);
    CHECK_STR(status_of(call), "NOT_FOUND");
    CHECK_STR(call->text, "no room");
    call = open_call(CHAT);
    CHECK(!call->has_headers);
    CHECK_STR(status_of(call), "UNAUTHENTICATED");
}

static void headers_that_have_left_cannot_be_written(void) {
    run_script("return { GreetStream = function(s) s:send_headers()\n"
               "  local fine, fault = pcall(s.set_header, s, 'a', '1') assert(not fine and fault:find('have left'), fault)\n"
               "  s:set_trailer('t', '1') s:add_trailer('t', '2')\n"
               "  local fine2, fault2 = pcall(s.set_trailer, s, 'grpc-status', '1') assert(not fine2) end }");
    struct test_call *call = open_call(GREET_STREAM);
    CHECK_STR(status_of(call), "OK");
    CHECK_INT(call->trailers.count, 2);
}

/* ---- how a hook stream ends by itself ---- */

static void an_on_writable_that_waits_keeps_a_half_closed_stream(void) {
    run_script("local tidewire = require 'tidewire' return { Chat = {\n"
               "  on_message = function(s) s:try_send { sender = 'a' } s:try_send { sender = 'b' } end,\n"
               "  on_writable = function(s) tidewire.sleep(5) s:try_send { sender = 'late' } end } }");
    struct test_call *call = new_call(CHAT);
    call->room = 1;
    begin(call);
    say_text(call, 1, "x");
    peer_reads(call, 1);
    half_close(call);
    advance(4);
    CHECK_STR(status_of(call), "open");
    advance(2);
    CHECK_STR(sent(call), "a,late");
    CHECK_STR(status_of(call), "OK");
}

static void a_timer_a_spawn_a_wait_or_hold_keeps_a_half_closed_stream(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Chat = { on_message = function(s, m)\n"
               "  if m.sender == 'timer' then s:after(5, function(s) s:send { sender = 'late' } end) end\n"
               "  if m.sender == 'spawn' then s:spawn(function(s, word) tidewire.sleep(5) s:send { sender = word } end, 'w') end\n"
               "  if m.sender == 'every' then local n, h = 0 h = s:every(1, function() n = n + 1 if n == 5 then h:cancel() end end) end\n"
               "  if m.sender == 'hold' then s:hold() s:spawn(function() tidewire.sleep(5) s:close() end) end end } }");
    const char *const words[] = {"timer", "spawn", "every", "hold", "nothing"};
    for (int i = 0; i < 5; i++) {
        struct test_call *call = open_call(CHAT);
        say_text(call, 1, words[i]);
        half_close(call);
        advance(4.5);
        CHECK_STR(status_of(call), i == 4 ? "OK" : "open");
        advance(1);
        CHECK_STR(status_of(call), "OK");
        CHECK_STR(sent(call), i == 0 ? "late" : i == 1 ? "w" : "");
    }
    CHECK(logged("closed by itself"));
}

static void a_stream_in_a_table_does_not_stay_open(void) {
    run_script("local all = {} return { Chat = { on_open = function(s) all[s] = true end } }");
    struct test_call *call = open_call(CHAT);
    half_close(call);
    CHECK_STR(status_of(call), "OK");
}

/* ---- statuses ---- */

static void an_error_is_internal_and_its_text_goes_to_the_log_alone(void) {
    run_script("local function deep() error('secret') end\n"
               "return { Greet = function() deep() end, Chat = { on_message = function() deep() end } }");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(strstr(call->text, "secret") == NULL);
    CHECK(logged("[1 main.lua] handler failed: main.lua:1: secret"));
    CHECK(logged("main.lua:2: in function"));
    call = open_call(CHAT);
    struct test_call *other = open_call(CHAT);
    say_text(call, 1, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK_STR(status_of(other), "open");
}

static void close_chooses_the_status_and_flushes_what_was_sent(void) {
    run_script("return { Chat = { on_message = function(s, m) s:send(m)\n"
               "  s:close('FAILED_PRECONDITION', 'no more') s:close('OK')\n"
               "  local sent, word = s:send(m) assert(sent == nil and word == 'closed')\n"
               "  assert(s:try_send(m) == nil) end } }");
    struct test_call *call = open_call(CHAT);
    put_text(call, 1, "a");
    put_text(call, 1, "b");
    tell_readable(call);
    settle();
    CHECK_STR(sent(call), "a");
    CHECK_STR(status_of(call), "FAILED_PRECONDITION");
    CHECK_STR(call->text, "no more");
}

static void fail_takes_details_as_message_objects(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Greet = function() tidewire.fail('ABORTED', 'text',\n"
               "  { tidewire.message.new('tutorial.NumberRequest', { num = 7 }) }) end }");
    struct test_call *call = unary(GREET, "x");
    static const char expected[] = "\x08\x0a\x12\x04text\x1a\x34\x0a\x2etype.googleapis.com/tutorial.NumberRequest\x12\x02\x08\x07";
    CHECK_STR(status_of(call), "ABORTED");
    CHECK(call->details_length > 20);
    size_t url = strlen("type.googleapis.com/tutorial.NumberRequest");
    CHECK_INT(call->details_length, 2 + 6 + 2 + 2 + url + 4);
    CHECK(memcmp(call->details, expected, 8) == 0);
    CHECK(memcmp(call->details + 12, "type.googleapis.com/tutorial.NumberRequest\x12\x02\x08\x07", url + 4) == 0);
}

static void a_misspelt_status_raises_with_the_nearest(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Greet = function() assert(tidewire.status.NOT_FOUND == 'NOT_FOUND')\n"
               "  local fine, fault = pcall(function() return tidewire.status.NOT_FUOND end)\n"
               "  assert(not fine and fault:find('NOT_FOUND'), fault)\n"
               "  fine, fault = pcall(tidewire.fail, 'CANCELED') assert(not fine and fault:find('CANCELLED'), fault)\n"
               "  return {} end }");
    CHECK_STR(status_of(unary(GREET, "x")), "OK");
}

static void a_reset_drops_and_names_an_http_error(void) {
    run_script("return { Chat = { on_message = function(s, m) s:reset('UNAVAILABLE') end } }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 1, "x");
    CHECK(call->is_reset);
    CHECK_INT(call->reset_error, 7);
}

static void a_broken_message_ends_its_own_stream(void) {
    run_script("return { Chat = { on_message = function(s, m) return m end },\n"
               "  Greet = function(s, r) return {} end,\n"
               "  GreetStream = function(s) for m in s:messages() do s:send { greeting = m.name } end end }");
    struct test_call *call = open_call(CHAT), *function = open_call(GREET_STREAM);
    put_bytes(call, "\x0a\x05x", 3);
    tell_readable(call);
    settle();
    CHECK_STR(status_of(call), "INTERNAL");
    put_bytes(function, "\x0a\x02\xff\xff", 4);
    tell_readable(function);
    settle();
    CHECK_STR(status_of(function), "INTERNAL");
    CHECK(!logged("handler failed"));
    call = new_call(GREET);
    put_bytes(call, "\xff", 1);
    call->is_half_closed = true;
    begin(call);
    CHECK_STR(status_of(call), "INTERNAL");
}

static void a_reply_that_does_not_encode_fails_its_stream(void) {
    run_script("return { Greet = function() return { greetign = 'x' } end,\n"
               "  GreetStream = { on_message = function() return { { greeting = 'a' }, { greetnig = 'x' } } end },\n"
               "  AccumulateNumbers = { on_message = function() return { sun = 1 } end },\n"
               "  Chat = { on_message = function(s, m) local fine, fault = pcall(s.send, s, { sender = {} })\n"
               "    assert(not fine) s:send { sender = 'fine' } end } }");
    struct test_call *call = open_call(NUMBERS);
    say_number(call, 1);
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("cannot send what was returned by the handler at main.lua:3: tutorial."));
    call = unary(GREET, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("greetign"));
    call = open_call(GREET_STREAM);
    struct test_call *other = open_call(GREET_STREAM);
    say_text(call, 1, "x");
    CHECK_STR(sent(call), "a");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("cannot send what was returned by the handler at main.lua:") && logged("greetnig"));
    CHECK_STR(status_of(other), "open");
    call = open_call(CHAT);
    say_text(call, 1, "x");
    CHECK_STR(sent(call), "fine");
}

/* ---- on_close, on_drain, run ---- */

static void on_close_runs_last_with_the_status(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Chat = { on_message = function(s) s:on_close(function(s, code) print('second', code) end)\n"
               "    pcall(tidewire.sleep, 9) print('first') end,\n"
               "  on_close = function(s, code, text) print('hook', code, text, s.method)\n"
               "    local fine, fault = pcall(tidewire.sleep, 1) print(fault) assert(s:send {} == nil) end } }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 1, "x");
    cancel_call(call);
    CHECK(logged("first\n[1 main.lua] hook\tCANCELLED\tcancelled\tChat\n"));
    CHECK(logged("may not wait"));
    CHECK(logged("second\tCANCELLED\n"));
}

static void run_is_woken_by_a_close_from_elsewhere(void) {
    run_script("local tidewire = require 'tidewire' local last\n"
               "return { Chat = { run = function(s) last = s print(pcall(s.recv, s)) tidewire.sleep(1) print('never') end,\n"
               "    on_close = function(_, code) print('closed', code) end },\n"
               "  Greet = function() last:close('ABORTED', 'kicked') return {} end }");
    struct test_call *call = open_call(CHAT);
    unary(GREET, "x");
    CHECK_STR(status_of(call), "ABORTED");
    CHECK(logged("false\tcancelled\n"));
    CHECK(logged("closed\tABORTED\n"));
    CHECK(!logged("never"));
}

static void on_drain_runs_beside_a_hook_that_waits(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { Chat = { on_message = function() tidewire.sleep(9) end,\n"
               "  on_drain = function(s) s:send { sender = tostring(s.draining) } s:close() end } }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 1, "x");
    call->is_draining = true;
    call->call.handler->on_drain(&call->call);
    settle();
    CHECK_STR(sent(call), "true");
    CHECK_STR(status_of(call), "OK");
}

/* ---- what a stream knows ---- */

static void a_stream_tells_about_its_call(void) {
    run_script("return { Greet = function(s) assert(s.service == 'greet.GreetService') assert(s.method == 'Greet')\n"
               "  assert(s.peer == '127.0.0.1:4711' and s.protocol == 'grpc' and s.tls == nil and s.draining == false)\n"
               "  assert(s.id == 1) assert(s:metadata 'a' == '1' and s:metadata 'b' == nil)\n"
               "  assert(#s:metadata_all 'a' == 2 and s:metadata().a[2] == '2') assert(math.abs(s:remaining() - 3) < 0.01)\n"
               "  assert(tostring(s) == 'stream 1 (greet.GreetService/Greet)')\n"
               "  local fine, fault = pcall(function() return s.metod end) assert(fault:find('method'), fault)\n"
               "  fine, fault = pcall(function() s.x = 1 end) assert(fault:find('stream.ctx'), fault)\n"
               "  assert(not pcall(function() return s.upstream end))\n"
               "  s.ctx.a = 1 s.ctx = { b = s.ctx.a } assert(s.ctx.b == 1) return {} end }");
    struct test_call *call = new_call(GREET);
    metadata_add(&call->metadata, "a", 1, "1", 1);
    metadata_add(&call->metadata, "a", 1, "2", 1);
    call->call.deadline = world_loop.now + 3 * NS_PER_S;
    put_text(call, 1, "x");
    call->is_half_closed = true;
    begin(call);
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void a_stream_that_has_closed_says_so(void) {
    run_script("local old return { Chat = { on_open = function(s) old = s old.ctx.x = 1 end },\n"
               "  Greet = function() assert(old.ctx.x == 1 and old.id == 1) local a, b = old:send {} assert(a == nil and b == 'closed')\n"
               "    a, b = old:recv() assert(a == nil and b == 'closed') old:close() old:reset() assert(old:wait() == true)\n"
               "    local fine, fault = pcall(function() return old.peer end) assert(fault:find('has closed'), fault)\n"
               "    fine, fault = pcall(old.after, old, 1, print) assert(fault:find('is over'), fault)\n"
               "    assert(not pcall(old.metadata, old)) assert(old:pending() == 0)\n"
               "    assert(tostring(old):find('closed')) return {} end }");
    struct test_call *call = open_call(CHAT);
    cancel_call(call);
    call = unary(GREET, "x");
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void misuse_names_the_signature(void) {
    run_script("return { Greet = function(s)\n"
               "  local function raises(text, f, ...) local fine, fault = pcall(f, ...)\n"
               "    assert(not fine and fault:find(text, 1, true), tostring(fault)) end\n"
               "  raises('stream:send(message[, timeout])', s.send, s) raises('stream:send', s.send, {}, {})\n"
               "  raises('stream:recv([timeout])', s.recv, s, 'x') raises('stream:after(seconds, f)', s.after, s, 1)\n"
               "  raises('stream:spawn(f, ...)', s.spawn, s) raises('stream:metadata([name])', s.metadata, s, 1)\n"
               "  raises('stream:on_close(f)', s.on_close, s, 1) raises('stream:set_header', s.set_header, s, 'a')\n"
               "  raises('0.001', s.every, s, 0, print) raises('that a script has opened', s.half_close, s)\n"
               "  local tidewire = require 'tidewire'\n"
               "  raises('tidewire.sleep(seconds)', tidewire.sleep, 'x') raises('tidewire.sleep', tidewire.sleep, -1)\n"
               "  raises('pkg.Service/Method', tidewire.open, 'x') raises('shared_dict NAME', function() return tidewire.shared.x end)\n"
               "  raises('not served', function() tidewire.metrics.x = 1 end)\n"
               "  return {} end }");
    struct test_call *call = unary(GREET, "x");
    if (call->status) log_flush();
    CHECK_STR(status_of(call), "OK");
}

static void scripts_can_set_health(void) {
    run_script("local tidewire = require('tidewire')\n"
               "assert(not pcall(tidewire.set_health, '', false))\n" /* a refused script has done nothing */
               "tidewire.spawn(function() tidewire.set_health('', false) end) return {}");
    settle();
    CHECK_INT(world.health, -1);
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        fprintf(stderr, "jit = %s\n", jit ? "on" : "off");
        RUN_IN_WORLD(a_function_owns_its_stream);
        RUN_IN_WORLD(what_a_unary_function_returns_is_the_reply);
        RUN_IN_WORLD(a_function_with_one_request_may_send_many);
        RUN_IN_WORLD(a_client_streaming_function_returns_its_reply_at_the_end);
        RUN_IN_WORLD(a_list_of_replies_is_sent_one_by_one);
        RUN_IN_WORLD(false_and_drop_send_nothing);
        RUN_IN_WORLD(a_method_with_one_reply_that_ends_without_it_is_internal);
        RUN_IN_WORLD(a_second_reply_of_a_method_with_one_raises);
        RUN_IN_WORLD(a_returned_message_goes_out_as_it_came);
        RUN_IN_WORLD(a_table_of_hooks_answers_each_message);
        RUN_IN_WORLD(hooks_of_a_unary_method_reply_by_return);
        RUN_IN_WORLD(what_on_open_and_on_half_close_return_is_sent);
        RUN_IN_WORLD(the_star_answers_every_method_that_is_not_named);
        RUN_IN_WORLD(a_projection_replies_without_an_object);
        RUN_IN_WORLD(a_projection_whose_result_does_not_fit_fails_its_stream);
        RUN_IN_WORLD(messages_wait_behind_a_hook_that_waits);
        RUN_IN_WORLD(a_stream_with_much_to_say_lets_others_have_their_turn);
        RUN_IN_WORLD(headers_leave_when_on_open_has_returned);
        RUN_IN_WORLD(a_failure_before_the_first_wait_is_trailers_only);
        RUN_IN_WORLD(headers_that_have_left_cannot_be_written);
        RUN_IN_WORLD(an_on_writable_that_waits_keeps_a_half_closed_stream);
        RUN_IN_WORLD(a_timer_a_spawn_a_wait_or_hold_keeps_a_half_closed_stream);
        RUN_IN_WORLD(a_stream_in_a_table_does_not_stay_open);
        RUN_IN_WORLD(an_error_is_internal_and_its_text_goes_to_the_log_alone);
        RUN_IN_WORLD(close_chooses_the_status_and_flushes_what_was_sent);
        RUN_IN_WORLD(fail_takes_details_as_message_objects);
        RUN_IN_WORLD(a_misspelt_status_raises_with_the_nearest);
        RUN_IN_WORLD(a_reset_drops_and_names_an_http_error);
        RUN_IN_WORLD(a_broken_message_ends_its_own_stream);
        RUN_IN_WORLD(a_reply_that_does_not_encode_fails_its_stream);
        RUN_IN_WORLD(on_close_runs_last_with_the_status);
        RUN_IN_WORLD(run_is_woken_by_a_close_from_elsewhere);
        RUN_IN_WORLD(on_drain_runs_beside_a_hook_that_waits);
        RUN_IN_WORLD(a_stream_tells_about_its_call);
        RUN_IN_WORLD(a_stream_that_has_closed_says_so);
        RUN_IN_WORLD(misuse_names_the_signature);
        RUN_IN_WORLD(scripts_can_set_health);
    }
    return 0;
}
