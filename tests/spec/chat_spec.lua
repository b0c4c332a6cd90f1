local gateway = require "support.gateway"
local client = require "support.client"

local chat = "chat.ChatService/Chat"

-- What people have said; the server's own messages come in between when it is their time.
local function next_said(stream)
  return stream:receive_until(function(message) return message.sender ~= "Server" end)
end

describe("the chat", function()
  local gw
  before_each(function() gw = gateway.start { config = gateway.examples } end)
  after_each(gateway.stop_all)

  -- A stream that is in the room: it has its headers.
  local function join(channel, metadata)
    local stream = channel:open(chat, { metadata = metadata })
    assert.is_table(stream:headers())
    return stream
  end

  it("gives headers to a subscriber that sends nothing", function()
    local stream = client.connect(gw.address):open(chat)
    assert.is_table(stream:headers(5 * gateway.slowness))
  end)

  it("sends each message to everyone in the room, the sender too, whichever worker has them", function()
    local streams = {}
    for i = 1, 6 do streams[i] = join(client.connect(gw.address)) end
    for i, stream in ipairs(streams) do
      local said = { sender = "ann " .. i, message = "hello", timestamp = 5 }
      stream:send(said)
      for _, other in ipairs(streams) do assert.same(said, next_said(other)) end
    end
  end)

  it("takes everyone along to a new version of the script", function()
    local ann, bob = join(client.connect(gw.address)), join(client.connect(gw.address))
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    ann:send { sender = "ann", message = "still here?" }
    for _, stream in ipairs { ann, bob } do assert.equal("still here?", next_said(stream).message) end
  end)

  it("keeps the order of what one person says for every listener", function()
    local speaker, listeners = join(client.connect(gw.address)), {}
    for i = 1, 10 do listeners[i] = join(client.connect(gw.address)) end
    for i = 1, 100 do speaker:send { sender = "ann", timestamp = i } end
    for _, listener in ipairs(listeners) do
      for i = 1, 100 do assert.equal(i, next_said(listener).timestamp) end
    end
  end)

  it("sends the server's own message with the time of day, at once and every 5 seconds", function()
    local before, stream = os.time(), join(client.connect(gw.address))
    local function next_hello()
      local message = assert(stream:receive_until(function(m) return m.sender == "Server" end))
      assert.equal("Hello from the server!", message.message)
      return message.timestamp
    end
    local first, second = next_hello(), next_hello()
    -- time(2) may turn to the next second a tick later than the finer clock that the gateway asks.
    assert.is_true(before - 1 <= first and second <= os.time() + 1)
    assert.is_true(second - first >= 4, second - first)
  end)

  it("ends a call with OK after its client's half-close, and goes on for the others", function()
    local leaving, staying = join(client.connect(gw.address)), join(client.connect(gw.address))
    leaving:send { sender = "leaving", message = "bye" }
    leaving:half_close()
    leaving:receive_all()
    assert.equal("OK", leaving:status().code)
    assert.equal("bye", next_said(staying).message)
    staying:send { sender = "staying", message = "alone" }
    assert.equal("alone", next_said(staying).message)
  end)

  local function enter(room, user, history)
    return join(client.connect(gw.address), { ["x-room"] = room, ["x-user"] = user, ["x-history"] = history })
  end

  local function server_says(stream, wanted)
    return stream:receive_until(function(m) return m.sender == "Server" and m.message == wanted end)
  end

  it("keeps rooms apart", function()
    local ann, bob, cid = enter("red", "ann"), enter("blue", "bob"), enter("red", "cid")
    bob:send { sender = "bob", message = "blue?" }
    ann:send { sender = "ann", message = "red?" }
    assert.equal("red?", next_said(cid).message)
    assert.equal("blue?", next_said(bob).message)
  end)

  it("knows who is in a room, and says who comes and goes", function()
    local ann = enter("red", "ann")
    local bob = enter("red", "bob")
    enter("blue", "cid")
    assert.is_table(server_says(ann, "bob has come"))
    ann:send { message = "/who" }
    assert.is_table(server_says(ann, "here: ann, bob"))
    bob:half_close()
    assert.is_table(server_says(ann, "bob has left"))
    ann:send { message = "/who" }
    assert.is_table(server_says(ann, "here: ann"))
  end)

  it("tells who comes later what was said, as much as it wants, also when everyone had left", function()
    local ann = enter "red"
    for i = 1, 60 do ann:send { sender = "ann", timestamp = i } end
    for i = 1, 60 do assert.equal(i, next_said(ann).timestamp) end
    ann:half_close()
    ann:status()
    local three, all = enter("red", nil, "3"), enter("red", nil, "1000")
    for i = 58, 60 do assert.equal(i, next_said(three).timestamp) end
    for i = 11, 60 do assert.equal(i, next_said(all).timestamp) end
    all:send { sender = "bob", timestamp = 61 }
    for _, stream in ipairs { three, all } do assert.equal(61, next_said(stream).timestamp) end
  end)

  it("sends a client everything that was said before its half-close", function()
    local stream = join(client.connect(gw.address))
    for i = 1, 50 do stream:send { sender = "ann", timestamp = i } end
    stream:half_close()
    local heard = {}
    for _, message in ipairs(stream:receive_all().messages) do
      if message.sender == "ann" then heard[#heard + 1] = message.timestamp end
    end
    local all = {}
    for i = 1, 50 do all[i] = i end
    assert.same(all, heard)
    assert.equal("OK", stream:status().code)
  end)

  it("forgets a client that cancels or whose connection goes", function()
    local channel = client.connect(gw.address)
    local cancelled, cut = join(client.connect(gw.address)), join(channel)
    local staying = join(client.connect(gw.address))
    cancelled:cancel()
    assert.equal("CANCELLED", cancelled:status().code)
    channel:disconnect()
    staying:send { sender = "staying", message = "still here" }
    assert.equal("still here", next_said(staying).message)
    assert.is_not_nil(cut)
  end)
end)
