-- Calls by HTTP/1.1, as Connect has them: bodies in both directions, a side that is behind, and how they end.
local gateway = require "support.gateway"
local certificates = require "support.certificates"
local client = require "support.client"
local http1 = require "support.http1"
local process = require "support.process"
local tls_pipe = require "support.tls_pipe"

local MIB = 1048576

local script = [[
local tidewire = require "tidewire"
local greet = {}

function greet.Greet(_, request) return { greeting = "1 " .. request.name } end

-- Sends for ever, and says how far it got and how it ended.
greet.GreetServerStream = {
  run = function(stream, request)
    local size, sent = tonumber(request.name), 0
    local text = ("x"):rep(size)
    while stream:send { greeting = text } do
      sent = sent + size
      if sent % (100 * size) == 0 then tidewire.log.info(("sent %d"):format(sent)) end
    end
  end,
  on_close = function(_, code) tidewire.log.info("the stream is " .. code) end,
}

-- Doesn't read until it is told to by the chat.
local gate = tidewire.topic("gate", { type = "chat.ChatMessage" })
function greet.GreetClientStream(stream)
  local is_open, count = false, 0
  gate:subscribe(function() is_open = true end)
  tidewire.log.info "the gate is closed"
  while not is_open do tidewire.sleep(0.01) end
  for _ in stream:messages() do count = count + 1 end
  return { greeting = tostring(count) }
end

return greet
]]

local chat = [[
local tidewire = require "tidewire"
local gate = tidewire.topic("gate", { type = "chat.ChatMessage" })
return { Chat = { on_message = function(_, message) gate:publish(message) end } }
]]

local config = [[
limits { buffered_per_stream = 256KiB  buffered_per_connection = 4MiB  message = 64KiB  stalled = 60s }
service "greet.GreetService" { script = "greet.lua" }
service "chat.ChatService" { script = "chat.lua" }
]]

local python = [[
import http.client, sys
client = http.client.HTTPConnection(sys.argv[1])
path, headers = "/greet.GreetService/Greet", {"content-type": "application/json"}
client.request("POST", path, '{"name":"a"}', headers)
print(client.getresponse().read().decode())
socket = client.sock
client.request("POST", path, (piece for piece in (b'{"name"', b':"a', b'b"}')), headers)
print(client.getresponse().read().decode())
assert client.sock is socket
]]

local function envelope(text) return string.char(0, 0, 0, math.floor(#text / 256), #text % 256) .. text end
local function chunk(text) return ("%x\r\n%s\r\n"):format(#text, text) end
local function head(method, fields)
  return ("POST /greet.GreetService/%s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(method, fields)
end
local json, stream_json = "Content-Type: application/json\r\n", "Content-Type: application/connect+json\r\n"
local chunked = "Transfer-Encoding: chunked\r\n"

describe("A call by HTTP/1.1", function()
  local gw
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script, ["chat.lua"] = chat }, config = config }
  end)
  after_each(gateway.stop_all)

  local function other_is_served()
    local reply = client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }, client.soon)
    assert.equal("OK", reply.code)
  end

  -- Waits until the figure no longer changes.
  local function settled(figure)
    local last, since = figure(), process.now()
    process.await(gateway.patience, function()
      local now = figure()
      if now ~= last then last, since = now, process.now() end
      return process.now() - since > 0.3 * gateway.slowness
    end)
    return last
  end

  -- Its answer begins, and nobody reads on.
  local function start_sending(wire)
    local body = envelope '{"name":"1000"}'
    wire:send(head("GreetServerStream", stream_json .. "Content-Length: " .. #body .. "\r\n") .. body)
    local answer = wire:head()
    assert.same({ 200, "chunked" }, { answer.status, answer.headers["transfer-encoding"] })
  end

  it("may have a length or chunks, one after the other on a connection", function()
    local wire = http1.connect(gw.address)
    local body = '{"name":"a"}'
    for _ = 1, 3 do
      wire:send(head("Greet", json .. "Content-Length: 12\r\n") .. body)
      assert.equal('{"greeting":"1 a"}', wire:answer().body)
      wire:send(head("Greet", json .. chunked) .. chunk(body:sub(1, 5)) .. "7;x=\"y\"\r\n" .. body:sub(6) ..
        "\r\n0\r\nX-Trailer: 1\r\n\r\n")
      assert.equal('{"greeting":"1 a"}', wire:answer().body)
    end
    assert.matches("protocol=connect status=OK reason=handler [^\n]* messages_in=1 messages_out=1 ",
      gw:wait_for_log "call ended")
  end)

  it("is told to go on when it asks, and not when it is refused", function()
    local wire = http1.connect(gw.address)
    wire:send(head("Greet", json .. "Content-Length: 12\r\nExpect: 100-continue\r\n"))
    assert.equal(100, wire:answer().status)
    wire:send '{"name":"a"}'
    assert.equal('{"greeting":"1 a"}', wire:answer().body)
    wire:send(head("Nothing", json .. "Content-Length: 12\r\nExpect: 100-continue\r\n"))
    local answer = wire:answer()
    assert.same({ 404, "close" }, { answer.status, answer.headers.connection })
    assert.is_true(wire:is_gone())
  end)

  it("may be sent while the one before is not answered", function()
    local wire = http1.connect(gw.address)
    local all = {}
    for i = 1, 200 do
      local body = ('{"name":"%d"}'):format(i)
      all[i] = head("Greet", json .. "Content-Length: " .. #body .. "\r\n") .. body
    end
    wire:send(table.concat(all))
    for i = 1, 200 do assert.equal(('{"greeting":"1 %d"}'):format(i), wire:answer().body) end
  end)

  it("works for curl: asking before it sends, in chunks, and over one connection", function()
    local name = ("x"):rep(60000)
    gw:write("body", ('{"name":"%s"}'):format(name))
    local one = { "-H", "Content-Type: application/json", "--data-binary", "@" .. gw:path "body",
      "http://" .. gw.address .. "/greet.GreetService/Greet", "-w", " %{http_version} %{num_connects}\n" }
    local arguments = { "--http1.1", "-H", "Expect: 100-continue" }
    for _, word in ipairs(one) do arguments[#arguments + 1] = word end
    for _, word in ipairs { "--next", "--http1.1", "-H", "Transfer-Encoding: chunked" } do
      arguments[#arguments + 1] = word
    end
    for _, word in ipairs(one) do arguments[#arguments + 1] = word end
    local line = ('{"greeting":"1 %s"} 1.1 '):format(name)
    assert.equal(line .. "1\n" .. line .. "0\n", http1.curl(gw, arguments))
  end)

  it("works for Python's own client, and for one that sends a generator", function()
    local child = process.start({ "/usr/bin/python3", "-c", python, gw.address }, { output = gw:path "python" })
    assert.equal(0, child:wait(gateway.patience))
    assert.equal('{"greeting":"1 a"}\n{"greeting":"1 ab"}\n', io.open(gw:path "python"):read "*a")
  end)

  it("has a message over the limit refused before all of it has come", function()
    local wire = http1.connect(gw.address)
    wire:send(head("Greet", json .. "Content-Length: 16777216\r\n") .. ("x"):rep(128 * 1024))
    local answer = wire:answer()
    assert.same({ 429, "close" }, { answer.status, answer.headers.connection })
    assert.matches('"code":"resource_exhausted"', answer.body)
    assert.is_true(wire:is_gone())
    other_is_served()
  end)

  local function client_is_behind(address)
    local before = gw:resident_bytes()
    local wire = http1.connect(address, { receive_buffer = 65536 })
    start_sending(wire)
    local count = settled(function() return gw:count_in_log "sent " end)
    assert.is_true(count < 100, count) -- 10 MB: socket buffers and the queue are far less
    assert.is_true(gw:resident_bytes() - before < 8 * MIB * gateway.slowness)
    other_is_served()
    local mark = gw:mark()
    for _ = 1, 400 do assert(wire:chunk()) end -- as soon as it reads on, so does the handler
    assert.is_truthy(process.await(gateway.patience, function()
      wire:chunk()
      return gw:said("sent ", mark)
    end))
    wire:close()
    gw:wait_for_log "the stream is CANCELLED"
  end

  it("makes the handler wait while its client doesn't read, in bounded memory", function()
    client_is_behind(gw.address)
  end)

  -- Until the gateway takes no more, as its handler takes nothing.
  local function fill(wire)
    local piece, sent = chunk(envelope(('{"name":"%s"}'):format(("x"):rep(1000)))), 0
    wire:send(head("GreetClientStream", stream_json .. chunked))
    gw:wait_for_log "the gate is closed"
    local function send_on()
      local at = sent % #piece
      local taken = assert(wire:send_some(piece:sub(at + 1)))
      sent = sent + taken
      return taken
    end
    settled(function()
      while sent < 64 * MIB and send_on() > 0 do end
      return sent
    end)
    return piece, sent
  end

  local function handler_is_behind(address)
    local before = gw:resident_bytes()
    local wire = http1.connect(address)
    local piece, sent = fill(wire)
    assert.is_true(sent < 32 * MIB, sent)
    assert.is_true(gw:resident_bytes() - before < 8 * MIB * gateway.slowness)
    other_is_served()
    local opener = client.connect(gw.address):open "chat.ChatService/Chat"
    opener:send { sender = "go" }
    wire:send(piece:sub(sent % #piece + 1) .. "0\r\n\r\n")
    local messages = math.floor(sent / #piece) + 1
    assert.matches(('{"greeting":"%d"}'):format(messages), wire:answer().body, 1, true)
    opener:half_close()
  end

  it("makes the client wait while its handler doesn't read, and loses nothing", function()
    handler_is_behind(gw.address)
  end)

  it("does so over TLS", function()
    certificates.authority "ca"
    certificates.certificate("one", "ca", "IP:127.0.0.1")
    gw = gateway.start { scripts = { ["greet.lua"] = script, ["chat.lua"] = chat },
      config = config .. ([[
        listen "127.0.0.1:0" { }
        listen "127.0.0.2:0" { tls { certificate = "DIR/one.pem"  key = "DIR/one.key" } }
      ]]):gsub("DIR", certificates.folder) }
    local address = tls_pipe.to(gw.addresses[2],
      { ca = certificates.folder .. "/ca.pem", name = "127.0.0.1", protocols = { "http/1.1" } })
    client_is_behind(address)
    handler_is_behind(address)
  end)

  it("ends when its client is gone, though nothing is read of it", function()
    local wire = http1.connect(gw.address)
    fill(wire)
    local mark = gw:mark()
    wire:reset()
    assert.matches("reason=connection", gw:wait_for_log("call ended", mark), 1, true)
    other_is_served()
  end)

  it("ends for the handler when its client goes", function()
    local wire = http1.connect(gw.address)
    start_sending(wire)
    wire:close()
    assert.matches("CANCELLED", gw:wait_for_log "the stream is ")
  end)

  it("goes on over a reload and while the gateway drains, and is the connection's last", function()
    local wire, body = http1.connect(gw.address), '{"name":"a"}'
    local function greet()
      wire:send(head("Greet", json .. "Content-Length: 12\r\n") .. body)
      return wire:answer()
    end
    assert.equal('{"greeting":"1 a"}', greet().body)
    wire:send(head("Greet", json .. "Content-Length: 12\r\nExpect: 100-continue\r\n"))
    assert.equal(100, wire:answer().status)
    gw:write("scripts/greet.lua", (script:gsub('"1 "', '"2 "')))
    assert.equal(2, gw:reload())
    wire:send(body)
    assert.equal('{"greeting":"1 a"}', wire:answer().body)
    assert.equal('{"greeting":"2 a"}', greet().body)
    wire:send(head("Greet", json .. "Content-Length: 12\r\nExpect: 100-continue\r\n"))
    assert.equal(100, wire:answer().status)
    gw:signal "TERM"
    gw:wait_for_log "draining"
    wire:send(body)
    local answer = wire:answer()
    assert.same({ '{"greeting":"2 a"}', "close" }, { answer.body, answer.headers.connection })
    assert.is_true(wire:is_gone())
    assert.equal(0, gw:wait_exit())
  end)
end)
