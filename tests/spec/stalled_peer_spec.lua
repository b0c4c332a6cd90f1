-- A peer that takes nothing of a call that has ended: it may not keep that call, nor the shutdown, waiting.
local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local greet = [[
local tidewire = require "tidewire"
local greet, text = {}, ("x"):rep(1000)

-- Fills its queue and returns: the call ends, its trailers wait behind what is queued.
function greet.GreetStream(stream)
  while stream:try_send { greeting = text } do end
  tidewire.log.info "the handler has returned"
end

-- Sends large messages for ever, and says when it has to wait.
local large = ("x"):rep(60000)
function greet.GreetServerStream(stream)
  while true do
    local is_sent, why = stream:send({ greeting = large }, 0.3)
    if why == "closed" then return end
    if not is_sent then tidewire.log.info "the peer takes nothing" end
  end
end

function greet.Greet(_, request) return { greeting = request.name } end

return greet
]]

local chat = [[
local tidewire = require "tidewire"
local room = tidewire.topic("room", { type = "chat.ChatMessage" })
return { Chat = {
  on_open = function(stream)
    if not stream:metadata "x-quiet" then room:subscribe(stream, { queue = 8, policy = "close" }) end
  end,
  on_message = function(_, message) for _ = 1, 1000 do room:publish(message) end end,
} }
]]

local WIDE = 2147483647
-- Windows that never close, over a socket that takes little.
local deaf = { settings = { [4] = WIDE, [5] = 1048576 }, receive_buffer = 65536 }

local function start(more)
  return gateway.start { scripts = { ["greet.lua"] = greet, ["chat.lua"] = chat }, config = (more or "") .. [[

    service "greet.GreetService" { script = "greet.lua" }
    service "chat.ChatService" { script = "chat.lua" }
  ]] }
end

-- Connects without ever reading, and fills the socket with a stream of its own.
local function connect_deaf(gw)
  local wire = assert(raw.connect(gw.address, deaf))
  wire:send { { send = "window", stream = 0, by = WIDE - 65535 } }
  wire:headers(1, "greet.GreetService/GreetServerStream")
  wire:data(1, raw.message(raw.text(1, "a")), true)
  gw:wait_for_log "the peer takes nothing"
  return wire
end

describe("a finished call whose peer takes nothing", function()
  after_each(gateway.stop_all)

  it("is reset and freed after limits.stalled, though no bound is reached", function()
    local gw = start "limits { stalled = 500ms }"
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, "greet.GreetService/GreetStream")
    gw:wait_for_log "the handler has returned"
    local ended = gw:wait_for_log "call ended"
    assert.is_truthy(ended:find("status=RESOURCE_EXHAUSTED reason=limit", 1, true), ended)
    assert.equal("ENHANCE_YOUR_CALM", wire:expect({ type = "RST_STREAM", stream = 1 }).code)
    -- Only the call: the connection goes on.
    wire:send { { send = "settings", values = { ["4"] = 65535 } } }
    wire:headers(3, "greet.GreetService/Greet")
    wire:data(3, raw.message(raw.text(1, "a")), true)
    assert.equal("0", wire:trailers(3).fields["grpc-status"])
  end)

  it("is left alone while its peer takes something", function()
    local gw = start "limits { stalled = 1500ms }"
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, "greet.GreetService/GreetStream")
    gw:wait_for_log "the handler has returned"
    local got = 0
    for _ = 1, 40 do -- 4 seconds: longer than one that stands still has
      wire:send { { send = "window", stream = 1, by = 100 } }
      local data = assert(wire:expect({ type = "DATA", stream = 1 }))
      got = got + data.length
      wire:ask("expect", { wanted = { type = "NEVER" }, seconds = 0.1 })
    end
    assert.equal(4000, got)
    assert.is_false(gw:said "call ended")
    wire:send { { send = "window", stream = 1, by = 1000000 }, { send = "window", stream = 0, by = 1000000 } }
    assert.equal("0", wire:trailers(1).fields["grpc-status"])
  end)

  it("is one that a topic's policy `close` has ended, too", function()
    local gw = start "limits { stalled = 500ms }"
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, "chat.ChatService/Chat")
    assert.is_table(wire:expect { type = "HEADERS", stream = 1 })
    local publisher = client.connect(gw.address):open("chat.ChatService/Chat", { metadata = { ["x-quiet"] = "1" } })
    publisher:send { sender = "ann", message = ("x"):rep(1000) }
    assert.equal("ENHANCE_YOUR_CALM", wire:expect({ type = "RST_STREAM", stream = 1 }).code)
    assert.is_string(gw:wait_for_log "reason=limit")
    publisher:cancel()
  end)

  it("is one that a deadline has ended, too", function()
    local gw = start "limits { stalled = 500ms }"
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, "greet.GreetService/GreetServerStream", { ["grpc-timeout"] = "200m" })
    wire:data(1, raw.message(raw.text(1, "a")), true)
    -- Trailers are not subject to flow control (RFC 9113, section 5.2.2).
    assert.equal("4", wire:trailers(1).fields["grpc-status"])
    assert.is_string(gw:wait_for_log "status=DEADLINE_EXCEEDED")
  end)

  it("is freed when the whole connection is not read", function()
    local gw = start "limits { stalled = 500ms }"
    local wire = connect_deaf(gw)
    wire:headers(3, "greet.GreetService/GreetStream")
    gw:wait_for_log "the handler has returned"
    local ended = gw:wait_for_log "call ended"
    assert.is_truthy(ended:find("GreetStream", 1, true), ended)
    assert.is_truthy(ended:find("reason=limit", 1, true), ended)
    wire:abort()
  end)
end)

describe("a call that ends in the middle of a large frame", function()
  after_each(gateway.stop_all)

  it("harms nobody when its peer reads on", function()
    local gw = start()
    for _ = 1, 5 do
      local wire = assert(raw.connect(gw.address, deaf))
      wire:send { { send = "window", stream = 0, by = WIDE - 65535 } }
      for stream = 1, 9, 2 do
        wire:headers(stream, "greet.GreetService/GreetServerStream", { ["grpc-timeout"] = (250 + stream) .. "m" })
        wire:data(stream, raw.message(raw.text(1, "a")), true)
      end
      for _ = 1, 5 do gw:wait_for_log "DEADLINE_EXCEEDED" end
      for stream = 1, 9, 2 do
        assert.equal("4", (wire:trailers(stream) or { fields = {} }).fields["grpc-status"])
      end
      wire:close()
    end
    assert.equal("OK", client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }).code)
  end)
end)

describe("drain_timeout", function()
  after_each(gateway.stop_all)

  it("ends a call whose window is closed", function()
    local gw = start "drain_timeout = 300ms"
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, "greet.GreetService/GreetStream")
    gw:wait_for_log "the handler has returned"
    wire:headers(3, "chat.ChatService/Chat")
    assert.is_table(wire:expect { type = "HEADERS", stream = 3 })
    gw:signal "TERM"
    assert.equal("14", wire:trailers(3).fields["grpc-status"])
    assert.equal(0, gw:wait_exit())
  end)

  it("ends a connection that is not read", function()
    local gw = start "drain_timeout = 300ms"
    local wire = connect_deaf(gw)
    wire:headers(3, "greet.GreetService/GreetStream")
    gw:wait_for_log "the handler has returned"
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
    wire:abort()
  end)
end)
