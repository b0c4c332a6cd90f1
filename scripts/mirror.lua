-- Passes every call on to the upstream "main", and a copy of its requests to "shadow", whose answers nobody sees: a new
-- version is tried with real traffic. The shadow never holds up the main call; what is too fast for it, it misses.
local tidewire = require "tidewire"

local SHADOW_TIME = 60

local function open(stream, upstream, options)
  options.metadata = stream:metadata()
  return tidewire.open(upstream, stream.service .. "/" .. stream.method, options)
end

-- Not to end with the call that it copies, but some time.
local function open_shadow(stream)
  local shadow = open(stream, "shadow", { detached = true, timeout = SHADOW_TIME })
  shadow:spawn(function() shadow:status() end) -- its answers are dropped
  return shadow
end

local function pass_requests(stream, main, shadow)
  for message in stream:messages() do
    shadow:try_send(message)
    if not main:send(message) then break end
  end
  shadow:half_close()
  main:half_close()
end

local function pass_request(request, main, shadow)
  shadow:try_send(request)
  main:send(request)
end

local mirror = {}

mirror["*"] = function(stream, request)
  local main, shadow = open(stream, "main", {}), open_shadow(stream)
  if request then
    pass_request(request, main, shadow)
  else
    stream:spawn(pass_requests, main, shadow)
  end
  for message in main:messages() do stream:send(message) end
  stream:close(main:status())
end

return mirror
