-- A room in which clients of every kind meet. A browser talks by WebSocket in one call, or listens and says by gRPC-Web
-- or plain HTTP in two; what one says, all hear. See docs/demo/ and etc/demo.conf.
local tidewire = require "tidewire"

-- The last hundred words are kept for those who come back.
local words = tidewire.topic("room", { type = "room.Word", history = 100, ttl = 600, position = "position" })

local room = {}

-- Whoever comes by several ways looks the same here; the words say by which.
local function publish(stream, word)
  return words:publish { sender = word.sender, text = ("%s (by %s)"):format(word.text, stream.protocol) }
end

room.Talk = {
  on_open = function(stream)
    words:subscribe(stream)
    stream:send_headers()
  end,
  on_message = function(stream, word) publish(stream, word) end,
  on_half_close = function(stream) stream:close() end,
}

-- A browser that has lost its connection says by itself which event was its last, and hears those behind it.
function room.Listen(stream)
  local seen = tonumber(stream:metadata "last-event-id") or 0 -- a client may say anything
  words:subscribe(stream, { since = seen > 2^20 and seen < 2^53 and math.floor(seen) or nil })
  stream:send_headers()
  stream:wait()
end

function room.Say(stream, word)
  return { listeners = publish(stream, word) }
end

return room
