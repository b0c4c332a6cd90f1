local greet = {}

function greet.Greet(_, request) return { greeting = request.name } end

function greet.GreetStream(stream)
  for request in stream:messages() do
    stream:send { greeting = request.name }
  end
end

function greet.GreetServerStream(stream, request)
  for _ = 1, 1000 do
    stream:send { greeting = request.name }
  end
end

return greet
