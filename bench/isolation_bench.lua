-- Run by bench/isolation: prints a ratio for each fault that a handler may have.
local gateway = require "support.gateway"
local client = require "support.client"

local script = require "support.faulty_handlers"

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
