-- Every call that the examples' own client programs make, by a grpc++ client, answered by a grpc++ server behind the
-- gateway.
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"

local services = { "greet.GreetService", "tutorial.NumberService", "chat.ChatService", "logger.Logger",
  "interop.Interop" }

-- Looks into every message of every type, and waits at every third.
local look = [[
local tidewire = require "tidewire"
local fields = {
  ["greet.GreetRequest"] = "name", ["greet.GreetResponse"] = "greeting",
  ["greet.GreetStreamRequest"] = "name", ["greet.GreetStreamResponse"] = "greeting",
  ["greet.GreetClientStreamRequest"] = "name", ["greet.GreetClientStreamResponse"] = "greeting",
  ["greet.GreetServerStreamRequest"] = "name", ["greet.GreetServerStreamResponse"] = "greeting",
  ["tutorial.NumberRequest"] = "num", ["tutorial.NumberResponse"] = "sum",
  ["chat.ChatMessage"] = "message",
  ["logger.LogFilter"] = "minimum_level", ["logger.LogEntry"] = "message",
  ["interop.Payload"] = "number", ["interop.Failure"] = "code",
}

local function look(stream, message)
  local type = tidewire.message.type(message)
  assert(message[fields[type] ] ~= nil, type)
  stream.ctx.seen = (stream.ctx.seen or 0) + 1
  if stream.ctx.seen % 3 == 0 then tidewire.sleep(0.001) end
end

return { ["*"] = {
  on_request = look,
  on_response = look,
  on_close = function(stream) tidewire.log.info("looked at " .. (stream.ctx.seen or 0)) end,
} }
]]

-- Behind that: gives every message back as a hook does that has changed none.
local hand_on = [[
local function same(_, message) return message end
return { ["*"] = { on_request = same, on_response = same } }
]]

describe("a grpc++ server behind the gateway answers every call of the examples", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function try(service)
    local config = {
      'proto = { "greet.proto", "tutorial.proto", "chat.proto", "logger.proto", "interop.proto" }',
      'log { level = info  access = off }', 'upstream "behind" { target = "' .. foreign.start_cpp() .. '" }' }
    for _, name in ipairs(services) do
      config[#config + 1] = ('service "%s" { %s  upstream = "behind" }'):format(name, service)
    end
    local gw = gateway.start { config = table.concat(config, "\n"),
      scripts = { ["look.lua"] = look, ["hand_on.lua"] = hand_on } }
    local output = gw:path "grpc++"
    local code = process.start({ "build/interop-cpp/interop_cpp", gw.address }, { output = output })
      :wait(120 * gateway.slowness)
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
