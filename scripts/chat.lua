-- A chat with rooms: what one client says, everyone in its room hears, its sender too; and the server says hello every
-- 5 seconds. Clients may say in their metadata which room they enter (x-room), who they are (x-user), and how much of
-- what was said before they want to hear (x-history). "/who" asks who is there.
local tidewire = require "tidewire"

local KEPT = 50

-- A room that is empty is forgotten an hour after its last word. Clients choose the names: limits { topics } bounds
-- them.
local function open_room(name)
  return tidewire.topic("chat in " .. name, { type = "chat.ChatMessage", history = KEPT, ttl = 3600 })
end

local function server_says(text)
  return { sender = "Server", message = text, timestamp = tidewire.time() }
end

local function say_hello(stream)
  stream:send(server_says "Hello from the server!")
end

local function who_is_there(room)
  local users = room:members()
  table.sort(users)
  return server_says("here: " .. table.concat(users, ", "))
end

local function wanted_history(stream)
  local count = tonumber(stream:metadata "x-history") or 0
  return math.floor(math.max(0, math.min(count, KEPT)))
end

local chat = {}

chat.Chat = {
  on_open = function(stream)
    local room, user = open_room(stream:metadata "x-room" or "lobby"), stream:metadata "x-user"
    if user then room:publish(server_says(user .. " has come")) end
    stream.ctx.room, stream.ctx.user = room, user
    room:subscribe(stream, { show = user, since = wanted_history(stream) })
    say_hello(stream)
    stream:every(5, say_hello)
  end,

  on_message = function(stream, message)
    if message.message == "/who" then return who_is_there(stream.ctx.room) end
    stream.ctx.room:publish(message)
  end,

  -- Without this the subscription and the timer would keep the call open.
  on_half_close = function(stream)
    stream:close()
  end,

  -- Open streams go over to a new version of this script: room and subscription stay, the timer is the new one's.
  on_reload = function(stream)
    stream:every(5, say_hello)
  end,

  on_close = function(stream)
    local room, user = stream.ctx.room, stream.ctx.user
    if user then room:publish(server_says(user .. " has left")) end
  end,
}

return chat
