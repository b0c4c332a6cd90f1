-- Run by bench/isolation: the latency of a quiet client's calls beside a flood over that without, for each kind of
-- flood. It comes from a second gateway, which sends as fast as it is let. The first one has CPU 0 for itself:
-- bench/isolation starts all of this on CPU 1, where the flood comes behind the client, so that no figure tells of how
-- the kernel shares a CPU between those who ask and those who answer.
local gateway = require "support.gateway"
local client = require "support.client"

local victim = [[
local tidewire = require "tidewire"
local greet, topic = {}, tidewire.topic("flood", { type = "greet.GreetStreamResponse" })
local function take(seconds)
  local till = tidewire.monotonic() + seconds
  while tidewire.monotonic() < till do end
end
function greet.Greet(_, request) return { greeting = request.name } end

local kinds = {
  receives = function(stream) for _ in stream:messages() do end end,
  answers = function(stream) for message in stream:messages() do stream:send { greeting = message.name } end end,
  is_slow = function(stream) for _ in stream:messages() do take(0.001) end end,
  sends = function(stream) while true do stream:send { greeting = "flood" } end end,
  listens = function(stream) topic:subscribe(stream, { policy = "drop_new" }) stream:wait() end,
  publishes = function(stream) for message in stream:messages() do topic:publish { greeting = message.name } end end,
  hands_on = function(stream)
    local there, back = tidewire.channel(0), tidewire.channel(0)
    stream:spawn(function() for value in there:values() do back:put(value) end end)
    while true do there:put(1) back:get() end
  end,
  ticks = function(stream)
    for _ = 1, 1000 do stream:every(0.001, function() end) end
    stream:wait()
  end,
}
function greet.GreetStream(stream) kinds[stream:recv().name](stream) end
function greet.GreetClientStream(stream) for _ in stream:messages() do end return {} end
return greet
]]
local hooks = [[
local tidewire = require "tidewire"
local function take(seconds)
  local till = tidewire.monotonic() + seconds
  while tidewire.monotonic() < till do end
end
return { Chat = { on_message = function(_, message) if message.sender == "slow" then take(0.001) end end } }
]]

local flooder = [[
local tidewire = require "tidewire"
local greet = {}
local function flood(kind)
  local up = tidewire.open("victim", "greet.GreetService/GreetStream")
  up:send { name = kind }
  tidewire.spawn(function() for _ in up:messages() do end end)
  while up:send { name = "flood" } do end
end
local function flood_hook(sender)
  local up = tidewire.open("victim", "chat.ChatService/Chat")
  while up:send { sender = sender, message = "flood" } do end
end
function greet.GreetStream(stream)
  local request = stream:recv()
  local kind, count = request.name:match "(%S+) (%d+)"
  for _ = 1, count do
    if kind == "hook" or kind == "slow" then stream:spawn(function() flood_hook(kind) end)
    else stream:spawn(function() flood(kind) end) end
  end
  stream:send { greeting = "begun" }
  stream:wait()
end
return greet
]]

describe("the latency of quiet calls beside", function()
  local quiet, steer
  before_each(function()
    local gw = gateway.start { scripts = { ["greet.lua"] = victim, ["chat.lua"] = hooks }, config = [[
      workers = 1
      service "greet.GreetService" { script = "greet.lua" }
      service "chat.ChatService" { script = "chat.lua" }]] }
    local other = gateway.start { scripts = { ["greet.lua"] = flooder }, config = ([[
      workers = 1
      drain_timeout = 1ms
      upstream "victim" { target = "%s" }
      service "greet.GreetService" { script = "greet.lua" }]]):format(gw.address) }
    os.execute(("chrt --idle -ap 0 %d; taskset -apc 0 %d >/dev/null"):format(other.process.pid, gw.process.pid))
    quiet, steer = client.connect(gw.address), client.connect(other.address)
  end)
  after_each(gateway.stop_all)

  local function times() return quiet:times("greet.GreetService/Greet", { name = "a" }, 1000) end

  local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
  end

  for _, kind in ipairs { "hook 1", "hook 1000", "slow 1", "slow 20", "receives 1", "receives 1000", "answers 20",
    "is_slow 20", "sends 20", "listens 1000", "hands_on 20", "ticks 1" } do
    it(kind, function()
      local p50, p99, alone, with = {}, {}, {}, {}
      for round = 1, 5 do
        local before = times()
        local stream = steer:open "greet.GreetService/GreetStream"
        stream:send { name = kind }
        assert(stream:receive())
        local publisher
        if kind:find "listens" then
          publisher = steer:open "greet.GreetService/GreetStream"
          publisher:send { name = "publishes 1" }
          assert(publisher:receive())
        end
        local beside = times()
        p50[round], p99[round] = beside.p50 / before.p50, beside.p99 / before.p99
        alone[round], with[round] = before.p99, beside.p99
        stream:cancel()
        if publisher then publisher:cancel() end
      end
      print(("%-14s p50 with / without: %5.2f; p99: %5.2f (%.2f and %.2f ms)"):format(kind, median(p50), median(p99),
        median(with), median(alone)))
    end)
  end
end)
