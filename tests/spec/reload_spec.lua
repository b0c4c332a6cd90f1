local gateway = require "support.gateway"
local client = require "support.client"
local process = require "support.process"
local lfs = require "lfs"

local counter = [[
local tidewire = require "tidewire"
local tutorial = {}
function tutorial.AccumulateNumbers(stream)
  local sum = 0
  for request in stream:messages() do
    sum = sum + request.num
    stream:send { sum = sum }
  end
end
return tutorial
]]

local function says(word)
  return ('return { Greet = function() return { greeting = "%s" } end }'):format(word)
end

local config = [[
service "greet.GreetService"     { script = "greet.lua" }
service "tutorial.NumberService" { script = "tutorial.lua" }
service "chat.ChatService"       { script = "chat.lua" }
]]

local chat = [[
local tidewire = require "tidewire"
local room = tidewire.topic "room"
return { Chat = {
  on_open = function(stream) room:subscribe(stream) end,
  on_message = function(stream, message) room:publish(message) end,
} }
]]

local function start(scripts)
  local all = { ["greet.lua"] = says "one", ["tutorial.lua"] = counter, ["chat.lua"] = chat }
  for name, text in pairs(scripts or {}) do all[name] = text end
  return gateway.start { scripts = all, config = config }
end

local function greeting(channel)
  return channel:call("greet.GreetService/Greet", {}, client.soon).message.greeting
end

describe("a reload", function()
  after_each(gateway.stop_all)

  it("gives new streams the new script, and open ones the old until they end", function()
    local gw = start()
    local channel = client.connect(gw.address)
    local old = channel:open "tutorial.NumberService/AccumulateNumbers"
    old:send { num = 5 }
    assert.equal(5, old:receive().sum)
    gw:write("scripts/greet.lua", says "two")
    gw:write("scripts/tutorial.lua", (counter:gsub("sum %+ request", "sum - request")))
    assert.equal(2, gw:reload())
    assert.equal("two", greeting(channel))
    old:send { num = 5 }
    assert.equal(10, old:receive().sum)
    local new = channel:open "tutorial.NumberService/AccumulateNumbers"
    new:send { num = 5 }
    assert.equal(-5, new:receive().sum)
    gw:wait_for_log "generation 2 is in force"
    local mark = gw:mark()
    old:half_close()
    assert.equal("OK", old:status().code)
    gw:wait_for_log("generation 1 is gone", mark)
  end)

  it("lets old and new streams meet in one topic", function()
    local gw = start()
    local before = client.connect(gw.address):open "chat.ChatService/Chat"
    assert.is_table(before:headers())
    assert.equal(2, gw:reload())
    local after = client.connect(gw.address):open "chat.ChatService/Chat"
    assert.is_table(after:headers())
    before:send { sender = "before" }
    assert.same({ "before", "before" }, { before:receive().sender, after:receive().sender })
    after:send { sender = "after" }
    assert.same({ "after", "after" }, { before:receive().sender, after:receive().sender })
  end)

  it("reads the config anew: services, limits, protos", function()
    local gw = start()
    local channel = client.connect(gw.address)
    gw:write("protos/extra.proto", [[
      syntax = "proto3";
      package extra;
      message Nothing {}
      service Extra { rpc Do(Nothing) returns (Nothing); }
    ]])
    gw:write("scripts/extra.lua", "return { Do = function() return {} end }")
    gw:configure [[
      proto = { "greet.proto", "extra.proto" }
      service "greet.GreetService" { script = "greet.lua"  message = 100B }
      service "extra.Extra" { script = "extra.lua" }
    ]]
    assert.equal(2, gw:reload())
    local stream = channel:open("extra.Extra/Do", { bytes = true })
    stream:send ""
    stream:half_close()
    assert.same({ message = "" }, { message = stream:receive() })
    assert.equal("RESOURCE_EXHAUSTED", channel:call("greet.GreetService/Greet", { name = ("n"):rep(200) }).code)
    local gone = channel:open "tutorial.NumberService/AccumulateNumbers"
    assert.equal("UNIMPLEMENTED", gone:status().code)
  end)

  it("takes a new bound for topics", function()
    local gw = gateway.start { scripts = { ["greet.lua"] = [[
      local tidewire, kept = require "tidewire", {}
      return { Greet = function(_, request)
        return { greeting = tostring(pcall(function() kept[request.name] = tidewire.topic(request.name) end)) }
      end }
    ]] }, config = 'limits { topics = 1 }\nservice "greet.GreetService" { script = "greet.lua" }' }
    local channel = client.connect(gw.address)
    local function opens(name)
      return channel:call("greet.GreetService/Greet", { name = name }, client.soon).message.greeting
    end
    assert.same({ "true", "false" }, { opens "a", opens "b" })
    gw:configure 'limits { topics = 3 }\nservice "greet.GreetService" { script = "greet.lua" }'
    assert.equal(2, gw:reload())
    assert.same({ "true", "true" }, { opens "a", opens "b" })
  end)

  it("ends what the old scripts' load code started, when the new ones take over", function()
    local ticker = function(word)
      return ([[
        local tidewire = require "tidewire"
        tidewire.timer.every(0.02, function() tidewire.log.info "tick of %s" end)
        tidewire.spawn(function() while true do tidewire.sleep(0.02) tidewire.log.info "turn of %s" end end)
        return { Greet = function() return { greeting = "%s" } end }
      ]]):format(word, word, word)
    end
    local gw = start { ["greet.lua"] = ticker "one" }
    gw:wait_for_log "tick of one"
    gw:wait_for_log "turn of one"
    gw:write("scripts/greet.lua", ticker "two")
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    local mark = gw:mark()
    gw:wait_for_log("tick of two", mark)
    gw:wait_for_log("turn of two", mark)
    assert.equal(0, gw:count_in_log("of one", mark))
  end)
end)

-- name, what is broken (files, config), and what the fault must say: the place first
local script_faults = {
  { "a syntax error", "local x = = 1", "greet.lua:1:" },
  { "an error at load", "\nerror 'no'", "greet.lua:2:" },
  { "an index of nil at load", "local a\n\nreturn a.b", "greet.lua:3:" },
  { "no table at the end", "return 5", "greet.lua" },
  { "nothing at the end", "local x = 1", "greet.lua" },
  { "a method that the service has not", "return { Greeet = function() end }", "greet.lua", "Greet" },
  { "a handler that is no function", "return { Greet = 5 }", "greet.lua", "Greet" },
  { "a hook that does not exist", "return { GreetStream = { on_massage = function() end } }", "greet.lua",
    "on_message" },
  { "a global that is written", "\n\nx = 1\nreturn {}", "greet.lua:3:", "x" },
  { "a global that does not exist", "\nreturn nosuch.thing", "greet.lua:2:", "nosuch" },
  { "a module that is not there", "\nrequire 'lib.nothing'\nreturn {}", "greet.lua:2:", "lib.nothing" },
  { "a misspelt status", "\nlocal s = require('tidewire').status.NOT_FOUNT\nreturn {}", "greet.lua:2:", "NOT_FOUND" },
  { "a wait while it loads", "\nrequire('tidewire').sleep(1)\nreturn {}", "greet.lua:2:" },
  { "what is switched off", "\nos.execute 'true'\nreturn {}", "greet.lua:2:" },
  { "a loop without an end", "while true do end", "greet.lua" },
  { "no file", nil, "tidewire.conf:1:", "greet.lua" },
}

local config_faults = {
  { "an unknown key", "\nworkrs = 2", "tidewire.conf:2:", "workers" },
  { "a bad unit", 'drain_timeout = 5parsecs', "tidewire.conf:1:" },
  { "a value out of range", "limits { message = 0 }", "tidewire.conf:1:" },
  { "a section that is not closed", 'service "greet.GreetService" {', "tidewire.conf:" },
  { "a repeated section", 'service "greet.GreetService" { script = "greet.lua" }\n'
    .. 'service "greet.GreetService" { script = "greet.lua" }', "tidewire.conf:2:" },
  { "a repeated key", "drain_timeout = 1s\ndrain_timeout = 2s", "tidewire.conf:2:" },
  { "a key that comes later", '\n\npeer "x" { address = "127.0.0.1:1" }', "tidewire.conf:3:", "peer" },
  { "a proto that is not there", '\nproto = { "no.proto" }', "no.proto" },
  { "a proto with a syntax error", 'proto = { "broken.proto" }', "broken.proto:2:" },
  { "a service that no proto has", '\nservice "greet.Greeter" { script = "greet.lua" }', "tidewire.conf:2:",
    "greet.Greeter" },
  { "an address that is none", '\nlisten "nowhere" { }', "tidewire.conf:2:" },
  { "a certificate that is not there", 'listen "127.0.0.1:0" { tls { certificate = "no.pem"  key = "no.key" } }',
    "tidewire.conf:1:", "no.pem" },
  { "an include that is not there", '\ninclude("no.conf")', "tidewire.conf:2:", "no.conf" },
}

describe("a reload of", function()
  local gw, channel, open
  before_each(function()
    gw = start()
    channel = client.connect(gw.address)
    open = channel:open "tutorial.NumberService/AccumulateNumbers"
    open:send { num = 1 }
    assert.equal(1, open:receive().sum)
  end)
  after_each(gateway.stop_all)

  local function is_refused(...)
    local number, line = gw:reload()
    assert.is_nil(number)
    for _, text in ipairs { ... } do
      assert(line:find(text, 1, true), ("%q is not in: %s"):format(text, line))
    end
    -- The old one is in force, for new streams and for open ones.
    assert.equal("one", greeting(channel))
    open:send { num = 1 }
    assert.equal(2, open:receive().sum)
  end

  for _, fault in ipairs(script_faults) do
    it(fault[1] .. " in a script is refused, and says where", function()
      if fault[2] then gw:write("scripts/greet.lua", fault[2]) else os.remove(gw:path "scripts/greet.lua") end
      is_refused(unpack(fault, 3))
    end)
  end

  for _, fault in ipairs(config_faults) do
    it(fault[1] .. " in the config is refused, and says where", function()
      gw:write("protos/broken.proto", 'syntax = "proto3";\nmessage {\n')
      gw:configure(fault[2])
      is_refused(unpack(fault, 3))
    end)
  end

  it("what has been mended is taken", function()
    gw:write("scripts/greet.lua", "return {")
    is_refused "greet.lua:1:"
    gw:write("scripts/greet.lua", says "mended")
    assert.is_number(gw:reload())
    assert.equal("mended", greeting(channel))
  end)

  it("something broken does nothing that its load code asked for", function()
    gw:write("scripts/greet.lua", [[
      local tidewire = require "tidewire"
      tidewire.timer.every(0.01, function() tidewire.log.info "ghost" end)
      tidewire.spawn(function() tidewire.log.info "ghost" end)
      error "broken in the end"
    ]])
    local listener = channel:open "chat.ChatService/Chat"
    assert.is_table(listener:headers())
    is_refused "broken in the end"
    listener:send { sender = "ann" }
    assert.equal("ann", listener:receive().sender)
    assert.equal(0, gw:count_in_log "ghost")
  end)
end)

-- protoc is one that waits for as long as the file `hold` is there.
describe("a reload whose files are slow to read", function()
  local gw
  before_each(function()
    gw = gateway.prepare { scripts = { ["greet.lua"] = says "one" },
      config = 'service "greet.GreetService" { script = "greet.lua" }' }
    gw:write("bin/protoc", ('#!/bin/sh\nwhile [ -e "%s" ]; do : >"%s"; sleep 0.02; done\nPATH=%s\n' ..
      'exec protoc "$@"\n'):format(gw:path "hold", gw:path "is-held", os.getenv "PATH"))
    assert.equal(0, require("posix.sys.stat").chmod(gw:path "bin/protoc", 448))
    gw:launch { environment = { PATH = gw:path "bin" .. ":" .. os.getenv "PATH" } }
    gw.address = gw:wait_for_log("listening on"):match "listening on (.+)$"
    gw:wait_for_log "generation 1 is in force"
    gw:write("hold", "")
    gw:signal "HUP"
  end)
  after_each(function()
    os.remove(gw:path "hold")
    gateway.stop_all()
  end)

  local function greet() return client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }) end

  it("holds up no new connection, and is taken when it is done", function()
    for _ = 1, 3 do assert.equal("OK", greet().code) end
    local mark = gw:mark()
    os.remove(gw:path "hold")
    assert.is_string(gw:wait_for_log("generation 2 is in force", mark))
  end)

  it("is followed by another one when HUP comes meanwhile", function()
    local mark = gw:mark()
    assert(process.await(gateway.patience, function() return lfs.attributes(gw:path "is-held") end))
    gw:write("scripts/greet.lua", says "late")
    gw:signal "HUP"
    os.remove(gw:path "hold")
    assert.is_string(gw:wait_for_log("generation 3 is in force", mark))
    assert.equal("late", greet().message.greeting)
  end)

  it("does not hold up the end", function()
    assert.equal("OK", greet().code)
    gw.may_end = 0
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
    gw:wait_for_log "the config is still being read"
  end)
end)

describe("a reload whose listeners cannot be opened", function()
  after_each(gateway.stop_all) -- no generation is alive at the end

  it("leaves nothing of what it had prepared, each time", function()
    local service = '\nservice "greet.GreetService" { script = "greet.lua" }'
    local gw = gateway.start { scripts = { ["greet.lua"] = says "one" }, config = service }
    local socket = gw:path "new.sock"
    gw:configure(('listen "127.0.0.1:0" { }\nlisten "unix:%s" { }\nlisten "unix:/nowhere/at/all" { }'):format(socket)
      .. service)
    for _ = 1, 2 do
      local number, why = gw:reload()
      assert.is_nil(number)
      assert.is_truthy(why:find("tidewire.conf:3: error: ", 1, true), why)
      assert.is_nil(lfs.attributes(socket))
    end
    assert.equal("one", greeting(client.connect(gw.address)))
  end)
end)

describe("a reload that scripts refuse", function()
  after_each(gateway.stop_all)

  it("uses up no number", function()
    local gw = gateway.start { scripts = { ["greet.lua"] = says "first" },
      config = 'service "greet.GreetService" { script = "greet.lua" }' }
    gw:write("scripts/greet.lua", "error 'not yet'")
    assert.is_nil((gw:reload()))
    gw:write("scripts/greet.lua", says "second")
    assert.equal(2, gw:reload())
  end)
end)
