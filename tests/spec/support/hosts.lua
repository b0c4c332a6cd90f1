-- Gateways that share their topics over a bus, each with a chat of its own.
local gateway = require "support.gateway"
local client = require "support.client"
local process = require "support.process"

local hosts = {}

hosts.chat = "chat.ChatService/Chat"

-- A room whose name shows that it may be anything.
hosts.room = [[
  local tidewire = require "tidewire"
  local room = tidewire.topic("room, *.>", { type = "chat.ChatMessage" })
  return { Chat = {
    on_open = function(stream) room:subscribe(stream) end,
    on_message = function(_, message) room:publish(message) end,
  } }
]]

local service = '\nservice "chat.ChatService" { script = "chat.lua" }\n'

-- What gateway:configure() takes; `bus` are more keys of the section.
function hosts.config(server, bus, config)
  return ('bus { url = "%s" reconnect = 50ms %s }'):format(server.url, bus or "") .. service .. (config or "")
end
hosts.config_without = service

function hosts.serve(server, bus, script, config)
  return gateway.start {
    scripts = { ["chat.lua"] = script or hosts.room },
    config = hosts.config(server, bus, config),
  }
end

-- Two, connected.
function hosts.pair(server, bus, script, config)
  local a, b = hosts.serve(server, bus, script, config), hosts.serve(server, bus, script, config)
  a:wait_for_log "bus: connected"
  b:wait_for_log "bus: connected"
  return a, b
end

function hosts.join(gw, metadata)
  local stream = client.connect(gw.address):open(hosts.chat, { metadata = metadata })
  assert(type(stream:headers()) == "table")
  return stream
end

-- Says something until the other has heard it: from then on the one hears the other.
function hosts.meet(from, to)
  local heard
  process.await(gateway.patience, function()
    from:send { sender = "hello" }
    heard = to:receive(0.05)
    return heard
  end)
  return heard or error("nothing comes over the bus", 2)
end

-- The next message that is no greeting.
function hosts.next_said(stream)
  return assert(stream:receive_until(function(message) return message.sender ~= "hello" end))
end

-- As hosts.room, but "figures" is answered by what the bus and the topic tell of themselves.
hosts.telling = [[
  local tidewire = require "tidewire"
  local room = tidewire.topic("room", { type = "chat.ChatMessage" })
  return { Chat = {
    on_open = function(stream)
      local policy, queue = stream:metadata "x-policy", tonumber(stream:metadata "x-queue")
      room:subscribe(stream, { filter = { sender = "ann" }, policy = policy, queue = queue })
    end,
    on_message = function(_, message)
      if message.message ~= "figures" then room:publish(message) return end
      local figures = tidewire.bus()
      figures.counters = room:counters()
      return { sender = "figures", message = tidewire.json.encode(figures) }
    end,
  } }
]]

function hosts.figures(stream)
  stream:send { message = "figures" }
  local told = assert(stream:receive_until(function(message) return message.sender == "figures" end))
  return require("cjson").decode(told.message)
end

-- They are as `is_right` wants them, sooner or later.
function hosts.await_figures(stream, is_right)
  local last
  if not process.await(gateway.patience, function() last = hosts.figures(stream) return is_right(last) end) then
    error("they never are: " .. require("cjson").encode(last), 2)
  end
  return last
end

return hosts
