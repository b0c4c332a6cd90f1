-- WebSockets from outside, by raw frames over HTTP/1.1: what a call looks like in them, and what a client may not do.
local gateway = require "support.gateway"
local http1 = require "support.http1"
local websocket = require "support.websocket"

local script = [[
local tidewire = require "tidewire"
local doors = {}

function doors.Unary(stream, word)
  if word.text == "metadata" then
    stream:set_header("x-begin", "a")
    stream:set_trailer("x-end", "b")
    return { text = tostring(stream:metadata "x-word") .. "," .. tostring(stream:metadata "authorization") .. "," ..
      tostring(stream:metadata "cookie") .. "," .. tostring(stream:metadata "x-forwarded-for") }
  elseif word.text == "fail" then
    tidewire.fail("NOT_FOUND", "no such \195\188", { tidewire.message.new("doors.Word", { text = "why" }) })
  elseif word.text == "long" then
    tidewire.fail("ABORTED", ("\195\188"):rep(100))
  elseif word.text == "wait" then
    stream:on_close(function(_, code, text) tidewire.log.info("waited until " .. code .. ": " .. text) end)
    tidewire.log.info "waits"
    tidewire.sleep(3600)
  end
  return { text = stream.protocol .. " " .. word.text, number = word.number }
end

function doors.Server(stream, word)
  for i = 1, word.number do stream:send { text = word.text, number = i } end
  if word.text == "wait" then doors.Unary(stream, word) end
end

function doors.Client(stream)
  local count, bytes = 0, 0
  for word in stream:messages() do
    if word.text == "wait" then doors.Unary(stream, word) end
    count, bytes = count + 1, bytes + #word.text
  end
  return { text = tostring(bytes), number = count }
end

function doors.Bidi(stream)
  for word in stream:messages() do stream:send(doors.Unary(stream, word)) end
end

return doors
]]

local config = [[
proto = { "doors.proto" }
service "doors.Doors" { script = "doors.lua" }
limits { message = 20MiB  buffered_per_stream = 64KiB  headers = 64KiB }
]]

local gw
local function open(method, options) return websocket.open(gw.address, "/doors.Doors/" .. method, options) end

local function kind_and_payload(ws)
  local kind, payload = ws:receive()
  return kind, payload
end

describe("a WebSocket", function()
  setup(function() gw = gateway.start { scripts = { ["doors.lua"] = script }, config = config } end)
  after_each(http1.close_all)
  teardown(gateway.stop_all)

  it("calls every kind of method, by texts of JSON", function()
    local ws = open "Unary"
    ws:text '{"text":"a","number":"9007199254740993"}'
    assert.equal('{"text":"websocket a","number":"9007199254740993"}', ws:message())
    assert.same({ 1000, "" }, { ws:closed() })

    ws = open "Server"
    ws:text '{"text":"a","number":3}'
    for i = 1, 3 do assert.equal(('{"text":"a","number":"%d"}'):format(i), ws:message()) end
    assert.same({ 1000, "" }, { ws:closed() })

    ws = open "Client"
    for _ = 1, 3 do ws:text '{"text":"abc"}' end
    ws:half_close()
    assert.equal('{"text":"9","number":"3"}', ws:message())
    assert.same({ 1000, "" }, { ws:closed() })

    ws = open "Bidi"
    for i = 1, 3 do
      ws:text(('{"text":"%d"}'):format(i))
      assert.equal(('{"text":"websocket %d"}'):format(i), ws:message())
    end
    ws:half_close()
    assert.same({ 1000, "" }, { ws:closed() })
  end)

  it("calls by binary messages of protobuf, when that sub-protocol is chosen", function()
    local ws = open("Bidi", { protocol = "other, tidewire.proto, tidewire.json" })
    assert.equal("tidewire.proto", ws.headers["sec-websocket-protocol"])
    ws:binary "\10\1a\16\7"
    assert.same({ "\10\11websocket a\16\7", "binary", false }, { ws:message() })
    ws:binary ""
    assert.same({ "\10\10websocket ", "binary", false }, { ws:message() })
    ws:half_close()
    assert.same({ '{"end":{}}', "text", false }, { ws:message() })
    assert.equal(1000, (ws:closed()))
  end)

  it("tells the status by the code of the close, and all of it where a sub-protocol has words for that", function()
    local ws = open "Unary"
    ws:text '{"text":"fail"}'
    assert.same({ 4005, "no such \195\188" }, { ws:closed() })
    ws = open "Unary"
    ws:text '{"text":"long"}'
    assert.same({ 4010, ("\195\188"):rep(61) }, { ws:closed() })
    ws = open("Unary", { protocol = "tidewire.json" })
    ws:text '{"text":"fail"}'
    assert.equal('{"end":{"error":{"code":"not_found","message":"no such \195\188","details":[{"type":"doors.Word",' ..
      '"value":"CgN3aHk","debug":{"text":"why"}}]}}}', ws:message())
    assert.same({ 4005, "no such \195\188" }, { ws:closed() })
  end)

  it("carries metadata: headers and the query, and back where a sub-protocol has words for that", function()
    local ws = open("Unary?authorization=Bearer%20x%2By&x-word=no&cookie=no&x-forwarded-for=no",
      { protocol = "tidewire.json", headers = { "X-Word: yes" } })
    ws:text '{"text":"metadata"}'
    assert.equal('{"headers":{"x-begin":["a"]}}', ws:message())
    assert.equal('{"message":{"text":"yes,Bearer x+y,nil,nil"}}', ws:message())
    assert.equal('{"end":{"metadata":{"x-end":["b"]}}}', ws:message())
    assert.equal(1000, (ws:closed()))
    ws = open "Unary?x-word=h%C3%BC"
    ws:text '{"text":"metadata"}'
    assert.equal('{"text":"h\195\188,nil,nil,nil"}', ws:message())
  end)

  it("holds a call to its deadline, from a header or the query", function()
    local ws = open "Unary?grpc-timeout=50m"
    ws:text '{"text":"wait"}'
    assert.same({ 4004, "the deadline has passed" }, { ws:closed() })
    ws = open("Bidi", { headers = { "grpc-timeout: 50m" } })
    assert.equal(4004, (ws:closed()))
  end)

  it("is refused with an HTTP status where there can be no call", function()
    local function check(status, code, path, options)
      local answer = websocket.refused(gw.address, path, options)
      assert.equal(status, answer.status)
      assert.equal("application/json", answer.headers["content-type"])
      assert.matches('^{"code":"' .. code .. '","message":', answer.body)
      return answer
    end
    check(404, "unimplemented", "/doors.Doors/Missing")
    check(404, "unimplemented", "/chat")
    check(400, "invalid_argument", "/doors.Doors/Unary", { protocol = "soap" })
    check(400, "invalid_argument", "/doors.Doors/Unary?x-word=%zz")
    check(400, "invalid_argument", "/doors.Doors/Unary?x-word=%0d%0a")
    check(400, "invalid_argument", "/doors.Doors/Unary?" .. ("a=b&"):rep(101))
    check(400, "invalid_argument", "/doors.Doors/Unary?grpc-timeout=soon")
    check(504, "deadline_exceeded", "/doors.Doors/Unary?grpc-timeout=0m")
    check(403, "permission_denied", "/doors.Doors/Unary", { origin = "https://elsewhere.example" })
    check(403, "permission_denied", "/doors.Doors/Unary", { origin = "null" })
    open("Unary", { origin = "https://Gateway" })
    local request = websocket.request "/doors.Doors/Unary"
    local answer = http1.ask(gw.address, (request:gsub("Version: 13", "Version: 8")))
    assert.equal(426, answer.status)
    assert.equal("13", answer.headers["sec-websocket-version"])
    assert.equal(400, http1.ask(gw.address, (request:gsub("Key: [^\r]*", "Key: short"))).status)
    assert.equal(400, http1.ask(gw.address, (request:gsub("Sec%-WebSocket%-Key: [^\r]*\r\n", ""))).status)
  end)

  it("compresses messages, each by itself, when the client offers that", function()
    local text = ("so much of it "):rep(1000)
    local ws = open("Bidi", { extensions = "permessage-deflate; client_max_window_bits" })
    assert.equal("permessage-deflate; server_no_context_takeover; client_no_context_takeover",
      ws.headers["sec-websocket-extensions"])
    ws:text('{"text":"' .. text .. '"}')
    for _ = 1, 2 do
      local packed, kind, is_packed = ws:message()
      assert.same({ "text", true }, { kind, is_packed })
      assert.is_true(#packed < 400)
      ws:send(0xc1, packed) -- what it has sent it understands: the text with "websocket " before it
    end
    ws:text '{"text":"a"}'
    local payload, is_compressed, _
    repeat payload, _, is_compressed = ws:message() until payload == '{"text":"websocket a"}'
    assert.is_false(is_compressed)
    ws:send(0xc1, "\0") -- an empty text, as some clients compress it
    assert.equal(1000, (ws:closed()))
    assert.is_nil(open("Unary", { extensions = "permessage-deflate; server_max_window_bits=8" })
      .headers["sec-websocket-extensions"])
  end)

  it("carries messages of 16 MiB, in one frame and in many", function()
    local text = ("0123456789abcdef"):rep(1024 * 1024)
    local ws = open "Client"
    ws:send(0x81, '{"text":"' .. text .. '"}')
    ws:send(0x01, '{"text":"')
    for i = 0, 15 do
      ws:send(0x00, text:sub(i * 1048576 + 1, (i + 1) * 1048576))
      ws:send(0x89, "still there?")
      assert.same({ "pong", "still there?" }, { kind_and_payload(ws) })
    end
    ws:send(0x80, '"}')
    ws:half_close()
    assert.equal(('{"text":"%d","number":"2"}'):format(2 * #text), ws:message())
    assert.equal(1000, (ws:closed()))
  end)

  it("answers pings, between fragments and while nothing else may leave", function()
    local ws = open "Client"
    ws:send(0x89, "before")
    assert.same({ "pong", "before" }, { kind_and_payload(ws) })
    ws:send(0x01, '{"te')
    ws:send(0x89, "between")
    ws:send(0x8a, "nobody has asked")
    ws:send(0x80, 'xt":"a"}')
    assert.same({ "pong", "between" }, { kind_and_payload(ws) })
    ws:half_close()
    ws:send(0x89, "behind")
    local kind, payload = ws:receive()
    if kind == "pong" then -- the reply may be there first
      assert.equal("behind", payload)
      kind = ws:receive()
    end
    assert.equal("text", kind)
  end)

  -- In the middle of a call each row breaks one rule, of those that Autobahn's groups 2 to 7 ask for, and gets its
  -- code. The suite itself, but for JSON, is tests/interop/autobahn.
  local faults = {
    { "a frame without a mask", 1002, { 0x81, "{}", { is_bare = true } } },
    { "a reserved bit", 1002, { 0xa1, "{}" } },
    { "compression that was not agreed", 1002, { 0xc1, "{}" } },
    { "a reserved opcode", 1002, { 0x83, "" } },
    { "a reserved control opcode", 1002, { 0x8c, "" } },
    { "a fragmented ping", 1002, { 0x09, "a" } },
    { "a ping of 126 bytes", 1002, { 0x89, ("x"):rep(126) } },
    { "a continuation without a beginning", 1002, { 0x80, "{}" } },
    { "a message within another", 1002, { 0x01, "{" }, { 0x81, "{}" } },
    { "a close of one byte", 1002, { 0x88, "\3" } },
    { "a close with the code 1005", 1002, { 0x88, "\3\237" } },
    { "a close with the code 999", 1002, { 0x88, "\3\231" } },
    { "a text that is no UTF-8", 1007, { 0x81, '"\255"' } },
    { "a text that is none across fragments", 1007, { 0x01, '"\206' }, { 0x80, '"' } },
    { "a text that ends within a character", 1007, { 0x81, '"\206' } },
    { "a reason that is no UTF-8", 1007, { 0x88, "\3\232\255" } },
    { "a binary message where texts are spoken", 1003, { 0x82, "{}" } },
    { "a text that is no JSON", 4003, { 0x81, "{" } },
  }
  for _, row in ipairs(faults) do
    it("is closed for " .. row[1], function()
      local ws = open "Bidi"
      ws:text '{"text":"a"}'
      assert.equal('{"text":"websocket a"}', ws:message())
      for i = 3, #row do ws:send(unpack(row[i])) end
      local code, reason = ws:closed()
      assert.equal(row[2], code)
      assert.is_true(#reason > 0)
    end)
  end

  it("is closed for a compressed message that is broken, too large, or no text", function()
    local offer = { extensions = "permessage-deflate" }
    local ws = open("Bidi", offer)
    ws:send(0xc1, "\255\255\255\255")
    assert.equal(1007, (ws:closed()))
    ws = open("Bidi", offer)
    ws:send(0xc1, "\0\3\0\252\255\34\255\34\0") -- stored: "\255"
    assert.equal(1007, (ws:closed()))
  end)

  it("is closed for a text where messages are binary, and for one behind the half-close", function()
    local ws = open("Bidi", { protocol = "tidewire.proto" })
    ws:text "{}"
    assert.equal(1003, (ws:closed()))
    ws = open "Client"
    ws:text '{"text":"wait"}'
    ws:half_close()
    ws:half_close() -- twice is no more than once
    ws:text "{}"
    assert.equal(1002, (ws:closed()))
    ws = open "Unary"
    ws:text '{"text":"wait"}'
    ws:half_close() -- needless, and harmless
    ws:text "{}"
    assert.equal(1002, (ws:closed()))
    ws = open "Unary"
    ws:half_close()
    assert.equal(4012, (ws:closed()))
  end)

  it("ends the call when the client closes it, gives the code back, and takes a lost client for the same", function()
    for _, code in ipairs { 1000, 1001, 1012, 3000, 4999 } do
      local mark = gw:mark()
      local ws = open "Bidi"
      ws:text '{"text":"wait"}'
      gw:wait_for_log("waits", mark)
      ws:close(code, "enough")
      assert.same({ code, "" }, { ws:closed() })
      gw:wait_for_log("waited until CANCELLED: the client has closed the WebSocket (" .. code .. "): enough", mark)
    end
    local ws = open "Bidi"
    ws:close()
    assert.equal(1005, (ws:closed()))
    local mark = gw:mark()
    ws = open "Bidi"
    ws:text '{"text":"wait"}'
    gw:wait_for_log("waits", mark)
    ws:cut()
    gw:wait_for_log("waited until CANCELLED", mark)
  end)

  it("reads what comes in the smallest pieces", function()
    local ws = open "Bidi"
    local frames = websocket.frame(0x01, '{"text":', { mask = "abcd" }) .. websocket.frame(0x89, "p") ..
      websocket.frame(0x80, '"\206\186"}', { mask = "efgh" })
    for i = 1, #frames do ws.wire:send(frames:sub(i, i)) end
    assert.same({ "pong", "p" }, { kind_and_payload(ws) })
    assert.equal('{"text":"websocket \206\186"}', ws:message())
  end)

  it("takes frames that come with the handshake", function()
    local wire = http1.connect(gw.address)
    wire:send(websocket.request "/doors.Doors/Unary" .. websocket.frame(0x81, '{"text":"a"}'))
    assert.equal(101, wire:head().status)
    assert.equal('\129\22{"text":"websocket a"}\136\2\3\232', wire:rest())
  end)
end)

describe("a WebSocket that a limit refuses", function()
  after_each(gateway.stop_all)

  it("is told when it may come again", function()
    local one = gateway.start {
      scripts = { ["doors.lua"] = script },
      config = [[
        proto = { "doors.proto" }
        limit few { per = service  streams_per_second = 0.01  streams_burst = 1 }
        service "doors.Doors" { script = "doors.lua"  limit = { "few" } }
        route { websocket = "GET /goa" method = "doors.Doors/Bidi" dialect = goa }
      ]],
    }
    websocket.open(one.address, "/doors.Doors/Bidi")
    local answer = websocket.refused(one.address, "/doors.Doors/Bidi")
    assert.equal(429, answer.status)
    assert.matches('"code":"resource_exhausted"', answer.body)
    assert.matches('"details":%[{"type":"google%.rpc%.RetryInfo","value":"[^"]', answer.body)
    answer = websocket.refused(one.address, "/goa")
    assert.same({ 429, "resource_exhausted" }, { answer.status, answer.headers["goa-error"] })
    assert.matches('^{"name":"resource_exhausted","id":"","message":"limit', answer.body)
  end)
end)
