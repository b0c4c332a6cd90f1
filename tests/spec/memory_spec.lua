-- Runs alone: it counts memory. What an attack has made the process hold is the system's again when it is over.
local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"
local process = require "support.process"

local MIB = 1048576

local script = [[
local greet = {}
-- Queues what its peer does not take, until there is no room for more; then holds the stream.
function greet.GreetStream(stream)
  for i = 1, 1000 do
    if not stream:try_send { greeting = ("x"):rep(i % 2 == 0 and 100 or 8000) } then break end
  end
  stream:recv()
end
function greet.Greet(_, request) return { greeting = request.name } end
return greet
]]

describe("memory that many streams have taken", function()
  after_each(gateway.stop_all)

  local function attack(gw, connections, streams)
    local wires = {}
    for i = 1, connections do
      wires[i] = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
      wires[i]:send({ { send = "headers", stream = 1, fields = raw.request "greet.GreetService/GreetStream" } },
        { times = streams, step = 2 })
    end
    return wires
  end

  local function await_resident(gw, is_wanted)
    return process.await(gateway.patience, function() return is_wanted(gw:resident_bytes()) end)
  end

  it("goes when they end, however they end", function()
    if gateway.slowness > 1 then return end -- a sanitizer keeps what was freed
    local gw = gateway.start { scripts = { ["greet.lua"] = script }, config = [[
      service "greet.GreetService" { script = "greet.lua" }
      log { level = info  access = off }
    ]] }
    -- What comes with the first calls and stays is no loss.
    for _, wire in ipairs(attack(gw, 1, 10)) do wire:abort() end
    assert.equal("OK", client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }).code)
    local start = gw:resident_bytes()
    for _, way in ipairs { "abort", "close", "abort" } do
      local wires = attack(gw, 5, 500)
      assert.is_truthy(await_resident(gw, function(now) return now > start + 100 * MIB end), "it takes no memory")
      for _, wire in ipairs(wires) do wire[way](wire) end
      -- Free lists and Lua's own heap keep some of it, for the next burst.
      assert.is_truthy(await_resident(gw, function(now) return now < start + 40 * MIB end),
        ("%s: from %d to %d"):format(way, start, gw:resident_bytes()))
    end
  end)
end)
