-- A peer that stops reading, or a handler that does: bounded memory, and nobody else's time.
local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"
local process = require "support.process"

local MIB = 1048576

local script = [[
local tidewire = require "tidewire"
local greet = {}

function greet.Greet(_, request) return { greeting = request.name } end

-- Sends for ever, and says how far it got.
function greet.GreetServerStream(stream, request)
  local size, sent = tonumber(request.name), 0
  local text = ("x"):rep(size)
  while stream:send { greeting = text } do
    sent = sent + size
    if sent % (100 * size) == 0 then tidewire.log.info(("sent %d"):format(sent)) end
  end
end

-- Never reads until it is told to by the chat.
local gate = tidewire.topic("gate", { type = "chat.ChatMessage" })
function greet.GreetClientStream(stream)
  local is_open, count = false, 0
  gate:subscribe(function() is_open = true end)
  while not is_open do tidewire.sleep(0.01) end
  for _ in stream:messages() do count = count + 1 end
  return { greeting = tostring(count) }
end

function greet.GreetStream(stream)
  local text = ("x"):rep(1000)
  local sent = 0
  while true do
    local is_sent, why = stream:try_send { greeting = text }
    if not is_sent then
      tidewire.log.info(("try_send says %s"):format(why))
      break
    end
    sent = sent + 1
  end
  local messages, bytes = stream:pending()
  tidewire.log.info(("pending %d %d"):format(messages, bytes))
  stream:recv()
end

return greet
]]

local chat = [[
local tidewire = require "tidewire"
local gate = tidewire.topic("gate", { type = "chat.ChatMessage" })
return { Chat = { on_message = function(_, message) gate:publish(message) end } }
]]

describe("a reader that stops", function()
  local gw
  after_each(gateway.stop_all)
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script, ["chat.lua"] = chat }, config = [[
      limits { buffered_per_stream = 256KiB  buffered_per_connection = 4MiB  stalled = 60s }
      service "greet.GreetService" { script = "greet.lua" }
      service "chat.ChatService" { script = "chat.lua" }
    ]] }
  end)

  -- Waits until the figure no longer changes.
  local function settled(figure)
    local last, since = figure(), process.now()
    process.await(gateway.patience, function()
      local now = figure()
      if now ~= last then last, since = now, process.now() end
      return process.now() - since > 0.5 * gateway.slowness
    end)
    return last
  end

  it("makes send wait: the handler stands still and memory is bounded", function()
    local before = gw:resident_bytes()
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, "greet.GreetService/GreetServerStream")
    wire:data(1, raw.message(raw.text(1, "1000")), true)
    gw:wait_for_log "sent "
    local count = settled(function() return gw:count_in_log "sent " end)
    assert.is_true(count < 100) -- 10 MB: windows, socket buffers and the queue are far less
    assert.is_true(gw:resident_bytes() - before < 8 * MIB * gateway.slowness)
    local other = client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }, client.soon)
    assert.equal("OK", other.code)
    -- As soon as it reads on, so does the handler.
    local mark = gw:mark()
    for _ = 1, 100 do
      local data = wire:expect { type = "DATA", stream = 1 }
      wire:send { { send = "window", stream = 1, by = data.length }, { send = "window", stream = 0, by = data.length } }
    end
    gw:wait_for_log("sent ", mark)
    wire:reset(1)
  end)

  it("makes try_send say so, and pending count", function()
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, "greet.GreetService/GreetStream")
    gw:wait_for_log "try_send says full"
    local messages, bytes = gw:wait_for_log("pending "):match "pending (%d+) (%d+)"
    assert.is_true(tonumber(messages) > 200 and tonumber(messages) < 300)
    assert.is_true(tonumber(bytes) > 200 * 1024 and tonumber(bytes) < 300 * 1024)
    wire:reset(1)
  end)

  it("does not hold up other streams of its connection", function()
    local channel = client.connect(gw.address)
    local stuck = channel:open "greet.GreetService/GreetServerStream"
    stuck:send { name = "1000" }
    stuck:half_close()
    gw:wait_for_log "sent "
    for _ = 1, 20 do
      assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "a" }, client.soon).code)
    end
    stuck:cancel()
  end)
end)

describe("a handler that does not read", function()
  local gw
  after_each(gateway.stop_all)
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script, ["chat.lua"] = chat }, config = [[
      limits { buffered_per_stream = 256KiB  buffered_per_connection = 4MiB  stalled = 60s }
      service "greet.GreetService" { script = "greet.lua" }
      service "chat.ChatService" { script = "chat.lua" }
    ]] }
  end)

  it("closes the window behind it, and loses nothing when it reads on", function()
    local channel = client.connect(gw.address)
    local stream = channel:open "greet.GreetService/GreetClientStream"
    local outcome = stream:send_times(10000, { name = ("x"):rep(1000) }, 2 * gateway.slowness)
    assert.equal("timeout", outcome.reason)
    assert.is_true(outcome.sent > 10 and outcome.sent < 2000)
    -- Others of the same connection are served, however full that one is.
    assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "a" }, client.soon).code)
    local opener = client.connect(gw.address):open "chat.ChatService/Chat"
    opener:send { sender = "go" }
    local rest = stream:send_times(500, { name = ("x"):rep(1000) })
    assert.is_nil(rest.reason)
    stream:half_close()
    -- One more: the message that was waiting when the time was up.
    assert.equal(tostring(outcome.sent + 1 + rest.sent), stream:receive().greeting)
    opener:half_close()
  end)
end)

describe("a thousand unfinished messages of one connection", function()
  after_each(gateway.stop_all)

  it("cost what the connection may buffer, and everyone else is served", function()
    local gw = gateway.start { scripts = { ["greet.lua"] = script, ["chat.lua"] = chat }, config = [[
      limits { streams_per_connection = 1000  buffered_per_connection = 32MiB  stalled = 2s }
      service "greet.GreetService" { script = "greet.lua" }
      service "chat.ChatService" { script = "chat.lua" }
    ]] }
    local channel = client.connect(gw.address)
    assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "a" }, client.soon).code)
    local before = gw:resident_bytes()
    local wire = assert(raw.connect(gw.address))
    -- All but the last byte of 4 MiB on each of 1,000 streams, as far as the windows let it.
    local outcome = wire:ask("pour", { count = 1000, fields = raw.request "greet.GreetService/GreetClientStream",
      message = 4 * MIB, leave = 1 })
    assert.is_true(outcome.sent < 1000 * 4 * MIB)
    local growth = gw:resident_bytes() - before
    assert.is_true(growth < 1.5 * 32 * MIB * gateway.slowness, "resident memory grew by " .. growth)
    for _ = 1, 20 do
      assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "a" }, client.soon).code)
    end
    assert.is_true(outcome.statuses["8"] ~= nil) -- those that stood still are RESOURCE_EXHAUSTED
  end)
end)
