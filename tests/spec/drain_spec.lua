local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local script = [[
local tidewire = require "tidewire"
local greet = {}

function greet.Greet(_, request) return { greeting = request.name } end

function greet.GreetStream(stream)
  for message in stream:messages() do stream:send { greeting = message.name } end
end

-- Many messages at once, then OK.
function greet.GreetServerStream(stream, request)
  for i = 1, tonumber(request.name) do stream:send { greeting = ("%d "):format(i) .. ("x"):rep(1000) } end
end

-- Waits for the drain, says goodbye, ends.
greet.GreetClientStream = {
  run = function(stream)
    while not (stream.draining and stream.ctx.was_told) do pcall(tidewire.sleep, 0.01) end
    return { greeting = "goodbye" }
  end,
  on_drain = function(stream)
    stream.ctx.was_told = true
    tidewire.log.info "on_drain has come"
  end,
}

return greet
]]

describe("TERM", function()
  local function start(more)
    return gateway.start { scripts = { ["greet.lua"] = script },
      config = (more or "") .. '\nservice "greet.GreetService" { script = "greet.lua" }' }
  end
  after_each(gateway.stop_all)

  local function say(stream, name)
    stream:send { name = name }
    return (stream:receive() or {}).greeting
  end

  it("lets open streams go on until they end by themselves, and accepts no new connection", function()
    local gw = start()
    local stream = client.connect(gw.address):open "greet.GreetService/GreetStream"
    assert.equal("before", say(stream, "before"))
    gw:signal "TERM"
    gw:wait_for_log "draining"
    assert.is_nil((raw.connect(gw.address)))
    assert.equal("after", say(stream, "after"))
    stream:half_close()
    assert.equal("OK", stream:status().code)
    assert.equal(0, gw:wait_exit())
  end)

  it("says GOAWAY twice: first that it will, then with the last stream that it takes", function()
    local gw = start()
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, "greet.GreetService/GreetStream")
    assert.is_table(wire:expect { type = "HEADERS", stream = 1 })
    gw:signal "TERM"
    local first = wire:expect { type = "GOAWAY" }
    assert.same({ "NO_ERROR", 2147483647 }, { first.code, first.last })
    local second = wire:expect { type = "GOAWAY" }
    assert.same({ "NO_ERROR", 1 }, { second.code, second.last })
    wire:data(1, raw.message(raw.text(1, "still")), true)
    assert.equal("0", wire:trailers(1).fields["grpc-status"])
    assert.is_true(wire:await_gone())
  end)

  it("is told to handlers", function()
    local gw = start()
    local stream = client.connect(gw.address):open "greet.GreetService/GreetClientStream"
    stream:send { name = "a" }
    assert.is_table(client.connect(gw.address):call("greet.GreetService/Greet", { name = "b" }).message)
    gw:signal "TERM"
    gw:wait_for_log "on_drain has come"
    assert.equal("goodbye", stream:receive().greeting)
    assert.equal("OK", stream:status().code)
  end)

  it("ends what is left after drain_timeout as UNAVAILABLE", function()
    local gw = start "drain_timeout = 500ms"
    local stream = client.connect(gw.address):open "greet.GreetService/GreetStream"
    assert.equal("a", say(stream, "a"))
    gw:signal "TERM"
    assert.equal("UNAVAILABLE", stream:status().code)
    assert.equal(0, gw:wait_exit())
  end)

  it("loses nothing that a handler has sent", function()
    local gw = start()
    local stream = client.connect(gw.address):open "greet.GreetService/GreetServerStream"
    stream:send { name = "2000" }
    stream:half_close()
    assert.is_truthy(stream:receive().greeting:find "^1 ")
    gw:signal "TERM"
    gw:wait_for_log "draining"
    for i = 2, 2000 do
      local message = assert(stream:receive())
      assert.equal(i, tonumber(message.greeting:match "^%d+"))
    end
    assert.equal("OK", stream:status().code)
  end)

  it("under load ends every stream in order, and no call that was answered is lost", function()
    local gw = start()
    local channels = {}
    for i = 1, 4 do channels[i] = client.connect(gw.address) end
    local streams = {}
    for i, channel in ipairs(channels) do
      for _, stream in ipairs(channel:open_many(25, "greet.GreetService/GreetStream")) do
        streams[#streams + 1] = stream
        assert.equal("a" .. i, say(stream, "a" .. i))
      end
    end
    gw:signal "TERM"
    gw:wait_for_log "draining"
    for i, stream in ipairs(streams) do
      assert.equal("b" .. i, say(stream, "b" .. i))
      stream:half_close()
      assert.equal("OK", stream:status().code)
    end
    assert.equal(0, gw:wait_exit())
  end)

  it("twice, or QUIT before or after it, ends at once", function()
    for _, signals in ipairs { { "TERM", "TERM" }, { "TERM", "QUIT" }, { "QUIT" } } do
      local gw = start "drain_timeout = 1h"
      local stream = client.connect(gw.address):open "greet.GreetService/GreetStream"
      assert.equal("a", say(stream, "a"))
      gw:signal(signals[1])
      if signals[2] then
        gw:wait_for_log "draining"
        gw:signal(signals[2])
      end
      assert.equal(0, gw:wait_exit())
      assert.equal("UNAVAILABLE", stream:status().code)
    end
  end)

  it("without any connection ends at once", function()
    local gw = start()
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
  end)

  -- The process stands still while they connect and ask, so that TERM finds them in the kernel.
  it("answers those who had connected and asked just before it", function()
    local gw = start(("drain_timeout = %ds"):format(gateway.slowness))
    gw:signal "STOP"
    local wires = {}
    for i = 1, 20 do
      wires[i] = assert(raw.connect(gw.address))
      wires[i]:headers(1, "greet.GreetService/GreetStream")
      wires[i]:data(1, raw.message(raw.text(1, "still")), i % 2 == 0)
    end
    gw:signal "TERM"
    gw:signal "CONT"
    for i, wire in ipairs(wires) do
      local trailers, why = wire:trailers(1)
      assert.equal(i % 2 == 0 and "0" or "14", trailers and trailers.fields["grpc-status"], why)
    end
    assert.equal(0, gw:wait_exit())
  end)

  it("while a reload is read still ends clean", function()
    local gw = start()
    gw:signal "HUP"
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
  end)

  it("does not wait for a detached stream that a script has forgotten, but the server behind does", function()
    local server = start "drain_timeout = 1s"
    local gw = gateway.start { scripts = { ["front.lua"] = [[
      local tidewire = require "tidewire"
      return { Greet = function(_, request)
        local up = tidewire.open("behind", "greet.GreetService/GreetStream", { detached = true })
        up:send { name = request.name }
        return { greeting = up:recv().greeting }
      end }
    ]] }, config = ([[
      workers = 1
      drain_timeout = 5m
      upstream behind { target = "%s" }
      service "greet.GreetService" { script = "front.lua" }
    ]]):format(server.address) }
    local reply = client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }, client.soon)
    assert.equal("a", reply.message.greeting)
    server:signal "TERM"
    assert.is_truthy(server:wait_for_log "status=UNAVAILABLE") -- at the end of its drain_timeout
    assert.equal(0, server:wait_exit())
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
  end)
end)
