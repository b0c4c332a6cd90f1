-- A chat: what one client says, everyone in the room hears, its sender too; and the server says hello every 5 seconds.
local tidewire = require "tidewire"

local room = tidewire.topic("chat", { type = "chat.ChatMessage" })

local function say_hello(stream)
  stream:send { sender = "Server", message = "Hello from the server!", timestamp = tidewire.time() }
end

local chat = {}

chat.Chat = {
  on_open = function(stream)
    room:subscribe(stream)
    say_hello(stream)
    stream:every(5, say_hello)
  end,

  on_message = function(_, message)
    room:publish(message)
  end,

  -- Without this the subscription and the timer would keep the call open.
  on_half_close = function(stream)
    stream:close()
  end,
}

return chat
