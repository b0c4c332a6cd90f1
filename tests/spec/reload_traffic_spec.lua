-- Runs alone: it counts memory.
local gateway = require "support.gateway"
local client = require "support.client"

local tutorial = [[
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

-- A counter that outlives its generation: every tick says the number after the last one that was heard.
local chat = [[
local tidewire = require "tidewire"
local ticks = tidewire.topic("ticks", { type = "chat.ChatMessage" })

if tidewire.worker.id == 0 then
  local last = 0
  ticks:subscribe(function(message) last = message.timestamp end)
end

return { Chat = {
  on_open = function(stream) ticks:subscribe(stream) end,
  on_message = function(_, message) ticks:publish(message) end,
} }
]]

local reloads, lasting_streams, passing_streams = 50, 2000, 20

describe("fifty reloads under traffic", function()
  after_each(gateway.stop_all)

  it("reset no stream, lose no message, double none, and leave no generation behind", function()
    local gw = gateway.start {
      scripts = { ["tutorial.lua"] = tutorial, ["chat.lua"] = chat },
      config = [[
        limits { streams_per_connection = 1000 }
        service "tutorial.NumberService" { script = "tutorial.lua" }
        service "chat.ChatService" { script = "chat.lua" }
        log { level = debug  access = off }
      ]],
    }
    local channels = {}
    for i = 1, 4 do channels[i] = client.connect(gw.address) end
    local function count(streams)
      local load = client.load(channels, { kind = "counters", count = streams,
        method = "tutorial.NumberService/AccumulateNumbers", pause = 1 })
      assert.is_table(load:await("opened", streams, 2 * gateway.patience))
      return load
    end
    local function finish(load, streams)
      local counted = load:stop(gateway.patience)
      assert.same({ 0, 0, {} }, { counted.wrong, counted.broken, counted.reasons })
      assert.equal(counted.sent, counted.received)
      assert.equal(streams, counted.ended)
    end
    -- Most streams are there from the first generation to the last; some come and go, each on the one it met.
    local lasting, passing = count(lasting_streams), count(passing_streams)
    local listeners = client.load({ client.connect(gw.address) }, { kind = "listeners", count = 20,
      method = "chat.ChatService/Chat", field = "timestamp", first = 1 })
    assert.is_table(listeners:await("opened", 20))
    local ticker = client.connect(gw.address):open "chat.ChatService/Chat"
    assert.is_table(ticker:headers())
    local tick, after_first, usual_heap = 0
    -- The Lua heaps of all workers, without garbage.
    local function heap_of(generation)
      local line = gw:wait_for_log("the reload has settled generation=" .. generation .. " ")
      assert.is_true(tonumber(line:match "streams=(%d+)") >= lasting_streams)
      return tonumber(line:match "lua_heap_bytes=(%d+)")
    end
    local function send_tick()
      tick = tick + 1
      assert.is_true(ticker:send { timestamp = tick })
      assert.equal(tick, ticker:receive().timestamp)
    end
    for i = 1, reloads do
      local received = lasting:state().received
      send_tick()
      assert.equal(i + 1, gw:reload())
      -- From the second on, three generations have streams: the first one, the one before and this.
      local heap = heap_of(i + 1)
      if i == 2 then usual_heap = heap end
      local growth = heap / (usual_heap or heap)
      assert.is_true(growth <= 1.02, "the Lua heap grew by the factor " .. growth)
      send_tick()
      local next_passing = count(passing_streams)
      finish(passing, passing_streams)
      passing = next_passing
      if i == 1 then after_first = gw:resident_bytes() end
      assert.is_table(lasting:await("received", received + 100)) -- traffic goes on
    end
    local growth = gw:resident_bytes() / after_first
    assert.is_true(growth <= 1.10 or gateway.slowness > 1, "resident memory grew by the factor " .. growth)

    assert.is_table(listeners:await("received", 20 * tick))
    local heard = listeners:stop()
    assert.same({ 20 * tick, 0, 0, {} }, { heard.received, heard.wrong, heard.broken, heard.reasons })
    ticker:cancel()
    finish(lasting, lasting_streams)
    finish(passing, passing_streams)
    -- Every generation but the last is gone.
    for i = 1, reloads do gw:wait_for_log(("generation %d is gone"):format(i)) end
  end)
end)
