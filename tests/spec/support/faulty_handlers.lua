-- A script whose GreetStream misbehaves as its first message says; Greet answers. For a spec and a benchmark.
return [[
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
