-- Before an upstream: RATE messages a second of each token, after BURST at once, over all its streams in all workers.
-- Who sends faster is not refused, but waits: a hook that waits stops its client, by HTTP/2's own flow control.
local tidewire = require "tidewire"

local RATE, BURST = 10, 20
local LONGEST = 1024 -- of a limit's keys

local limit = tidewire.limit { name = "ratelimit", rate = RATE, burst = BURST }

local ratelimit = {}

ratelimit["*"] = {
  on_open = function(stream)
    local token = stream:metadata "authorization"
    stream.ctx.key = token and #token <= LONGEST and token or stream.peer
  end,

  on_request = function(stream)
    local taken, _, seconds = limit:take(stream.ctx.key)
    while not taken do
      tidewire.sleep(seconds)
      taken, _, seconds = limit:take(stream.ctx.key)
    end
  end,
}

return ratelimit
