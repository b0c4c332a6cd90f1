-- Who shares a `limit`: a connection, a service, an address, a user; over both workers.
local client = require "support.client"
local gateway = require "support.gateway"
local metered = require "support.metered"
local process = require "support.process"
local raw = require "support.raw"

local echo = metered.echo

local script = [[
  local calls = 0 -- of this worker
  return {
    Echo = function() calls = calls + 1; return { number = calls } end,
    EchoStream = function(stream) for message in stream:messages() do stream:send(message) end end,
  }
]]

local function start(limits, names, more)
  return gateway.start { scripts = { ["echo.lua"] = script }, config = ([[
    proto = { "interop.proto" }
    %s
    service "interop.Interop" {
      script = "echo.lua"
      limit = { %s }
      method "Echo" { limit = none }
    }
    %s
  ]]):format(limits, names, more or "") }
end

-- Two channels, each to a worker of its own: both are the first that their worker hears.
local function connect_both(gw)
  local one, other = client.connect(gw.address), client.connect(gw.address)
  assert.equal(1, one:call("interop.Interop/Echo", {}).message.number)
  assert.equal(1, other:call("interop.Interop/Echo", {}).message.number)
  return one, other
end

local function open(channel, user)
  local stream = channel:open(echo, { timeout = gateway.patience, metadata = user and { ["x-user"] = user } })
  stream:send { number = 1 }
  return stream
end

local function assert_open(stream) assert.same({ number = 1 }, stream:receive()) end
local function assert_refused(stream, limit) return metered.assert_limited(assert, stream:status(), limit or "few") end

-- How many of so many messages come back before a hard limit ends the stream, or all do.
local function echoes(stream, count)
  for i = 1, count do
    if not stream:send { number = i } then return i - 1 end
    if not stream:receive() then return i - 1 end
  end
  return count
end

describe("a limit", function()
  after_each(metered.stop)

  it("of a service counts the streams of all its clients, in all workers", function()
    local gw = start("limit few { per = service  streams = 3 }", "few")
    local one, other = connect_both(gw)
    local streams = { open(one), open(one), open(other) }
    for _, stream in ipairs(streams) do assert_open(stream) end
    assert_refused(open(one))
    assert_refused(open(other))
    streams[1]:cancel()
    assert.is_truthy(process.await(gateway.patience, function() return open(other):receive() ~= nil end))
  end)

  it("of a service counts the messages of all its clients, in all workers", function()
    local gw = start("limit few { per = service  action = hard  messages_per_second = 0.001  messages_burst = 20 }",
      "few")
    local one, other = connect_both(gw)
    local first, second = one:open(echo), other:open(echo)
    assert.equal(12, echoes(first, 12))
    assert.equal(8, echoes(second, 12))
    assert_refused(second)
    assert.equal(0, echoes(first, 1))
    assert_refused(first)
  end)

  it("that is soft shares its rate among all workers", function()
    local gw = start("limit few { per = service  messages_per_second = 100  messages_burst = 10 }", "few")
    local one, other = connect_both(gw)
    local streams, from = { one:open(echo), one:open(echo), other:open(echo), other:open(echo) }, process.now()
    for _, stream in ipairs(streams) do
      stream:send_each(metered.numbered(1, 20))
      stream:half_close()
    end
    for _, stream in ipairs(streams) do
      metered.are_numbered(assert, stream:receive_all().messages, 20)
      assert.equal("OK", stream:status().code)
    end
    assert.is_true(process.now() - from >= (80 - 10) / 100 - 0.1)
  end)

  it("of a connection leaves others alone", function()
    local gw = start("limit few { per = connection  messages = 5 }", "few")
    local one, other = connect_both(gw)
    local first, second = one:open(echo), one:open(echo)
    assert.equal(3, echoes(first, 3))
    assert.equal(2, echoes(second, 3))
    assert.equal('limit "few": more than 5 messages', second:status().text)
    assert.equal(5, echoes(other:open(echo), 5))
    assert.equal(0, echoes(first, 1))
  end)

  it("of a peer counts by its address, not by its port", function()
    local gw = start("limit few { per = peer  streams = 1 }", "few",
      'listen "127.0.0.1:0" { proxy_from = { "127.0.0.1" } }')
    local function connect(header)
      local wire = assert(raw.connect(gw.address, { first = header }))
      wire:headers(1, echo)
      wire:data(1, raw.message "")
      return wire
    end
    local function is_let_in(wire)
      local frame = assert(wire:expect { type = "HEADERS", stream = 1 })
      return frame.fields["grpc-status"] == nil
    end
    assert.is_true(is_let_in(connect "PROXY TCP4 203.0.113.9 127.0.0.1 4711 50051\r\n"))
    assert.is_false(is_let_in(connect "PROXY TCP4 203.0.113.9 127.0.0.1 4712 50051\r\n"))
    assert.is_true(is_let_in(connect "PROXY TCP4 203.0.113.10 127.0.0.1 4711 50051\r\n"))
    assert.is_true(is_let_in(connect "PROXY TCP6 2001:db8::9 ::1 4711 50051\r\n"))
    assert.is_false(is_let_in(connect "PROXY TCP6 2001:db8::10 ::1 4711 50051\r\n")) -- of the same network
    assert.is_true(is_let_in(connect "PROXY TCP6 2001:db8:0:1::9 ::1 4711 50051\r\n"))
  end)

  it("of a metadata tells its values apart, in all workers", function()
    local gw = start('limit few { per = "metadata x-user"  streams = 2 }', "few")
    local one, other = connect_both(gw)
    assert_open(open(one, "ann"))
    assert_open(open(other, "ann"))
    assert_refused(open(one, "ann"))
    assert_open(open(one, "bob"))
    assert_open(open(other))
    assert_open(open(one))
    assert_refused(open(other)) -- those without any are one
  end)

  it("counts keys for which it has no room as one", function()
    local gw = start('limit few { per = "metadata x-user"  streams = 1  keys = 2 }', "few")
    local one = connect_both(gw)
    local streams = { open(one, "ann"), open(one, "bob"), open(one, "carl") }
    for _, stream in ipairs(streams) do assert_open(stream) end
    assert_refused(open(one, "dora"))
    assert_refused(open(one, "ann"))
    for _, stream in ipairs(streams) do stream:cancel() end
    assert.equal(2, metered.figures(gw, "few").crowded)
  end)

  it("of a listener holds for who connects there alone, besides those of the services", function()
    local gw = start("limit few { per = service  streams = 1 }\nlimit all { per = service  streams = 2 }", "all",
      'listen "127.0.0.1:0" { limit = few }\nlisten "127.0.0.2:0" { }')
    local strict, free = client.connect(gw.addresses[1]), client.connect(gw.addresses[#gw.addresses])
    assert_open(open(strict))
    assert_refused(open(strict))
    assert_open(open(free))
    assert_refused(open(free), "all")
  end)

  it("that a listener and a service name counts once where it counts for both of them", function()
    local gw = start('limit few { per = peer  streams = 2 }\n', "few", 'listen "127.0.0.1:0" { limit = few }')
    local one = client.connect(gw.addresses[1])
    assert_open(open(one))
    assert_open(open(one))
    assert_refused(open(one))
  end)

  it("of a method stands instead of its service's", function()
    local gw = start("limit few { per = service  streams_per_second = 0.001 }", "few")
    local one = connect_both(gw) -- two unary calls already, of a method with none
    assert_open(open(one))
    assert_refused(open(one))
  end)
end)

describe("a reload", function()
  after_each(metered.stop)

  local config = [[
    proto = { "interop.proto" }
    %s
    service "interop.Interop" { script = "echo.lua"  limit = { %s }  method "Echo" { limit = none } }
  ]]
  local function reload(gw, limits, names)
    gw:configure(config:format(limits, names))
    return assert(gw:reload())
  end

  it("keeps what was counted, and changes how much may be", function()
    local gw = start("limit few { per = service  streams = 2 }", "few")
    local one, other = connect_both(gw)
    local first, second = open(one), open(other)
    assert_open(first)
    assert_open(second)
    reload(gw, "limit few { per = service  streams = 3 }", "few")
    assert_open(open(one))
    assert_refused(open(other))
    reload(gw, "limit few { per = service  streams = 1 }", "few")
    assert_refused(open(one))
    assert.equal(3, echoes(first, 3)) -- those that are open stay
    reload(gw, "limit few { per = peer  streams = 1 }", "few")
    assert_open(open(one)) -- what is counted for addresses was not counted yet
    assert_refused(open(one))
  end)

  it("leaves open streams the limits that they began with", function()
    local gw = start("limit few { action = hard  messages_per_second = 0.001  messages_burst = 5 }", "few")
    local one = connect_both(gw)
    local before = one:open(echo)
    assert.equal(2, echoes(before, 2))
    reload(gw, "limit few { action = hard  messages_per_second = 0.001  messages_burst = 7 }", "few")
    local after = one:open(echo)
    assert.equal(7, echoes(after, 10))
    assert_refused(after)
    assert.equal(3, echoes(before, 10))
    assert_refused(before)
  end)

  it("that takes a limit away lets go of nobody who waits", function()
    local gw = start("limit slow { messages_per_second = 2 }", "slow")
    local one = connect_both(gw)
    local stream = one:open(echo)
    stream:send_each(metered.numbered(1, 3))
    assert.equal(1, stream:receive().number)
    reload(gw, "", "")
    assert.equal(50, echoes(one:open(echo), 50))
    assert.equal(2, stream:receive().number)
    assert.equal(3, stream:receive().number)
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)
end)
