-- A greeting in each of the four shapes that a call can have.
local greet = {}

-- How many replies one request for many gets.
local replies = tonumber(os.getenv "GREET_REPLIES") or 5

-- One request, one reply: what is returned is the reply.
function greet.Greet(_, request)
  return { greeting = request.name }
end

-- Requests and replies as they come.
function greet.GreetStream(stream)
  for request in stream:messages() do
    stream:send { greeting = request.name }
  end
end

-- Many requests, one reply.
function greet.GreetClientStream(stream)
  local names = {}
  for request in stream:messages() do
    names[#names + 1] = request.name
  end
  return { greeting = table.concat(names, ",") }
end

-- One request, many replies.
function greet.GreetServerStream(stream, request)
  for _ = 1, replies do
    stream:send { greeting = request.name }
  end
end

return greet
