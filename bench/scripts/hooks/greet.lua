local functions = require "functions.greet"

return {
  Greet = functions.Greet,
  GreetStream = { on_message = function(_, request) return { greeting = request.name } end },
  GreetServerStream = functions.GreetServerStream,
}
