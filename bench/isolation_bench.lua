-- Run by bench/isolation: prints a ratio for each fault that a handler may have.
local gateway = require "support.gateway"
local client = require "support.client"

local script = [[
local tidewire = require "tidewire"
local greet, gone = {}, nil

function greet.Greet(_, request) return { greeting = request.name } end

local faults = {
  sleeps = function() tidewire.sleep(3600) end,
  loops = function(stream) for i = 1, 10000 do stream:send { greeting = "loop" } end end,
  throws = function() error "on purpose" end,
  never_returns = function() while true do end end,
  forgets = function(stream) stream.ctx.kept = true tidewire.sleep(3600) end,
  sends_to_gone = function(stream)
    if gone then for _ = 1, 100 do gone:send { greeting = "nobody" } gone:try_send { greeting = "nobody" } end end
    gone = stream
  end,
}

function greet.GreetStream(stream)
  local first = stream:recv()
  faults[first.name](stream)
end

return greet
]]

local config = [[
  workers = 1
  limits { handler_time = 20ms }
  service "greet.GreetService" { script = "greet.lua" }
]]

describe("the p99 of other streams beside one whose handler", function()
  local quiet, faulty
  before_each(function()
    local gw = gateway.start { scripts = { ["greet.lua"] = script }, config = config }
    quiet, faulty = client.connect(gw.address), client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function p99() return quiet:times("greet.GreetService/Greet", { name = "a" }, 2000).p99 end

  local function ratio(name)
    local ratios = {}
    for round = 1, 5 do
      local streams = {}
      local before = p99()
      for i = 1, name == "never_returns" and 1 or 20 do
        streams[i] = faulty:open "greet.GreetService/GreetStream"
        streams[i]:send { name = name }
      end
      ratios[round] = p99() / before
      for _, stream in ipairs(streams) do stream:cancel() end
    end
    table.sort(ratios)
    return ratios
  end

  for _, name in ipairs { "sleeps", "loops", "throws", "never_returns", "forgets", "sends_to_gone" } do
    it(name:gsub("_", " "), function()
      local ratios = ratio(name)
      print(("%-14s p99 with / without: %.2f (%.2f to %.2f)"):format(name, ratios[3], ratios[1], ratios[5]))
    end)
  end
end)
