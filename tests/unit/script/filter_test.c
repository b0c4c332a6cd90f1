/* What goes through the hooks of a filter, each way: in order, changed or as it came; and how such a call ends. */
#include "world.h"

/* `second` may be NULL. */
static void filter(const char *first, const char *second) {
    static char upstream[] = "behind";
    struct error error;
    struct version *version = new_version();
    char *more = memory_format("%s/second.lua", world.folder), *name = memory_copy_string("second.lua");
    char *scripts[] = {more, NULL}, *names[] = {name, NULL};
    write_file("first.lua", first);
    if (second) write_file("second.lua", second);
    const char *services[] = {"greet.GreetService", "tutorial.NumberService", "chat.ChatService", "logger.Logger"};
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        add_service(version, services[i], "first.lua");
        version->services[i].upstream = upstream;
        if (second) version->services[i].more_scripts = scripts, version->services[i].more_script_names = names;
    }
    version->generation = generation_load(world.script, &version->config, version->schema, version->dicts, world.version_count,
                                          world_gone, version, &error);
    if (version->generation) generation_add_routes(version->generation, &version->router);
    put_in_force(version->generation ? version : NULL, &error);
    for (size_t i = 0; i < version->config.service_count; i++)
        version->services[i].more_scripts = version->services[i].more_script_names = NULL;
    free(more);
    free(name);
}

/* The call to the server, once it was opened. */
static struct test_call *server(void) {
    struct test_call *call = world.calls[world.call_count - 1];
    CHECK(call->is_upstream);
    return call;
}

static void server_ends(struct test_call *up, enum status status) {
    half_close(up);
    test_call_over(up, status, "said the server");
    settle();
}

/* Numbers that have come together. */
static void say_numbers(struct test_call *call, int first, int last) {
    for (int i = first; i <= last; i++) put_number(call, (uint64_t)i);
    tell_readable(call);
}

/* ---- what hooks do with messages ---- */

static void messages_go_both_ways_through_their_hooks(void) {
    filter("return { AccumulateNumbers = {\n"
           "  on_request = function(_, m) m.num = m.num + 1 end,\n"
           "  on_response = function(_, m) return { sum = m.sum * 10 } end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 5);
    CHECK_STR(sent(up), "2,3,4,5,6");
    say_numbers(up, 1, 3);
    CHECK_STR(sent(call), "10,20,30");
    half_close(call);
    CHECK(up->has_sent_end);
    server_ends(up, STATUS_OK);
    CHECK_STR(status_of(call), "OK");
    CHECK_INT(call->out_count, 3);
}

static void what_is_left_alone_goes_on_byte_by_byte(void) {
    filter("local tidewire = require 'tidewire'\n"
           "local function look(_, m) if m.name == 'wait' then tidewire.sleep(1) end end\n"
           "local one = tidewire.project({ fields = { 'name' } }, function(_, name) look(nil, { name = name }) end)\n"
           "return { GreetStream = { on_request = look }, GreetClientStream = { on_request = one } }",
           NULL);
    /* An unknown field, and a name that comes twice. */
    const uint8_t odd[] = "\xc8\x01\x07\x0a\x01x\x0a\x04wait", plain[] = "\xc8\x01\x07\x0a\x01x\x0a\x04none";
    const char *methods[] = {GREET_STREAM, GREET_CLIENT};
    for (int i = 0; i < 2; i++) {
        struct test_call *call = open_call(methods[i]), *up = server();
        put_bytes(call, plain, sizeof plain - 1);
        put_bytes(call, odd, sizeof odd - 1);
        put_bytes(call, plain, sizeof plain - 1);
        tell_readable(call);
        CHECK_INT(up->out_count, 1);
        advance(1.5);
        CHECK_INT(up->out_count, 3);
        CHECK_MEM(up->out[0]->data, up->out[0]->length, plain, sizeof plain - 1);
        CHECK_MEM(up->out[1]->data, up->out[1]->length, odd, sizeof odd - 1);
        CHECK_MEM(up->out[2]->data, up->out[2]->length, plain, sizeof plain - 1);
    }
}

static void hooks_drop_replace_and_multiply(void) {
    filter("local tidewire = require 'tidewire'\n"
           "return { AccumulateNumbers = { on_request = function(_, m)\n"
           "  if m.num == 1 then return false end\n"
           "  if m.num == 2 then return tidewire.DROP end\n"
           "  if m.num == 3 then return { { num = 31 }, m, false, { num = 32 } } end\n"
           "  if m.num == 4 then return { num = 40 } end\n"
           "  if m.num == 5 then return nil, 'ignored' end\n"
           "end, on_half_close = function() return { { num = 98 }, { num = 99 } } end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 6);
    CHECK_STR(sent(up), "31,3,32,40,5,6");
    half_close(call);
    CHECK_STR(sent(up), "31,3,32,40,5,6,98,99");
    CHECK(up->has_sent_end);
}

static void projections_read_and_patch_any_number_of_fields(void) {
    filter("local tidewire = require 'tidewire'\n"
           "local function project(fields, f) return tidewire.project({ fields = fields, patch = { 'num' } }, f) end\n"
           "return { AccumulateNumbers = {\n"
           "  on_request = project({ 'num', 'num' }, function(_, a, b)\n"
           "    if a == 2 then return tidewire.DROP end\n"
           "    if a ~= 3 then return a * 100 + b end end),\n"
           "  on_response = tidewire.project({ fields = {} }, function(stream, ...)\n"
           "    assert(select('#', ...) == 0) stream.ctx.seen = (stream.ctx.seen or 0) + 1 end),\n"
           "  on_close = function(stream) tidewire.log.info('seen ' .. stream.ctx.seen) end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 4);
    CHECK_STR(sent(up), "101,3,404");
    say_numbers(up, 7, 8);
    CHECK_STR(sent(call), "7,8");
    cancel_call(call);
    CHECK(logged("seen 2"));
}

/* Requests come to the first script first, responses to the last. */
static void scripts_in_a_row_each_have_their_own_stream(void) {
    filter("local tidewire = require 'tidewire'\n"
           "local hooks = { on_open = function(stream) stream.ctx.add = 1 end }\n"
           "function hooks.on_request(stream, m) m.num = m.num * 10 + stream.ctx.add end\n"
           "hooks.on_response = tidewire.project({ fields = { 'sum' }, patch = { 'sum' } },\n"
           "  function(stream, sum) return sum * 10 + stream.ctx.add end)\n"
           "return { AccumulateNumbers = hooks }",
           "local tidewire = require 'tidewire'\n"
           "local hooks = { on_open = function(stream) stream.ctx.add = 2 end }\n"
           "hooks.on_request = tidewire.project({ fields = { 'num' }, patch = { 'num' } }, function(stream, num)\n"
           "  if num == 31 then tidewire.sleep(1) end return num * 10 + stream.ctx.add end)\n"
           "function hooks.on_response(stream, m)\n"
           "  if m.sum == 4 then tidewire.sleep(1) end m.sum = m.sum * 10 + stream.ctx.add end\n"
           "return { AccumulateNumbers = hooks }");
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 4);
    say_numbers(up, 3, 5);
    CHECK_STR(sent(up), "112,212");
    CHECK_STR(sent(call), "321");
    advance(1.5);
    CHECK_STR(sent(up), "112,212,312,412");
    CHECK_STR(sent(call), "321,421,521");
}

/* ---- hooks that only look ---- */

static size_t heap_bytes(void) { return (size_t)script_heap_bytes(world.script); }

static void a_hook_that_only_looks_costs_no_object(void) {
    const char *looks = "return { AccumulateNumbers = { on_request = function(_, m) return m.num > 0 and nil end } }",
               *keeps = "return { AccumulateNumbers = { on_request = function(_, m) local x = m\n"
                        "  return x.num > 0 and nil end } }";
    size_t grown[2];
    for (int i = 0; i < 2; i++) {
        filter(i ? keeps : looks, NULL);
        struct test_call *call = open_call(NUMBERS), *up = server();
        say_numbers(call, 1, 1);
        size_t before = heap_bytes();
        say_numbers(call, 2, 100);
        grown[i] = heap_bytes() - before;
        CHECK_INT(up->out_count, 100);
    }
    CHECK(grown[0] <= 1024);
    CHECK(grown[1] >= 99 * 64);
}

/* It reads the same as an object, which the second script has. */
static void what_it_sees_is_what_an_object_shows(void) {
#define LOG_FIELDS_OF(m) \
    "  tidewire.log.info('level ' .. type(" m ".minimum_level) .. ' ' .. " m ".minimum_level ..\n" \
    "    ' of ' .. #" m ".component .. " m ".component .. '.') end } }"
    char large[300];
    filter("local tidewire = require 'tidewire'\n"
           "return { Monitor = { on_request = function(_, m)\n" LOG_FIELDS_OF("m"),
           "local tidewire = require 'tidewire'\n"
           "return { Monitor = { on_request = function(_, m) local x = m\n" LOG_FIELDS_OF("x"));
    struct test_call *call = open_call("logger.Logger/Monitor"), *up = server();
    put_bytes(call, "\x08\x03\x12\x03web", 7);
    put_bytes(call, "", 0);
    memset(large, 'x', sizeof large);
    memcpy(large, "\x12\xa9\x02", 3);
    put_bytes(call, large, sizeof large);
    put_bytes(call, "\x08\x09", 2);
    tell_readable(call);
    CHECK_INT(up->out_count, 4);
    CHECK_INT(times_logged("of 3web."), 2);
    CHECK_INT(times_logged("of 0."), 4);
    CHECK_INT(times_logged("of 297xxx"), 2);
    CHECK_INT(times_logged("number 3 of"), 2);
    CHECK_INT(times_logged("number 0 of"), 4);
    CHECK_INT(times_logged("number 9 of 0."), 2);
    put_bytes(call, "\x12\x01\xff", 3);
    tell_readable(call);
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(strstr(call->text, "cannot decode the message"));
}

static void one_that_waits_keeps_what_it_sees(void) {
    filter("local tidewire = require 'tidewire'\n"
           "return { AccumulateNumbers = { on_request = function(_, m)\n"
           "  if m.num == 1 then tidewire.sleep(1) end tidewire.log.info('seen ' .. m.num) return m end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 3);
    struct test_call *other = open_call(NUMBERS), *other_up = server();
    say_numbers(other, 7, 9);
    CHECK_STR(sent(other_up), "7,8,9");
    advance(1.5);
    CHECK_STR(sent(up), "1,2,3");
    for (int i = 1; i <= 3; i++) {
        char text[] = {'s', 'e', 'e', 'n', ' ', (char)('0' + i), 0};
        CHECK_INT(times_logged(text), 1);
    }
}

static void what_is_no_field_raises_as_ever(void) {
    filter("return { AccumulateNumbers = { on_request = function(_, m) return m.nmu end } }", NULL);
    struct test_call *call = open_call(NUMBERS);
    say_numbers(call, 1, 1);
    settle();
    CHECK(logged("first.lua:1: tutorial.NumberRequest has no field \"nmu\" (did you mean \"num\"?)"));
    CHECK_STR(status_of(call), "INTERNAL");
}

/* ---- when they run ---- */

static void a_hook_that_waits_holds_its_direction_alone(void) {
    filter("local tidewire = require 'tidewire'\n"
           "return { AccumulateNumbers = { on_response = function() end,\n"
           "  on_request = function(_, m) if m.num == 2 then tidewire.sleep(1) end end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 3);
    say_numbers(up, 7, 9);
    CHECK_STR(sent(up), "1");
    CHECK_STR(sent(call), "7,8,9");
    half_close(call);
    advance(0.5);
    CHECK(!up->has_sent_end);
    advance(1);
    CHECK_STR(sent(up), "1,2,3");
    CHECK(up->has_sent_end);
}

static void a_full_sink_stops_its_direction_until_there_is_room(void) {
    filter("return { AccumulateNumbers = { on_request = function(_, m)\n"
           "  if m.num == 2 then return { m, { num = 21 }, { num = 22 } } end end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    up->room = 2;
    say_numbers(call, 1, 5);
    CHECK_STR(sent(up), "1,2");
    CHECK_INT(call->in_taken, 2);
    peer_reads(up, 2);
    CHECK_STR(sent(up), "1,2,21,22");
    peer_reads(up, 1);
    CHECK_STR(sent(up), "1,2,21,22,3");
    CHECK_INT(call->in_taken, 3);
    peer_reads(up, 2);
    CHECK_STR(sent(up), "1,2,21,22,3,4,5");
}

static void much_that_has_come_lets_others_have_their_turn(void) {
    filter("return { AccumulateNumbers = { on_request = function() end } }", NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 5000);
    CHECK(up->out_count > 0 && up->out_count < 2500);
    settle();
    CHECK_INT(up->out_count, 5000);
    CHECK_STR(status_of(call), "open");
}

/* Each time it has the whole of it again. What is compiled can't be stopped. */
static void the_budget_is_one_message_of_one_script(void) {
    if (world.is_jit) return;
    world.handler_time = 200 * NS_PER_MS;
    const char *burning = "return { AccumulateNumbers = { on_request = function(_, m)\n"
                          "  local began = os.clock()\n"
                          "  while m.num == 9 or os.clock() - began < 0.06 do end end } }";
    filter(burning, burning);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 5);
    settle();
    CHECK_INT(up->out_count, 5);
    say_numbers(call, 9, 9);
    settle();
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("handler_time"));
    CHECK(up->is_reset);
}

/* ---- faults, and the end ---- */

static void a_fault_names_the_script_that_has_it(void) {
    const char *first = "local tidewire = require 'tidewire' return { AccumulateNumbers = { on_request = function(_, m)\n"
                        "  if m.num == 1 then error 'first is wrong' end\n"
                        "  if m.num == 2 then return { { num = 21 }, { wrong = 1 } } end\n"
                        "  if m.num == 5 then return tidewire.message.new 'greet.GreetRequest' end\n"
                        "  if m.num == 6 then return '\\8\\1' end end } }";
    const char *second = "\nreturn { AccumulateNumbers = { on_request = function(_, m)\n"
                         "  if m.num == 3 then error 'second is wrong' end\n"
                         "  if m.num == 4 then return { wrong = 1 } end end } }";
    const char *wanted[] = {"first.lua:2: first is wrong",
                            "cannot send what was returned by the handler at first.lua:1",
                            "second.lua:3: second is wrong",
                            "cannot send what was returned by the handler at second.lua:2",
                            "first.lua:1: tutorial.NumberRequest: expected tutorial.NumberRequest, got greet.GreetRequest",
                            "first.lua:1: tutorial.NumberRequest: expected tutorial.NumberRequest, got string"};
    filter(first, second);
    for (int i = 1; i <= 6; i++) {
        struct test_call *call = open_call(NUMBERS), *up = server();
        forget_log();
        put_number(call, 50);
        say_number(call, (uint64_t)i);
        CHECK(logged(wanted[i - 1]));
        CHECK(logged(" second.lua] ") == (i == 3 || i == 4));
        CHECK(!logged(": tidewire/pump.lua")); /* but in the traceback */
        CHECK_STR(status_of(call), "INTERNAL");
        CHECK_STR(call->text, "the handler failed");
        CHECK(up->is_reset);
        CHECK_STR(sent(up), i == 2 ? "50,21" : "50");
    }
}

static void what_is_no_message_ends_the_call(void) {
    filter("local tidewire = require 'tidewire'\n"
           "local one = tidewire.project({ fields = { 'num' } }, function() end)\n"
           "return { AccumulateNumbers = { on_request = one, on_response = function() end } }",
           NULL);
    struct test_call *call = open_call(NUMBERS), *up = server();
    put_bytes(call, "\xff", 1);
    tell_readable(call);
    settle();
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(strstr(call->text, "cannot decode the message"));
    CHECK(up->is_reset);
    call = open_call(NUMBERS), up = server();
    put_bytes(up, "\xff", 1);
    tell_readable(up);
    settle();
    CHECK_STR(call->text, "cannot decode a message of the upstream");
    CHECK(logged("the upstream has sent a message that is no tutorial."));
}

static void a_wait_in_the_second_script_is_cancelled_with_the_call(void) {
    filter("return { AccumulateNumbers = { on_request = function() end } }",
           "local tidewire = require 'tidewire'\n"
           "return { AccumulateNumbers = { on_request = function(stream, m)\n"
           "  local fine, why = pcall(tidewire.sleep, 3600)\n"
           "  tidewire.log.info('woken ' .. tostring(why == tidewire.cancelled)) end } }");
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(call, 1, 3);
    cancel_call(call);
    CHECK_INT(times_logged("woken true"), 1);
    CHECK(up->is_reset && up->is_closed);
    CHECK_INT(up->out_count, 0);
    call = open_call(NUMBERS), up = server();
    say_numbers(call, 1, 3);
    test_call_over(up, STATUS_ABORTED, "enough");
    settle();
    CHECK_STR(status_of(call), "ABORTED");
    CHECK_INT(times_logged("woken true"), 2);
}

static void waits_in_one_script_after_the_other_are_cancelled_where_they_are(void) {
    const char *script = "local tidewire = require 'tidewire'\n"
                         "return { AccumulateNumbers = { on_response = function(_, m) tidewire.sleep(1) end,\n"
                         "  on_close = function() tidewire.log.info 'closed' end } }";
    filter(script, script);
    struct test_call *call = open_call(NUMBERS), *up = server();
    say_numbers(up, 1, 1);
    advance(1.5); /* through the last script, and in the first */
    cancel_call(call);
    CHECK_INT(times_logged("closed"), 2);
    CHECK(!logged("handler failed"));
    CHECK_INT(call->out_count, 0);
}

static void one_request_that_is_dropped_never_reaches_the_server(void) {
    filter("return { Greet = { on_request = function(_, m) return m.name ~= 'no' and m or false end,\n"
           "  on_response = function(_, m) m.greeting = m.greeting .. '!' end } }",
           NULL);
    size_t calls = world.call_count;
    struct test_call *call = unary(GREET, "no");
    CHECK_STR(status_of(call), "FAILED_PRECONDITION");
    CHECK_INT(world.call_count, calls + 1);
    call = unary(GREET, "ann");
    struct test_call *up = server();
    CHECK_STR(sent(up), "ann");
    CHECK(up->has_sent_end);
    say_text(up, 1, "hi");
    server_ends(up, STATUS_OK);
    CHECK_STR(sent(call), "hi!");
    CHECK_STR(status_of(call), "OK");
}

#define RUN_IN_WORLD(test) \
    do { \
        open_world(); \
        RUN(test); \
        close_world(); \
    } while (0)

int main(void) {
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        RUN_IN_WORLD(messages_go_both_ways_through_their_hooks);
        RUN_IN_WORLD(what_is_left_alone_goes_on_byte_by_byte);
        RUN_IN_WORLD(hooks_drop_replace_and_multiply);
        RUN_IN_WORLD(projections_read_and_patch_any_number_of_fields);
        RUN_IN_WORLD(scripts_in_a_row_each_have_their_own_stream);
        RUN_IN_WORLD(a_hook_that_only_looks_costs_no_object);
        RUN_IN_WORLD(what_it_sees_is_what_an_object_shows);
        RUN_IN_WORLD(one_that_waits_keeps_what_it_sees);
        RUN_IN_WORLD(what_is_no_field_raises_as_ever);
        RUN_IN_WORLD(a_hook_that_waits_holds_its_direction_alone);
        RUN_IN_WORLD(a_full_sink_stops_its_direction_until_there_is_room);
        RUN_IN_WORLD(much_that_has_come_lets_others_have_their_turn);
        RUN_IN_WORLD(the_budget_is_one_message_of_one_script);
        RUN_IN_WORLD(a_fault_names_the_script_that_has_it);
        RUN_IN_WORLD(what_is_no_message_ends_the_call);
        RUN_IN_WORLD(a_wait_in_the_second_script_is_cancelled_with_the_call);
        RUN_IN_WORLD(waits_in_one_script_after_the_other_are_cancelled_where_they_are);
        RUN_IN_WORLD(one_request_that_is_dropped_never_reaches_the_server);
    }
    return 0;
}
