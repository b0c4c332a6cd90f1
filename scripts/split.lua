-- Divides the messages of one stream between two upstreams, by their content, and joins the answers: names up to M go
-- to "first", the rest to "second".
local tidewire = require "tidewire"

local function where(name) return name:lower() < "n" and "first" or "second" end

-- What one of them answers goes to the client as it comes; if it fails, so does the whole call.
local function pass_answers(stream, up)
  for message in up:messages() do stream:send(message) end
  local code, text, details = up:status()
  if code ~= "OK" then stream:close(code, text, details) end
end

local split = {}

function split.GreetStream(stream)
  local parts = {}
  local function part(name)
    local upstream = where(name)
    if not parts[upstream] then
      parts[upstream] = tidewire.open(upstream, "greet.GreetService/GreetStream")
      stream:spawn(pass_answers, parts[upstream])
    end
    return parts[upstream]
  end

  for message in stream:messages() do part(message.name):send(message) end
  for _, up in pairs(parts) do up:half_close() end
  for _, up in pairs(parts) do up:status() end
end

return split
