local tidewire = require "tidewire"
local room = tidewire.topic "room"
local chat, streams = {}, {}

-- The generator asks first, under another name, whether all its streams are there.
local function set_filters()
  for stream in pairs(streams) do
    room:subscribe(stream, { queue = 1024, filter = { sender = "publisher" } })
  end
end

function chat.Chat(stream)
  streams[stream] = true
  stream:on_close(function() streams[stream] = nil end)
  room:subscribe(stream, { queue = 1024 })
  local is_set = false
  for message in stream:messages() do
    if not is_set and message.sender == "publisher" then
      is_set = true
      set_filters()
    end
    room:publish(message)
  end
end

return chat
