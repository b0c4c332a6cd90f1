-- Reads a field of every message, each way.
local hooks = {
  on_request = function(_, request) local _ = request.name end,
  on_response = function(_, reply) local _ = reply.greeting end,
}

return { Greet = hooks, GreetStream = hooks, GreetServerStream = hooks }
