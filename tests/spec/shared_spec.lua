-- shared_dict: what all workers, and all generations of scripts, share.
local gateway = require "support.gateway"
local client = require "support.client"

-- Runs what the request says, with `dict` and `tidewire` at hand; the reply is what it returns, between blanks.
local script = [[
local tidewire = require "tidewire"
local dict = tidewire.shared.things
local function say(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  return table.concat(words, " ")
end
local names = { dict = dict, tidewire = tidewire, pcall = pcall, table = table, string = string, say = say,
  ipairs = ipairs, require = require }
return { Greet = function(_, request)
  return { greeting = say(assert(load(request.name, "=spec", "t", names))()) }
end }
]]

local config = [[
workers = 2
service "greet.GreetService" { script = "greet.lua" }
]]

local things = "shared_dict things { size = 64KiB }\n"

local function start(dicts, text)
  return gateway.start { scripts = { ["greet.lua"] = text or script }, config = config .. (dicts or things) }
end

-- What is said of a script that is refused.
local function refusal(dicts, text)
  local gw = gateway.prepare { scripts = { ["greet.lua"] = text }, config = config .. dicts }
  local code, output = gateway.run { "check", "-c", gw:path "tidewire.conf" }
  assert.equal(1, code, output)
  return output
end

local function run(channel, code)
  local answer = channel:call("greet.GreetService/Greet", { name = code }, client.soon)
  assert.equal("OK", answer.code, answer.text)
  return answer.message.greeting
end

-- A channel to each of the two workers.
local function both(gw)
  local one, other = client.connect(gw.address), client.connect(gw.address)
  assert(run(one, "return tidewire.worker.id") ~= run(other, "return tidewire.worker.id"))
  return one, other
end

-- Each line: code, and what it returns.
local function check(channel, lines)
  for code, expected in lines:gmatch "([^\n]-)%s*%-%->%s*([^\n]*)" do
    assert.equal(expected, run(channel, "return " .. code), code)
  end
end

describe("a shared_dict", function()
  after_each(gateway.stop_all)

  it("gives one worker what another has stored", function()
    local one, other = both(start())
    check(one, [[
      dict:set("text", "a\0b")        --> true nil false
      dict:set("number", 0.1, 0, 7)   --> true nil false
      dict:set("yes", true)           --> true nil false
      dict:set("no", false)           --> true nil false
      dict:set(5, "by a number")      --> true nil false
    ]])
    check(other, [[
      dict:get("text") == "a\0b"      --> true
      dict:get("number")              --> 0.1 7
      dict:get("yes")                 --> true
      dict:get("no")                  --> false
      dict:get("5")                   --> by a number
      dict:get("nothing")             --> nil
    ]])
  end)

  it("answers as ngx.shared does", function()
    local channel = client.connect(start().address)
    check(channel, [[
      dict:add("a", 1)                --> true nil false
      dict:add("a", 2)                --> false exists false
      dict:safe_add("a", 2)           --> false exists false
      dict:replace("b", 1)            --> false not found false
      dict:replace("a", "text")       --> true nil false
      dict:incr("a", 1)               --> nil not a number
      dict:incr("b", 1)               --> nil not found
      dict:incr("b", 1, 10)           --> 11 nil false
      dict:incr("b", -0.5)            --> 10.5
      dict:safe_set("b", 1)           --> true nil false
      dict:ttl("b")                   --> 0
      dict:expire("b", 1000)          --> true
      dict:ttl("b") > 990             --> true
      dict:expire("none", 1)          --> nil not found
      dict:ttl("none")                --> nil not found
      dict:get("")                    --> nil empty key
      dict:set(("k"):rep(65536), 1)   --> nil key too long
      dict:set("b", nil)              --> true nil false
      dict:get("b")                   --> nil
      dict:delete("a")                --> true nil false
      dict:rpush("list", "x")         --> 1
      dict:lpush("list", 2)           --> 2
      dict:llen("list")               --> 2
      dict:get("list")                --> nil value is a list
      dict:lpop("list")               --> 2
      dict:rpop("list")               --> x
      dict:lpop("list")               --> nil
      dict:llen("list")               --> 0
      dict:set("c", 1)                --> true nil false
      dict:lpush("c", 1)              --> nil value not a list
      dict:lpop("c")                  --> nil value not a list
      dict:llen("c")                  --> nil value not a list
      table.concat(dict:get_keys())   --> c
      say(dict:flush_all()) == ""     --> true
      dict:get("c")                   --> nil
      dict:get_stale("c")             --> 1 nil true
      dict:flush_expired()            --> 1
      dict:get_stale("c")             --> nil
      dict:capacity()                 --> 65536
      dict:free_space() > 60000       --> true
      dict                            --> shared_dict things
    ]])
  end)

  -- By method, what it says of keys that are none, and of a key with each kind of value.
  it("says of each key and value what ngx.shared says of it", function()
    local channel = client.connect(start().address)
    local keys = { ["nil"] = "nil nil key", ['""'] = "nil empty key", ['("k"):rep(65536)'] = "nil key too long" }
    local calls = { "get(%s)", "get_stale(%s)", "set(%s, 1)", "safe_set(%s, 1)", "add(%s, 1)", "safe_add(%s, 1)",
      "replace(%s, 1)", "delete(%s)", "incr(%s, 1)", "incr(%s, 1, 0)", "lpush(%s, 1)", "rpush(%s, 1)", "lpop(%s)",
      "rpop(%s)", "llen(%s)", "ttl(%s)", "expire(%s, 1)" }
    local lines = {}
    for _, call in ipairs(calls) do
      for key, expected in pairs(keys) do lines[#lines + 1] = ("dict:%s --> %s"):format(call:format(key), expected) end
    end
    check(channel, table.concat(lines, "\n"))
    check(channel, [[
      dict:get()                                --> nil nil key
      dict:set(0.5, "by a fraction")            --> true nil false
      dict:get("0.5")                           --> by a fraction
      dict:set(-3, "by a negative one")         --> true nil false
      dict:get("-3")                            --> by a negative one
      dict:set("a\0b", "with a NUL")            --> true nil false
      dict:get("a\0b")                          --> with a NUL
      dict:get("a")                             --> nil
      dict:set("s", "")                         --> true nil false
      dict:get("s") == ""                       --> true
      dict:set("s", ("s"):rep(3000))            --> true nil false
      #dict:get("s")                            --> 3000
      dict:set("s", 1e300)                      --> true nil false
      dict:get("s") == 1e300                    --> true
      dict:set("f", 1, nil, 4294967295)         --> true nil false
      dict:get("f")                             --> 1 4294967295
      dict:get_stale("f")                       --> 1 4294967295 false
      dict:replace("f", 2)                      --> true nil false
      dict:get("f")                             --> 2
      dict:set("f", nil)                        --> true nil false
      dict:safe_set("f", nil)                   --> true nil false
      dict:get("f")                             --> nil
      dict:add("f", nil)                        --> nil attempt to add or replace nil values
      dict:safe_add("f")                        --> nil attempt to add or replace nil values
      dict:replace("f", nil)                    --> nil attempt to add or replace nil values
      dict:delete("f")                          --> true nil false
      dict:set("b", true)                       --> true nil false
      dict:incr("b", 1)                         --> nil not a number
      dict:incr("b", 1, 0)                      --> nil not a number
      dict:rpush("l", "x")                      --> 1
      dict:rpush("l", "")                       --> 2
      dict:get_stale("l")                       --> nil value is a list
      dict:incr("l", 1)                         --> nil not a number
      dict:add("l", 1)                          --> false exists false
      dict:ttl("l")                             --> 0
      dict:replace("l", 1)                      --> true nil false
      dict:get("l")                             --> 1
      dict:llen("none")                         --> 0
      dict:rpop("none")                         --> nil
      dict:flush_expired(0)                     --> 0
      #dict:get_keys(2)                         --> 2
      #dict:get_keys(0) == #dict:get_keys()     --> true
      #dict:get_keys(0) > 5                     --> true
    ]])
  end)

  it("takes keys of 65535 bytes, and none longer", function()
    check(client.connect(start("shared_dict things { size = 256KiB }\n").address), [[
      dict:set(("k"):rep(65535), "long") --> true nil false
      dict:get(("k"):rep(65535))         --> long
      dict:set(("k"):rep(65536), "long") --> nil key too long
      #dict:get_keys()[1]                --> 65535
    ]])
  end)

  it("takes an integer of 64 bits as its digits", function()
    local channel = client.connect(start().address)
    check(channel, [[
      dict:set((tidewire.json.decode "9007199254740993"), 7) --> true nil false
      dict:get("9007199254740993") --> 7
      dict:get("9007199254740992") --> nil
    ]])
  end)

  it("counts lifetimes in milliseconds", function()
    local channel = client.connect(start().address)
    assert.equal("true true true nil not found", run(channel, [[
      dict:set('a', 1, 0.25)
      local left = dict:ttl('a')
      dict:expire('a', 0.001)
      local soon = dict:ttl('a')
      tidewire.sleep(0.002)
      return left > 0.2 and left <= 0.25, soon > 0 and soon <= 0.001, dict:get('a') == nil, dict:ttl('a')
    ]]))
  end)

  it("lets values expire", function()
    local channel = client.connect(start().address)
    assert.equal("1 nil false nil 1 nil true", run(channel, [[
      local first = say(dict:incr("n", 1, 0, 0.02))
      tidewire.sleep(0.03)
      return first, dict:get("n"), say(dict:get_stale("n"))
    ]]))
  end)

  it("says what its functions expect", function()
    local channel = client.connect(start().address)
    for code, expected in pairs {
      ["dict.get('a')"] = "expected dict:get(key)",
      ["dict:get({})"] = "expected dict:get(key)",
      ["dict:set('a', {})"] = "expected dict:set(key, value[, seconds[, flags]])",
      ["dict:set('a', 1, -1)"] = "expected dict:set(key, value[, seconds[, flags]])",
      ["dict:set('a', 1, 0, 1.5)"] = "expected dict:set(key, value[, seconds[, flags]])",
      ["dict:incr('a', 'x')"] = "expected dict:incr(key, number[, init[, seconds]])",
      ["dict:incr('a', 1, nil, 5)"] = "expected dict:incr(key, number[, init[, seconds]])",
      ["dict:expire('a')"] = "expected dict:expire(key, seconds)",
      ["dict:lpush('a', true)"] = "expected dict:lpush(key, value)",
      ["dict:get_keys(-1)"] = "expected dict:get_keys([most])",
      ["dict:gett('a')"] = 'a shared_dict has no "gett" (did you mean "get"?)',
      ["tidewire.shared.thing:get('a')"] = 'tidewire.shared has no "thing" (did you mean "things"?)',
    } do
      local said = run(channel, "return pcall(function() " .. code .. " end)")
      assert(said:find("false", 1, true) == 1 and said:find(expected, 1, true), code .. ": " .. said)
    end
  end)

  it("lets what was used least recently go, or says that there is no memory", function()
    local channel = client.connect(start("shared_dict things { size = 16KiB }\n").address)
    check(channel, [[
      dict:set("a", ("a"):rep(6000))       --> true nil false
      dict:set("b", ("b"):rep(6000))       --> true nil false
      #dict:get("a")                       --> 6000
      dict:safe_set("c", ("c"):rep(6000))  --> false no memory false
      dict:lpush("list", ("c"):rep(6000))  --> nil no memory
      dict:set("c", ("c"):rep(6000))       --> true nil true
      dict:get("b")                        --> nil
      #dict:get("a") + #dict:get("c")      --> 12000
      dict:set("d", ("d"):rep(20000))      --> false no memory false
      #dict:get("a") + #dict:get("c")      --> 12000
    ]])
  end)

  it("counts exactly what two workers count at once", function()
    local gw = start()
    local one, other = both(gw)
    local count = "for _ = 1, 20000 do dict:incr('n', 1, 0) end"
    local stream = one:open "greet.GreetService/Greet"
    stream:send { name = count }
    stream:half_close()
    run(other, count)
    stream:receive_all()
    assert.equal("OK", stream:status().code)
    assert.equal("40000", run(one, "return dict:get('n')"))
  end)

  it("takes all that every worker does to it at once, full or not, while scripts are replaced", function()
    local gw = gateway.start { scripts = { ["greet.lua"] = script }, config = config:gsub("workers = 2", "workers = 4")
      .. "shared_dict things { size = 16KiB }\nshared_dict sums { size = 1MiB }\n" }
    local code = [[
      local sums, pushed, popped, wrong = tidewire.shared.sums, 0, 0, 0
      for i = 1, 3000 do
        local key = "key " .. i * 7 % 50
        local value = dict:get(key)
        if value and value ~= value:sub(1, 1):rep(#value) then wrong = wrong + 1 end
        dict:set(key, ("%d"):format(i % 10):rep(i % 500), i % 3 == 0 and 0.001 or 0)
        if i % 11 == 0 then dict:delete(key) end
        if i % 13 == 0 then dict:expire(key, 0.001) end
        if i % 300 == 0 then dict:flush_all(); dict:flush_expired(5); dict:get_keys() end
        if dict:free_space() > dict:capacity() then wrong = wrong + 1 end
        sums:incr("sum", 1, 0)
        if sums:rpush("list", i) then pushed = pushed + 1 end
        if i % 3 > 0 and sums:lpop "list" then popped = popped + 1 end
        if i % 100 == 0 then tidewire.sleep(0) end
      end
      sums:incr("left", pushed - popped, 0)
      return wrong
    ]]
    local streams, workers = {}, {}
    for i = 1, 4 do
      local channel = client.connect(gw.address)
      workers[run(channel, "return tidewire.worker.id")] = true
      streams[i] = channel:open "greet.GreetService/Greet"
      streams[i]:send { name = code }
      streams[i]:half_close()
    end
    assert.same({ ["0"] = true, ["1"] = true, ["2"] = true, ["3"] = true }, workers)
    gw:reload()
    for _, stream in ipairs(streams) do assert.equal("0", stream:receive().greeting) end
    local sums = "local sums = tidewire.shared.sums return say(sums:get 'sum', sums:llen 'list' == sums:get 'left')"
    assert.equal("12000 true", run(client.connect(gw.address), sums))
  end)

  it("cannot be written by load code, which may never be in force", function()
    local writes = { "set('a', 1)", "incr('a', 1, 0)", "delete('a')", "lpush('a', 1)", "flush_all()", "expire('a', 1)" }
    for _, write in ipairs(writes) do
      local said = refusal(things, "require('tidewire').shared.things:" .. write .. "\n" .. script)
      assert(said:find("load code cannot write", 1, true), said)
    end
    local gw = start(nil, [[
      local tidewire = require "tidewire"
      local things = tidewire.shared.things
      assert(things:get "a" == nil)
      tidewire.spawn(function() things:add("a", "spawned") end)
    ]] .. script)
    assert.equal("spawned", run(client.connect(gw.address), "return dict:get('a')"))
  end)

  it("that no shared_dict declares refuses the script, and names the section", function()
    local said = refusal("", script)
    assert(said:find("greet.lua:2", 1, true), said)
    local expected = 'tidewire.shared has no "things": the config declares it with `shared_dict NAME { size = … }`'
    assert(said:find(expected, 1, true), said)
  end)
end)

describe("over a reload a shared_dict", function()
  after_each(gateway.stop_all)

  it("keeps what is in it, for old and new scripts in both workers", function()
    local gw = start()
    local one, other = both(gw)
    run(one, "dict:set('a', 1) dict:rpush('l', 'x')")
    gw:write("scripts/greet.lua", (script:gsub("local names", "dict:get('a')\nlocal names")))
    assert.equal(2, gw:reload())
    for _, channel in ipairs { one, other } do
      assert.equal("1 1", run(channel, "return dict:get('a'), dict:llen('l')"))
    end
    run(other, "dict:incr('a', 1)")
    assert.equal("2", run(one, "return dict:get('a')"))
  end)

  it("begins empty when its size changes, and the log says so", function()
    local gw = start()
    local channel = client.connect(gw.address)
    run(channel, "dict:set('a', 1)")
    gw:configure(config .. "shared_dict things { size = 128KiB }\n")
    assert.equal(2, gw:reload())
    gw:wait_for_log 'shared_dict "things" begins empty: its size was 65536 bytes and is 131072 now'
    assert.equal("nil 131072", run(channel, "return dict:get('a'), dict:capacity()"))
  end)

  it("begins empty when a config in between has not named it", function()
    local gw = start()
    local channel = client.connect(gw.address)
    run(channel, "dict:set('a', 1)")
    gw:write("scripts/greet.lua", "return {}")
    gw:configure(config)
    assert.equal(2, gw:reload())
    gw:write("scripts/greet.lua", script)
    gw:configure(config .. things)
    assert.equal(3, gw:reload())
    assert.equal("nil", run(channel, "return dict:get('a')"))
  end)

  it("is untouched by one that is refused", function()
    local gw = start()
    local channel = client.connect(gw.address)
    run(channel, "dict:set('a', 1)")
    gw:write("scripts/greet.lua", "error 'no'")
    gw:configure(config .. "shared_dict things { size = 128KiB }\n")
    assert.is_nil(gw:reload())
    assert.equal("1 65536", run(channel, "return dict:get('a'), dict:capacity()"))
  end)

  it("is still there for streams of the scripts that had it, when the config has it no more", function()
    local gw = start(nil, [[
      local dict = require("tidewire").shared.things
      return { GreetStream = function(stream)
        for message in stream:messages() do stream:send { greeting = tostring(dict:incr(message.name, 1, 0)) } end
      end }
    ]])
    local stream = client.connect(gw.address):open "greet.GreetService/GreetStream"
    stream:send { name = "n" }
    assert.equal("1", stream:receive().greeting)
    gw:write("scripts/greet.lua", "return {}")
    gw:configure(config)
    assert.equal(2, gw:reload())
    stream:send { name = "n" }
    assert.equal("2", stream:receive().greeting)
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)
end)
