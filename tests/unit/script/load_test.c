/* Loading: what is refused and how it is said; the environment that scripts live in; modules; generations. */
#include "world.h"

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* `expected` stands for the folder by "@/". */
static void check_error(const char *script, const char *expected) {
    const char *text = load_error(script);
    char *full = memory_format("%s/%s", world.folder, expected + 2);
    if (!starts_with(text, full)) fprintf(stderr, "\"%s\" does not begin with \"%s\"\n", text, full);
    CHECK(starts_with(text, full));
    free(full);
}

static void a_broken_script_is_named_with_its_line(void) {
    check_error("local x = \n\n)", "@/main.lua:3: error: unexpected symbol near ')'");
    check_error("\nlocal t = nil\nt.x = 1", "@/main.lua:3: error: attempt to index local 't' (a nil value)");
    check_error("error({})", "@/main.lua: error: ");
    check_error("return 1", "@/main.lua: error: a script returns a table with an entry for each method, this one returned number");
    check_error("", "@/main.lua: error: a script returns a table");
    check_error("\nx = 1 return {}", "@/main.lua:2: error: writing the unknown global \"x\"");
    check_error("return { Gret = function() end }",
                "@/main.lua:1: error: no service of this script has a method \"Gret\" (did you mean \"Greet\"?)");
    check_error("return { [1] = function() end }", "@/main.lua: error: a script's table has method names as keys");
    check_error("return { Greet = 5 }", "@/main.lua: error: Greet: an entry is a function or a table of hooks, not a number");
    check_error("return {\n Greet = { on_mesage = function() end } }",
                "@/main.lua:2: error: Greet: there is no hook \"on_mesage\" (did you mean \"on_message\"?)");
    check_error("return { Greet = { on_message = 1 } }", "@/main.lua: error: Greet: on_message is a function, not a number");
    check_error("return { Greet = { on_request = function() end } }",
                "@/main.lua:1: error: Greet: on_request and on_response are filters before an upstream");
    check_error("return { Greet = { run = function() end, on_message = function() end } }",
                "@/main.lua:1: error: Greet: run and on_message exclude each other");
    check_error("while true do end", "@/main.lua:1: error: the handler has used up its CPU budget");
}

static void a_projection_is_checked_against_its_method(void) {
    const char *text = load_error("local tidewire = require 'tidewire' return { AccumulateNumbers = { on_message =\n"
                                  "tidewire.project({ fields = { 'nmu' } }, function() end) } }");
    CHECK(strstr(text, "nmu") && strstr(text, "num"));
    text = load_error("local tidewire = require 'tidewire' return { AccumulateNumbers = { on_message =\n"
                      "tidewire.project({ fields = { 'num' }, patch = { 'num' } }, function() end) } }");
    CHECK(strstr(text, "patch"));
}

static void a_service_that_no_schema_has_is_named_at_the_config(void) {
    struct error error;
    struct version *version = new_version();
    write_file("main.lua", "return {}");
    add_service(version, "greet.GretService", "main.lua");
    CHECK(!generation_load(world.script, &version->config, version->schema, version->dicts, 1, NULL, NULL, &error));
    CHECK_STR(error.text, "tidewire.conf:7: error: no .proto file has the service \"greet.GretService\" (did you mean "
                          "\"greet.GreetService\"?)");
    version = new_version();
    add_service(version, "greet.*", "missing.lua");
    CHECK(!generation_load(world.script, &version->config, version->schema, version->dicts, 1, NULL, NULL, &error));
    CHECK(strstr(error.text, "missing.lua: error: cannot read the script"));
}

static void scripts_cannot_reach_what_is_off(void) {
    run_script("local off = { 'io', 'ffi', 'jit', 'package', 'newproxy', 'getfenv', 'setfenv', 'dofile', 'loadfile', 'module', 'gcinfo' }\n"
               "for _, name in ipairs(off) do assert(_G[name] == nil, name) end\n"
               "for _, name in ipairs { 'execute', 'remove', 'rename', 'exit', 'tmpname', 'setlocale' } do assert(os[name] == nil) end\n"
               "for _, name in ipairs { 'time', 'date', 'clock', 'difftime', 'getenv' } do assert(os[name]) end\n"
               "assert(string.dump == nil and ('').dump == nil and debug.getinfo == nil and debug.traceback())\n"
               "assert(getmetatable('') == false and getmetatable(_G) == false and not pcall(setmetatable, _G, {}))\n"
               "assert(not pcall(require, 'ffi') and not pcall(require, 'io') and not pcall(require, '../x') and not pcall(require, '/etc/passwd'))\n"
               "assert(collectgarbage('count') > 0 and not pcall(collectgarbage, 'stop'))\n"
               "assert(not pcall(string.rep, 'x', 1e9) and not pcall(('x').rep, 'x', 1e9) and #string.rep('ab', 3, ',') == 8)\n"
               "local f, fault = load('\\27LJ') assert(not f and fault:find('mode'), fault)\n"
               "assert(load('return ...')(5) == 5 and loadstring('return 1 + 1')() == 2)\n"
               "local pieces, n = { 'return ', '7' }, 0 assert(load(function() n = n + 1 return pieces[n] end)() == 7)\n"
               "local ok, why = pcall(load('y = 1')) assert(not ok and why:find('unknown global'), why)\n"
               "assert(load('return z', 'n', 't', { z = 3 })() == 3) assert(unknown_name == nil)\n"
               "return {}");
}

static void what_one_script_writes_no_other_sees(void) {
    struct error error;
    struct version *version = new_version();
    write_file("a.lua", "string.mine = 1 table.insert = nil local t = require 'tidewire' rawset(t, 'mine', 1) rawset(t.log, 'mine', 1) return {}");
    write_file("b.lua", "assert(string.mine == nil and table.insert and ('').mine == nil)\n"
                        "local t = require 'tidewire' assert(rawget(t, 'mine') == nil and rawget(t.log, 'mine') == nil) assert(t == require 'tidewire') return {}");
    add_service(version, "greet.GreetService", "a.lua");
    add_service(version, "chat.ChatService", "b.lua");
    version->generation = generation_load(world.script, &version->config, version->schema, version->dicts, 1, world_gone,
                                          version, &error);
    if (!version->generation) fprintf(stderr, "%s\n", error.text);
    CHECK(version->generation);
    generation_retire(version->generation);
    settle();
    CHECK(version->is_gone);
}

static void modules_come_from_the_script_path_once_a_generation(void) {
    write_file("lib/counter.lua", "print('loaded', ...) local n = 0 return { next = function() n = n + 1 return n end }");
    write_file("lib/broken.lua", "\n\nlocal x = = 1");
    write_file("lib/raises.lua", "\nerror('on purpose')");
    write_file("lib/a.lua", "return require 'lib.b'");
    write_file("lib/b.lua", "local a = require 'lib.a' return a");
    run_script("local a, b = require 'lib.counter', require 'lib.counter' assert(a == b) a.next()\n"
               "return { Greet = function() local fine, fault = pcall(require, 'lib.late')\n"
               "  return { greeting = b.next() .. require('lib.counter').next() .. tostring(fault:find('top of the script') ~= nil) } end }");
    CHECK_STR(sent(unary(GREET, "x")), "23true");
    CHECK(logged("loaded\tlib.counter"));
    check_error("require 'lib.broken' return {}", "@/lib/broken.lua:3: error: unexpected symbol");
    check_error("require 'lib.raises' return {}", "@/lib/raises.lua:2: error: on purpose");
    check_error("\nrequire 'lib.missing' return {}", "@/main.lua:2: error: module \"lib.missing\" cannot be read");
    check_error("require 'lib.a' return {}", "@/lib/b.lua:1: error: require \"lib.a\": it is being loaded already");
    check_error("require 'tidewire.test'", "@/main.lua:1: error: tidewire.test is not served by this version yet");
}

static void a_script_of_several_services_is_loaded_once(void) {
    run_script("print('once') return {}");
    CHECK(logged("once\n"));
    char *first = strstr((char *)buffer_bytes(&world_log), "once");
    CHECK(!strstr(first + 1, "once"));
}

/* ---- generations ---- */

static void a_refused_generation_leaves_the_old_in_force_and_has_done_nothing(void) {
    run_script("return { Greet = function() return { greeting = 'old' } end }");
    check_error("local t = require 'tidewire' t.spawn(function() print('never') end) t.timer.at(0, function() print('never') end)\n"
                "t.topic('x', { type = 'chat.ChatMessage' }):subscribe(function() print('never') end) return { Gret = 1 }",
                "@/main.lua");
    advance(10);
    CHECK(!logged("never"));
    CHECK_STR(sent(unary(GREET, "x")), "old");
}

static void a_history_that_load_code_asks_for_is_its_generations(void) {
    const char *script = "local t = require 'tidewire'\n"
                         "local topic = t.topic('kept', { type = 'chat.ChatMessage', history = 3 })\n"
                         "local count = 0\n"
                         "assert(topic:position() == nil)\n"
                         "topic:subscribe(function() count = count + 1 end, { since = 'all' })\n"
                         "return { Greet = function() topic:publish { sender = 'a' } t.sleep(1)\n"
                         "    return { greeting = count .. ' of ' .. tostring(topic:position() ~= nil) } end,\n"
                         "  Chat = function(s) topic:subscribe(s, { since = 'all' }) t.sleep(1) end }";
    run_script(script);
    for (int i = 1; i <= 3; i++) {
        struct test_call *call = unary(GREET, "x");
        advance(1);
        char *expected = memory_format("%d of true", i);
        CHECK_STR(sent(call), expected);
        free(expected);
    }
    check_error("local t = require 'tidewire' t.topic('kept', { type = 'chat.ChatMessage', history = 1 }) return { Gret = 1 }",
                "@/main.lua");
    struct test_call *chat = open_call(CHAT);
    advance(1);
    CHECK_INT(chat->out_count, 3);
    run_script("local t = require 'tidewire' local topic = t.topic('kept', { type = 'chat.ChatMessage', history = 1 })\n"
               "return { Chat = function(s) topic:subscribe(s, { since = 'all' }) t.sleep(1) end }");
    chat = open_call(CHAT);
    advance(1);
    CHECK_INT(chat->out_count, 1);
}

static void open_streams_finish_on_their_generation_which_then_goes(void) {
    struct version *first = run_script("return { GreetStream = function(s) for m in s:messages() do s:send { greeting = 'one' } end end,\n"
                                       "  Chat = { on_message = function() return { sender = 'one' } end } }");
    struct test_call *function = open_call(GREET_STREAM), *hooks = open_call(CHAT);
    say_text(function, 1, "x");
    run_script("return { GreetStream = function(s) for m in s:messages() do s:send { greeting = 'two' } end end }");
    say_text(function, 1, "x");
    say_text(hooks, 1, "x");
    CHECK_STR(sent(function), "one,one");
    CHECK_STR(sent(hooks), "one");
    struct test_call *after = open_call(GREET_STREAM);
    say_text(after, 1, "x");
    CHECK_STR(sent(after), "two");
    CHECK(!first->is_gone);
    half_close(function);
    CHECK(!first->is_gone);
    half_close(hooks);
    settle();
    CHECK(first->is_gone);
}

static void fifty_reloads_under_streams_leave_the_heap_as_it_was(void) {
    static const char script[] =
        "local tidewire = require 'tidewire' local room = tidewire.topic('room', { type = 'chat.ChatMessage' })\n"
        "room:subscribe(function() end) tidewire.timer.every(1, function() end) tidewire.spawn(function() tidewire.sleep(1e6) end)\n"
        "local big = {} for i = 1, 1000 do big[i] = 'entry ' .. i end\n"
        "return { Chat = { on_open = function(s) room:subscribe(s, { filter = function() return true end }) s.ctx.x = 1 end,\n"
        "    on_message = function(s, m) return { sender = big[1] } end },\n"
        "  GreetStream = function(s) for m in s:messages() do s:send { greeting = m.name } end end }";
    enum { STREAMS = 200, RELOADS = 50 }; /* of each kind, and one version's worth of them closes a reload later */
    uint64_t first = 0;
    struct test_call *open[STREAMS];
    run_script(script);
    for (int i = 0; i < STREAMS; i++) open[i] = open_call(i % 2 ? CHAT : GREET_STREAM);
    for (int reload = 0; reload < RELOADS; reload++) {
        run_script(script);
        for (int i = 0; i < STREAMS; i++) {
            say_text(open[i], 1, "hello");
            CHECK_INT(open[i]->out_count, 1);
            cancel_call(open[i]);
        }
        free_calls();
        for (int i = 0; i < STREAMS; i++) open[i] = open_call(i % 2 ? CHAT : GREET_STREAM);
        advance(1);
        settle();
        if (reload == 1) first = script_heap_bytes(world.script);
    }
    uint64_t last = script_heap_bytes(world.script);
    fprintf(stderr, "  heap %llu after the second reload, %llu after the last\n", (unsigned long long)first,
            (unsigned long long)last);
    CHECK(last < first + first / 50 && first < last + first / 50);
    for (uint32_t i = 0; i + 2 < world.version_count; i++) CHECK(world.versions[i]->is_gone);
}

static void messages_and_their_options_follow_the_service(void) {
    run_script("local tidewire = require 'tidewire' local Level = tidewire.enum 'logger.Level'\n"
               "assert(Level.LEVEL_WARN == 3 and not pcall(tidewire.enum, 'logger.Levle'))\n"
               "local m = tidewire.message.new('chat.ChatMessage', { sender = 'a' }) assert(m.sender == 'a')\n"
               "assert(tidewire.message.type(m) == 'chat.ChatMessage')\n"
               "return { Greet = function() assert(tidewire.worker.id == 0 and tidewire.worker.count == 1)\n"
               "  assert(math.abs(tidewire.now() - os.time()) < 2 and tidewire.time() % 1 == 0 and tidewire.monotonic() > 0)\n"
               "  return { greeting = m.sender .. Level.LEVEL_WARN } end }");
    CHECK_STR(sent(unary(GREET, "x")), "a3");
}

static void log_lines_carry_stream_and_fields(void) {
    run_script("local log = require('tidewire').log print('at load', 1)\n"
               "return { Greet = function() log.info('text', { n = 5, s = 'x' }) log.debug('quiet') print(nil, 2, {} ~= nil)\n"
               "  assert(not pcall(log.warn)) assert(not pcall(log.warn, 'x', 5)) assert(not pcall(log.warn, 'x', { 1 })) return {} end }");
    struct test_call *call = unary(GREET, "x");
    CHECK_STR(status_of(call), "OK");
    CHECK(logged("[0 main.lua] at load\t1\n"));
    CHECK(logged("[1 main.lua] text") && logged(" n=5") && logged(" s=x"));
    CHECK(logged("[1 main.lua] nil\t2\ttrue\n"));
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    world.is_jit = false;
    RUN_IN_WORLD(a_broken_script_is_named_with_its_line);
    RUN_IN_WORLD(a_projection_is_checked_against_its_method);
    RUN_IN_WORLD(a_service_that_no_schema_has_is_named_at_the_config);
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        RUN_IN_WORLD(scripts_cannot_reach_what_is_off);
        RUN_IN_WORLD(what_one_script_writes_no_other_sees);
        RUN_IN_WORLD(modules_come_from_the_script_path_once_a_generation);
        RUN_IN_WORLD(a_script_of_several_services_is_loaded_once);
        RUN_IN_WORLD(a_refused_generation_leaves_the_old_in_force_and_has_done_nothing);
        RUN_IN_WORLD(a_history_that_load_code_asks_for_is_its_generations);
        RUN_IN_WORLD(open_streams_finish_on_their_generation_which_then_goes);
        RUN_IN_WORLD(fifty_reloads_under_streams_leave_the_heap_as_it_was);
        RUN_IN_WORLD(messages_and_their_options_follow_the_service);
        RUN_IN_WORLD(log_lines_carry_stream_and_fields);
    }
    return 0;
}
