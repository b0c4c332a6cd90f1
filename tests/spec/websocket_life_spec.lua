-- WebSockets over time: peers that stop reading, are not there any more, or are sent away.
local gateway = require "support.gateway"
local http1 = require "support.http1"
local process = require "support.process"
local raw = require "support.raw"
local websocket = require "support.websocket"

local MIB = 1048576

local script = [[
local tidewire = require "tidewire"
local greet = {}

-- Sends for ever, and says how far it got and how it ended.
function greet.GreetServerStream(stream, request)
  local size, sent = tonumber(request.name), 0
  local text = ("x"):rep(size)
  stream:on_close(function(_, code) tidewire.log.info("sending ended " .. code) end)
  while stream:send { greeting = text } do
    sent = sent + size
    if sent % (16 * size) == 0 then tidewire.log.info(("sent %d"):format(sent)) end
  end
end

-- Reads nothing until the chat says so.
local gate = tidewire.topic("gate", { type = "chat.ChatMessage" })
function greet.GreetClientStream(stream)
  local is_open, count = false, 0
  gate:subscribe(function() is_open = true end)
  tidewire.log.info "waits"
  while not is_open do tidewire.sleep(0.01) end
  for _ in stream:messages() do count = count + 1 end
  return { greeting = tostring(count) }
end

function greet.GreetStream(stream)
  local cookie = stream:metadata "cookie" or "no cookie"
  for message in stream:messages() do stream:send { greeting = message.name == "cookie" and cookie or message.name } end
end

return greet
]]

local chat = [[
local tidewire = require "tidewire"
local gate = tidewire.topic("gate", { type = "chat.ChatMessage" })
return { Chat = { on_message = function(_, message) gate:publish(message) end } }
]]

describe("a WebSocket", function()
  local gw
  local function start(more)
    gw = gateway.start { scripts = { ["greet.lua"] = script, ["chat.lua"] = chat }, config = (more or "") .. [[

      service "greet.GreetService" { script = "greet.lua" }
      service "chat.ChatService" { script = "chat.lua" }
    ]] }
  end
  local function open(path, options) return websocket.open(gw.address, path, options) end
  after_each(gateway.stop_all)

  local function settled(figure)
    local last, since = figure(), process.now()
    process.await(gateway.patience, function()
      local now = figure()
      if now ~= last then last, since = now, process.now() end
      return process.now() - since > 0.5 * gateway.slowness
    end)
    return last
  end

  local function sent_so_far()
    local sent = 0
    for figure in gw:log():gmatch "sent (%d+)" do sent = tonumber(figure) end
    return sent
  end

  -- Sends that again and again, until nothing is taken any more: how many bytes, and where it stands in the last one.
  local function fill(ws, bytes)
    local most, sent, at = 64 * MIB, 0, 1
    settled(function()
      for _ = 1, 1000 do
        local step = sent < most and ws.wire:send_some(bytes:sub(at)) or 0
        if step == 0 then break end
        sent, at = sent + step, at + step
        if at > #bytes then at = 1 end
      end
      return sent
    end)
    assert.is_true(sent < most) -- what kernels hold of it
    return sent, at
  end

  it("whose client reads nothing stops the handler, and lets it go on", function()
    start "limits { buffered_per_stream = 256KiB }"
    local ws = open("/greet.GreetService/GreetServerStream", { receive_buffer = 65536 })
    ws:text '{"name":"65536"}'
    gw:wait_for_log "sent "
    local before = settled(sent_so_far)
    assert.is_true(before < 16 * MIB)
    local got = 0
    while got <= before do got = got + #ws:message() end
    assert.is_true(process.await(gateway.patience, function() return sent_so_far() > before end))
    ws:send(0x88, "\3\232")
    gw:wait_for_log "sending ended CANCELLED"
  end)

  it("whose handler reads nothing stops the client, loses nothing, and answers pings meanwhile", function()
    start "limits { buffered_per_stream = 64KiB }"
    local ws = open "/greet.GreetService/GreetClientStream"
    gw:wait_for_log "waits"
    ws:send(0x89, "one")
    assert.equal("pong", (ws:receive()))
    local message = websocket.frame(0x81, '{"name":"' .. ("x"):rep(1000) .. '"}')
    local sent, at = fill(ws, message)
    local messages = math.ceil(sent / #message)
    local gate = open "/chat.ChatService/Chat"
    gate:text "{}"
    if at > 1 then ws.wire:send(message:sub(at)) end
    ws:half_close()
    assert.equal(('{"greeting":"%d"}'):format(messages), ws:message())
    assert.equal(1000, (ws:closed()))
  end)

  -- They have no bytes that could wait, but cost memory.
  it("whose handler reads nothing stops a client of empty messages, and loses none", function()
    start "limits { buffered_per_stream = 64KiB }"
    local ws = open("/greet.GreetService/GreetClientStream", { protocol = "tidewire.proto" })
    gw:wait_for_log "waits"
    local message = websocket.frame(0x82, "", { mask = "\1\2\3\4" })
    local sent, at = fill(ws, message:rep(1000))
    local gate = open "/chat.ChatService/Chat"
    gate:text "{}"
    if (at - 1) % #message > 0 then ws.wire:send(message:sub((at - 1) % #message + 1)) end
    ws:half_close()
    local answer, kind
    repeat answer, kind = ws:message() until kind == "binary"
    assert.equal(math.ceil(sent / #message), tonumber(answer:sub(3)))
  end)

  it("is pinged when it is silent, and given up when it does not answer", function()
    start(("keepalive { interval = 200ms  timeout = %ds }"):format(4 * gateway.slowness))
    local ws = open "/greet.GreetService/GreetStream"
    for _ = 1, 3 do
      assert.equal("ping", (ws:receive()))
      ws:send(0x8a, "")
    end
    ws:text '{"name":"still here"}'
    assert.equal('{"greeting":"still here"}', ws:message())
    local kind
    repeat kind = ws:receive() until kind ~= "ping"
    assert.is_nil(kind) -- the connection is gone, without a close
    gw:wait_for_log "status=CANCELLED reason=connection"
  end)

  it("is closed with 1001 when the gateway ends, and its handler does not", function()
    start "drain_timeout = 500ms"
    local ws = open "/greet.GreetService/GreetStream"
    ws:text '{"name":"a"}'
    assert.equal('{"greeting":"a"}', ws:message())
    gw:signal "TERM"
    local code, reason = ws:closed()
    assert.equal(1001, code)
    assert.is_true(#reason > 0)
    assert.equal(0, gw:wait_exit())
  end)

  it("is open to pages of the origins that the listener names", function()
    start 'listen "127.0.0.1:0" { cors { origins = { "https://app.example" } } }'
    local path = "/greet.GreetService/GreetStream"
    local ws = open(path, { origin = "https://app.example" })
    ws:half_close()
    assert.equal(1000, (ws:closed()))
    open(path, { origin = "http://gateway" })
    for _, other in ipairs { "http://app.example", "https://app.example.org", "https://app.example:8443", "null" } do
      assert.equal(403, websocket.refused(gw.address, path, { origin = other }).status)
    end
  end)

  it("brings a browser's cookies from its own origin's pages, and from others only with credentials", function()
    local told = { ["http://gateway"] = "a=b", ["https://app.example"] = "no cookie" }
    local listen = 'listen "127.0.0.1:0" { cors { origins = { "https://app.example" } %s } }'
    for _, credentials in ipairs { "", "credentials = on" } do
      start(listen:format(credentials))
      for origin, cookie in pairs(told) do
        local ws = open("/greet.GreetService/GreetStream", { origin = origin, headers = { "Cookie: a=b" } })
        ws:text '{"name":"cookie"}'
        assert.equal(('{"greeting":"%s"}'):format(cookie), ws:message())
      end
      gateway.stop_all()
      told["https://app.example"] = "a=b"
    end
  end)

  it("over HTTP/2 waits for its client's last words, but for no longer than limits.stalled", function()
    start "limits { stalled = 500ms }"
    local wire = assert(raw.connect(gw.address))
    wire:send { { send = "headers", stream = 1, fields = {
      { ":method", "CONNECT" }, { ":protocol", "websocket" }, { ":scheme", "http" }, { ":authority", "gateway" },
      { ":path", "/greet.GreetService/GreetStream" }, { "sec-websocket-version", "13" },
    } } }
    wire:data(1, websocket.frame(0x81, ""))
    assert.equal("\136\2\3\232", wire:expect({ type = "DATA", stream = 1 }).bytes)
    assert.equal("ENHANCE_YOUR_CALM", wire:expect({ type = "RST_STREAM", stream = 1 }).code)
  end)

  it("may end by itself while the gateway waits for that", function()
    start()
    local ws = open "/greet.GreetService/GreetStream"
    gw:signal "TERM"
    ws:text '{"name":"a"}'
    assert.equal('{"greeting":"a"}', ws:message())
    ws:half_close()
    assert.same({ 1000, "" }, { ws:closed() })
    assert.equal(0, gw:wait_exit())
  end)

  it("that fails within a message is cut, as no close can follow half of one", function()
    start "limits { buffered_per_stream = 64MiB  buffered_per_connection = 128MiB  message = 64MiB  stalled = 5m }"
    local path = ("/greet.GreetService/GreetServerStream?grpc-timeout=%dS"):format(3 * gateway.slowness)
    local ws = open(path, { receive_buffer = 65536 })
    ws:text(('{"name":"%d"}'):format(32 * MIB))
    gw:wait_for_log "sending ended DEADLINE_EXCEEDED"
    local has_ended, has_closed
    local is_whole, why = pcall(function()
      repeat
        local kind = ws:receive()
        has_ended, has_closed = not kind, has_closed or kind == "close"
      until has_ended
    end)
    assert.is_true(not is_whole or has_ended, why) -- within a frame, or behind one
    assert.is_falsy(has_closed)
  end)

  it("that pings without end and reads nothing costs nothing", function()
    start()
    local ws = open("/greet.GreetService/GreetStream", { receive_buffer = 4096 })
    local flood = websocket.frame(0x89, ("x"):rep(125)):rep(1000)
    local before = gw:resident_bytes()
    for _ = 1, 100 do ws.wire:send(flood) end -- 13 MB of pings
    ws:text '{"name":"a"}'
    local pongs = 0
    local kind, payload = ws:receive()
    while kind == "pong" do
      pongs = pongs + 1
      kind, payload = ws:receive()
    end
    assert.equal("text", kind)
    assert.equal('{"greeting":"a"}', payload)
    assert.is_true(pongs > 0)
    assert.is_true(gw:resident_bytes() - before < 8 * MIB * gateway.slowness)
    http1.close_all()
  end)
end)
