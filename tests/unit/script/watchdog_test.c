/* Handlers that do not return: stopped after their budget of CPU, alone. */
#include <pthread.h>

#include "world.h"

static void check_stopped(const char *body) {
    char *script = memory_format("local tidewire = require 'tidewire'\n"
                                 "return { Greet = function(stream, request)\n"
                                 "  %s\n"
                                 "end, Chat = { on_message = function(s, m) return m end } }", body);
    forget_log();
    run_script(script);
    struct test_call *other = open_call(CHAT), *call = unary(GREET, "x");
    if (strcmp(status_of(call), "INTERNAL") != 0) fprintf(stderr, "not stopped: %s\n", body);
    CHECK_STR(status_of(call), "INTERNAL");
    if (!logged("handler failed: main.lua:3:")) log_flush(), fprintf(stderr, "%s\n", body);
    CHECK(logged("handler failed: main.lua:3:"));
    CHECK(logged(": the handler has used up its CPU budget"));
    say_text(other, 1, "a");
    CHECK_STR(sent(other), "a");
    struct test_call *again = unary(GREET, "x"); /* the watchdog is itself again */
    CHECK_STR(status_of(again), "INTERNAL");
    free(script);
}

static void a_handler_that_never_returns_is_stopped(void) {
    check_stopped("while true do end");
    check_stopped("while true do pcall(function() while true do end end) end");
    check_stopped("local i = 0 while true do i = i + 1 local s = tostring(i) end");
    check_stopped("while true do pcall(error, 'x') end");
    check_stopped("while true do string.rep('x', 10):find('y') end");
    check_stopped("local function f() return f() end f()");
    check_stopped("coroutine.wrap(function() while true do end end)()");
    check_stopped("load('while true do end', '=main.lua:3')()");
    check_stopped("while true do local t = setmetatable({}, { __index = function() return 1 end }) local x = t.y end");
    check_stopped("while true do xpcall(function() while true do end end, function(e) return e end) end");
    check_stopped("xpcall(function() while true do end end, function() while true do end end)");
}

static void waiting_costs_nothing_of_the_budget(void) {
    run_script("local tidewire = require 'tidewire'\n"
               "return { GreetServerStream = function(s) for i = 1, 100 do tidewire.sleep(100)\n"
               "  local t = os.clock() while os.clock() - t < 0.01 do end end s:send {} end }");
    struct test_call *call = unary(GREET_SERVER, "x");
    advance(20000);
    CHECK_STR(status_of(call), "OK");
}

static void a_filter_or_a_timer_that_never_returns_is_stopped_too(void) {
    run_script("local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
               "tidewire.timer.at(1, function() while true do end end)\n"
               "return { Chat = { on_open = function(s) room:subscribe(s, { filter = function() while true do end end }) end,\n"
               "  on_close = function() while true do end end }, Greet = function() room:publish { sender = 'x' } return {} end }");
    advance(2);
    CHECK(logged("a timer or spawned function failed: main.lua:2: the handler has used up"));
    struct test_call *call = open_call(CHAT);
    unary(GREET, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(logged("on_close failed"));
}

static void an_error_value_that_never_becomes_a_text_is_stopped_too(void) {
    run_script("return { Greet = function() error(setmetatable({}, { __tostring = function() while true do end end })) end }");
    CHECK_STR(status_of(unary(GREET, "x")), "INTERNAL");
    CHECK(logged("handler failed: main.lua:1: an error that is a table"));
}

static volatile int seen;
static void *look(void *context) {
    (void)context;
    for (int i = 0; i < 20000 && !seen; i++) {
        if (logged("cannot be stopped where it is")) seen = 1;
        usleep(1000);
    }
    return NULL;
}

/* The loop is in C, in the matcher of patterns: it ends by itself after a while, and until then the log says why. */
static void what_cannot_be_stopped_is_logged_with_script_and_line(void) {
    run_script("return { Greet = function() ('a'):rep(26):find(('a?'):rep(26) .. ('a'):rep(26)) return {} end }");
    pthread_t thread;
    seen = 0;
    pthread_create(&thread, NULL, look, NULL);
    struct test_call *call = unary(GREET, "x");
    pthread_join(thread, NULL);
    CHECK(seen);
    CHECK(logged("the handler at main.lua:1 has used twice its CPU budget"));
    CHECK_STR(status_of(call), "INTERNAL"); /* as soon as the pattern has matched */
}

/* How soon a tick comes is the kernel's business: what counts is that the heap stays far below what was allocated. */
static void a_long_handler_has_the_collector_back(void) {
    world.handler_time = 20 * NS_PER_S;
    run_script("return { Greet = function() local t = os.clock() local most, made = 0, 0\n"
               "  while os.clock() - t < 1 do local s = {} for i = 1, 100 do s[i] = {} end\n"
               "    made = made + 100 most = math.max(most, collectgarbage('count')) end\n"
               "  return { greeting = tostring(most / (made * 40 / 1024)) } end }");
    struct test_call *call = unary(GREET, "x");
    double share = strtod(sent(call), NULL);
    fprintf(stderr, "  most heap: %.2f of what was allocated\n", share);
    CHECK(share > 0 && share < 0.5);
}

#define RUN_IN_WORLD(test) open_world(); world.handler_time = 200 * NS_PER_MS; RUN(test); close_world()

int main(void) {
    RUN_IN_WORLD(a_handler_that_never_returns_is_stopped);
    RUN_IN_WORLD(waiting_costs_nothing_of_the_budget);
    RUN_IN_WORLD(a_filter_or_a_timer_that_never_returns_is_stopped_too);
    RUN_IN_WORLD(an_error_value_that_never_becomes_a_text_is_stopped_too);
    RUN_IN_WORLD(what_cannot_be_stopped_is_logged_with_script_and_line);
    RUN_IN_WORLD(a_long_handler_has_the_collector_back);
    return 0;
}
