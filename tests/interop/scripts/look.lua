-- A filter that looks into every message of every type, and waits at every third.
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
  assert(message[fields[type]] ~= nil, type)
  stream.ctx.seen = (stream.ctx.seen or 0) + 1
  if stream.ctx.seen % 3 == 0 then tidewire.sleep(0.001) end
end

return { ["*"] = {
  on_request = look,
  on_response = look,
  on_close = function(stream) tidewire.log.info("looked at " .. (stream.ctx.seen or 0)) end,
} }
