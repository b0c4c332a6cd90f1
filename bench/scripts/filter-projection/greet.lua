-- Reads a field of every message, each way.
local tidewire = require "tidewire"
local hooks = {
  on_request = tidewire.project({ fields = { "name" } }, function() end),
  on_response = tidewire.project({ fields = { "greeting" } }, function() end),
}

return { Greet = hooks, GreetStream = hooks, GreetServerStream = hooks }
