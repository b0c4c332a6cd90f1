-- Before an upstream: RATE messages a second of each token, after BURST at once, over all its streams in a worker. Who
-- sends faster is not refused, but waits: a hook that waits stops its client, by HTTP/2's own flow control.
local tidewire = require "tidewire"

local RATE, BURST = 10, 20

local buckets = setmetatable({}, { __mode = "v" }) -- a bucket goes with the last stream that has it

local function bucket_of(stream)
  local key = stream:metadata "authorization" or stream.peer
  local bucket = buckets[key] or { due = 0 }
  buckets[key] = bucket
  return bucket
end

-- `due` is when the next message would be on time, and at most BURST messages ago.
local function wait_for_turn(bucket)
  local now = tidewire.monotonic()
  local due = math.max(bucket.due, now - BURST / RATE)
  bucket.due = due + 1 / RATE
  if due > now then tidewire.sleep(due - now) end
end

local ratelimit = {}

ratelimit["*"] = {
  on_open = function(stream) stream.ctx.bucket = bucket_of(stream) end,
  on_request = function(stream) wait_for_turn(stream.ctx.bucket) end,
}

return ratelimit
