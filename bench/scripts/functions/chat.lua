local tidewire = require "tidewire"
local room = tidewire.topic "room"
local chat = {}

function chat.Chat(stream)
  room:subscribe(stream, { queue = 1024 })
  for message in stream:messages() do
    room:publish(message)
  end
end

return chat
