/* Scripts of careless and of hostile authors: what is wrong is said where it is wrong, and stays with its author. */
#include "script/state.h"
#include "world.h"

/* A function for scripts: raises(text, f, …) wants f(…) to raise an error that has the text. */
#define DEFINE_RAISES                                                                                                  \
    "local function raises(text, f, ...) local fine, fault = pcall(f, ...)\n"                                   \
    "  assert(not fine, 'did not raise: ' .. text)\n"                                                           \
    "  assert(tostring(fault):find(text, 1, true), tostring(fault) .. ' has no ' .. text) end\n"                \
    "local tidewire = require 'tidewire'\n"

/* What is not about time has plenty of it: a sanitizer is slow on the way to the other bounds. */
#define PATIENCE (60 * NS_PER_S)

static void run_in_handler(const char *body) {
    char *script = memory_format(DEFINE_RAISES "return { GreetStream = function(stream)\n%s\nend }", body);
    run_script(script);
    free(script);
    struct test_call *call = open_call(GREET_STREAM);
    half_close(call);
    settle();
    if (strcmp(status_of(call), "OK")) log_flush();
    CHECK_STR(status_of(call), "OK");
}

/* ---- what one script can do to another ---- */

static void what_is_written_into_the_api_stays_in_its_file(void) {
    static const char vandal[] =
        "local t = require 'tidewire' local state = t.enum 'logger.Level'\n"
        "rawset(t.status, 'NOT_FOUND', 'x') rawset(t.log, 'info', error) rawset(t.timer, 'every', error) rawset(t, 'sleep', error)\n"
        "rawset(t.worker, 'id', 77) rawset(t.message, 'new', error) rawset(t.json, 'encode', error) rawset(t.shared, 'x', 1)\n"
        "rawset(state, 'LEVEL_INFO', 99) table.insert(state, 98) t.sleep = error\n"
        "string.rep = error table.insert = error math.floor = error coroutine.wrap = error os.time = error debug.traceback = error\n"
        "return {}";
    static const char victim[] =
        "local t = require 'tidewire'\n"
        "assert(t.status.NOT_FOUND == 'NOT_FOUND' and t.log.info ~= error and t.timer.every ~= error and t.sleep ~= error)\n"
        "assert(t.worker.id == 0 and t.message.new ~= error and t.json.encode ~= error and not rawget(t.shared, 'x'))\n"
        "local state = t.enum 'logger.Level' assert(state.LEVEL_INFO ~= 99) assert(not pcall(function() return state[7] end))\n"
        "assert(string.rep ~= error and table.insert ~= error and math.floor ~= error and coroutine.wrap ~= error)\n"
        "assert(os.time ~= error and debug.traceback ~= error and ('x').rep ~= error) return {}";
    struct error error;
    run_script(vandal);
    for (int is_module = 0; is_module < 2; is_module++) {
        struct version *version = new_version();
        write_file("lib/vandal.lua", vandal);
        write_file("a.lua", is_module ? "require 'lib.vandal' local t = require 'tidewire' assert(t.worker.id == 0) return {}" : vandal);
        write_file("b.lua", victim);
        add_service(version, "greet.GreetService", "a.lua");
        add_service(version, "chat.ChatService", "b.lua");
        version->generation =
            generation_load(world.script, &version->config, version->schema, version->dicts, 1, world_gone, version, &error);
        if (!version->generation) fprintf(stderr, "%s\n", error.text);
        CHECK(version->generation);
        generation_retire(version->generation);
        settle();
    }
}

/* A place that all generations reach, as no script can make it. */
static void leak(lua_State *L) {
    lua_getglobal(L, "string");
    lua_newtable(L);
    lua_setfield(L, -2, "leaked");
    lua_pop(L, 1);
}

static void what_outlives_its_generation_is_harmless(void) {
    leak(world.script->L);
    run_script("local t = require 'tidewire' local kept = ('').leaked\n"
               "kept.typed, kept.untyped = t.topic('a', { type = 'chat.ChatMessage' }), t.topic 'b'\n"
               "kept.require, kept.enum, kept.new, kept.topic = require, t.enum, t.message.new, t.topic\n"
               "kept.message, kept.timer = t.message.new('chat.ChatMessage', { sender = 'old' }), t.timer.every(1, function() end)\n"
               "kept.heard = kept.typed:subscribe(function() end) return { Chat = function(s) kept.stream = s end }");
    open_call(CHAT);
    half_close(world.calls[0]);
    run_script("return {}");
    advance(1);
    CHECK(world.versions[0]->is_gone);
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    run_script(DEFINE_RAISES "local kept = ('').leaked raises('no longer in force', kept.require, 'tidewire')\n"
               "raises('chat.ChatMessage', kept.typed.subscribe, kept.typed, print, { filter = { sendr = 'x' } })\n"
               "kept.typed:subscribe(function(m) print('heard', m.sender) end)\n"
               "assert(kept.enum 'logger.Level' and kept.new 'chat.ChatMessage' and kept.topic('c', { type = 'chat.ChatMessage' }))\n"
               "kept.timer:cancel() kept.heard:cancel() assert(kept.message.sender == 'old')\n"
               "return { Greet = function() kept.typed:publish { sender = 'new' } kept.typed:publish(kept.message)\n"
               "  assert(kept.stream:send {} == nil and kept.untyped:count() == 0) return {} end }");
    CHECK_STR(status_of(unary(GREET, "x")), "OK");
    CHECK(logged("heard\tnew") && logged("heard\told"));
}

/* ---- names, options, arguments ---- */

static void a_wrong_name_raises_and_names_the_nearest(void) {
    run_in_handler(
        "raises('tidewire has no \"DRP\" (did you mean \"DROP\"?)', function() return tidewire.DRP end)\n"
        "raises('tidewire has no \"slep\" (did you mean \"sleep\"?)', function() tidewire.slep(1) end)\n"
        "raises('tidewire has no \"mine\"', function() tidewire.mine = 1 end)\n"
        "raises('tidewire.message has no \"nwe\" (did you mean \"new\"?)', function() return tidewire.message.nwe end)\n"
        "raises('tidewire.log has no \"wran\" (did you mean \"warn\"?)', function() return tidewire.log.wran end)\n"
        "raises('tidewire.timer has no \"evry\"', function() return tidewire.timer.evry end)\n"
        "raises('tidewire.worker has no \"ident\"', function() return tidewire.worker.ident end)\n"
        "raises('tidewire.json has no \"nul\" (did you mean \"null\"?)', function() return tidewire.json.nul end)\n"
        "local topic = tidewire.topic('t', { type = 'chat.ChatMessage' })\n"
        "raises('a topic has no \"pubish\" (did you mean \"publish\"?)', function() topic:pubish {} end)\n"
        "raises('a subscription has no \"cancle\" (did you mean \"cancel\"?)', function() topic:subscribe(print):cancle() end)\n"
        "raises('a timer has no \"stop\"', function() tidewire.timer.at(1, print):stop() end)\n"
        "raises('a stream has no \"sned\" (did you mean \"send\"?)', function() stream:sned {} end)\n"
        "raises('a stream has no \"nope\"', function() return stream.nope end) assert(stream.tls == nil)\n"
        "raises('(did you mean \"logger.Level\"?)', tidewire.enum, 'logger.Levl')\n"
        "raises('(did you mean \"logger.Level\"?)', tidewire.enum, 'Level')\n"
        "raises('(did you mean \"chat.ChatMessage\"?)', tidewire.topic, 'x', { type = 'chat.ChatMesage' })\n"
        "raises('expected tidewire.enum(name)', tidewire.enum) raises('expected tidewire.enum(name)', tidewire.enum, 5)\n"
        "raises('main.lua:', function() return tidewire.DRP end)");
}

static void an_unknown_option_raises_and_names_the_nearest(void) {
    run_in_handler(
        "local topic = tidewire.topic('t', { type = 'chat.ChatMessage' })\n"
        "raises('did you mean \"worker\"?', tidewire.timer.at, 1, print, { wroker = 0 })\n"
        "raises('expected tidewire.timer.every', tidewire.timer.every, 1, print, { nothing_like_it = 0 })\n"
        "raises('expected tidewire.timer.every', tidewire.timer.every, 1, print, 5)\n"
        "raises('did you mean \"serve\"?', tidewire.spawn, print, { server = true })\n"
        "raises('expected tidewire.spawn', tidewire.spawn, print, 'x')\n"
        "raises('did you mean \"type\"?', tidewire.topic, 'x', { typ = 'chat.ChatMessage' })\n"
        "raises('expected tidewire.topic', tidewire.topic, 'x', 'chat.ChatMessage')\n"
        "raises('did you mean \"queue\"?', topic.subscribe, topic, print, { queu = 5 })\n"
        "raises('whole number', topic.subscribe, topic, print, { queue = '5' })\n"
        "raises('whole number', topic.subscribe, topic, print, { queue = 1.5 })\n"
        "raises('echo is true or false', topic.subscribe, topic, print, { echo = 'no' })\n"
        "raises('policy is', topic.subscribe, topic, print, { policy = 'clsoe' })\n"
        "raises('belongs to', topic.subscribe, topic, print, { key = 'sender' })\n"
        "raises('expected topic:subscribe', topic.subscribe, topic, print, 5)");
}

static void a_filter_of_wrong_fields_or_types_raises(void) {
    run_in_handler(
        "local topic = tidewire.topic('t', { type = 'logger.LogEntry' })\n"
        "local function filter(f) topic:subscribe(print, { filter = f }) end\n"
        "raises('did you mean \"message\"?', filter, { mesage = 'x' }) raises('LogEntry.message: expected a string', filter, { message = 5 })\n"
        "raises('LogEntry.level', filter, { level = 'INFOO' }) raises('level', filter, { level = {} }) raises('level', filter, { level = true })\n"
        "raises('filter is a function', filter, 5) raises('LogEntry', filter, { [1] = 'x' })\n"
        "filter { level = 'LEVEL_INFO', message = 'x' } filter {}");
}

static void what_a_later_version_brings_says_so(void) {
    run_in_handler(
        "for _, name in ipairs { 'metrics', 'http' } do raises('tidewire.' .. name .. ' is not served', function() return tidewire[name].x end) end\n"
        "raises('tidewire.test is not served', require, 'tidewire.test')");
}

/* ---- what is returned ---- */

static void lists_with_holes_send_nothing_and_say_where(void) {
    run_script("return { GreetServerStream = function(s, m) local a = { greeting = 'a' }\n"
               "  if m.name == 'hole' then return { a, nil, a } elseif m.name == 'key' then return { a, b = a }\n"
               "  elseif m.name == 'end' then return { a, a, nil, nil, a } end end }");
    static const char *const wrong[] = {"hole", "key", "end"};
    for (int i = 0; i < 3; i++) {
        struct test_call *call = unary(GREET_SERVER, wrong[i]);
        CHECK_STR(status_of(call), "INTERNAL");
        CHECK_STR(sent(call), "");
        CHECK(logged("cannot send what was returned by the handler at main.lua:1: the returned list has"));
        forget_log();
    }
}

static void false_and_drop_in_a_list_are_left_out(void) {
    run_script("local t = require 'tidewire' return { GreetServerStream = function() return { false, { greeting = 'a' }, t.DROP, { greeting = 'b' } } end,\n"
               "  Greet = function() return { t.DROP, { greeting = 'one' } } end }");
    CHECK_STR(sent(unary(GREET_SERVER, "x")), "a,b");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(sent(call), "one");
    CHECK_STR(status_of(call), "OK");
}

static void a_list_for_one_reply_sends_nothing(void) {
    run_script("return { Greet = function() return { { greeting = 'a' }, { greeting = 'b' } } end,\n"
               "  GreetClientStream = { on_message = function() return { {}, {} } end } }");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK_INT(call->out_count, 0);
    CHECK(logged("handler at main.lua:1: greet.GreetService/Greet has one reply, and the returned list has 2"));
    call = open_call(GREET_CLIENT);
    say_text(call, 1, "x");
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK_INT(call->out_count, 0);
}

static void a_dropped_sole_request_is_a_failed_precondition(void) {
    run_script("local t = require 'tidewire' return { Greet = { on_message = function(_, m)\n"
               "  if m.name == 'drop' then return t.DROP elseif m.name == 'false' then return false\n"
               "  elseif m.name == 'fail' then t.fail('NOT_FOUND', 'chosen') end end } }");
    CHECK_STR(status_of(unary(GREET, "drop")), "FAILED_PRECONDITION");
    CHECK_STR(status_of(unary(GREET, "false")), "FAILED_PRECONDITION");
    CHECK(!logged("without the reply"));
    CHECK_STR(status_of(unary(GREET, "fail")), "NOT_FOUND");
    CHECK_STR(status_of(unary(GREET, "nothing")), "INTERNAL");
    CHECK(logged("the handler at main.lua:1 ended without the reply"));
    run_script("return { Greet = { on_open = function() return false end, on_message = function() end } }");
    CHECK_STR(status_of(unary(GREET, "x")), "INTERNAL");
    run_script("local t = require 'tidewire' return { Greet = function() return t.DROP end }");
    CHECK_STR(status_of(unary(GREET, "x")), "FAILED_PRECONDITION");
    run_script("local t = require 'tidewire' return { Greet = { on_message = t.project({ fields = { 'name' }, reply = { 'greeting' } }, function() return t.DROP end) } }");
    CHECK_STR(status_of(unary(GREET, "x")), "FAILED_PRECONDITION");
}

static void hold_is_refused_where_a_function_owns_the_call(void) {
    run_in_handler("raises('stream:hold() is for tables of hooks', stream.hold, stream)");
}

/* ---- faults that must not reach the process ---- */

static void tables_with_metatables_are_refused_before_they_run_anything(void) {
    CHECK(strstr(load_error("return setmetatable({}, { __index = function() error('x') end })"), "plain table"));
    CHECK(strstr(load_error("return { Greet = setmetatable({}, { __index = error }) }"), "Greet: a table with a metatable"));
}

static void code_that_the_log_calls_cannot_use_the_api(void) {
    run_script("local t = require 'tidewire' local topic = t.topic('x', { type = 'chat.ChatMessage' })\n"
               "local uses = { function() t.topic 'y' end, function() topic:publish {} end, function() t.enum 'logger.Level' end,\n"
               "  function() t.sleep(1) end, function() require 'tidewire' end, function() topic:subscribe(print) end,\n"
               "  function() t.spawn(print) end, function() t.message.new 'chat.ChatMessage' end }\n"
               "return { Greet = function(s) local i = 0\n"
               "  error(setmetatable({}, { __tostring = function() for i = 1, #uses do pcall(uses[i]) end return 'odd error' end })) end }");
    CHECK_STR(status_of(unary(GREET, "x")), "INTERNAL");
    CHECK(logged("odd error"));
}

static void an_error_without_a_place_is_logged_with_one(void) {
    run_script("return { Greet = function()\n error('no place', 0) end, GreetServerStream = function()\n\n error({}) end }");
    unary(GREET, "x");
    CHECK(logged("handler failed: main.lua:2: no place"));
    unary(GREET_SERVER, "x");
    CHECK(logged("handler failed: main.lua:4: an error that is a table"));
}

static void a_tostring_that_loops_has_what_is_left_of_the_budget(void) {
    world.handler_time = 100 * NS_PER_MS;
    run_script("return { Greet = function() error(setmetatable({}, { __tostring = function() while true do end end })) end }");
    uint64_t before = clock_read(CLOCK_THREAD_CPUTIME_ID);
    unary(GREET, "x");
    uint64_t used = clock_read(CLOCK_THREAD_CPUTIME_ID) - before;
    CHECK(used < 600 * NS_PER_MS);
    CHECK(logged("handler failed: main.lua:1: an error that is a table"));
}

static void what_waits_behind_a_function_that_waits_is_a_loop_not_a_recursion(void) {
    run_script("local t = require 'tidewire' local topic = t.topic('x', { type = 'chat.ChatMessage' }) local n = 0\n"
               "topic:subscribe(function(m) n = n + 1 if n == 1 then t.sleep(1) end if n == 200001 then print('all') end end, { queue = 300000 })\n"
               "return { Greet = function() for i = 1, 200001 do topic:publish { sender = 'x' } end return {} end }");
    unary(GREET, "x");
    advance(2);
    CHECK(logged("all"));
}

static void a_subscriber_that_cancels_itself_while_messages_wait_ends_there(void) {
    run_script("local t = require 'tidewire' local topic = t.topic('x', { type = 'chat.ChatMessage' }) local n, s = 0\n"
               "s = topic:subscribe(function(m) n = n + 1 print('got', n) if n == 1 then t.sleep(1) end if n == 2 then s:cancel() end end)\n"
               "return { Greet = function() for i = 1, 5 do topic:publish { sender = 'x' } end return {} end }");
    unary(GREET, "x");
    advance(2);
    CHECK(logged("got\t2"));
    CHECK(!logged("got\t3"));
}

/* What another worker's schema calls a message need be none here. */
static void a_message_that_does_not_decode_keeps_nobody_behind_it_waiting(void) {
    run_script("local t = require 'tidewire' local topic = t.topic('x', { type = 'chat.ChatMessage' })\n"
               "topic:subscribe(function(m) print('got', m.sender) if m.sender == 'first' then t.sleep(1) end end)\n"
               "return { Greet = function(_, r) topic:publish { sender = r.name } return {} end }");
    unary(GREET, "first");
    struct topic *topic = topic_open(world.topics, "x", 1);
    struct message *broken = message_copy("\x0a\x7f", 2);
    topic_publish(topic, broken, NULL);
    topic_publish(topic, broken, NULL);
    message_unref(&broken);
    topic_unref(&topic);
    unary(GREET, "last");
    advance(2);
    CHECK(logged("misses a message"));
    CHECK(logged("got\tlast"));
}

/* ---- bombs ---- */

/* What each does is stopped by the bound on memory, or by the text of an error: never by the end of the process. */
static void bombs_end_their_own_stream_and_nothing_else(void) {
    static const struct {
        const char *code, *logged;
    } bombs[] = {
        {"local t = {} while true do t = { t } end", "handler_memory"},
        {"local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "handler_memory"},
        {"local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", "handler_memory"},
        {"local s = 'x' while true do s = s .. s end", "not enough memory"},
        {"local s = ('x'):rep(1e6) return s:gsub('x', s)", "not enough memory"},
        {"local s, t = ('x'):rep(1e6), {} for i = 1, 1e6 do t[i] = s end return table.concat(t)", "not enough memory"},
        {"local s, t = ('x'):rep(1e6), {} for i = 1, 4000 do t[i] = s end return string.format(('%s'):rep(4000), unpack(t))", "not enough memory"},
        {"local t, s = {}, ('x'):rep(1e6) while true do t[#t + 1] = tidewire.message.new('greet.GreetRequest', { name = s }) end", "handler_memory"},
        {"return ('x'):rep(1e10)", "64 MiB"},
        {"local function f() return f() + 1 end return f()", "stack overflow"},
        {"local function f(...) return f(1, ...) end return f()", "stack overflow"},
        {"return unpack({}, 1, 1e8)", "too many results"},
        {"local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x", "loop in gettable"},
        {"local co co = coroutine.wrap(function() co() end) co()", "main.lua:"},
        {"local function f() return coroutine.wrap(f)() end f()", "too many coroutines"},
        {"return string.format('%99999d', 1)", "invalid"},
        {"local s = ('('):rep(200) return ('x'):find(s)", "main.lua:"},
        {"coroutine.resume(5)", "main.lua:3: bad argument #1 to 'resume' (coroutine expected)"},
        {"return load(('('):rep(1e5))()", "main.lua:"},
        {"local a = {} for i = 1, 1e5 do a = { a } end stream:send { greeting = a }", "expected a string"},
        {"local s, l = {}, ('x'):rep(1e6) for i = 1, 1e3 do s[i] = { greeting = l } end stream:send(s)", "named fields"},
        {"error(setmetatable({}, { __tostring = function(s) return tostring(s) end }))", "handler failed"},
        {"error(setmetatable({}, { __tostring = function() return {} end }))", "handler failed"},
        {"while true do pcall(error) end", "handler_time"},
        {"while true do pcall(string.rep, 'x', 1e7) end", "handler_time"},
        {"local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1e6) .. #t end) end", "handler_time"},
        {"coroutine.wrap(function() while true do end end)()", "handler_time"},
        {"table.sort({ 3, 2, 1 }, function() while true do end end)", "handler_time"},
        {"('x'):gsub('x', function() while true do end end)", "handler_time"},
        {"setmetatable({}, { __index = function() while true do end end }).x = nil while true do end", "handler_time"},
        {"xpcall(error, function() while true do end end)", "handler_time"},
    };
    world.handler_memory = 32 << 20;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        bool is_of_time = !strstr(bombs[i].logged, "memory") && !strstr(bombs[i].logged, "overflow");
        world.handler_time = is_of_time ? 400 * NS_PER_MS : PATIENCE;
        char *script = memory_format("local tidewire = require 'tidewire'\n"
                                     "return { GreetStream = function(stream)\n%s\nend, Chat = function(s) s:recv() end }",
                                     bombs[i].code);
        run_script(script);
        struct test_call *other = open_call(CHAT), *call = open_call(GREET_STREAM);
        if (!logged(bombs[i].logged) || !logged("failed: main.lua:")) fprintf(stderr, "%s\n", bombs[i].code), log_flush();
        CHECK(logged(bombs[i].logged));
        CHECK(logged("failed: main.lua:"));
        CHECK_STR(status_of(call), "INTERNAL");
        CHECK_STR(status_of(other), "open");
        half_close(other);
        free(script);
        forget_log();
        settle();
    }
    lua_gc(world.script->L, LUA_GCCOLLECT, 0);
    CHECK(script_heap_bytes(world.script) < 16 << 20);
}

static void garbage_is_not_what_a_handler_is_stopped_for(void) {
    world.handler_memory = 16 << 20;
    run_in_handler("local n = 0 for i = 1, 200 do n = n + #(('x'):rep(1e6) .. i) end assert(n > 2e8)\n"
                   "for i = 1, 1e6 do local t = { i } end");
}

static void a_message_of_many_references_to_one_string_is_bounded(void) {
    run_in_handler("local l, s = ('x'):rep(6e7), {} for i = 1, 100 do s['label' .. i] = l end\n"
                   "raises('larger than 256 MiB', tidewire.message.new, 'logger.LogEntry', { labels = s })");
    world.handler_memory = 1 << 30;
    run_in_handler("local l = ('x'):rep(2^26) l = l .. l\n"
                   "raises('larger than 256 MiB', tidewire.message.new, 'chat.ChatMessage', { sender = l, message = l })");
}

static void the_results_of_a_projection_are_bounded(void) {
    world.handler_memory = 1 << 30;
    run_script("return { Chat = { on_message = require('tidewire').project({ fields = { 'sender' },\n"
               "reply = { 'sender', 'message' } }, function() local l = ('x'):rep(2^26) l = l .. l return l, l end) } }");
    struct test_call *call = open_call(CHAT);
    say_text(call, 1, "a");
    CHECK(logged("larger than 256 MiB"));
    CHECK_STR(status_of(call), "INTERNAL");
    CHECK(call->out_count == 0);
}

static void load_code_is_bounded_too(void) {
    world.handler_memory = 16 << 20;
    CHECK(strstr(load_error("local t = {} while true do t = { t } end"), "handler_memory"));
}

/* ---- json ---- */

static void json_reads_and_writes_plain_values(void) {
    run_in_handler(
        "local json = tidewire.json local null = json.null local function same(v, text) local got, fault = json.encode(v)\n"
        "  assert(got == text, tostring(got) .. tostring(fault) .. ' is not ' .. text) end\n"
        "same({ b = 1, a = { 1, 2.5, 'x\\n' }, c = {}, d = json.array(), e = null, f = false }, '{\"a\":[1,2.5,\"x\\\\n\"],\"b\":1,\"c\":{},\"d\":[],\"e\":null,\"f\":false}')\n"
        "same(null, 'null') same(9007199254740993LL, '9007199254740993') same(1e300, '1e+300') same('é', '\"é\"')\n"
        "local v = json.decode ' { \"a\" : [ 1, null, {\"b\": [] } ], \"n\": 9007199254740993, \"u\": \"\\\\u00e9\\\\ud83d\\\\ude00\", \"x\": -1.5e2 } '\n"
        "assert(v.a[1] == 1 and v.a[2] == null and #v.a == 3 and v.n == 9007199254740993LL and v.u == 'é😀' and v.x == -150)\n"
        "assert(json.encode(v.a) == '[1,null,{\"b\":[]}]' and json.decode 'null' == null and json.decode 'true' == true)\n"
        "local function bad(text, f, ...) local v, fault = f(...) assert(v == nil and type(fault) == 'string' and fault:find(text, 1, true), tostring(fault)) end\n"
        "bad('line 2, column 3', json.decode, '[\\n1 2]') bad('expected', json.decode, '') bad('twice', json.decode, '{\"a\":1,\"a\":2}')\n"
        "bad('end of the text', json.decode, '1 2') bad('100 levels', json.decode, ('['):rep(101)) bad('too large', json.decode, '1e999')\n"
        "bad('UTF-8', json.decode, '\"\\255\"') bad('UTF-8', json.encode, '\\255') bad('NaN', json.encode, { x = 0/0 }) bad('a[2]: a function', json.encode, { a = { 1, print } })\n"
        "bad('hole', json.encode, { 1, 2, nil, 4 }) bad('strings', json.encode, { [1.5] = 1 }) bad('totable', json.encode, tidewire.message.new 'chat.ChatMessage')\n"
        "local ring = {} ring.x = ring bad('circle', json.encode, ring) bad('nil has no', json.encode, nil)\n"
        "bad('1048576 values', json.decode, '[' .. ('1,'):rep(1100000) .. '1]') bad('16 MiB', json.decode, (' '):rep(2^24 + 1))\n"
        "local bomb = 'xxxxxxxxxxxxxxxx' for i = 1, 40 do bomb = { bomb, bomb } end bad('16 MiB', json.encode, bomb)\n"
        "raises('expected tidewire.json.decode(text)', json.decode, 5) raises('expected tidewire.json.encode(value)', json.encode)\n"
        "raises('expected tidewire.json.array', json.array, 5) stream:send { greeting = json.encode { ok = true } }");
}

#define RUN_IN_WORLD(test) open_world(); world.handler_time = PATIENCE; RUN(test); close_world()

int main(void) {
    RUN_IN_WORLD(what_is_written_into_the_api_stays_in_its_file);
    RUN_IN_WORLD(what_outlives_its_generation_is_harmless);
    RUN_IN_WORLD(a_wrong_name_raises_and_names_the_nearest);
    RUN_IN_WORLD(an_unknown_option_raises_and_names_the_nearest);
    RUN_IN_WORLD(a_filter_of_wrong_fields_or_types_raises);
    RUN_IN_WORLD(what_a_later_version_brings_says_so);
    RUN_IN_WORLD(lists_with_holes_send_nothing_and_say_where);
    RUN_IN_WORLD(false_and_drop_in_a_list_are_left_out);
    RUN_IN_WORLD(a_list_for_one_reply_sends_nothing);
    RUN_IN_WORLD(a_dropped_sole_request_is_a_failed_precondition);
    RUN_IN_WORLD(hold_is_refused_where_a_function_owns_the_call);
    RUN_IN_WORLD(tables_with_metatables_are_refused_before_they_run_anything);
    RUN_IN_WORLD(code_that_the_log_calls_cannot_use_the_api);
    RUN_IN_WORLD(an_error_without_a_place_is_logged_with_one);
    RUN_IN_WORLD(a_tostring_that_loops_has_what_is_left_of_the_budget);
    RUN_IN_WORLD(what_waits_behind_a_function_that_waits_is_a_loop_not_a_recursion);
    RUN_IN_WORLD(a_subscriber_that_cancels_itself_while_messages_wait_ends_there);
    RUN_IN_WORLD(a_message_that_does_not_decode_keeps_nobody_behind_it_waiting);
    RUN_IN_WORLD(bombs_end_their_own_stream_and_nothing_else);
    RUN_IN_WORLD(garbage_is_not_what_a_handler_is_stopped_for);
    RUN_IN_WORLD(a_message_of_many_references_to_one_string_is_bounded);
    RUN_IN_WORLD(the_results_of_a_projection_are_bounded);
    RUN_IN_WORLD(load_code_is_bounded_too);
    RUN_IN_WORLD(json_reads_and_writes_plain_values);
    return 0;
}
