local tidewire = require "tidewire"
local functions = require "functions.greet"
local echo = tidewire.project({ fields = { "name" }, reply = { "greeting" } }, function(_, name) return name end)

return {
  Greet = functions.Greet,
  GreetStream = { on_message = echo },
  GreetServerStream = functions.GreetServerStream,
}
