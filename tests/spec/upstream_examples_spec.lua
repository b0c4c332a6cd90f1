-- Every call that the examples' own client programs make, by a grpc++ client, answered by a grpc++ server behind the
-- gateway. tests/interop/upstream does the same with grpc-go.
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"

local services = { "greet.GreetService", "tutorial.NumberService", "chat.ChatService", "logger.Logger",
  "interop.Interop" }

describe("a grpc++ server behind the gateway answers every call of the examples", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function try(service)
    local config = { ('script_path = "%s/tests/interop/scripts"'):format(gateway.root),
      'proto = { "greet.proto", "tutorial.proto", "chat.proto", "logger.proto", "interop.proto" }',
      'log { level = info  access = off }', 'upstream "behind" { target = "' .. foreign.start_cpp() .. '" }' }
    for _, name in ipairs(services) do
      config[#config + 1] = ('service "%s" { %s  upstream = "behind" }'):format(name, service)
    end
    local gw = gateway.start { config = table.concat(config, "\n") }
    local output = gw:path "grpc++"
    local code = process.start({ "build/interop-cpp/interop_cpp", gw.address }, { output = output })
      :wait(2 * gateway.patience)
    local file = assert(io.open(output))
    local text = file:read "*a"
    file:close()
    assert(code == 0, text .. gw:log())
    return gw
  end

  it("passed through", function() try "" end)

  it("filtered", function()
    local gw = try 'script = "look.lua"'
    assert.is_true(gw:said "looked at 20") -- ten numbers and their sums
    assert.is_false(gw:said " error")
  end)

  it("filtered by two scripts", function() try 'script = { "look.lua", "hand_on.lua" }' end)
end)
