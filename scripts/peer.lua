-- A chat room on several gateways: what a client of one says, the clients of all hear. Every node runs this script, and
-- none has to know who connects to whom: etc/peer-a.conf and etc/peer-b.conf are two of them.
local tidewire = require "tidewire"

local METHOD = "chat.ChatService/Chat"

local room = tidewire.topic("chat", { type = "chat.ChatMessage" }) -- of this node
local peers = {}
for name in pairs(tidewire.peers()) do peers[name] = tidewire.peer(name) end

-- Each client has a stream of its own to each node, all on one connection. It is opened when there is something to say,
-- and again when it has broken; what a peer that cannot be reached should hear, it misses.
local function pass_on(stream, message)
  local streams = stream.ctx
  for name, peer in pairs(peers) do
    local sent, why
    if streams[name] then sent, why = streams[name]:try_send(message) end
    if not sent and why ~= "full" then
      streams[name] = peer:open(METHOD)
      streams[name]:try_send(message)
    end
  end
end

local chat = {}

chat.Chat = {
  on_open = function(stream)
    if not stream.node then room:subscribe(stream) end -- a peer only brings what its clients say
  end,

  on_message = function(stream, message)
    if stream.node then
      message.sender = message.sender .. "@" .. stream.node
    else
      pass_on(stream, message)
    end
    room:publish(message)
  end,

  -- Closing ends what was opened for the client, so the peers first hear the rest.
  on_half_close = function(stream)
    for _, up in pairs(stream.ctx) do up:half_close() end
    for _, up in pairs(stream.ctx) do up:status() end
    stream:close()
  end,
}

return chat
