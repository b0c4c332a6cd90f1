local gateway = require "support.gateway"
local client = require "support.client"
local nats = require "support.nats"

local chat = "chat.ChatService/Chat"

describe("the bus", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  local room = [[
    local tidewire = require "tidewire"
    local room = tidewire.topic("room, *.>", { type = "chat.ChatMessage" })
    return { Chat = {
      on_open = function(stream) room:subscribe(stream) end,
      on_message = function(_, message) room:publish(message) end,
    } }
  ]]

  local function serve(server, bus, script, config)
    return gateway.start {
      scripts = { ["chat.lua"] = script or room },
      config = ('bus { url = "%s" reconnect = 50ms %s }\nservice "chat.ChatService" { script = "chat.lua" }\n%s')
        :format(server.url, bus or "", config or ""),
    }
  end

  local function join(gw, metadata)
    local stream = client.connect(gw.address):open(chat, { metadata = metadata })
    assert.is_table(stream:headers())
    return stream
  end

  -- Says something until the other has heard it: from then on the two gateways hear each other.
  local function meet(from, to)
    local heard
    for i = 1, 200 * gateway.slowness do
      from:send { sender = "hello", timestamp = -i }
      heard = to:receive(0.05)
      if heard then break end
    end
    assert(heard, "nothing comes over the bus")
  end

  -- The next message that is no greeting.
  local function next_said(stream)
    return assert(stream:receive_until(function(message) return message.sender ~= "hello" end))
  end

  it("carries what is published, in order for each publisher, both ways, and nothing twice", function()
    local server = nats.start()
    local a, b = serve(server), serve(server)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, bob = join(a), join(b)
    meet(ann, bob)
    meet(bob, ann)
    for i = 1, 300 do
      ann:send { sender = "ann", timestamp = i }
      bob:send { sender = "bob", timestamp = i }
    end
    for _, stream in ipairs { ann, bob } do
      local heard = { ann = 0, bob = 0 }
      while heard.ann < 300 or heard.bob < 300 do
        local message = next_said(stream)
        assert.equal(heard[message.sender] + 1, message.timestamp)
        heard[message.sender] = message.timestamp
      end
      assert.same({ nil, "timeout" }, { stream:receive(0.1) })
    end
  end)
end)
