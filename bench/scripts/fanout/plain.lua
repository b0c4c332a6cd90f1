local tidewire = require "tidewire"
local room = tidewire.topic "room"
local chat = {}

function chat.Chat(stream)
  local reads_nothing = stream:metadata "x-reads-nothing"
  room:subscribe(stream, { queue = 1024, policy = reads_nothing and "drop_old" or "close" })
  for message in stream:messages() do
    room:publish(message)
  end
end

return chat
