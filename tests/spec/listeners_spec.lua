local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"
local process = require "support.process"
local stat = require "posix.sys.stat"

local script = [[
local tidewire = require "tidewire"
local greet = {}
function greet.Greet(stream, request)
  return { greeting = request.name == "worker" and tostring(tidewire.worker.id) or stream.peer }
end
function greet.GreetStream(stream)
  for _ in stream:messages() do stream:send { greeting = tostring(tidewire.worker.id) } end
end
return greet
]]

local function start(config)
  return gateway.start { scripts = { ["greet.lua"] = script },
    config = config .. '\nservice "greet.GreetService" { script = "greet.lua" }' }
end

local function greet(address)
  return client.connect(address):call("greet.GreetService/Greet", {}, client.soon).message.greeting
end

describe("a listener", function()
  after_each(gateway.stop_all)

  it("on port 0 says which port it got, each for itself", function()
    local gw = start [[
      listen "127.0.0.1:0" { }
      listen "[::1]:0" { }
    ]]
    assert.equal(2, #gw.addresses)
    for _, address in ipairs(gw.addresses) do
      assert.is_truthy(address:find ":[1-9]%d+$")
      assert.is_string(greet(address))
    end
  end)

  it("serves IPv6, and tells scripts the peer's address in brackets", function()
    local gw = start [[ listen "[::1]:0" { } ]]
    assert.is_truthy(gw.address:find "^%[::1%]:%d+$")
    assert.is_truthy(greet(gw.address):find "^%[::1%]:%d+$")
  end)

  it("serves a unix socket with the mode that is asked for, and takes its file away", function()
    local gw = start [[ listen "unix:rpc.sock" { mode = 0600 } ]]
    local path = gw:path "rpc.sock"
    assert.equal(384, stat.stat(path).st_mode % 512) -- 0600
    assert.is_string(greet("unix:" .. path))
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
    assert.is_nil(stat.stat(path))
  end)

  it("takes over a unix socket that nobody serves any more, and leaves one that somebody serves", function()
    local config = [[
listen "unix:rpc.sock" { }
]]
    local gw = start(config)
    gw.may_end = "signal 9"
    gw:signal "KILL"
    gw:wait_exit()
    local path = gw:path "rpc.sock"
    assert.is_table(stat.stat(path))
    local second = gateway.start { config = config:gsub("rpc.sock", path) }
    local third = gateway.prepare { config = config:gsub("rpc.sock", path) }
    local code, output = gateway.run { "run", "-c", third:path "tidewire.conf" }
    assert.equal(1, code)
    assert.is_truthy(output:find "tidewire%.conf:1: error: ")
    assert.is_table(raw.connect("unix:" .. path):expect { type = "SETTINGS" })
    assert.is_not_nil(second)
  end)

  it("on a port that is taken refuses the start, naming the line", function()
    local first = start [[ listen "127.0.0.1:0" { } ]]
    local second = gateway.prepare { config = "\nlisten \"" .. first.address .. "\" { }\n" }
    local code, output = gateway.run { "run", "-c", second:path "tidewire.conf" }
    assert.equal(1, code)
    assert.is_truthy(output:find "tidewire%.conf:2: error: ")
  end)

  it("opens at a reload, and closes at one; what stays is not touched", function()
    local gw = start [[ listen "127.0.0.1:0" { } ]]
    local stays = client.connect(gw.address)
    assert.is_string(stays:call("greet.GreetService/Greet", {}).message.greeting)
    local mark = gw:mark()
    gw:configure [[
      listen "127.0.0.1:0" { }
      listen "[::1]:0" { }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    assert.equal(2, gw:reload())
    local second = gw:wait_for_log("listening on", mark):match "listening on (.+)$"
    assert.is_string(greet(second))
    assert.is_string(greet(gw.address))
    mark = gw:mark()
    gw:configure [[
      listen "127.0.0.1:0" { }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    assert.equal(3, gw:reload())
    assert.is_string(gw:wait_for_log("no longer listening on", mark))
    assert.is_nil((raw.connect(second)))
    assert.is_string(stays:call("greet.GreetService/Greet", {}).message.greeting)
  end)
end)

describe("a listener whose address stays at a reload", function()
  after_each(gateway.stop_all)

  local function change(gw, config)
    gw:configure(config .. '\nservice "greet.GreetService" { script = "greet.lua" }')
    assert.is_number((gw:reload()))
  end

  it("takes the new mode, on the socket that it has", function()
    local gw = start [[ listen "unix:gateway.sock" { mode = 0600 } ]]
    local before = stat.stat(gw:path "gateway.sock")
    change(gw, [[ listen "unix:gateway.sock" { mode = 0666 } ]])
    local after = stat.stat(gw:path "gateway.sock")
    assert.same({ 384, 438 }, { before.st_mode % 512, after.st_mode % 512 })
    assert.equal(before.st_ino, after.st_ino)
  end)

  it("takes the new backlog", function()
    local gw = start [[ listen "127.0.0.1:0" { backlog = 1 } ]]
    -- How many of six clients are connected while nobody accepts.
    local function waiting()
      gw:signal "STOP"
      local count = 0
      for _ = 1, 6 do
        if raw.connect(gw.address, { preface = false, seconds = 0.3 }) then count = count + 1 end
      end
      gw:signal "CONT"
      return count
    end
    assert.is_true(waiting() < 4)
    change(gw, [[ listen "127.0.0.1:0" { backlog = 100 } ]])
    assert.equal(6, waiting())
  end)
end)

describe("connections", function()
  after_each(gateway.stop_all)

  it("go to the worker with the fewest", function()
    local gw = start [[ workers = 4 ]]
    local counts, channels = {}, {}
    for i = 1, 20 do
      channels[i] = client.connect(gw.address)
      local stream = channels[i]:open "greet.GreetService/GreetStream"
      stream:send {}
      local worker = stream:receive().greeting
      counts[worker] = (counts[worker] or 0) + 1
    end
    local most, least, workers = 0, 99, 0
    for _, count in pairs(counts) do
      most, least, workers = math.max(most, count), math.min(least, count), workers + 1
    end
    assert.equal(4, workers)
    assert.is_true(most - least <= 1)
  end)

  it("beyond the descriptors of the process are closed, and the gateway goes on", function()
    local gw = gateway.prepare { scripts = { ["greet.lua"] = script },
      config = 'service "greet.GreetService" { script = "greet.lua" }' }
    gw:write("limited", "#!/bin/sh\nulimit -n 64\nexec " .. gateway.binary .. " \"$@\"\n")
    stat.chmod(gw:path "limited", 493)
    gw.process = process.start({ gw:path "limited", "run", "-c", gw:path "tidewire.conf" }, { output = gw.output })
    gw.address = gw:wait_for_log("listening on"):match "listening on (.+)$"
    gw:wait_for_log "in force"
    local before, open = gw:cpu_seconds(), {}
    for i = 1, 100 do open[i] = raw.connect(gw.address) end
    gw:wait_for_log "Too many open files"
    for _, one in ipairs(open) do one:close() end
    assert.is_string(greet(gw.address))
    assert.is_true(gw:cpu_seconds() - before < 1 * gateway.slowness) -- it did not spin
  end)

  it("that say nothing cost no thread and no answer, and end by the handshake's patience", function()
    local gw = start [[ listen "127.0.0.1:0" { } ]]
    local silent = assert(raw.connect(gw.address, { preface = false }))
    assert.is_string(greet(gw.address))
    assert.is_true(silent:await_gone())
  end)
end)

describe("tidewire --version", function()
  it("says so when the system has no thread for a worker", function()
    if gateway.slowness > 1 then return end -- a sanitizer needs more than this much address space for itself
    local gw = gateway.prepare { scripts = { ["greet.lua"] = script },
      config = 'workers = 16\nservice "greet.GreetService" { script = "greet.lua" }' }
    local child = process.start({ "sh", "-c", "ulimit -v 1000000; exec \"$0\" run -c \"$1\"", gateway.binary,
      gw:path "tidewire.conf" }, { output = gw.output })
    assert.equal(1, child:wait(gateway.patience))
    assert.is_truthy(gw:log():find "^worker %d+ has no thread: ")
  end)

  it("names itself and its libraries", function()
    local code, output = gateway.run { "--version" }
    assert.equal(0, code)
    for _, name in ipairs { "^tidewire %d", "LuaJIT", "libevent", "nghttp2", "OpenSSL" } do
      assert.is_truthy(output:find(name), name)
    end
  end)
end)
