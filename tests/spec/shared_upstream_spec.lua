-- Clients whose calls share the connection to a server: what one of them does not take is held back from it alone.
local gateway = require "support.gateway"
local client = require "support.client"
local process = require "support.process"
local raw = require "support.raw"

local endless = [[
local tidewire = require "tidewire"
local text = ("x"):rep(1000)
local greet = {}
-- As many messages as the name says.
function greet.GreetServerStream(stream, request)
  local is_stuck = false
  for _ = 1, tonumber(request.name) do
    while true do
      local is_sent, why = stream:send({ greeting = text }, 0.5)
      if why == "closed" then return end
      if is_sent then break end
      if not is_stuck then tidewire.log.info "nobody takes it" end
      is_stuck = true
    end
  end
end
return greet
]]

local filter = [[
return { GreetServerStream = { on_response = function(_, reply) local _ = reply.greeting end } }
]]

-- A stream of its own for each of the client's, read when the client takes what it gets.
local opener = [[
local tidewire = require "tidewire"
return { GreetServerStream = function(stream, request)
  local is_detached = stream:metadata "x-detached" ~= nil
  local up = tidewire.open("behind", "greet.GreetService/GreetServerStream", { detached = is_detached })
  stream:on_close(function() up:reset() end)
  up:send(request)
  up:half_close()
  for reply in up:messages() do stream:send(reply) end
end }
]]

local method = "greet.GreetService/GreetServerStream"

describe("a client that takes nothing of a thousand streams", function()
  after_each(gateway.stop_all)

  local server

  local function start(script)
    server = gateway.start { scripts = { ["greet.lua"] = endless },
      config = [[
        workers = 1
        limits { streams_per_connection = 2000  stalled = 10m
                 buffered_per_stream = 16KiB  buffered_per_connection = 1GiB }
        service "greet.GreetService" { script = "greet.lua" }
      ]] }
    return gateway.start { scripts = { ["front.lua"] = script }, config = ([[
      workers = 1
      log { level = debug }
      limits { message = 256KiB  buffered_per_connection = 1MiB  stalled = 10m }
      upstream behind { target = "%s"  connections = 1 }
      service "greet.GreetService" { script = "front.lua" %s }
    ]]):format(server.address, script == filter and 'upstream = "behind"' or "") }
  end

  local function attack(gw, more)
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:expect { type = "SETTINGS" }
    for i = 0, 999 do
      wire:send { { send = "headers", stream = 1 + 2 * i, fields = raw.request(method, more) },
        { send = "data", stream = 1 + 2 * i, bytes = raw.message(raw.text(1, "1000000")), ["end"] = true } }
    end
    gw:wait_for_log("no more window until some are gone")
    -- Until everything stands still.
    local last, since = -1, process.now()
    process.await(gateway.patience, function()
      local now = server:count_in_log "nobody takes it"
      if now ~= last then last, since = now, process.now() end
      return now > 0 and process.now() - since > gateway.slowness
    end)
  end

  -- More than any window between here and the server holds, so that those have to be given back again and again.
  local function assert_served(gw)
    local stream = client.connect(gw.address):open(method, client.soon)
    stream:send { name = "3000" }
    stream:half_close()
    for i = 1, 3000 do assert.is_truthy(stream:receive(), "message " .. i) end
    assert.equal("OK", stream:status().code)
  end

  it("does not hold back another's call through a filter to the same server", function()
    local gw = start(filter)
    attack(gw)
    assert_served(gw)
  end)

  it("does not hold back what a handler has opened for another", function()
    local gw = start(opener)
    attack(gw)
    assert_served(gw)
  end)

  it("does not hold back another's call by what it has opened detached", function()
    local gw = start(opener)
    attack(gw, { ["x-detached"] = "yes" })
    assert_served(gw)
  end)
end)
